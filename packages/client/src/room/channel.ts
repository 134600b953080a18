import { type Instant, LumameshError } from '@lumamesh/base';
import {
  type JoinProof,
  type RelayMessage,
  type RoomKind,
  type RoomMember,
  type RoomSecret,
  deriveRoomSecret,
  joinProofText,
} from '@lumamesh/protocol';
import { toError } from '../extend.ts';
import { fieldsOf } from '../peer/signal.ts';
import type { ChannelHost, ChannelOwner, HeldChannel, JoinMessage } from './channel-host.ts';
import { Inbox } from './inbox.ts';
import { JoinProofs } from './join-proofs.ts';
import { type Member, Members } from './members.ts';
import { Outbox } from './outbox.ts';
import { EVERYONE, Sealer } from './sealing.ts';

const MAX_LISTED = 1000;

/**
 * What relays carry: keys, members with their sealed presence, sealed signals. It connects to
 * nobody. Rooms stand on it, and the channels of pages.
 */
export class RoomChannel implements HeldChannel {
  readonly #kind: RoomKind;
  readonly #name: string;
  readonly #password: string;
  readonly #host: ChannelHost;
  readonly #owner: ChannelOwner;
  readonly #members: Members;
  readonly #outbox: Outbox;
  /** By relay. */
  readonly #inboxes = new Map<string, Inbox>();
  /** Members named so far by the `joined` frames of one answer, by relay. */
  readonly #listed = new Map<string, Set<string>>();
  /** Relays that were lost, and have not told since who is there: what they took may be lost, too. */
  readonly #returning = new Set<string>();
  readonly #proofs = new JoinProofs();
  #secret: RoomSecret | null = null;
  #sealer: Sealer | null = null;
  #release = (): void => undefined;
  #presence = '';
  /** What is said of this page is sealed once after another; `null` while nothing is to be said. */
  #saying: Promise<void> | null = null;
  #isSayingDue = false;
  readonly #ready = Promise.withResolvers<string>();
  /** Why a relay has not taken us in; said once. */
  #refusal = '';
  #hasSaidMismatch = false;
  #isLeft = false;
  /** This page's own id; empty until the keys are there. */
  selfId = '';

  constructor(
    kind: RoomKind,
    name: string,
    password: string,
    host: ChannelHost,
    owner: ChannelOwner,
  ) {
    this.#kind = kind;
    this.#name = name;
    this.#password = password;
    this.#host = host;
    this.#owner = owner;
    this.#outbox = new Outbox(host);
    this.#members = new Members(host.platform.random, (id) => owner._handlePushedOut?.(id));
    // Whoever waits for it hears of it; until somebody does it is no unhandled rejection.
    this.#ready.promise.catch(() => undefined);
  }

  /** This page's id, once it is known; rejects with `ROOM_LEFT`, or what went wrong. */
  get _ready(): Promise<string> {
    return this.#ready.promise;
  }

  /** What relays know the room by; `null` until it is derived. */
  get roomId(): string | null {
    return this.#secret?.roomId ?? null;
  }

  /** The first counter that this page's identity in the room has not used. */
  get counter(): number {
    return this.#sealer?.counter ?? 0;
  }

