import { Emitter } from '@lumamesh/base';

/*
 * Rooms within one process, for tests of what stands on rooms: members who are connected a moment
 * after they have joined, and actions that arrive a moment after they were sent. They have what pages
 * use of `Room` and `Peer` for that; a test says that they are such.
 */
type Listener = (value: unknown, peer: MemoryPeer) => void;

const rethrow = (error: unknown): void => {
  throw error;
};

export class MemoryPeer extends Emitter<{ open: []; close: []; status: [string]; progress: [] }> {
  readonly id: string;
  state = 'connecting';

  constructor(id: string) {
    super(rethrow, ['open', 'close', 'status', 'progress']);
    this.id = id;
  }

  get isOpen(): boolean {
    return this.state === 'open';
  }
}

export class MemoryRoom extends Emitter<{
  peer: [MemoryPeer];
  leave: [MemoryPeer, string];
  joined: [number];
}> {
  readonly selfId: string;
  readonly byId = new Map<string, MemoryPeer>();
  readonly #rooms: Map<string, MemoryRoom>;
  readonly #listeners = new Map<string, Set<Listener>>();
  state = 'joined';

  constructor(selfId: string, rooms: Map<string, MemoryRoom>) {
    super(rethrow, ['peer', 'leave', 'joined']);
    this.selfId = selfId;
    this.#rooms = rooms;
  }

  get peers(): readonly MemoryPeer[] {
    return [...this.byId.values()];
  }

  action(name: string): readonly unknown[] {
    const send = async (
      value: unknown,
      { to = this.peers }: { to?: MemoryPeer | readonly MemoryPeer[] } = {},
    ): Promise<boolean> => {
      const copy = structuredClone(value);
      for (const peer of Array.isArray(to) ? (to as readonly MemoryPeer[]) : [to as MemoryPeer])
        setImmediate(() => this.#rooms.get(peer.id)?.receive(name, copy, this.selfId));
      return true;
    };
    const on = (listener: Listener): (() => void) => {
      const listeners = this.#listeners.get(name) ?? new Set();
      this.#listeners.set(name, listeners.add(listener));
      return () => listeners.delete(listener);
    };
    return [send, on];
  }

  /** What a member has sent. */
  receive(name: string, value: unknown, from: string): void {
    const peer = this.byId.get(from);
    if (peer?.isOpen !== true) return;
    for (const listener of [...(this.#listeners.get(name) ?? [])]) listener(value, peer);
  }

  /** Says goodbye. */
  leave(): void {
    this.#rooms.delete(this.selfId);
    for (const room of this.#rooms.values()) {
      const peer = room.byId.get(this.selfId);
      if (peer === undefined) continue;
      room.byId.delete(this.selfId);
      peer.state = 'closed';
      room.emit('leave', peer, 'left');
    }
  }
}

/** A room that all who join it by the returned function are in. */
export function makeMemoryRoom(): (id: string) => MemoryRoom {
  const rooms = new Map<string, MemoryRoom>();
  return (id) => {
    const room = new MemoryRoom(id, rooms);
    for (const other of rooms.values()) {
      const pairs = [
        [room, new MemoryPeer(other.selfId)],
        [other, new MemoryPeer(id)],
      ] as const;
      for (const [there, peer] of pairs) {
        there.byId.set(peer.id, peer);
        setImmediate(() => {
          there.emit('peer', peer);
          peer.state = 'open';
          peer.emit('open');
        });
      }
    }
    rooms.set(id, room);
    return room;
  };
}
