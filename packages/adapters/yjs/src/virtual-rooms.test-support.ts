import { Emitter } from '@lumamesh/base';
import type { PeerEvents, PeerState, Room, RoomEvents } from 'lumamesh';
import * as Y from 'yjs';
import type { Bytes } from './frames.ts';
import { LumameshProvider, type ProviderOptions } from './provider.ts';

/* A room in virtual time: its members, what they send each other, and how long that takes. */

const OPEN_MS = 200;
const LATENCY_MS = 20;
/** As long as a crashed member takes to be noticed. */
const SILENCE_MS = 8000;
/** A value of more than this is told of while it comes. */
const PROGRESS_BYTES = 65_536;

function rethrow(error: unknown): void {
  throw error;
}

class VirtualPeer extends Emitter<PeerEvents> {
  readonly id: string;
  readonly #connect: () => void;
  state: PeerState = 'idle';

  constructor(id: string, connect: () => void) {
    super(rethrow, ['open', 'data', 'progress', 'status', 'close']);
    this.id = id;
    this.#connect = connect;
  }

  get isOpen(): boolean {
    return this.state === 'open';
  }

  connect(): void {
    if (this.state === 'idle') this.#connect();
  }
}

type ActionListener = (value: unknown, peer: VirtualPeer) => void;

class VirtualRoom extends Emitter<RoomEvents<VirtualPeer>> {
  readonly selfId: string;
  readonly peersById = new Map<string, VirtualPeer>();
  readonly listeners = new Set<ActionListener>();
  readonly #rooms: VirtualRooms;

  constructor(selfId: string, rooms: VirtualRooms) {
    super(rethrow, ['peer', 'leave', 'joined', 'status', 'error']);
    this.selfId = selfId;
    this.#rooms = rooms;
  }

  get peers(): readonly VirtualPeer[] {
    return [...this.peersById.values()];
  }

  action(_name: string): readonly unknown[] {
    const send = async (value: Bytes, { to }: { to: VirtualPeer }): Promise<boolean> =>
      this.#rooms.send(this.selfId, to.id, value);
    const on = (listener: ActionListener): (() => void) => {
      this.listeners.add(listener);
      return () => this.listeners.delete(listener);
    };
    return [send, on];
  }
}

export interface Sent {
  readonly from: string;
  readonly to: string;
  readonly kind: number;
  readonly bytes: number;
}

export interface VirtualMember {
  readonly id: string;
  readonly doc: Y.Doc;
  readonly provider: LumameshProvider;
  readonly text: Y.Text;
}

export class VirtualRooms {
  nowMs = 0;
  readonly sent: Sent[] = [];
  /** Whether a frame is lost, as hostile members lose them. */
  loses: (sent: Sent) => boolean = () => false;
  /** Whether a member cannot take any more. */
  isFull: (to: string) => boolean = () => false;
  /** Whether everybody is connected to everybody from the beginning. */
  readonly #isOpen: boolean;
  readonly #rooms = new Map<string, VirtualRoom>();
  readonly #providers: LumameshProvider[] = [];
  #timers: { readonly at: number; readonly run: () => void }[] = [];

  constructor({ isOpen = true } = {}) {
    this.#isOpen = isOpen;
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.nowMs + ms, run };
    // Behind those of the same time.
    const place = this.#timers.findLastIndex(({ at }) => at <= timer.at) + 1;
    this.#timers.splice(place, 0, timer);
    return () => (this.#timers = this.#timers.filter((other) => other !== timer));
  }

  /** Joins with a provider. */
  join(id: string, options: ProviderOptions = {}, doc = new Y.Doc()): VirtualMember {
    const room = this.enter(id);
    const clock = {
      now: () => this.nowMs,
      setTimer: (ms: number, run: () => void) => this.after(ms, run),
    };
    // Has all that a provider uses of one.
    const provider = new LumameshProvider(doc, room as unknown as Room, options, clock);
    this.#providers.push(provider);
    return { id, doc, provider, text: doc.getText('text') };
  }

  /** Ends all that would go on. */
  close(): void {
    for (const { doc } of this.#providers) doc.destroy();
  }

  /** Joins with nothing that talks. */
  enter(id: string): VirtualRoom {
    const room = new VirtualRoom(id, this);
    for (const other of this.#rooms.values()) {
      this.#meet(room, other.selfId);
      this.#meet(other, id);
    }
    this.#rooms.set(id, room);
    if (this.#isOpen)
      for (const other of this.#rooms.keys()) if (other !== id) this.#connect(id, other);
    return room;
  }

  /** Says goodbye, or (`isCrash`) nothing. */
  leave(id: string, isCrash = false): void {
    const room = this.#rooms.get(id);
    this.#rooms.delete(id);
    room?.listeners.clear();
    for (const other of this.#rooms.values())
      this.after(isCrash ? SILENCE_MS : LATENCY_MS, () => {
        const peer = other.peersById.get(id);
        if (peer === undefined || this.#rooms.has(id)) return;
        other.peersById.delete(id);
        peer.state = 'closed';
        other.emit('leave', peer, isCrash ? 'lost' : 'left');
      });
  }

  async send(from: string, to: string, value: Bytes): Promise<boolean> {
    const sent = { from, to, kind: value[0] ?? -1, bytes: value.length };
    this.sent.push(sent);
    if (this.isFull(to)) throw new Error('TOO_MUCH_PENDING');
    if (this.loses(sent)) return true;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.after(LATENCY_MS, () => {
      const room = this.#rooms.get(to);
      const peer = room?.peersById.get(from);
      if (room !== undefined && peer !== undefined) {
        if (value.length > PROGRESS_BYTES) peer.emit('progress', value.length / 2, value.length);
        for (const listener of [...room.listeners]) listener(value.slice(), peer);
      }
      resolve(true);
    });
    return promise;
  }

  /** Lets time pass. */
  async run(ms: number): Promise<void> {
    const end = this.nowMs + ms;
    for (;;) {
      // What waits for promises goes on first.
      for (let i = 0; i < 8; i++) await Promise.resolve();
      const [timer] = this.#timers;
      if (timer === undefined || timer.at > end) break;
      this.#timers.shift();
      this.nowMs = timer.at;
      timer.run();
    }
    this.nowMs = end;
  }

  /** How many connections there are. */
  get connections(): number {
    const peers = [...this.#rooms.values()].flatMap((room) => room.peers);
    return peers.filter(({ state }) => state !== 'idle').length / 2;
  }

  #meet(room: VirtualRoom, id: string): void {
    const peer = new VirtualPeer(id, () => this.#connect(room.selfId, id));
    room.peersById.set(id, peer);
    this.after(LATENCY_MS, () => room.emit('peer', peer));
  }

  #connect(one: string, other: string): void {
    const ends = [
      this.#rooms.get(one)?.peersById.get(other),
      this.#rooms.get(other)?.peersById.get(one),
    ];
    for (const peer of ends) if (peer?.state === 'idle') peer.state = 'connecting';
    this.after(OPEN_MS, () => {
      for (const peer of ends) {
        if (peer === undefined || peer.state !== 'connecting') continue;
        peer.state = 'open';
        peer.emit('open');
      }
    });
  }
}
