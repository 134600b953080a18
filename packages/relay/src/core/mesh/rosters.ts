import type { Instant } from '@lumamesh/base';
import { evictionFor } from './crowding.ts';
import { FairShare } from './fair-share.ts';
import { MESH_LIMITS } from './mesh-frame.ts';
import type { MemberNews } from './member-news.ts';
import { type RemoteRelay, type RoomState, makeRemoteRelay } from './remote-relay.ts';
import type { RoomRoutes } from './room-routes.ts';

/** Relays that one home may name and that have shown nothing themselves. */
const MAX_RELAYS_OF_ONE_HOME = 24;

export interface RosterLimits {
  /** Members of one room that other relays may show, in all. */
  readonly maxRemoteMembers: number;
  /** Bytes of members that other relays may show, in all rooms; one relay has a fair share. */
  readonly maxRemoteBytes: number;
}

/**
 * Which relays have members in our rooms, and which members: a table that strangers fill, and so
 * with bounds. Members are told of what goes by {@link MemberNews}.
 */
export class Rosters {
  readonly #routes: Pick<RoomRoutes, 'isLinked' | 'prefixOf'>;
  readonly #news: MemberNews;
  /** Bytes of members, by relay. */
  readonly #share: FairShare<string>;
  /**
   * Members of one room that other relays may show, in all. Who is shown already stays when it
   * shrinks.
   */
  maxRemoteMembers: number;

  constructor(
    routes: Pick<RoomRoutes, 'isLinked' | 'prefixOf'>,
    news: MemberNews,
    { maxRemoteMembers, maxRemoteBytes }: RosterLimits,
  ) {
    this.#routes = routes;
    this.#news = news;
    this.maxRemoteMembers = maxRemoteMembers;
    this.#share = new FairShare(maxRemoteBytes);
  }

  /** Bytes of members that relays have shown. */
  get bytes(): number {
    return this.#share.total;
  }

  /**
   * A relay of a room, made where it is not known yet.
   * @param home the home that names it; `null` when it speaks for itself
   * @returns `null` when there are too many
   */
  relayOf(room: string, state: RoomState, nk: string, home: string | null): RemoteRelay | null {
    const known = state.relays.get(nk);
    if (known !== undefined) return known;
    if (home !== null && this.#namedOnlyBy(state, home) >= MAX_RELAYS_OF_ONE_HOME) return null;
    if (!this.#hasRelayCapacity(state) && !this.#evictOneRelay(room, state, nk)) return null;
    const relay = makeRemoteRelay(nk, this.#routes.prefixOf(nk), this.#share);
    state.relays.set(nk, relay);
    return relay;
  }

  /**
   * A member of a remote relay, new or with a new presence.
   * @returns Why it is not taken; `null` when it is.
   */
  setMember(
    room: string,
    state: RoomState,
    relay: RemoteRelay,
    peer: string,
    presence: string,
  ): 'roomFull' | 'relayFull' | null {
    if (
      !relay.roster.has(peer) &&
      !this.#hasMemberCapacity(state) &&
      !this.#evictOneMember(room, state, relay)
    )
      return 'roomFull';
    return relay.roster.set(peer, presence) ? null : 'relayFull';
  }

  drop(room: string, state: RoomState, nk: string): void {
    const relay = state.relays.get(nk);
    if (relay === undefined) return;
    state.relays.delete(nk);
    this.clear(room, relay);
  }

  /** Nobody is in the room here any more. */
  forgetRoom(state: RoomState): void {
    for (const { roster } of state.relays.values()) roster.clear();
    state.relays.clear();
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
    if (relay.vouchedBy.size > 0 || (relay.roster.size > 0 && this.#routes.isLinked(nk)))
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

  /**
   * One that shows nobody, and that nothing is lost with; otherwise one of the network that has most
   * of them.
   */
  #evictOneRelay(room: string, state: RoomState, newcomer: string): boolean {
    const spare = [...state.relays].find(
      ([nk, { roster }]) => roster.size === 0 && !this.#routes.isLinked(nk),
    );
    const evicted =
      spare?.[0] ??
      evictionFor(
        state.relays.keys(),
        newcomer,
        (nk) => state.relays.get(nk)?.prefix ?? this.#routes.prefixOf(nk),
      );
    if (evicted === null) return false;
    this.drop(room, state, evicted);
    return true;
  }

  #hasMemberCapacity(state: RoomState): boolean {
    let total = 0;
    for (const { roster } of state.relays.values()) total += roster.size;
    return total < this.maxRemoteMembers;
  }

  /** A full room takes the place of a new member from the relay that shows most. */
  #evictOneMember(room: string, state: RoomState, relay: RemoteRelay): boolean {
    let [largestNk, largest] = ['', relay];
    for (const [nk, other] of state.relays)
      if (other.roster.size > largest.roster.size) [largestNk, largest] = [nk, other];
    const [victim] = largest.roster.keys();
    if (largest.roster.size <= relay.roster.size + 1 || victim === undefined) return false;
    largest.roster.delete(victim);
    this.#news.postpone(largestNk, room, victim);
    return true;
  }
}
