import { FairShare } from './fair-share.ts';

/** News that wait, of all relays; one alone may have a fifth of them waiting. */
const MAX_WAITING = 20_000;

type Item = readonly [room: string, peer: string];

/**
 * News of members that wait for their turn: by relay, and within a relay by room, each in turn. One
 * that brings much delays only itself.
 */
export class NewsQueue {
  /** Relays, their rooms and the peers in these, in the order of their turns. */
  readonly #relays = new Map<string, Map<string, Set<string>>>();
  readonly #share = new FairShare<string>(MAX_WAITING);

  get size(): number {
    return this.#share.total;
  }

  /**
   * @param isOwed whether it must be told however much waits: the queue is bounded by what was told
   *   before.
   * @returns False when the relay has too much waiting.
   */
  add(relay: string, room: string, peer: string, isOwed: boolean): boolean {
    const rooms = this.#relays.get(relay) ?? new Map<string, Set<string>>();
    const peers = rooms.get(room) ?? new Set<string>();
    if (peers.has(peer)) return true;
    if (isOwed) this.#share.add(relay, 1);
    else if (!this.#share.take(relay, 1)) return false;
    this.#relays.set(relay, rooms);
    rooms.set(room, peers.add(peer));
    return true;
  }

  delete(relay: string, room: string, peer: string): void {
    const rooms = this.#relays.get(relay);
    const peers = rooms?.get(room);
    if (rooms === undefined || peers?.delete(peer) !== true) return;
    this.#share.give(relay, 1);
    if (peers.size === 0) rooms.delete(room);
    if (rooms.size === 0) this.#relays.delete(relay);
  }

  /** @returns What is next, now removed. */
  shift(): Item | null {
    const [relay, rooms] = firstOf(this.#relays);
    const [room, peers] = firstOf(rooms);
    if (relay === undefined || rooms === undefined || room === undefined || peers === undefined)
      return null;
    const [peer = ''] = peers;
    // To the end of the maps: the others have their turn.
    this.#relays.delete(relay);
    this.#relays.set(relay, rooms);
    rooms.delete(room);
    rooms.set(room, peers);
    this.delete(relay, room, peer);
    return [room, peer];
  }
}

function firstOf<Key, Value>(map: ReadonlyMap<Key, Value> | undefined): [Key?, Value?] {
  return map?.entries().next().value ?? [];
}
