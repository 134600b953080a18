import type { LumameshError, Peer, Room, RoomState } from '../index.ts';
import { UserCount } from './user-count.ts';

/** What a component sees of a room. The object is the same until something changes. */
export interface RoomView {
  /** `null` while there is no net, and when the room could not be joined. */
  readonly room: Room | null;
  /**
   * `joining` also while there is no net yet; `left` also when there is no name, or when the room
   * could not be joined.
   */
  readonly state: RoomState;
  /**
   * Everybody seen in the room and not gone, connected or about to be. Another array whenever one
   * comes, leaves or changes its state.
   */
  readonly peers: readonly Peer[];
  /**
   * The last thing that went wrong. It stays when the room has recovered: `state` says how things
   * are.
   */
  readonly error: LumameshError | null;
}

export const NO_PEERS: readonly Peer[] = [];

/*
 * By room, for all components: joining a room twice is being in it once, so who uses it is counted
 * in one place.
 */
const stores = new WeakMap<Room, RoomStore>();

/** A room as React wants it: cached views, and a count of the components that are in it. */
export class RoomStore {
  readonly #room: Room;
  readonly #users: UserCount;
  readonly #subscribers = new Set<() => void>();
  #view: RoomView;
  /** What of the peers of the view is theirs to change. */
  #labels: readonly string[];
  /** What takes the listeners away; empty while there are none. */
  #listeners: (() => void)[] = [];
  readonly #peerListeners = new Map<Peer, () => void>();

  constructor(room: Room) {
    this.#room = room;
    this.#users = new UserCount(() => void room.leave());
    this.#view = { room, state: room.state, peers: room.peers, error: null };
    this.#labels = this.#view.peers.map(labelOf);
  }

  static of(room: Room): RoomStore {
    const known = stores.get(room);
    const store = known ?? new RoomStore(room);
    if (known === undefined) stores.set(room, store);
    return store;
  }

  /**
   * Keeps the room, and hears its errors. The last one that lets go leaves it.
   * @returns A function that lets go.
   */
  hold(): () => void {
    const release = this.#users.take();
    // A function of its own, for each holder counts.
    const unsubscribe = this.subscribe(() => undefined);
    return () => {
      unsubscribe();
      release();
    };
  }

  readonly subscribe = (onChange: () => void): (() => void) => {
    if (this.#subscribers.size === 0) this.#listen();
    this.#subscribers.add(onChange);
    return () => {
      this.#subscribers.delete(onChange);
      if (this.#subscribers.size === 0) this.#stop();
    };
  };

  readonly view = (): RoomView => {
    // While nobody listens, nothing tells of changes.
    if (this.#subscribers.size === 0) this.#refresh(this.#view.error);
    return this.#view;
  };

  readonly peers = (): readonly Peer[] => this.view().peers;

  #listen(): void {
    const room = this.#room;
    const change = (): void => this.#change();
    this.#listeners = [
      room.on('peer', (peer) => {
        this.#watch(peer);
        change();
      }),
      room.on('leave', (peer) => {
        this.#peerListeners.get(peer)?.();
        this.#peerListeners.delete(peer);
        change();
      }),
      room.on('joined', change),
      room.on('status', change),
      room.on('error', (error) => this.#change(error)),
    ];
    for (const peer of room.peers) this.#watch(peer);
    this.#refresh(this.#view.error);
  }

  #watch(peer: Peer): void {
    const change = (): void => this.#change();
    const stops = [peer.on('open', change), peer.on('status', change)];
    this.#peerListeners.set(peer, () => {
      for (const stop of stops) stop();
    });
  }

  #stop(): void {
    for (const stop of [...this.#listeners, ...this.#peerListeners.values()]) stop();
    this.#listeners = [];
    this.#peerListeners.clear();
  }

  #change(error: LumameshError | null = this.#view.error): void {
    if (!this.#refresh(error)) return;
    for (const subscriber of [...this.#subscribers]) subscriber();
  }

  /** Looks at the room. Returns whether the view is another one now. */
  #refresh(error: LumameshError | null): boolean {
    const { state, peers } = this.#room;
    const labels = peers.map(labelOf);
    const old = this.#view;
    const isSamePeers =
      peers.length === old.peers.length &&
      peers.every((peer, i) => peer === old.peers[i] && labels[i] === this.#labels[i]);
    if (isSamePeers && state === old.state && error === old.error) return false;
    this.#view = { room: this.#room, state, peers: isSamePeers ? old.peers : peers, error };
    this.#labels = labels;
    return true;
  }
}

function labelOf({ state, nick }: Peer): string {
  return `${state} ${nick}`;
}
