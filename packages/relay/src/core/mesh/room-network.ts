import { DropCounters, Fifo, type Instant, later } from '@lumamesh/base';
import { HOMES_PER_ROOM, Rendezvous, type RoomMember, type SignedRelayRecord, mayBeHome } from '@lumamesh/protocol';
import { HINT_LIFETIME_MS, type HolderNews, HomeTable } from './home-table.ts';
import { type HintFrame, MESH_LIMITS, type RoomFrame } from './mesh-frame.ts';

export interface RoomNetworkOptions {
  readonly nk: string;
  /** Members of one room that other relays may show, in all. */
  readonly maxRemoteMembers: number;
  readonly random: () => number;
  /** Whether there is a link to this relay over which room frames are taken. */
  readonly isLinked: (nk: string) => boolean;
}

/** What the room network does next: a frame for a linked relay, a link that is wanted, or news for the members here. */
export type RoomNetworkOutput =
  | {
      readonly type: 'send';
      readonly to: string;
      readonly frame: HintFrame | RoomFrame | { readonly type: 'via'; readonly to: string; readonly frame: RoomFrame };
    }
  | { readonly type: 'present'; readonly room: string; readonly member: RoomMember }
  | { readonly type: 'absent'; readonly room: string; readonly peer: string }
  | { readonly type: 'signal'; readonly room: string; readonly from: string; readonly to: string; readonly data: string };

export interface RoomNetworkCounters {
  hintsIn: number;
  hintsOut: number;
  signalsIn: number;
  signalsOut: number;
  relayedVia: number;
}

/** Another relay that has members in a room where we have some. */
interface Holder {
  /** The homes that say so; this relay's own key when it is a home itself. */
  readonly saidBy: Set<string>;
  /** Its members, as it told us. */
  readonly roster: Map<string, string>;
  /** Our members that it was told of, with the presence it was told. */
  readonly told: Map<string, string>;
  /** Nothing shows that it is still there; dropped when that lasts. */
  doubtedAt: Instant | null;
  /** There was no way to it when there was something to tell. */
  isBehind: boolean;
}

interface RoomState {
  readonly local: Map<string, string>;
  readonly holders: Map<string, Holder>;
  homes: readonly string[];
  /** Homes that hold a hint of ours. */
  readonly hinted: Set<string>;
  refreshAt: Instant;
}

/** A holder that no home and no link vouches for any more. */
const HOLDER_GRACE_MS = 10_000;
const REFRESH_MS = HINT_LIFETIME_MS * 0.4;
/** When relays come or go, rooms look for their homes anew within this time, not all at once. */
const REVIEW_SPREAD_MS = 500;
/** Rooms reviewed in one call of handleTimeout. */
const MAX_REVIEWS = 2048;
const EXPIRY_SCAN_MS = 60_000;
/** Bytes of presence in one `present` frame. */
const MAX_PRESENT_BYTES = 65_536;

/**
 * Rooms beyond this relay. It reports the rooms of its members to their homes (rendezvous hashing), hears from them which other relays have members
 * there, and exchanges presence and sealed signals with those: over a link where there is one, otherwise by way of a home that both have.
 *
 * ```
 * member joins ──► hints to 3 homes ──► holders: C, D ──► present (our members) to C, D
 *                                                     ◄── present (theirs)
 * signal for a member of C ──► C                          (directly, or via a home)
 * ```
 * Only members of this relay's own sessions are told to others, so nothing goes round in circles.
 */
export class RoomNetwork {
  readonly drops = new DropCounters();
  readonly counters: RoomNetworkCounters = { hintsIn: 0, hintsOut: 0, signalsIn: 0, signalsOut: 0, relayedVia: 0 };
  readonly #options: RoomNetworkOptions;
  readonly #table = new HomeTable();
  readonly #rooms = new Map<string, RoomState>();
  readonly #outputs = new Fifo<RoomNetworkOutput>();
  /** Hints that wait to be sent together, by home. */
  readonly #pending = new Map<string, Map<string, 'hints' | 'unhint'>>();
  #rendezvous = new Rendezvous<SignedRelayRecord>([]);
  #scanAt: Instant | null = null;

