import type { Instant } from '@lumamesh/base';
import { MESH_LIMITS } from './mesh-frame.ts';
import type { MemberNews } from './member-news.ts';
import { type RemoteRelay, type RoomState, makeRemoteRelay } from './remote-relay.ts';

/** Relays that one home may name and that have shown nothing themselves. */
const MAX_RELAYS_OF_ONE_HOME = 24;

/**
 * Which relays have members in our rooms, and which members: a table that strangers fill, and so
 * with bounds. Members are told of what goes by {@link MemberNews}.
 */
export class Rosters {
  readonly #isLinked: (nk: string) => boolean;
  readonly #news: MemberNews;
  /**
   * Members of one room that other relays may show, in all. Who is shown already stays when it
   * shrinks.
   */
  maxRemoteMembers: number;

  constructor(isLinked: (nk: string) => boolean, news: MemberNews, maxRemoteMembers: number) {
    this.#isLinked = isLinked;
    this.#news = news;
    this.maxRemoteMembers = maxRemoteMembers;
  }

  /**
   * A relay of a room, made where it is not known yet.
   * @param home the home that names it; `null` when it speaks for itself
   * @returns `null` when there are too many
   */
  relayOf(state: RoomState, nk: string, home: string | null): RemoteRelay | null {
    const known = state.relays.get(nk);
    if (known !== undefined) return known;
    if (home !== null && this.#namedOnlyBy(state, home) >= MAX_RELAYS_OF_ONE_HOME) return null;
    if (!this.#hasRelayCapacity(state) && !this.#evictOneRelay(state)) return null;
    const relay = makeRemoteRelay();
    state.relays.set(nk, relay);
    return relay;
  }

  /**
   * A member of a remote relay, new or with a new presence; false when the room has no place for
   * it.
   */
  setMember(
    room: string,
    state: RoomState,
    relay: RemoteRelay,
    peer: string,
    presence: string,
  ): boolean {
    if (
      !relay.roster.has(peer) &&
      !this.#hasMemberCapacity(state) &&
      !this.#evictOneMember(room, state, relay)
    )
      return false;
    relay.roster.set(peer, presence);
    return true;
  }

  drop(room: string, state: RoomState, nk: string): void {
    const relay = state.relays.get(nk);
    if (relay === undefined) return;
    state.relays.delete(nk);
    for (const peer of relay.roster.keys()) this.#news.show(room, peer);
  }

  /** The relay shows nobody any more, but is kept. */
  clear(room: string, relay: RemoteRelay): void {
    const peers = [...relay.roster.keys()];
    relay.roster.clear();
    for (const peer of peers) this.#news.show(room, peer);
  }

  /**
   * A relay is believed in as long as a home names it, or a link to it stands on which it has shown
   * somebody.
   */
  updateSuspicion(now: Instant, nk: string, relay: RemoteRelay): void {
    if (relay.vouchedBy.size > 0 || (relay.roster.size > 0 && this.#isLinked(nk)))
      relay.suspectAt = null;
    else relay.suspectAt ??= now;
  }

  #namedOnlyBy(state: RoomState, home: string): number {
    let count = 0;
    for (const { roster, vouchedBy } of state.relays.values())
      if (roster.size === 0 && vouchedBy.size === 1 && vouchedBy.has(home)) count += 1;
    return count;
  }

  #hasRelayCapacity(state: RoomState): boolean {
    return state.relays.size < MESH_LIMITS.maxReporters;
  }

  /** One that shows nobody, and that nothing is lost with. */
  #evictOneRelay(state: RoomState): boolean {
    const spare = [...state.relays].find(
      ([nk, { roster }]) => roster.size === 0 && !this.#isLinked(nk),
    );
    return spare !== undefined && state.relays.delete(spare[0]);
  }

  #hasMemberCapacity(state: RoomState): boolean {
    let total = 0;
    for (const { roster } of state.relays.values()) total += roster.size;
    return total < this.maxRemoteMembers;
  }

  /** A full room takes the place of a new member from the relay that shows most. */
  #evictOneMember(room: string, state: RoomState, relay: RemoteRelay): boolean {
    let largest = relay;
    for (const other of state.relays.values())
      if (other.roster.size > largest.roster.size) largest = other;
    const victim = largest.roster.keys().next().value;
    if (largest.roster.size <= relay.roster.size + 1 || victim === undefined) return false;
    largest.roster.delete(victim);
    this.#news.postpone(room, victim);
    return true;
  }
}
