import { type DropCounters, type Instant, later } from '@lumamesh/base';
import { HOMES_PER_ROOM, Rendezvous, type SignedRelayRecord, mayBeHome } from '@lumamesh/protocol';
import { FairShare } from './fair-share.ts';
import { HINT_LIFETIME_MS, HOME_LIMITS, type HomeNews, HomeTable } from './home-table.ts';
import { type HintFrame, MESH_LIMITS } from './mesh-frame.ts';
import type { RoomState } from './remote-relay.ts';
import type { RoomRoutes } from './room-routes.ts';
import type { RosterSync } from './roster-sync.ts';
import type { Rosters } from './rosters.ts';

const REFRESH_MS = HINT_LIFETIME_MS * 0.4;
/** When relays come or go, rooms choose their homes anew within this time, not all at once. */
const REVIEW_SPREAD_MS = 500;
/** Rooms reviewed at a time. */
const MAX_REVIEWS = 2048;
const EXPIRY_SCAN_MS = 60_000;
/** What there was no place for is tried again. */
const REFUSED_RETRY_MS = 30_000;

export interface HomeHintsOptions {
  readonly nk: string;
  readonly random: () => number;
  readonly drops: DropCounters;
}

/**
 * Reports rooms to their homes and hears from them which other relays report them; and is a home
 * itself ({@link HomeTable}). A relay that is a home of its own room tells itself, without a frame.
 */
export class HomeHints {
  /** Rooms in `hints` frames. */
  readonly counters = { in: 0, out: 0 };
  readonly #options: HomeHintsOptions;
  readonly #rooms: Map<string, RoomState>;
  readonly #routes: RoomRoutes;
  readonly #rosters: Rosters;
  readonly #sync: RosterSync;
  readonly #table: HomeTable;
  /** Rooms that are reported, by the network of the client that brought them. */
  readonly #places = new FairShare<string>(HOME_LIMITS.maxHintsPerReporter);
  /** What waits to be told together, by home. */
  readonly #pending = new Map<string, Map<string, 'hints' | 'withdraw'>>();
  /** Rooms that we have no place for as a home, by who reported them. */
  readonly #refusals = new Map<string, Set<string>>();
  #rendezvous = new Rendezvous<SignedRelayRecord>([]);
  #scanAt: Instant | null = null;

  constructor(
    options: HomeHintsOptions,
    rooms: Map<string, RoomState>,
    routes: RoomRoutes,
    rosters: Rosters,
    sync: RosterSync,
  ) {
    this.#options = options;
    this.#rooms = rooms;
    this.#routes = routes;
    this.#rosters = rosters;
    this.#sync = sync;
    this.#table = new HomeTable((nk) => routes.prefixOf(nk));
  }

  get tableCounts(): HomeTable['counts'] {
    return this.#table.counts;
  }

