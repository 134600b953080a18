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
  /** The relay a peer was last heard through: the way back. */
  readonly #routes = new Map<string, string>();
  /** Sealing takes time; what is sent to and heard from a peer keeps its order. */
  readonly #outgoing = new Map<string, Promise<void>>();
  #incoming: Promise<void> = Promise.resolve();
  #secret: RoomSecret | null = null;
  #identity: PeerIdentity | null = null;
  #sealer: Sealer | null = null;
  #presence = '';
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
    for (const peer of this.#peers.values()) peer.send(value, options);
  }

  /** Says goodbye and ends all its peers. The room is of no use afterwards. */
  leave(): void {
    if (this.#isLeft) return;
    this.#isLeft = true;
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

  /** @internal A message about this room, heard from a relay. */
  handleMessage(relay: string, message: RelayMessage): void {
    this.#incoming = this.#incoming.then(async () => {
      if (!this.#isLeft) await this.#apply(relay, message);
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
          this.#list(relay).add(member.peer);
          await this.#meet(relay, member, true);
        }
        if (message.more !== true) this.#forgetUnlisted(relay);
        if (message.more !== true) this.emit('joined', this.#peers.size);
        return;
      case 'peer-joined':
        return this.#meet(relay, message, false);
      case 'peer-left':
        return this.#handlePeerLeft(relay, message.peer);
      case 'signal':
        return this.#handleSignal(relay, message.from, message.data);
      case 'error':
        if (message.code === 'ROOM_FULL' || message.code === 'TOO_MANY_ROOMS') this.emit('error', new LumameshError(message.code, message.message));
        return;
      default:
        return;
    }
  }

  async #meet(relay: string, member: RoomMember, offersFirst: boolean): Promise<void> {
    const { peer: id, presence } = member;
    const identity = this.#identity;
    if (identity === null || this.#sealer === null || id === identity.id) return;
    const opened = await this.#sealer.open('presence', id, presence);
    if (!opened.ok) {
      // Same room id, another key: only a relay or a broken client can bring that about. The peer is not let in, and the page hears why.
      this.emit('error', new LumameshError('ROOM_KEY_MISMATCH', `a member's presence could not be opened (${opened.drop})`));
      return;
    }
    this.#routes.set(id, relay);
    const nick = readNick(opened.value);
    const known = this.#peers.get(id);
    if (known !== undefined) return known.setNick(nick);
    if (this.#peers.size >= MAX_PEERS) return;
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
    for (const id of this.#peers.keys()) if (!listed.has(id)) this.#handlePeerLeft(relay, id);
  }

  #list(relay: string): Set<string> {
    let list = this.#listed.get(relay);
    if (list === undefined) this.#listed.set(relay, (list = new Set()));
    return list;
  }

  #handlePeerLeft(relay: string, id: string): void {
    // Another relay may still have it.
    if (this.#routes.get(id) === relay) this.#peers.get(id)?.handleLeft();
  }

  async #handleSignal(relay: string, from: string, data: string): Promise<void> {
    const opened = await this.#sealer?.open('signal', from, data);
    if (opened?.ok !== true) return;
    const signal = parsePeerSignal(opened.value);
    if (signal === null) return;
    this.#routes.set(from, relay);
    this.#peers.get(from)?.handleSignal(signal);
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

function readNick(presence: unknown): string {
  const nick = typeof presence === 'object' && presence !== null ? (presence as { nick?: unknown }).nick : undefined;
  return typeof nick === 'string' ? nick.slice(0, MAX_NICK_LENGTH) : '';
}
