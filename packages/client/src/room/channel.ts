import { type Instant, LumameshError, dropOldest, later } from '@lumamesh/base';
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
import type { Platform } from '../platform/platform.ts';
import type { PeerIdentity } from './peer-identity.ts';
import { EVERYONE, Sealer } from './sealing.ts';

const MAX_LISTED = 1000;
/** Relays whose challenges are remembered; more than a page holds. */
const MAX_PROOFS = 32;
/** How long a member may take to come back after its relay was restarted. */
const REJOIN_GRACE_MS = 15_000;

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
  /** Returns whether its sender is of interest: the relay it came by is the way back. */
  _handleSignal?(from: string, payload: unknown): boolean;
  /** A relay has taken us in and named all members. */
  _handleJoined?(): void;
  _handleError?(error: LumameshError): void;
}

interface Member {
  readonly presence: unknown;
  /** The relays that list it. */
  readonly relays: Set<string>;
  /** When it counts as gone, while no relay lists it. */
  goneAt: Instant;
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
  readonly #members = new Map<string, Member>();
  /** The relay a member was last heard through: the way back. */
  readonly #routes = new Map<string, string>();
  /** Sealing takes time; what is sent to and heard from a member keeps its order. */
  readonly #outgoing = new Map<string, Promise<void>>();
  #incoming: Promise<void> = Promise.resolve();
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
    return [...this.#members]
      .filter(([, { relays }]) => relays.size > 0)
      .map(([id, { presence }]) => [id, presence]);
  }

  /** What a member says of itself; `undefined` for who is none. */
  _presenceOf(id: string): unknown {
    return this.#members.get(id)?.presence;
  }

  /** Derives the keys and asks to join. Rejects with what went wrong. */
  async _start(): Promise<void> {
    const { platform, _identityFor, _handleStart, _handleReady } = this.#host;
    _handleStart(this);
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
    this.#forget(relay, [...this.#members.keys()]);
  }

  /** A message about this room, heard from a relay. */
  _handleMessage(relay: string, message: RelayMessage): void {
    this.#incoming = this.#incoming.then(async () => {
      if (this.#isLeft) return;
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
    for (const [id, { relays, goneAt }] of this.#members)
      if (relays.size === 0 && now >= goneAt) this.#drop(id);
  }

  /** Seals a signal and sends it by the relay that its receiver was last heard through. */
  _signal(to: string, payload: unknown): void {
    const sealer = this.#sealer;
    const room = this.roomId;
    if (sealer === null || room === null) return;
    const sent = (this.#outgoing.get(to) ?? Promise.resolve()).then(async () => {
      const data = await sealer.seal('signal', to, payload);
      const message = { action: 'signal', room, to, data } as const;
      if (!this.#isLeft && !this.#host.send(this.#routes.get(to) ?? null, message))
        this.#missed.add(to);
    });
    this.#outgoing.set(to, sent.catch(this.#host.onListenerError));
  }

  /** Whoever takes part has no use for a member any more. */
  _release(id: string): void {
    this.#routes.delete(id);
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
        const absent = [...this.#members.keys()].filter((id) => !listed.has(id));
        this.#forget(relay, absent);
        if (!this.#isLeft) this.#owner._handleJoined?.();
        return;
      }
      case 'peer-joined':
        return this.#meet(relay, message, false);
      case 'peer-left': {
        const relays = this.#members.get(message.peer)?.relays;
        relays?.delete(relay);
        // Another relay may still have it.
        if (relays?.size === 0) this.#drop(message.peer);
        return;
      }
      case 'signal': {
        const opened = await this.#sealer?.open('signal', message.from, message.data);
        if (opened?.ok !== true || this.#isLeft) return;
        if (this.#owner._handleSignal?.(message.from, opened.value) === true)
          this.#routes.set(message.from, relay);
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
      // Same room id, another key: only a relay or a broken client can bring that about. The
      // member is not let in, and the page hears why.
      if (!this.#hasSaidMismatch)
        this.#owner._handleError?.(
          new LumameshError('ROOM_KEY_MISMATCH', `a presence could not be opened: ${opened.drop}`),
        );
      this.#hasSaidMismatch = true;
      return;
    }
    const { now } = this.#host.platform;
    const { relays = new Set<string>(), goneAt = now() } = this.#members.get(id) ?? {};
    if (this.#members.size >= MAX_LISTED && !this.#members.has(id)) return;
    this.#members.set(id, { presence: opened.value, relays: relays.add(relay), goneAt });
    this.#routes.set(id, relay);
    this.#owner._handleMember(id, opened.value, isListed, this.#missed.delete(id));
  }

  /**
   * After a restart of a relay all come back one after another; who is not there in a while has
   * left.
   */
  #forget(relay: string, ids: readonly string[]): void {
    for (const id of ids) {
      const member = this.#members.get(id);
      if (member?.relays.delete(relay) === true && member.relays.size === 0)
        member.goneAt = later(this.#host.platform.now(), REJOIN_GRACE_MS);
    }
  }

  #drop(id: string): void {
    this.#members.delete(id);
    this.#owner._handleMemberGone?.(id);
  }
}
