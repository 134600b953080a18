import { Emitter, LumameshError } from '@lumamesh/base';
import { type ClientMessage, type RelayMessage, type RoomMember, type RoomSecret, deriveRoomSecret } from '@lumamesh/protocol';
import type { PeerIdentity } from '../core/peer-identity.ts';
import { EVERYONE, Sealer } from '../core/sealing.ts';
import { type PeerSignal, parsePeerSignal } from '../core/signal.ts';
import { Peer, type PeerCloseReason, type SendOptions } from './peer.ts';
import { webCrypto } from './platform.ts';

const MAX_NICK_LENGTH = 64;
/** Each peer is an RTCPeerConnection; a member with made-up identities must not open them without end. */
const MAX_PEERS = 250;
const MAX_LISTED = 1000;
/** How long a member may take to come back after its relay was restarted. */
const REJOIN_GRACE_MS = 15_000;
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
}

export type RoomEvents = {
  /** Somebody is there (again). The direct connection follows: `peer.on('open')`. */
  peer: [peer: Peer];
  /** A peer is gone. */
  leave: [peer: Peer, reason: PeerCloseReason];
  /** A relay has taken us into the room; `peers` members were there. */
  joined: [peers: number];
  /** Something went wrong that the page may want to tell: ROOM_FULL, ROOM_KEY_MISMATCH, … */
  error: [error: LumameshError];
};

/** What a room needs of the net around it. */
export interface RoomHost {
  readonly onListenerError: (error: unknown) => void;
  identity(): Promise<PeerIdentity>;
  iceServers(): readonly RTCIceServer[];
  /** Sends by one relay, or by all of them when `relay` is null. */
  send(relay: string | null, message: ClientMessage): void;
  handleRoomReady(room: Room): void;
  handleRoomLeft(room: Room): void;
}

/** The browsers that know a name (and password), and what they say to each other. */
export class Room extends Emitter<RoomEvents> {
  readonly name: string;
  readonly #host: RoomHost;
  readonly #nick: string;
  readonly #peers = new Map<string, Peer>();
  /** Who the relays say is in the room, connected or not, and which of them say so. */
  readonly #members = new Map<string, { nick: string; readonly relays: Set<string> }>();
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
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  /** Members named so far by the `joined` frames of one answer, by relay. */
  readonly #listed = new Map<string, Set<string>>();
  #isLeft = false;

  constructor(name: string, options: RoomOptions, host: RoomHost) {
    super(host.onListenerError);
    if (name === '') throw new LumameshError('BAD_ROOM_NAME', 'a room needs a name');
    this.name = name;
    this.#host = host;
    this.#nick = (options.nick ?? '').slice(0, MAX_NICK_LENGTH);
    void this.#prepare(options.password ?? '');
  }

