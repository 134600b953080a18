import { type Fifo, type Instant, TokenBucket } from '@lumamesh/base';
import type { RemoteRoomEvent } from '../remote-rooms.ts';
import { NewsQueue } from './news-queue.ts';
import { type RoomState, presencesAmong } from './remote-relay.ts';

/** News of members that one relay may bring at once, and each second; more waits for its turn. */
const NEWS_PER_SECOND = 20;
const NEWS_BURST = 500;
const NEWS_PER_TICK = 200;

/**
 * Tells the members here of those over other relays: what they do not know yet, and no faster than
 * each relay may bring it. Of what several relays say of one peer, the first few versions are told:
 * one of them may lie, and only members can tell which.
 */
export class MemberNews {
  readonly #rooms: ReadonlyMap<string, RoomState>;
  readonly #outputs: Pick<Fifo<RemoteRoomEvent>, 'push'>;
  /** What each relay may still bring. */
  readonly #budgets = new Map<string, TokenBucket>();
  readonly #queue = new NewsQueue();

  constructor(rooms: ReadonlyMap<string, RoomState>, outputs: Pick<Fifo<RemoteRoomEvent>, 'push'>) {
    this.#rooms = rooms;
    this.#outputs = outputs;
  }

  /** News that wait. */
  get waiting(): number {
    return this.#queue.size;
  }

  /**
   * A relay brings something about a peer that may be new: told at once, or in its turn when the
   * relay brings too much.
   * @returns False when so much of it waits already that this is not told at all.
   */
  announce(now: Instant, from: string, room: string, peer: string): boolean {
    let budget = this.#budgets.get(from);
    if (budget === undefined)
      this.#budgets.set(from, (budget = new TokenBucket(NEWS_PER_SECOND, NEWS_BURST)));
    if (!budget.take(now)) return this.postpone(from, room, peer);
    this.show(room, peer);
    return true;
  }

  /**
   * Something about a peer may be new, and is told with the next {@link showWaiting}.
   * @returns False as {@link announce}.
   */
  postpone(from: string, room: string, peer: string): boolean {
    const state = this.#rooms.get(room);
    const shown = state?.shown.get(peer);
    const isNothingNew =
      state === undefined || (shown === undefined && presencesAmong(state, peer).length === 0);
    if (!isNothingNew) return this.#queue.add(from, room, peer, shown !== undefined);
    this.#queue.delete(from, room, peer);
    return true;
  }

  /** Tells the members here of a remote one, as far as they do not know it yet. */
  show(room: string, peer: string): void {
    const state = this.#rooms.get(room);
    if (state === undefined) return;
    const shown = state.shown.get(peer) ?? [];
    const presences = presencesAmong(state, peer);
    for (const presence of presences)
      if (!shown.includes(presence))
        this.#outputs.push({ type: 'remotePresent', room, member: { peer, presence } });
    if (presences.length > 0) state.shown.set(peer, presences);
    else if (state.shown.delete(peer)) this.#outputs.push({ type: 'remoteAbsent', room, peer });
  }

  /** Tells what waits, as much as one tick may. */
  showWaiting(): void {
    for (let left = NEWS_PER_TICK; left > 0; left--) {
      const next = this.#queue.shift();
      if (next === null) return;
      this.show(...next);
    }
  }

  /** The link to a relay is down: it begins with a whole budget when it comes back. */
  forget(relay: string): void {
    this.#budgets.delete(relay);
  }
}
