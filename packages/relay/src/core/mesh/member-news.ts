import { type Fifo, type Instant, TokenBucket } from '@lumamesh/base';
import type { RemoteRoomEvent } from '../remote-rooms.ts';
import { type RoomState, presenceAmong } from './remote-relay.ts';

/** News of members that one relay may bring at once, and each second; more waits for its turn. */
const NEWS_PER_SECOND = 20;
const NEWS_BURST = 500;
const NEWS_PER_TICK = 200;

/**
 * Tells the members here of those over other relays: what they do not know yet, and no faster than
 * each relay may bring it.
 */
export class MemberNews {
  readonly #rooms: ReadonlyMap<string, RoomState>;
  readonly #outputs: Pick<Fifo<RemoteRoomEvent>, 'push'>;
  /** What each relay may still bring. */
  readonly #budgets = new Map<string, TokenBucket>();
  /** Room and peer of news that waits. */
  readonly #waiting = new Map<string, readonly [room: string, peer: string]>();

  constructor(rooms: ReadonlyMap<string, RoomState>, outputs: Pick<Fifo<RemoteRoomEvent>, 'push'>) {
    this.#rooms = rooms;
    this.#outputs = outputs;
  }

  /**
   * A relay brings something about a peer that may be new: told at once, or in its turn when the
   * relay brings too much.
   */
  announce(now: Instant, from: string, room: string, peer: string): void {
    let budget = this.#budgets.get(from);
    if (budget === undefined)
      this.#budgets.set(from, (budget = new TokenBucket(NEWS_PER_SECOND, NEWS_BURST)));
    if (budget.take(now)) this.show(room, peer);
    else this.postpone(room, peer);
  }

  /** Something about a peer may be new, and is told with the next {@link showWaiting}. */
  postpone(room: string, peer: string): void {
    this.#waiting.set(`${room} ${peer}`, [room, peer]);
  }

  /** Tells the members here of a remote one, as far as they do not know it yet. */
  show(room: string, peer: string): void {
    const state = this.#rooms.get(room);
    if (state === undefined) return;
    const presence = presenceAmong(state.relays, peer);
    if (presence === state.shown.get(peer)) return;
    if (presence === undefined) {
      state.shown.delete(peer);
      this.#outputs.push({ type: 'remoteAbsent', room, peer });
    } else {
      state.shown.set(peer, presence);
      this.#outputs.push({ type: 'remotePresent', room, member: { peer, presence } });
    }
  }

  /** Tells what waits, as much as one tick may. */
  showWaiting(): void {
    let left = NEWS_PER_TICK;
    for (const [key, [room, peer]] of this.#waiting) {
      if (left === 0) return;
      left -= 1;
      this.#waiting.delete(key);
      this.show(room, peer);
    }
  }

  /** The link to a relay is down: it begins with a whole budget when it comes back. */
  forget(relay: string): void {
    this.#budgets.delete(relay);
  }
}
