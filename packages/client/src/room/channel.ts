import { type Instant, LumameshError, dropOldest } from '@lumamesh/base';
import {
  type ClientMessage,
  type JoinProof,
  type RelayMessage,
  type RoomMember,
  type RoomSecret,
  deriveRoomSecret,
  joinProofText,
} from '@lumamesh/protocol';
import { toError } from '../extend.ts';
import { fieldsOf } from '../peer/signal.ts';
import type { Platform } from '../platform/platform.ts';
import { Inbox } from './inbox.ts';
import { Members } from './members.ts';
import type { PeerIdentity } from './peer-identity.ts';
import { EVERYONE, Sealer } from './sealing.ts';
import { Unanswered } from './unanswered.ts';

const MAX_LISTED = 1000;
/** Relays whose challenges are remembered; more than a page holds. */
const MAX_PROOFS = 32;

/** What a channel needs of the net around it. */
export interface ChannelHost {
  readonly platform: Platform;
  readonly onListenerError: (error: unknown) => void;
  readonly _identityFor: (roomId: string) => Promise<PeerIdentity>;
  /** Sends by one relay, or by all of them when `relay` is null; returns whether any took it. */
  readonly send: (relay: string | null, message: ClientMessage) => boolean;
  readonly _handleStart: (channel: RoomChannel) => void;
  readonly _handleReady: () => void;
  readonly _handleLeft: (channel: RoomChannel) => void;
}

/** What a channel tells whoever takes part in it. */
export interface ChannelOwner {
  /** What the others learn of us; asked once, when the room's keys are there. */
  _presence(): unknown;
  /**
   * A member was seen (again).
   * @param isListed it was there before us; @param hasMissed a signal to it found no relay
   */
  _handleMember(id: string, presence: unknown, isListed: boolean, hasMissed: boolean): void;
  /** No relay lists a member any more. */
  _handleMemberGone?(id: string): void;
  /**
   * @param counter rises with each signal of the sender
   * @returns whether its sender is of interest: the relay it came by is the way back
   */
  _handleSignal?(from: string, payload: unknown, counter: number): boolean;
  /** Whether somebody is connected to the member, who so keeps its place in a crowd. */
  _isReached?(id: string): boolean;
  /** A relay has taken us in and named all members. */
  _handleJoined?(): void;
  _handleError?(error: LumameshError): void;
}

/**
 * A room as relays carry it: keys, members with their sealed presence, sealed signals. It connects
 * to nobody.
 */
export class RoomChannel {
  readonly #name: string;
  readonly #password: string;
  readonly #host: ChannelHost;
  readonly #owner: ChannelOwner;
  readonly #members: Members;
  /** The relay a member was last heard through: the way back. */
  readonly #routes = new Map<string, string>();
  /** Sealing takes time; what is sent to and heard from a member keeps its order. */
  readonly #outgoing = new Map<string, Promise<void>>();
  readonly #unanswered = new Unanswered();
  /** By relay. */
  readonly #inboxes = new Map<string, Inbox>();
  /** Members to whom something was to be said while there was no relay. */
  readonly #missed = new Set<string>();
  /** Members named so far by the `joined` frames of one answer, by relay. */
  readonly #listed = new Map<string, Set<string>>();
  /** By relay: what it has asked, and the answer once it is signed. */
  readonly #proofs = new Map<
    string,
    { readonly challenge: string; readonly proof: JoinProof | null }
  >();
  #secret: RoomSecret | null = null;
  #sealer: Sealer | null = null;
  #release = (): void => undefined;
  #presence = '';
  /** Why a relay has not taken us in; said once. */
  #refusal = '';
  #hasSaidMismatch = false;
  #isLeft = false;
  /** This page's own id; empty until the keys are there. */
  selfId = '';

