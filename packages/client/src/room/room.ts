import { Emitter, type Instant, LumameshError, instant, later } from '@lumamesh/base';
import {
  type ClientMessage,
  type RelayMessage,
  type RoomMember,
  type RoomSecret,
  deriveRoomSecret,
} from '@lumamesh/protocol';
import type { PeerIdentity } from '../core/peer-identity.ts';
import { EVERYONE, Sealer } from '../core/sealing.ts';
import { type PeerSignal, parsePeerSignal } from '../core/signal.ts';
import type { SendOptions } from '../core/peer-frame.ts';
import type { Peer, PeerCloseReason, PeerHost } from './peer.ts';
import type { Platform } from './platform.ts';

const MAX_NICK_LENGTH = 64;
/** Each peer is an RTCPeerConnection; a member with made-up identities must not open them without end. */
const MAX_PEERS = 250;
const MAX_LISTED = 1000;
/** How long a member may take to come back after its relay was restarted. */
const REJOIN_GRACE_MS = 15_000;
/** A member that could not be reached is tried again after this. */
const MEMBER_RETRY_MS = 30_000;
/** A room that refused us is asked again after this, doubling. */
const RETRY_INITIAL_MS = 3000;
const RETRY_MAX_MS = 60_000;
/** Refusals that may pass: our own session of before still counts for up to 25 s. */
const PASSING_REFUSALS = ['ROOM_FULL', 'PEER_ID_IN_USE', 'RATE_LIMITED'];

export interface RoomOptions {
  /** What the others see; sealed from relays. */
  readonly nick?: string;
  /** Makes the room private: the derivation is slow, and without the password nothing of the room can be read. */
  readonly password?: string;
  /** How many others this page connects to at most; further ones are passed over, and `error` says ROOM_FULL. Default 250. */
  readonly maxPeers?: number;
}

/** `joining`: no relay has taken us in yet. `joined`: at least one has. `left`: the end. */
export type RoomState = 'joining' | 'joined' | 'left';

export type RoomEvents<P> = {
  /** Somebody is there (again). The connection follows: `peer.on('open')`. */
  peer: [peer: P];
  /** A peer is gone. */
  leave: [peer: P, reason: PeerCloseReason];
  /** A relay has taken us into the room; `peers` members were there. */
  joined: [peers: number];
  status: [state: RoomState];
  /** Something went wrong that the page may want to tell: ROOM_FULL, ROOM_KEY_MISMATCH, NEEDS_TURN, … */
  error: [error: LumameshError];
};

/** What a room needs of the net around it. */
export interface RoomHost {
  readonly platform: Platform;
  readonly onListenerError: (error: unknown) => void;
  identity(roomId: string): Promise<PeerIdentity>;
  iceServers(): readonly RTCIceServer[];
  /** Sends by one relay, or by all of them when `relay` is null; false when there is none. */
  send(relay: string | null, message: ClientMessage): boolean;
  handleRoomReady(roomId: string): void;
  handleRoomLeft(roomId: string | null): void;
}

interface Member {
  nick: string;
  /** The relays that list it. */
  readonly relays: Set<string>;
  /** When it counts as gone, while no relay lists it; when it is tried again, while there is no connection. */
  dueAt: Instant;
}

/** The browsers that know a name (and password), and what they say to each other. */
export abstract class Room<P extends Peer> extends Emitter<RoomEvents<P>> {
  readonly name: string;
  protected readonly host: RoomHost;
  protected readonly options: RoomOptions;
  readonly #peers = new Map<string, P>();
  /** Who the relays say is in the room, connected or not. */
  readonly #members = new Map<string, Member>();
  /** The relay a peer was last heard through: the way back. */
  readonly #routes = new Map<string, string>();
  /** Sealing takes time; what is sent to and heard from a peer keeps its order. */
  readonly #outgoing = new Map<string, Promise<void>>();
  #incoming: Promise<void> = Promise.resolve();
  #secret: RoomSecret | null = null;
  #identity: PeerIdentity | null = null;
  #sealer: Sealer | null = null;
  #presence = '';
  #retryMs = RETRY_INITIAL_MS;
  #retryAt: Instant | null = null;
  /** Members named so far by the `joined` frames of one answer, by relay. */
  readonly #listed = new Map<string, Set<string>>();
  #state: RoomState = 'joining';
  /** Peers that the page has sent away; they are not met again. */
  readonly #refused = new Set<string>();
  /** Peers to whom something was to be said while there was no relay. */
  readonly #missed = new Set<string>();
  #saidFull = false;
  #saidMismatch = false;

