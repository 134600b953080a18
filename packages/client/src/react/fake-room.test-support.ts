import { Emitter } from '@lumamesh/base';
import type {
  ActionOptions,
  Peer,
  PeerEvents,
  PeerState,
  Room,
  RoomEvents,
  RoomState,
} from '../index.ts';

type ActionListener = (value: unknown, peer: Peer) => void;

function rethrow(error: unknown): void {
  throw error;
}

/** A peer that is what the test says. */
export class FakePeer extends Emitter<PeerEvents> {
  readonly id: string;
  nick: string;
  state: PeerState = 'connecting';
  /** The room at the other end, and who we are in it. */
  far: { readonly room: FakeRoom; readonly peer: FakePeer } | null = null;
  /** What is sent waits for these while the peer is slow. */
  waiting: (() => void)[] | null = null;

  constructor(id: string, nick = id) {
    super(rethrow, ['open', 'data', 'status', 'close']);
    this.id = id;
    this.nick = nick;
  }

  get asPeer(): Peer {
    // Has all that the stores use of one.
    return this as unknown as Peer;
  }

  become(state: PeerState): void {
    const isFirst = this.state === 'connecting' && state === 'open';
    this.state = state;
    this.emit('status', state);
    if (isFirst) this.emit('open');
  }
}

/**
 * A room that is what the test says; what is sent to a peer arrives in the room at its other end.
 */
export class FakeRoom extends Emitter<RoomEvents> {
  readonly name = 'tea';
  state: RoomState = 'joining';
  leaves = 0;
  readonly sent: { readonly to: string; readonly value: unknown }[] = [];
  readonly #peers: FakePeer[] = [];
  readonly #actions = new Map<string, Set<ActionListener>>();

  constructor() {
    super(rethrow, ['peer', 'leave', 'joined', 'status', 'error']);
  }

  get asRoom(): Room {
    // Has all that the stores use of one.
    return this as unknown as Room;
  }

  get peers(): readonly Peer[] {
    return this.#peers.map(({ asPeer }) => asPeer);
  }

  get listeners(): number {
    return [...this.#actions.values()].reduce((sum, { size }) => sum + size, 0);
  }

  become(state: RoomState): void {
    this.state = state;
    this.emit('status', state);
  }

  add(peer: FakePeer): void {
    this.#peers.push(peer);
    this.emit('peer', peer.asPeer);
  }

  remove(peer: FakePeer): void {
    peer.become('closed');
    this.#peers.splice(this.#peers.indexOf(peer), 1);
    this.emit('leave', peer.asPeer, 'left');
  }

  leave(): void {
    this.leaves += 1;
    this.become('left');
  }

  action(name: string): readonly unknown[] {
    const send = async (value: unknown, { to }: ActionOptions = {}): Promise<boolean> => {
      const peer = to as unknown as FakePeer;
      this.sent.push({ to: peer.id, value });
      const { far } = peer;
      far?.room.receive(name, structuredClone(value), far.peer);
      if (peer.waiting !== null) await new Promise<void>((resolve) => peer.waiting?.push(resolve));
      return true;
    };
    const on = (listener: ActionListener): (() => void) => {
      const listeners = this.#actions.get(name) ?? new Set();
      this.#actions.set(name, listeners.add(listener));
      return () => listeners.delete(listener);
    };
    return [send, on];
  }

  receive(name: string, value: unknown, from: FakePeer): void {
    for (const listener of this.#actions.get(name) ?? []) listener(value, from.asPeer);
  }
}

/** Two rooms, each with the other as a peer that connects; `open` opens both ends. */
export function makePair(): {
  readonly a: FakeRoom;
  readonly b: FakeRoom;
  readonly peerOfA: FakePeer;
  readonly peerOfB: FakePeer;
  readonly open: () => void;
} {
  const a = new FakeRoom();
  const b = new FakeRoom();
  /** How A sees B, and B sees A. */
  const peerOfA = new FakePeer('b');
  const peerOfB = new FakePeer('a');
  peerOfA.far = { room: b, peer: peerOfB };
  peerOfB.far = { room: a, peer: peerOfA };
  a.add(peerOfA);
  b.add(peerOfB);
  const open = (): void => {
    peerOfA.become('open');
    peerOfB.become('open');
  };
  return { a, b, peerOfA, peerOfB, open };
}