  constructor(name: string, password: string, host: ChannelHost, owner: ChannelOwner) {
    this.#name = name;
    this.#password = password;
    this.#host = host;
    this.#owner = owner;
    this.#members = new Members(host.platform.random);
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
  _joinMessageFor(relay: string, challenge: string | undefined): ClientMessage | null {
    if (this.#presence === '' || this.#isLeft) return null;
    // There is presence once there are keys.
    const room = this.roomId ?? '';
    const message = { action: 'join', room, peer: this.selfId, presence: this.#presence } as const;
    if (challenge === undefined) return message;
    const known = this.#proofs.get(relay);
    if (known?.challenge !== challenge)
      this.#prove(relay, challenge, room).catch(this.#host.onListenerError);
    else if (known.proof !== null) return { ...message, proof: known.proof };
    return null;
  }

  /** The members that relays list now. */
  get _members(): Iterable<readonly [id: string, presence: unknown]> {
    return this.#members._listed;
  }

  /** What a member says of itself; `undefined` for who is none. */
  _presenceOf(id: string): unknown {
    return this.#members._get(id)?.presence;
  }

  /**
   * Takes its place among the page's rooms at once, then derives the keys and asks to join. Rejects
   * with what went wrong.
   * @param prepare what is to be there before this page says anything of itself
   */
  async _start(prepare?: () => Promise<void>): Promise<void> {
    const { platform, _identityFor, _handleStart, _handleReady } = this.#host;
    _handleStart(this);
    await prepare?.();
    const secret = await deriveRoomSecret(platform.crypto.subtle, this.#name, this.#password);
    const identity = await _identityFor(secret.roomId);
    this.#release = identity.release ?? this.#release;
    if (this.#isLeft) return this.#release();
    const sealer = new Sealer(platform.crypto, secret, identity);
    this.#secret = secret;
    this.#sealer = sealer;
    this.selfId = identity.id;
    this.#presence = await sealer.seal('presence', EVERYONE, this.#owner._presence());
    if (!this.#isLeft) _handleReady();
  }

  _leave(): void {
    if (this.#isLeft) return;
    this.#isLeft = true;
    this.#host._handleLeft(this);
    this.#release();
  }

  /** A relay has come up (again): what it had begun to tell before is void. */
  _handleRelayUp(relay: string): void {
    this.#listed.delete(relay);
  }

  /** A relay is not held any more: what it said of members counts no longer. */
  _handleRelayGone(relay: string): void {
    this.#members._forget(relay, this.#members._ids, this.#host.platform.now());
    this.#inboxes.delete(relay);
  }

  /** A message about this room, heard from a relay. */
  _handleMessage(relay: string, message: RelayMessage): void {
    const inbox = this.#inboxes.get(relay) ?? new Inbox();
    this.#inboxes.set(relay, inbox);
    const sender =
      message.action === 'signal'
        ? message.from
        : message.action === 'peer-joined'
          ? message.peer
          : '';
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
    for (const [to, messages] of this.#unanswered._takeDue(now)) {
      // By all relays, also what follows, until the member is heard by one of them.
      this._unroute(to);
      for (const message of messages) this.#host.send(null, message);
    }
  }

  /** Seals a signal and sends it by the relay that its receiver was last heard through. */
  _signal(to: string, payload: object): void {
    const sealer = this.#sealer;
    const room = this.roomId;
    if (sealer === null || room === null) return;
    const sent = (this.#outgoing.get(to) ?? Promise.resolve()).then(async () => {
      const stay = this.#members._get(to)?.stay ?? 0;
      const data = await sealer.seal('signal', to, { ...payload, stay: sealer.stay }, stay);
      const message = { action: 'signal', room, to, data } as const;
      if (this.#isLeft) return;
      if (this.#host.send(this.#routes.get(to) ?? null, message))
        this.#unanswered._add(to, message, this.#host.platform.now());
      else this.#missed.add(to);
    });
    this.#outgoing.set(to, sent.catch(this.#host.onListenerError));
  }

  /** The member needs no relay to be reached. */
  _settle(id: string): void {
    this.#unanswered._settle(id);
  }

  /** Whoever takes part has no use for a member any more. */
  /** By all relays, until the member is heard by one of them. */
  _unroute(id: string): void {
    this.#routes.delete(id);
  }

  _release(id: string): void {
    this._settle(id);
    this._unroute(id);
    this.#outgoing.delete(id);
    this.#missed.delete(id);
  }

  async #prove(relay: string, challenge: string, room: string): Promise<void> {
    this.#proofs.set(relay, { challenge, proof: null });
    dropOldest(this.#proofs, MAX_PROOFS);
    const text = joinProofText(relay, challenge, room, this.selfId);
    const proof = (await this.#sealer?.prove(text)) ?? null;
    if (this.#proofs.get(relay)?.challenge !== challenge) return;
    this.#proofs.set(relay, { challenge, proof });
    this.#host._handleReady();
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
          this.#routes.set(from, relay);
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
    const { presence } = this.#members._see(id, value, counter, relay, now, this.#mayGo);
    this.#routes.set(id, relay);
    this.#owner._handleMember(id, presence, isListed, this.#missed.delete(id));
  }

  readonly #mayGo = (id: string): boolean => this.#owner._isReached?.(id) !== true;

  #drop(id: string): void {
    this.#members._drop(id);
    this.#owner._handleMemberGone?.(id);
  }
}