  constructor(options: RoomNetworkOptions) {
    this.#options = options;
  }

  get counts(): { readonly reported: number; readonly remoteRelays: number; readonly asHome: HomeTable['counts'] } {
    const remote = new Set([...this.#rooms.values()].flatMap(({ holders }) => [...holders.keys()]));
    return { reported: this.#rooms.size, remoteRelays: remote.size, asHome: this.#table.counts };
  }

  /** The relays there are, this one among them. Rooms look for their homes anew. */
  setRelays(now: Instant, relays: readonly SignedRelayRecord[]): void {
    this.#rendezvous = new Rendezvous(relays.filter(mayBeHome));
    for (const state of this.#rooms.values()) state.refreshAt = earlierOf(state.refreshAt, later(now, this.#options.random() * REVIEW_SPREAD_MS));
  }

  /** The relays responsible for a room, heaviest first. */
  homesOf(room: string): readonly SignedRelayRecord[] {
    return this.#rendezvous.rank(room, HOMES_PER_ROOM);
  }

  /** Relays that a link is wanted to: homes of rooms with members here. */
  wantedLinks(): ReadonlySet<string> {
    const wanted = new Set<string>();
    for (const { homes } of this.#rooms.values()) for (const home of homes) if (home !== this.#options.nk) wanted.add(home);
    return wanted;
  }

  /** Members of other relays. A peer that stands on several is named once. */
  membersOf(room: string): RoomMember[] {
    const members = new Map<string, string>();
    for (const { roster } of this.#rooms.get(room)?.holders.values() ?? []) for (const [peer, presence] of roster) members.set(peer, presence);
    return [...members].map(([peer, presence]) => ({ peer, presence }));
  }

  has(room: string, peer: string): boolean {
    return this.#holderOf(room, peer) !== null;
  }

  /** A peer is in a room over a session of this relay, or has changed its presence. */
  handleLocalPresent(now: Instant, room: string, peer: string, presence: string): void {
    let state = this.#rooms.get(room);
    if (state === undefined) {
      state = { local: new Map(), holders: new Map(), homes: [], hinted: new Set(), refreshAt: now };
      this.#rooms.set(room, state);
      state.local.set(peer, presence);
      return this.#review(now, room, state);
    }
    state.local.set(peer, presence);
    for (const [nk, holder] of state.holders) this.#tell(room, state, nk, holder);
  }

  /** The last session of a peer in a room is gone. */
  handleLocalAbsent(room: string, peer: string): void {
    const state = this.#rooms.get(room);
    if (state?.local.delete(peer) !== true) return;
    for (const [nk, holder] of state.holders) if (holder.told.delete(peer)) this.#route(nk, state, { type: 'absent', room, peers: [peer] });
    if (state.local.size > 0) return;
    for (const home of state.hinted) this.#hint('unhint', home, room);
    this.#rooms.delete(room);
  }

  /** Sends a sealed signal to a member of another relay; false when there is none, or no way to it. */
  sendSignal(room: string, from: string, to: string, data: string): boolean {
    const state = this.#rooms.get(room);
    const found = this.#holderOf(room, to);
    if (state === undefined || found === null) return false;
    const isSent = this.#route(found, state, { type: 'signal', room, from, to, data });
    if (isSent) this.counters.signalsOut += 1;
    return isSent;
  }

  /** A link is up on which both sides take room frames. */
  handleLinkUp(now: Instant, nk: string): void {
    for (const [room, state] of this.#rooms) {
      if (state.homes.includes(nk)) this.#hintHome(nk, room, state);
      const holder = state.holders.get(nk);
      if (holder === undefined) continue;
      // What it was told before may have been lost with the old link.
      holder.told.clear();
      this.#tell(room, state, nk, holder);
    }
    this.#settleDoubts(now);
  }

  handleLinkDown(now: Instant, nk: string): void {
    this.#pending.delete(nk);
    this.#table.handleReporterLost(now, nk);
    for (const state of this.#rooms.values()) {
      state.hinted.delete(nk);
      for (const holder of state.holders.values()) holder.saidBy.delete(nk);
    }
    this.#settleDoubts(now);
  }

  /** A relay is dead, or was put out: what it said is void at once. */
  handleRelayDead(now: Instant, nk: string): void {
    this.handleLinkDown(now, nk);
    this.#pushNews(this.#table.handleReporterDead(nk));
    for (const [room, state] of this.#rooms) this.#dropHolder(room, state, nk);
  }

  handleHintFrame(now: Instant, from: string, frame: HintFrame): void {
    switch (frame.type) {
      case 'hints':
        this.counters.hintsIn += frame.rooms.length;
        return this.#pushNews(this.#table.handleHints(now, from, frame.rooms));
      case 'unhint':
        return this.#pushNews(this.#table.handleUnhint(from, frame.rooms));
      case 'holders':
        return this.#handleHolders(from, frame);
    }
  }

  /** Whether a relay that asks us to pass a frame on may: both have members in the room, and we are its home. */
  mayPass(from: string, to: string, room: string): boolean {
    return this.#table.holds(room, from) && this.#table.holds(room, to);
  }

  /** Whether frames about a room that another relay passes on are taken: it must be a home of that room. */
  isHomeOf(nk: string, room: string): boolean {
    return this.#rooms.get(room)?.homes.includes(nk) === true;
  }

  /** A frame about a room, of a relay that we are linked to or that a home passed on. */
  handleRoomFrame(now: Instant, from: string, frame: RoomFrame): void {
    const state = this.#rooms.get(frame.room);
    if (state === undefined) return this.drops.count('mesh.room.notHere');
    switch (frame.type) {
      case 'present':
        return this.#handlePresent(now, state, from, frame.room, frame.members);
      case 'absent':
        return this.#handleAbsent(state, from, frame.room, frame.peers);
      case 'signal':
        // Who speaks must be one of the members that this relay has shown.
        if (state.holders.get(from)?.roster.has(frame.from) !== true) return this.drops.count('mesh.signal.unknownSender');
        if (!state.local.has(frame.to)) return this.drops.count('mesh.signal.notHere');
        this.counters.signalsIn += 1;
        this.#outputs.push(frame);
    }
  }

  /** To be called about every half second. */
  handleTimeout(now: Instant): void {
    this.#pushNews(this.#table.handleTimeout(now));
    if (this.#scanAt === null || this.#scanAt <= now) {
      this.#scanAt = later(now, EXPIRY_SCAN_MS);
      this.#pushNews(this.#table.expire(now));
    }
    let reviews = 0;
    for (const [room, state] of this.#rooms) {
      if (state.refreshAt <= now && reviews < MAX_REVIEWS) {
        reviews += 1;
        this.#review(now, room, state);
      }
      for (const [nk, holder] of state.holders) {
        if (holder.doubtedAt !== null && now - holder.doubtedAt >= HOLDER_GRACE_MS) this.#dropHolder(room, state, nk);
        else if (holder.isBehind) this.#tell(room, state, nk, holder);
      }
    }
  }

  poll(): RoomNetworkOutput | null {
    this.#flushHints();
    return this.#outputs.shift() ?? null;
  }

  /** Chooses the homes of a room by what is known now, and hints those that lack it. */
  #review(now: Instant, room: string, state: RoomState): void {
    const isRefresh = state.refreshAt <= now;
    state.refreshAt = later(now, REFRESH_MS * (0.8 + 0.2 * this.#options.random()));
    state.homes = this.homesOf(room).map(({ nk }) => nk);
    for (const home of [...state.hinted]) if (!state.homes.includes(home)) this.#retract(now, home, room, state);
    if (isRefresh) state.hinted.clear();
    for (const home of state.homes) {
      if (home !== this.#options.nk) this.#hintHome(home, room, state);
      else {
        state.hinted.add(home);
        this.#pushNews(this.#table.handleHints(now, home, [room]));
      }
    }
  }

  #retract(now: Instant, home: string, room: string, state: RoomState): void {
    state.hinted.delete(home);
    if (home === this.#options.nk) this.#pushNews(this.#table.handleUnhint(home, [room]));
    else this.#hint('unhint', home, room);
    for (const [nk, holder] of state.holders) {
      holder.saidBy.delete(home);
      this.#settleDoubt(now, nk, holder);
    }
  }

  #hintHome(home: string, room: string, state: RoomState): void {
    if (state.hinted.has(home) || !this.#options.isLinked(home)) return;
    state.hinted.add(home);
    this.#hint('hints', home, room);
  }

  #hint(type: 'hints' | 'unhint', home: string, room: string): void {
    if (home === this.#options.nk) {
      if (type === 'unhint') this.#pushNews(this.#table.handleUnhint(home, [room]));
      return;
    }
    let pending = this.#pending.get(home);
    if (pending === undefined) this.#pending.set(home, (pending = new Map()));
    pending.set(room, type);
  }

  #flushHints(): void {
    if (this.#pending.size === 0) return;
    for (const [to, rooms] of this.#pending) {
      for (const type of ['unhint', 'hints'] as const) {
        const ids = [...rooms].filter(([, what]) => what === type).map(([room]) => room);
        if (type === 'hints') this.counters.hintsOut += ids.length;
        for (let i = 0; i < ids.length; i += MESH_LIMITS.maxHints) {
          const batch = ids.slice(i, i + MESH_LIMITS.maxHints);
          if (this.#options.isLinked(to)) this.#outputs.push({ type: 'send', to, frame: { type, rooms: batch } });
        }
      }
    }
    this.#pending.clear();
  }

  /** News of our own table: for other relays as frames, for ourselves at once. */
  #pushNews(news: readonly HolderNews[]): void {
    for (const { to, room, add, gone } of news) {
      const frame: HintFrame = { type: 'holders', room, add, gone };
      if (to === this.#options.nk) this.#handleHolders(to, frame);
      else if (this.#options.isLinked(to)) this.#outputs.push({ type: 'send', to, frame });
    }
  }

  #handleHolders(home: string, { room, add, gone }: Extract<HintFrame, { type: 'holders' }>): void {
    const state = this.#rooms.get(room);
    // Only homes that we asked are answered.
    if (state === undefined || !state.hinted.has(home)) return this.drops.count('mesh.holders.unasked');
    for (const nk of add) {
      if (nk === this.#options.nk) continue;
      const holder = this.#holder(state, nk);
      if (holder === null) return;
      holder.saidBy.add(home);
      holder.doubtedAt = null;
      this.#tell(room, state, nk, holder);
    }
    for (const nk of gone) {
      const holder = state.holders.get(nk);
      if (holder?.saidBy.delete(home) !== true || holder.saidBy.size > 0) continue;
      // The last home that vouched for it says that it is gone; a live link says more.
      if (!this.#options.isLinked(nk) || holder.roster.size === 0) this.#dropHolder(room, state, nk);
    }
  }

  #handlePresent(now: Instant, state: RoomState, from: string, room: string, members: readonly RoomMember[]): void {
    const holder = this.#holder(state, from);
    if (holder === null) return this.drops.count('mesh.present.tooManyRelays');
    let total = [...state.holders.values()].reduce((sum, { roster }) => sum + roster.size, 0);
    for (const { peer, presence } of members) {
      if (!holder.roster.has(peer)) total += 1;
      if (total > this.#options.maxRemoteMembers) return this.drops.count('mesh.present.roomFull');
      const isNews = this.#presenceElsewhere(state, peer) !== presence;
      holder.roster.set(peer, presence);
      if (isNews) this.#outputs.push({ type: 'present', room, member: { peer, presence } });
    }
    this.#tell(room, state, from, holder);
    this.#settleDoubt(now, from, holder);
  }

  #handleAbsent(state: RoomState, from: string, room: string, peers: readonly string[]): void {
    const holder = state.holders.get(from);
    if (holder === undefined) return;
    for (const peer of peers) if (holder.roster.delete(peer)) this.#announceAbsence(state, room, peer);
    // It may have left out of our members those that it had itself.
    this.#tell(room, state, from, holder);
    if (holder.roster.size === 0 && holder.saidBy.size === 0) this.#dropHolder(room, state, from);
  }

  /** Tells a holder of our members what it does not know: not those that it has itself. */
  #tell(room: string, state: RoomState, nk: string, holder: Holder): void {
    let members: RoomMember[] = [];
    let bytes = 0;
    const flush = (): boolean => {
      if (members.length === 0) return true;
      holder.isBehind = !this.#route(nk, state, { type: 'present', room, members });
      if (holder.isBehind) return false;
      for (const { peer, presence } of members) holder.told.set(peer, presence);
      members = [];
      bytes = 0;
      return true;
    };
    for (const [peer, presence] of state.local) {
      if (!isToTell(holder, peer, presence)) continue;
      if (members.length >= MESH_LIMITS.maxMembers || bytes + presence.length > MAX_PRESENT_BYTES) if (!flush()) return;
      members.push({ peer, presence });
      bytes += presence.length;
    }
    flush();
  }

  /** Sends a frame to a relay, directly or by way of a home that named it. */
  #route(nk: string, state: RoomState, frame: RoomFrame): boolean {
    if (this.#options.isLinked(nk)) {
      this.#outputs.push({ type: 'send', to: nk, frame });
      return true;
    }
    const homes = [...(state.holders.get(nk)?.saidBy ?? []), ...state.homes];
    const home = homes.find((other) => other !== this.#options.nk && this.#options.isLinked(other));
    if (home === undefined) return false;
    this.counters.relayedVia += 1;
    this.#outputs.push({ type: 'send', to: home, frame: { type: 'via', to: nk, frame } });
    return true;
  }

  #holder(state: RoomState, nk: string): Holder | null {
    const known = state.holders.get(nk);
    if (known !== undefined) return known;
    if (state.holders.size >= MESH_LIMITS.maxHolders) return null;
    const holder: Holder = { saidBy: new Set(), roster: new Map(), told: new Map(), doubtedAt: null, isBehind: false };
    state.holders.set(nk, holder);
    return holder;
  }

  #holderOf(room: string, peer: string): string | null {
    let routed: string | null = null;
    for (const [nk, { roster }] of this.#rooms.get(room)?.holders ?? []) {
      if (!roster.has(peer)) continue;
      if (this.#options.isLinked(nk)) return nk;
      routed ??= nk;
    }
    return routed;
  }

  #presenceElsewhere(state: RoomState, peer: string): string | undefined {
    for (const { roster } of state.holders.values()) {
      const presence = roster.get(peer);
      if (presence !== undefined) return presence;
    }
    return undefined;
  }

  #dropHolder(room: string, state: RoomState, nk: string): void {
    const holder = state.holders.get(nk);
    if (holder === undefined) return;
    state.holders.delete(nk);
    for (const peer of holder.roster.keys()) this.#announceAbsence(state, room, peer);
  }

  #announceAbsence(state: RoomState, room: string, peer: string): void {
    if (this.#presenceElsewhere(state, peer) === undefined) this.#outputs.push({ type: 'absent', room, peer });
  }

  /** A holder is believed in as long as a home names it, or a link to it stands. */
  #settleDoubts(now: Instant): void {
    for (const state of this.#rooms.values()) {
      for (const [nk, holder] of state.holders) this.#settleDoubt(now, nk, holder);
    }
  }

  #settleDoubt(now: Instant, nk: string, holder: Holder): void {
    if (holder.saidBy.size > 0 || this.#options.isLinked(nk)) holder.doubtedAt = null;
    else holder.doubtedAt ??= now;
  }
}

function isToTell(holder: Holder, peer: string, presence: string): boolean {
  return !holder.roster.has(peer) && holder.told.get(peer) !== presence;
}

function earlierOf(a: Instant, b: Instant): Instant {
  return a < b ? a : b;
}