  constructor(name: string, options: RoomOptions, host: RoomHost) {
    super(host.onListenerError);
    if (typeof name !== 'string' || name === '')
      throw new LumameshError('BAD_ROOM_NAME', 'a room needs a name');
    this.name = name;
    this.host = host;
    this.options = options;
  }

  /** Everybody seen in the room and not gone, connected or about to be. */
  get peers(): readonly P[] {
    return [...this.#peers.values()];
  }

  get state(): RoomState {
    return this.#state;
  }

  /** This page's own id in the room, as the others see it; empty until the room is prepared. */
  get selfId(): string {
    return this.#identity?.id ?? '';
  }

  /** Sends a value to every peer that is connected or about to be, and answers like {@link Peer.send}: `true` when all have it. */
  async broadcast(value: unknown, options: SendOptions = {}): Promise<boolean> {
    return this.broadcastTagged('', value, options);
  }

  /** Says goodbye and ends all its peers. The room is of no use afterwards. */
  leave(): void {
    if (this.#state === 'left') return;
    const { roomId } = this;
    if (roomId !== null) this.host.send(null, { action: 'leave', room: roomId });
    this.host.handleRoomLeft(roomId);
    this.#setState('left');
    for (const peer of this.peers) peer.close('room-left');
  }

  /** @internal Begins: derives the keys, and asks the net to join. */
  async start(): Promise<void> {
    const { crypto } = this.host.platform;
    try {
      const secret = await deriveRoomSecret(crypto.subtle, this.name, this.options.password ?? '');
      const identity = await this.host.identity(secret.roomId);
      const sealer = new Sealer(crypto, secret, identity);
      this.#presence = await sealer.seal('presence', EVERYONE, this.presence());
      this.#secret = secret;
      this.#identity = identity;
      this.#sealer = sealer;
      if (this.#state !== 'left') this.host.handleRoomReady(secret.roomId);
    } catch (cause) {
      this.emit('error', toError(cause, 'CRYPTO_FAILED'));
    }
  }

  /** @internal What relays know the room by; `null` until it is derived. */
  get roomId(): string | null {
    return this.#secret?.roomId ?? null;
  }

  /** @internal The first counter that this page's identity in the room has not used. */
  get counter(): number {
    return this.#sealer?.counter ?? 0;
  }

  /** @internal What to tell a relay that has just come up. */
  joinMessage(): ClientMessage | null {
    if (this.#secret === null || this.#state === 'left') return null;
    return {
      action: 'join',
      room: this.#secret.roomId,
      peer: this.selfId,
      presence: this.#presence,
    };
  }

  /** @internal A relay has come up (again): what it had begun to tell before is void. */
  handleRelayUp(relay: string): void {
    this.#listed.delete(relay);
  }

  /** @internal A relay is not held any more: what it said of members counts no longer. */
  handleRelayGone(relay: string): void {
    this.#forget(relay, [...this.#members.keys()]);
  }

  /** @internal A message about this room, heard from a relay. */
  handleMessage(relay: string, message: RelayMessage): void {
    this.#incoming = this.#incoming.then(async () => {
      if (this.#state === 'left') return;
      try {
        await this.#apply(relay, message);
      } catch (error) {
        // A browser that cannot open another connection, say: this message is lost, the room is not.
        this.emit('error', toError(error));
      }
    });
  }

  /** @internal The network may have changed: everybody is asked for a sign of life. */
  handleWake(now: Instant): void {
    for (const peer of this.#peers.values()) peer.handleWake(now);
    for (const [id, member] of this.#members)
      if (!this.#peers.has(id) && member.relays.size > 0) member.dueAt = now;
  }

  /** @internal The page is put aside: connections would end by themselves, and nobody be told. */
  handleSuspend(): void {
    for (const peer of this.peers) peer.close('left');
  }

  /** @internal To be called about every second. */
  handleTick(now: Instant): void {
    for (const peer of this.#peers.values()) {
      try {
        peer.handleTick(now);
      } catch {
        // The browser opens no further connection for it.
        peer.close('failed');
      }
    }
    for (const [id, member] of this.#members) {
      if (now < member.dueAt) continue;
      if (member.relays.size === 0) this.#drop(id);
      else if (!this.#peers.has(id)) {
        member.dueAt = later(now, MEMBER_RETRY_MS);
        try {
          this.#add(id, member.nick, this.selfId > id);
        } catch (error) {
          this.emit('error', toError(error));
        }
      }
    }
    if (this.#retryAt === null || now < this.#retryAt || this.#secret === null) return;
    this.#retryAt = null;
    this.host.handleRoomReady(this.#secret.roomId);
  }

  /** @internal What the others learn of us, sealed. */
  protected presence(): object {
    return { nick: (this.options.nick ?? '').slice(0, MAX_NICK_LENGTH) };
  }

  /** @internal What a member says of itself, before it becomes a peer. */
  protected handlePresence(_id: string, _presence: unknown): void {}

  /** @internal */
  protected abstract makePeer(id: string, nick: string, ownId: string, host: PeerHost): P;

  /** @internal */
  protected peer(id: string): P | undefined {
    return this.#peers.get(id);
  }

  protected async broadcastTagged(
    tag: string,
    value: unknown,
    options: SendOptions,
  ): Promise<boolean> {
    const sent: Promise<boolean>[] = [];
    for (const peer of this.#peers.values()) {
      try {
        sent.push(peer.sendTagged(tag, value, options));
      } catch (error) {
        // One peer that cannot take it must not keep it from the others; a value that nobody can take is the page's mistake.
        const mistake = toError(error);
        if (mistake.code === 'NOT_SENDABLE' || mistake.code === 'MESSAGE_TOO_LARGE') throw mistake;
        this.emit('error', mistake);
        sent.push(Promise.resolve(false));
      }
    }
    return (await Promise.all(sent)).every(Boolean);
  }

  async #apply(relay: string, message: RelayMessage): Promise<void> {
    switch (message.action) {
      case 'joined': {
        const listed = this.#listed.get(relay) ?? new Set();
        this.#listed.set(relay, listed);
        for (const member of message.members) {
          if (listed.size < MAX_LISTED) listed.add(member.peer);
          // Who comes last offers first.
          await this.#meet(relay, member, true);
        }
        if (message.more === true) return;
        this.#retryMs = RETRY_INITIAL_MS;
        // The whole list was heard: who is not on it left while this relay was out of reach.
        this.#listed.delete(relay);
        this.#forget(
          relay,
          [...this.#members.keys()].filter((id) => !listed.has(id)),
        );
        if (this.#state === 'left') return;
        this.#setState('joined');
        this.emit('joined', this.#peers.size);
        return;
      }
      case 'peer-joined':
        return this.#meet(relay, message, false);
      case 'peer-left':
        this.#members.get(message.peer)?.relays.delete(relay);
        // Another relay may still have it.
        if (this.#members.get(message.peer)?.relays.size === 0) this.#drop(message.peer);
        return;
      case 'signal':
        return this.#handleSignal(relay, message.from, message.data);
      case 'error':
        return this.#handleRefusal(message.code, message.message);
      default:
        return;
    }
  }

  #handleRefusal(code: string, text: string): void {
    if (code === 'PEER_GONE' || code === 'PEER_BUSY') return;
    this.emit('error', new LumameshError(code, text));
    if (!PASSING_REFUSALS.includes(code)) return;
    this.#retryAt = later(this.host.platform.now(), this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MAX_MS);
  }

  async #meet(relay: string, member: RoomMember, offersFirst: boolean): Promise<void> {
    const { peer: id, presence } = member;
    if (this.#sealer === null || id === this.selfId) return;
    const opened = await this.#sealer.open('presence', id, presence);
    if (this.#state === 'left') return;
    if (!opened.ok) {
      // Same room id, another key: only a relay or a broken client can bring that about. The peer is not let in, and the page hears why.
      if (!this.#saidMismatch)
        this.emit(
          'error',
          new LumameshError('ROOM_KEY_MISMATCH', `a presence could not be opened: ${opened.drop}`),
        );
      this.#saidMismatch = true;
      return;
    }
    const { nick } = (opened.value ?? {}) as { nick?: unknown };
    const known = this.#members.get(id) ?? {
      nick: '',
      relays: new Set<string>(),
      dueAt: instant(0),
    };
    known.nick = typeof nick === 'string' ? nick.slice(0, MAX_NICK_LENGTH) : '';
    known.dueAt = later(this.host.platform.now(), MEMBER_RETRY_MS);
    known.relays.add(relay);
    if (this.#members.size >= MAX_LISTED && !this.#members.has(id)) return;
    this.#members.set(id, known);
    this.handlePresence(id, opened.value);
    const peer = this.#peers.get(id) ?? this.#add(id, known.nick, offersFirst);
    if (peer !== null) this.#routes.set(id, relay);
    peer?.handleSeen(known.nick, this.#missed.delete(id));
  }

  #add(id: string, nick: string, offersFirst: boolean): P | null {
    const { platform, onListenerError } = this.host;
    if (this.#refused.has(id)) return null;
    if (this.#peers.size >= Math.min(this.options.maxPeers ?? MAX_PEERS, MAX_PEERS)) {
      if (!this.#saidFull && this.#peers.size > 0)
        this.emit('error', new LumameshError('ROOM_FULL', `more than ${this.#peers.size} members`));
      this.#saidFull = true;
      return null;
    }
    if (platform.PeerConnection === null)
      throw new LumameshError('WEBRTC_MISSING', 'no WebRTC to reach peers with');
    const peer = this.makePeer(id, nick, this.selfId, {
      platform,
      onListenerError,
      iceServers: () => this.host.iceServers(),
      signal: (to, signal) => this.#signal(to.id, signal),
      handlePeerEnded: (ended, reason) => this.#handlePeerEnded(ended as P, reason),
    });
    peer.start(offersFirst);
    this.#peers.set(id, peer);
    this.emit('peer', peer);
    return peer;
  }

  /** After a restart of a relay all come back one after another; who is not there in a while has left. */
  #forget(relay: string, ids: readonly string[]): void {
    for (const id of ids) {
      const member = this.#members.get(id);
      if (member?.relays.delete(relay) === true && member.relays.size === 0)
        member.dueAt = later(this.host.platform.now(), REJOIN_GRACE_MS);
    }
  }

  #drop(id: string): void {
    this.#members.delete(id);
    this.#peers.get(id)?.handleLeft();
  }

  async #handleSignal(relay: string, from: string, data: string): Promise<void> {
    const opened = await this.#sealer?.open('signal', from, data);
    if (opened?.ok !== true || this.#state === 'left') return;
    const signal = parsePeerSignal(opened.value);
    const member = this.#members.get(from);
    if (signal === null) return;
    // A peer that was given up is still in the room, and tries again.
    const isNews = member !== undefined && signal.description?.type === 'offer';
    const peer = this.#peers.get(from) ?? (isNews ? this.#add(from, member.nick, false) : null);
    if (peer === null) return;
    this.#routes.set(from, relay);
    peer.handleSignal(signal);
  }

  #signal(to: string, signal: PeerSignal): void {
    const sealer = this.#sealer;
    const room = this.roomId;
    if (sealer === null || room === null) return;
    const previous = this.#outgoing.get(to) ?? Promise.resolve();
    const sent = previous.then(async () => {
      const data = await sealer.seal('signal', to, signal);
      if (
        this.#state !== 'left' &&
        !this.host.send(this.#routes.get(to) ?? null, { action: 'signal', room, to, data })
      )
        this.#missed.add(to);
    });
    this.#outgoing.set(to, sent.catch(this.host.onListenerError));
  }

  #handlePeerEnded(peer: P, reason: PeerCloseReason): void {
    const member = this.#members.get(peer.id);
    if (member !== undefined) member.dueAt = later(this.host.platform.now(), MEMBER_RETRY_MS);
    if (reason === 'refused') this.#refused.add(peer.id);
    this.#peers.delete(peer.id);
    this.#routes.delete(peer.id);
    this.#outgoing.delete(peer.id);
    this.#missed.delete(peer.id);
    this.emit('leave', peer, reason);
  }

  #setState(state: RoomState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.emit('status', state);
  }
}

/** Everything that a page hears of is a LumameshError. */
export function toError(cause: unknown, code = 'PEER_FAILED'): LumameshError {
  return cause instanceof LumameshError
    ? cause
    : new LumameshError(code, cause instanceof Error ? cause.message : String(cause), { cause });
}
