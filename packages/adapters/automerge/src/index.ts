import { Endings } from '@lumamesh/base';
import {
  type Message,
  NetworkAdapter,
  type PeerId,
  type PeerMetadata,
} from '@automerge/automerge-repo/slim';
import type { Peer, Room } from 'lumamesh';

export interface AdapterOptions {
  /** Tells repositories that share a room apart. Default `automerge`. */
  readonly channel?: string;
}

/** A repository does not wait for members longer than this. */
const READY_MS = 3000;

interface Hello {
  readonly hello: PeerId;
  readonly metadata: PeerMetadata;
  /** Whether one is wanted in return. */
  readonly isAnswered: boolean;
}

/** Connects an Automerge repository to those of all other members of a room. */
export class LumameshNetworkAdapter extends NetworkAdapter {
  readonly #room: Room;
  readonly #post: (value: Hello | Message | null, to: Peer) => void;
  readonly #listen: (listener: (value: unknown, peer: Peer) => void) => () => void;
  readonly #ready = Promise.withResolvers<void>();
  readonly #listening = new Endings<Room | Peer>();
  /** Members whose repositories are known. */
  readonly #peers = new Map<PeerId, Peer>();
  #isReady = false;

  /** @param room stays as it is when the adapter is disconnected */
  constructor(room: Room, { channel = 'automerge' }: AdapterOptions = {}) {
    super();
    this.#room = room;
    const [send, listen] = room.action<Hello | Message | null>(channel);
    // Who cannot take it is gone, or will be told again.
    this.#post = (value, to) => void send(value, { to }).catch(() => undefined);
    this.#listen = listen;
  }

  override isReady(): boolean {
    return this.#isReady;
  }

  override async whenReady(): Promise<void> {
    return this.#ready.promise;
  }

  override connect(peerId: PeerId, peerMetadata: PeerMetadata = {}): void {
    this.#end();
    this.peerId = peerId;
    this.peerMetadata = peerMetadata;
    const timer = setTimeout(() => this.#becomeReady(), READY_MS);
    this.#listening.set(
      this.#room,
      () => clearTimeout(timer),
      this.#listen((value, peer) => this.#receive(value, peer)),
      this.#room.on('peer', (peer) => this.#watch(peer)),
      this.#room.on('leave', (peer) => {
        this.#listening.forget(peer);
        this.#forget(peer);
      }),
      this.#room.on('joined', (count) => count === 0 && this.#becomeReady()),
    );
    for (const peer of this.#room.peers) this.#watch(peer);
    if (this.#room.state === 'joined' && this.#room.peers.length === 0) this.#becomeReady();
  }

  override send(message: Message): void {
    const peer = this.#peers.get(message.targetId);
    if (peer !== undefined) this.#post(message, peer);
  }

  override disconnect(): void {
    for (const peer of this.#peers.values()) this.#post(null, peer);
    this.#end();
    this.emit('close');
  }

  #end(): void {
    this.#listening.end();
    for (const peer of [...this.#peers.values()]) this.#forget(peer);
  }

  #becomeReady(): void {
    this.#isReady = true;
    this.#ready.resolve();
  }

  #watch(peer: Peer): void {
    if (peer.isOpen) this.#greet(peer, false);
    this.#listening.set(
      peer,
      peer.on('open', () => this.#greet(peer, false)),
    );
  }

  #greet(peer: Peer, isAnswered: boolean): void {
    const { peerId, peerMetadata = {} } = this;
    if (peerId !== undefined)
      this.#post({ hello: peerId, metadata: peerMetadata, isAnswered }, peer);
  }

  #receive(value: unknown, peer: Peer): void {
    if (value === null) return this.#forget(peer);
    if (typeof value !== 'object') return;
    const { hello, metadata, isAnswered } = value as Partial<Hello>;
    if (typeof hello === 'string') {
      if (isAnswered !== true) this.#greet(peer, true);
      this.#meet(hello, metadata, peer);
    } else if (this.#isFrom(peer, value)) this.#deliver(value);
  }

  #deliver(message: Message): void {
    try {
      this.emit('message', message);
    } catch {
      // What a member sends may be no message of a repository, which throws at some of that.
    }
  }

  /** Nobody is taken for another who is there, nor for us. */
  #meet(id: PeerId, metadata: unknown, peer: Peer): void {
    const known = this.#peers.get(id);
    if (id === this.peerId || (known !== undefined && known !== peer)) return;
    if (known === peer) return;
    this.#forget(peer);
    this.#peers.set(id, peer);
    const peerMetadata = typeof metadata === 'object' && metadata !== null ? metadata : {};
    this.emit('peer-candidate', { peerId: id, peerMetadata });
    this.#becomeReady();
  }

  /** Whether it is a message of the repository that this member has said to be, for ours. */
  #isFrom(peer: Peer, value: object): value is Message {
    const { type, senderId, targetId } = value as Partial<Message>;
    return (
      typeof type === 'string' &&
      senderId !== undefined &&
      this.#peers.get(senderId) === peer &&
      targetId === this.peerId
    );
  }

  #forget(peer: Peer): void {
    for (const [peerId, known] of this.#peers) {
      if (known !== peer) continue;
      this.#peers.delete(peerId);
      this.emit('peer-disconnected', { peerId });
    }
  }
}