  /** Everybody seen in the room and not gone, connected or about to be. */
  get peers(): readonly Peer[] {
    return [...this.#peers.values()];
  }

  /** Sends a value to every peer that is connected or about to be. See {@link Peer.send}. */
  broadcast(value: unknown, options: SendOptions = {}): void {
    let mistake: LumameshError | null = null;
    for (const peer of this.#peers.values()) {
      try {
        peer.send(value, options);
      } catch (error) {
        // One peer that cannot take it must not keep it from the others; a value that nobody can take is the page's mistake.
        if (error instanceof LumameshError && error.code === 'NOT_SENDABLE') throw error;
        mistake = toError(error);
      }
    }
    if (mistake !== null) this.emit('error', mistake);
  }

  /** Says goodbye and ends all its peers. The room is of no use afterwards. */
  leave(): void {
    if (this.#isLeft) return;
    this.#isLeft = true;
    clearTimeout(this.#retryTimer);
    if (this.#secret !== null) this.#host.send(null, { action: 'leave', room: this.#secret.roomId });
    for (const peer of [...this.#peers.values()]) peer.close('room-left');
    this.#host.handleRoomLeft(this);
  }

  /** @internal What relays know the room by; `null` until it is derived. */
  get roomId(): string | null {
    return this.#secret?.roomId ?? null;
  }

  /** @internal What to tell a relay that has just come up. */
  joinMessage(): ClientMessage | null {
    if (this.#secret === null || this.#identity === null || this.#isLeft) return null;
    return { action: 'join', room: this.#secret.roomId, peer: this.#identity.id, presence: this.#presence };
  }

  /** @internal A relay has come up (again): what it had begun to tell before is void. */
  handleRelayUp(relay: string): void {
    this.#listed.delete(relay);
  }

  /** @internal A relay is not asked any more: what it said of members counts no longer. */
  handleRelayGone(relay: string): void {
    for (const id of [...this.#members.keys()]) this.#handlePeerLeft(relay, id);
  }

  /** @internal A message about this room, heard from a relay. */
  handleMessage(relay: string, message: RelayMessage): void {
    this.#incoming = this.#incoming.then(async () => {
      if (this.#isLeft) return;
      try {
        await this.#apply(relay, message);
      } catch (error) {
        // A browser that cannot open another connection, say: this message is lost, the room is not.
        this.emit('error', toError(error));
      }
    });
  }

  async #prepare(password: string): Promise<void> {
    try {
      const crypto = webCrypto();
      const [secret, identity] = await Promise.all([deriveRoomSecret(crypto.subtle, this.name, password), this.#host.identity()]);
      const sealer = new Sealer(crypto, secret, identity);
      this.#presence = await sealer.seal('presence', EVERYONE, { nick: this.#nick });
      this.#secret = secret;
      this.#identity = identity;
      this.#sealer = sealer;
      if (!this.#isLeft) this.#host.handleRoomReady(this);
    } catch (error) {
      this.emit(
        'error',
        error instanceof LumameshError ? error : new LumameshError('CRYPTO_FAILED', `the room's key could not be derived: ${String(error)}`, { cause: error }),
      );
    }
  }

  async #apply(relay: string, message: RelayMessage): Promise<void> {
    switch (message.action) {
      case 'joined':
        // Who comes last offers first.
        for (const member of message.members) {
          if (this.#list(relay).size < MAX_LISTED) this.#list(relay).add(member.peer);
          await this.#meet(relay, member, true);
        }
        if (message.more === true || this.#isLeft) return;
        this.#retryMs = RETRY_INITIAL_MS;
        this.#forgetUnlisted(relay);
        this.emit('joined', this.#peers.size);
        return;
      case 'peer-joined':
        return this.#meet(relay, message, false);
      case 'peer-left':
        return this.#handlePeerLeft(relay, message.peer);
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
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(() => {
      if (!this.#isLeft) this.#host.handleRoomReady(this);
    }, this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MAX_MS);
  }

  async #meet(relay: string, member: RoomMember, offersFirst: boolean): Promise<void> {
    const { peer: id, presence } = member;
    const identity = this.#identity;
    if (identity === null || this.#sealer === null || id === identity.id) return;
    const opened = await this.#sealer.open('presence', id, presence);
    if (this.#isLeft) return;
    if (!opened.ok) {
      // Same room id, another key: only a relay or a broken client can bring that about. The peer is not let in, and the page hears why.
      this.emit('error', new LumameshError('ROOM_KEY_MISMATCH', `a member's presence could not be opened (${opened.drop})`));
      return;
    }
    const nick = readNick(opened.value);
    const known = this.#peers.get(id);
    if (known === undefined && this.#peers.size >= MAX_PEERS) return;
    const listed = this.#members.get(id) ?? { nick, relays: new Set<string>() };
    listed.nick = nick;
    listed.relays.add(relay);
    this.#members.set(id, listed);
    this.#routes.set(id, relay);
    if (known !== undefined) return known.handleSeen(nick);
    this.#add(id, nick, identity, offersFirst);
  }

  #add(id: string, nick: string, identity: PeerIdentity, offersFirst: boolean): Peer {
    const peer = new Peer(id, nick, identity.id, offersFirst, {
      onListenerError: this.#host.onListenerError,
      iceServers: () => this.#host.iceServers(),
      signal: (to, signal) => this.#signal(to.id, signal),
      handlePeerEnded: (ended, reason) => this.#handlePeerEnded(ended, reason),
    });
    this.#peers.set(id, peer);
    this.emit('peer', peer);
    return peer;
  }

  /** The whole list of members was heard: who is not on it left while this relay was out of reach. */
  #forgetUnlisted(relay: string): void {
    const listed = this.#list(relay);
    this.#listed.delete(relay);
    const missing = [...this.#members].filter(([id, member]) => member.relays.has(relay) && !listed.has(id)).map(([id]) => id);
    for (const id of missing) this.#members.get(id)?.relays.delete(relay);
    if (missing.length === 0) return;
    // After a restart of the relay all come back one after another; who is not there in a while has left.
    setTimeout(() => {
      for (const id of missing) if (!this.#isLeft && this.#members.get(id)?.relays.has(relay) === false) this.#handlePeerLeft(relay, id);
    }, REJOIN_GRACE_MS);
  }

  #list(relay: string): Set<string> {
    let list = this.#listed.get(relay);
    if (list === undefined) this.#listed.set(relay, (list = new Set()));
    return list;
  }

  #handlePeerLeft(relay: string, id: string): void {
    const member = this.#members.get(id);
    member?.relays.delete(relay);
    // Another relay may still have it.
    if (member === undefined || member.relays.size > 0) return;
    this.#members.delete(id);
    this.#peers.get(id)?.handleLeft();
  }

  async #handleSignal(relay: string, from: string, data: string): Promise<void> {
    const opened = await this.#sealer?.open('signal', from, data);
    if (opened?.ok !== true || this.#isLeft || this.#identity === null) return;
    const signal = parsePeerSignal(opened.value);
    const member = this.#members.get(from);
    if (signal === null) return;
    let peer = this.#peers.get(from);
    // A peer that was given up is still in the room, and tries again.
    if (peer === undefined && member !== undefined && signal.description?.type === 'offer' && this.#peers.size < MAX_PEERS) {
      peer = this.#add(from, member.nick, this.#identity, false);
    }
    if (peer === undefined) return;
    this.#routes.set(from, relay);
    peer.handleSignal(signal);
  }

  #signal(to: string, signal: PeerSignal): void {
    const sealer = this.#sealer;
    const room = this.#secret?.roomId;
    if (sealer === null || room === undefined) return;
    const previous = this.#outgoing.get(to) ?? Promise.resolve();
    const sent = previous.then(async () => {
      const data = await sealer.seal('signal', to, signal);
      if (!this.#isLeft) this.#host.send(this.#routes.get(to) ?? null, { action: 'signal', room, to, data });
    });
    this.#outgoing.set(to, sent.catch(this.#host.onListenerError));
  }

  #handlePeerEnded(peer: Peer, reason: PeerCloseReason): void {
    this.#peers.delete(peer.id);
    this.#routes.delete(peer.id);
    this.#outgoing.delete(peer.id);
    this.emit('leave', peer, reason);
  }
}

/** Everything that a page hears of is a LumameshError. */
function toError(error: unknown): LumameshError {
  return error instanceof LumameshError ? error : new LumameshError('PEER_FAILED', error instanceof Error ? error.message : 'unknown', { cause: error });
}

function readNick(presence: unknown): string {
  const nick = typeof presence === 'object' && presence !== null ? (presence as { nick?: unknown }).nick : undefined;
  return typeof nick === 'string' ? nick.slice(0, MAX_NICK_LENGTH) : '';
}