  /** The relays there are, this one among them: rooms choose their homes anew. */
  setRelays(now: Instant, relays: readonly SignedRelayRecord[]): void {
    this.#rendezvous = new Rendezvous(relays.filter(mayBeHome));
    for (const state of this.#rooms.values()) {
      const at = later(now, this.#options.random() * REVIEW_SPREAD_MS);
      if (at < state.reviewAt) state.reviewAt = at;
    }
  }

  /** @returns The relays responsible for a room, heaviest first. */
  homesOf(room: string): readonly SignedRelayRecord[] {
    return this.#rendezvous.rank(room, HOMES_PER_ROOM);
  }

  /** @returns Whether two relays both report the room to us as a home of it. */
  areReporters(a: string, b: string, room: string): boolean {
    return this.#table.reports(a, room) && this.#table.reports(b, room);
  }

  /** Chooses the homes of a room by what is known now, and hints those that lack it. */
  review(now: Instant, room: string, state: RoomState): void {
    if (!this.#hasPlace(state)) {
      state.reviewAt = later(now, REFUSED_RETRY_MS);
      return this.#tellRefused(room, state);
    }
    if (state.refreshAt <= now) {
      state.refreshAt = later(now, REFRESH_MS * (0.8 + 0.2 * this.#options.random()));
      state.hinted.clear();
    }
    state.reviewAt = state.refreshAt;
    state.homes = this.homesOf(room).map(({ nk }) => nk);
    for (const home of [...state.hinted])
      if (!state.homes.includes(home)) this.#retract(now, home, room, state);
    for (const home of state.homes) {
      if (home !== this.#options.nk) this.#hint(home, room, state);
      else if (!state.hinted.has(home)) {
        state.hinted.add(home);
        this.#tell(now, this.#table.add(now, home, [room]));
      }
    }
  }

  /** This relay has no members in the room any more. */
  withdrawAll(room: string, state: RoomState): void {
    for (const home of state.hinted) this.#withdraw(home, room);
    if (state.hasPlace && state.network !== '') this.#places.give(state.network, 1);
  }

  handleLinkUp(nk: string, room: string, state: RoomState): void {
    if (state.hasPlace && state.homes.includes(nk)) this.#hint(nk, room, state);
  }

  handleLinkDown(now: Instant, nk: string): void {
    this.#pending.delete(nk);
    this.#refusals.delete(nk);
    this.#table.markLost(now, nk);
  }

  /** A relay does not answer, and there is no link to it. */
  handleSuspect(now: Instant, nk: string): void {
    if (this.#table.isLost(nk)) this.#tell(now, this.#table.remove(nk));
  }

  /** A relay is dead: as a home, nothing is held of it any more. */
  handleDead(now: Instant, nk: string): void {
    this.#tell(now, this.#table.remove(nk));
  }

  /** @returns How many others are told something because of it. */
  handleFrame(now: Instant, from: string, frame: HintFrame): number {
    switch (frame.type) {
      case 'hints':
        this.counters.in += frame.rooms.length;
        return this.#tell(now, this.#table.add(now, from, frame.rooms));
      case 'withdraw':
        return this.#tell(now, this.#table.withdraw(from, frame.rooms));
      case 'reporters':
        this.#handleReporters(now, from, frame);
        return 0;
      case 'refused':
        for (const room of frame.rooms) this.#handleRefused(now, from, room);
        return 0;
    }
  }

  /** Does what is due: void hints, and rooms that choose their homes anew. */
  update(now: Instant): void {
    this.#tell(now, this.#table.expireLost(now));
    if (this.#scanAt === null || this.#scanAt <= now) {
      this.#scanAt = later(now, EXPIRY_SCAN_MS);
      this.#tell(now, this.#table.expireHints(now));
    }
    const due: [string, RoomState][] = [];
    for (const entry of this.#rooms) {
      if (due.length >= MAX_REVIEWS) break;
      if (entry[1].reviewAt <= now || entry[1].refreshAt <= now) due.push(entry);
    }
    for (const [room, state] of due) {
      // To the end of the map: however often relays come and go, every room has its turn.
      this.#rooms.delete(room);
      this.#rooms.set(room, state);
      this.review(now, room, state);
    }
  }

  /** Makes frames of what has gathered for each home. */
  flush(): void {
    for (const [to, rooms] of this.#refusals) this.#sendRooms(to, 'refused', [...rooms]);
    this.#refusals.clear();
    if (this.#pending.size === 0) return;
    for (const [to, rooms] of this.#pending) {
      if (!this.#routes.isLinked(to)) continue;
      for (const type of ['withdraw', 'hints'] as const) {
        const ids = [...rooms].filter(([, what]) => what === type).map(([room]) => room);
        if (type === 'hints') this.counters.out += ids.length;
        this.#sendRooms(to, type, ids);
      }
    }
    this.#pending.clear();
  }

  #sendRooms(to: string, type: 'hints' | 'withdraw' | 'refused', rooms: readonly string[]): void {
    for (let i = 0; i < rooms.length; i += MESH_LIMITS.maxHints)
      this.#routes.send(to, { type, rooms: rooms.slice(i, i + MESH_LIMITS.maxHints) });
  }

  /** Whether the room is among those that are reported: clients of one network bring some of them. */
  #hasPlace(state: RoomState): boolean {
    state.hasPlace ||= state.network === '' || this.#places.take(state.network, 1);
    return state.hasPlace;
  }

  #retract(now: Instant, home: string, room: string, state: RoomState): void {
    state.hinted.delete(home);
    this.#withdraw(home, room);
    for (const [nk, relay] of state.relays) {
      relay.vouchedBy.delete(home);
      this.#rosters.updateSuspicion(now, nk, relay);
    }
  }

  #hint(home: string, room: string, state: RoomState): void {
    if (state.hinted.has(home) || !this.#routes.isLinked(home)) return;
    state.hinted.add(home);
    this.#pend('hints', home, room);
  }

  #withdraw(home: string, room: string): void {
    // What our own table has to say of it is for others: this relay is no reporter of the room any
    // more.
    if (home === this.#options.nk)
      for (const news of this.#table.withdraw(home, [room])) this.#send(news);
    else this.#pend('withdraw', home, room);
  }

  #pend(type: 'hints' | 'withdraw', home: string, room: string): void {
    let pending = this.#pending.get(home);
    if (pending === undefined) this.#pending.set(home, (pending = new Map()));
    pending.set(room, type);
  }

  /** News of our own table: for other relays as frames, for ourselves at once. */
  #tell(now: Instant, news: readonly HomeNews[]): number {
    for (const item of news) {
      if (item.to !== this.#options.nk) this.#send(item);
      else if (item.type === 'reporters') this.#handleReporters(now, item.to, item);
      else this.#handleRefused(now, item.to, item.room);
    }
    return news.length;
  }

  #send(news: HomeNews): void {
    if (news.type === 'reporters') {
      const { to, ...frame } = news;
      return this.#routes.send(to, frame);
    }
    const rooms = this.#refusals.get(news.to) ?? new Set();
    this.#refusals.set(news.to, rooms.add(news.room));
  }

  /** A home has no place for our hint: it is asked again, and meanwhile the others may have one. */
  #handleRefused(now: Instant, home: string, room: string): void {
    const state = this.#rooms.get(room);
    if (state?.hinted.delete(home) !== true) return;
    this.#options.drops.count('mesh.hint.refused');
    const at = later(now, REFUSED_RETRY_MS);
    if (at < state.reviewAt) state.reviewAt = at;
    if (state.hinted.size === 0) this.#tellRefused(room, state);
  }

  /** Those who are in the room here are told, once, that others may not find them. */
  #tellRefused(room: string, state: RoomState): void {
    if (state.isToldRefused) return;
    state.isToldRefused = true;
    this.#options.drops.count('mesh.room.notShared');
    this.#routes.outputs.push({ type: 'remoteRefused', room });
  }

  #handleReporters(
    now: Instant,
    home: string,
    { room, add, remove }: Omit<Extract<HintFrame, { readonly type: 'reporters' }>, 'type'>,
  ): void {
    const state = this.#rooms.get(room);
    // Only homes that we report to are believed.
    if (state === undefined || !state.hinted.has(home))
      return this.#options.drops.count('mesh.reporters.unasked');
    for (const nk of add) {
      if (nk === this.#options.nk) continue;
      const relay = this.#rosters.relayOf(room, state, nk, home);
      if (relay === null) continue;
      relay.vouchedBy.add(home);
      relay.suspectAt = null;
      this.#sync.advertise(now, room, state, nk, relay);
    }
    for (const nk of remove) {
      const relay = state.relays.get(nk);
      if (relay?.vouchedBy.delete(home) !== true || relay.vouchedBy.size > 0) continue;
      // The last home that vouched for it says that it is gone; a live link says more.
      if (this.#routes.isLinked(nk) && relay.roster.size > 0) continue;
      this.#rosters.clear(room, relay);
      // It is kept for a moment, so that coming and going costs nobody whole lists.
      relay.pendingSync = 'exchange';
      this.#rosters.updateSuspicion(now, nk, relay);
    }
  }
}