  /**
   * What to tell a relay that has just come up, once this page's id is proven to it. `challenge`
   * is what its welcome asks; relays of before ask nothing.
   */
  _joinMessageFor(relay: string, challenge: string | undefined): JoinMessage | null {
    if (this.#presence === '' || this.#isLeft) return null;
    // There is presence once there are keys.
    const room = this.roomId ?? '';
    const message = { action: 'join', room, peer: this.selfId, presence: this.#presence } as const;
    if (challenge === undefined) return message;
    const proof = this.#proofs._for(
      relay,
      challenge,
      () => this.#prove(relay, challenge, room),
      this.#host._handleReady,
    );
    return proof === null ? null : { ...message, proof };
  }

  /** The members that relays list now. */
  get _members(): readonly (readonly [id: string, member: Member])[] {
    return this.#members._listed;
  }

  /** A member that was seen or heard; `undefined` for who is none. */
  _member(id: string): Member | undefined {
    return this.#members._get(id);
  }

  /**
   * Takes its place among the page's rooms at once, then derives the keys and asks to join. Rejects
   * with what went wrong.
   * @param prepare what is to be there before this page says anything of itself
   */
  async _start(prepare?: () => Promise<void>): Promise<void> {
    const { platform, _identityFor, _handleStart } = this.#host;
    _handleStart(this);
    try {
      await prepare?.();
      const { subtle } = platform.crypto;
      const secret = await deriveRoomSecret(subtle, this.#name, this.#password, this.#kind);
      const identity = await _identityFor(secret.roomId);
      this.#release = identity.release ?? this.#release;
      if (this.#isLeft) return this.#release();
      this.#secret = secret;
      this.#sealer = new Sealer(platform.crypto, secret, identity);
      this.selfId = identity.id;
      // The page is told what it is before others are.
      this.#ready.resolve(identity.id);
      this.#owner._handleReady?.(identity.id);
      await this._say();
    } catch (cause) {
      const error = toError(cause, 'CRYPTO_FAILED');
      this.#ready.reject(error);
      throw error;
    }
  }

  /**
   * Tells the others what the owner says of this page now: the latest, and as often as relays take
   * it. Rejects with what went wrong.
   */
  _say(): Promise<void> {
    this.#isSayingDue = true;
    this.#saying ??= this.#sayLatest().finally(() => (this.#saying = null));
    return this.#saying;
  }

  _leave(): void {
    if (this.#isLeft) return;
    this.#isLeft = true;
    this.#ready.reject(new LumameshError('ROOM_LEFT', 'it was left before it was prepared'));
    this.#host._handleLeft(this);
    this.#release();
  }

  /** A relay has come up (again): what it had begun to tell before is void. */
  _handleRelayUp(relay: string): void {
    this.#listed.delete(relay);
    if (this.#returning.has(relay)) this.#outbox._handleReturn();
  }

  /** A relay is not held any more: what it said of members counts no longer. */
  _handleRelayGone(relay: string): void {
    this.#members._forget(relay, this.#members._ids, this.#host.platform.now());
    this.#inboxes.delete(relay);
    this.#returning.add(relay);
  }

  /** A message about this room, heard from a relay. */
  _handleMessage(relay: string, message: RelayMessage): void {
    const inbox = this.#inboxes.get(relay) ?? new Inbox();
    this.#inboxes.set(relay, inbox);
    // Each leaves by himself, whatever waits of him or of others.
    const about = 'peer' in message ? `${message.action} ${message.peer}` : '';
    const sender = message.action === 'signal' ? message.from : about;
    inbox._add(sender, async () => {
      // What a relay said before it was lost counts no longer.
      if (this.#isLeft || this.#inboxes.get(relay) !== inbox) return;
      try {
        await this.#apply(relay, message);
      } catch (error) {
        // A browser that cannot open another connection, say: this message is lost, no more.
        this.#owner._handleError?.(toError(error));
      }
    });
  }

  /** To be called about every second. */
  _handleTick(now: Instant): void {
    for (const id of this.#members._gone(now)) this.#drop(id);
    this.#outbox._handleTick(now);
  }

  /**
   * Seals a signal and sends it by the relay that its receiver was last heard through.
   * @returns whether a relay took it; never rejects
   */
  _signal(to: string, payload: object): Promise<boolean> {
    const sealer = this.#sealer;
    const room = this.roomId;
    if (sealer === null || room === null) return Promise.resolve(false);
    return this.#outbox._send(to, async () => {
      if (this.#isLeft) return null;
      const stay = this.#members._get(to)?.stay ?? 0;
      const data = await sealer.seal('signal', to, { ...payload, stay: sealer.stay }, stay);
      return this.#isLeft ? null : { action: 'signal', room, to, data };
    });
  }

  /** The member needs no relay to be reached. */
  _settle(id: string): void {
    this.#outbox._settle(id);
  }

  /** By all relays, until the member is heard by one of them. */
  _unroute(id: string): void {
    this.#outbox._unroute(id);
  }

  /** Whoever takes part has no use for a member any more. */
  _release(id: string): void {
    this.#outbox._release(id);
  }

  async #sayLatest(): Promise<void> {
    while (this.#isSayingDue) {
      this.#isSayingDue = false;
      const sealer = this.#sealer;
      if (sealer === null || this.#isLeft) return;
      const said = { ...this.#owner._presence(), stay: sealer.stay };
      this.#presence = await sealer.seal('presence', EVERYONE, said);
      if (!this.#isLeft) this.#host._handleReady();
    }
  }

  async #prove(relay: string, challenge: string, room: string): Promise<JoinProof | null> {
    try {
      const text = joinProofText(relay, challenge, room, this.selfId);
      return (await this.#sealer?.prove(text)) ?? null;
    } catch (error) {
      this.#host.onListenerError(error);
      return null;
    }
  }

  async #apply(relay: string, message: RelayMessage): Promise<void> {
    switch (message.action) {
      case 'joined': {
        const listed = this.#listed.get(relay) ?? new Set();
        this.#listed.set(relay, listed);
        for (const member of message.members) {
          if (listed.size < MAX_LISTED) listed.add(member.peer);
          await this.#meet(relay, member, true);
        }
        if (message.more === true) return;
        this.#refusal = '';
        // The whole list was heard: who is not on it left while this relay was out of reach.
        this.#listed.delete(relay);
        const absent = this.#members._ids.filter((id) => !listed.has(id));
        this.#members._forget(relay, absent, this.#host.platform.now());
        if (this.#returning.delete(relay)) this.#outbox._sayAgain();
        if (!this.#isLeft) this.#owner._handleJoined?.();
        return;
      }
      case 'peer-joined':
        return this.#meet(relay, message, false);
      case 'peer-left': {
        const relays = this.#members._get(message.peer)?.relays;
        relays?.delete(relay);
        // Another relay may still have it.
        if (relays?.size === 0) this.#drop(message.peer);
        return;
      }
      case 'signal': {
        const { from, data } = message;
        const opened = await this.#sealer?.open('signal', from, data);
        if (opened?.ok !== true || this.#isLeft) return;
        const { value, counter } = opened.value;
        const { stay } = fieldsOf(value);
        if (typeof stay !== 'number') return;
        // It can prove itself: it is there, though a relay may hide that.
        this.#members._hear(from, stay, this.#host.platform.now(), this.#mayGo);
        this._settle(from);
        if (this.#owner._handleSignal?.(from, value, counter) === true)
          this.#outbox._route(from, relay);
        return;
      }
      case 'error':
        if (!/^PEER_(GONE|BUSY)$/.test(message.code))
          this._handleRefusal(message.code, message.message);
        return;
      default:
        return;
    }
  }

  /** A relay does not take us in (yet). */
  _handleRefusal(code: string, message: string): void {
    if (this.#refusal !== code) this.#owner._handleError?.(new LumameshError(code, message));
    this.#refusal = code;
  }

  async #meet(
    relay: string,
    { peer: id, presence: sealed }: RoomMember,
    isListed: boolean,
  ): Promise<void> {
    if (this.#sealer === null || id === this.selfId) return;
    const opened = await this.#sealer.open('presence', id, sealed);
    if (this.#isLeft) return;
    if (!opened.ok) {
      // Same room id, another key. The page hears of it where nobody else is there either: one
      // stranger among members shows only that he has not their key.
      if (!this.#hasSaidMismatch && this.#members._ids.length === 0)
        this.#owner._handleError?.(
          new LumameshError('ROOM_KEY_MISMATCH', `a presence could not be opened: ${opened.drop}`),
        );
      this.#hasSaidMismatch ||= this.#members._ids.length === 0;
      return;
    }
    const { value, counter } = opened.value;
    const now = this.#host.platform.now();
    const { stay } = fieldsOf(value);
    // Pages of before do not name it, and say what they are once in a stay.
    const isNamed = Number.isSafeInteger(stay) && Number(stay) >= 0 && Number(stay) <= counter;
    const ofStay = isNamed ? Number(stay) : counter;
    const member = this.#members._see(id, value, ofStay, counter, relay, now, this.#mayGo);
    this.#outbox._route(id, relay);
    this.#owner._handleMember(id, member, isListed, this.#outbox._takeMissed(id));
  }

  readonly #mayGo = (id: string): boolean => this.#owner._isReached?.(id) !== true;

  #drop(id: string): void {
    this.#members._drop(id);
    this.#owner._handleMemberGone?.(id);
  }
}
