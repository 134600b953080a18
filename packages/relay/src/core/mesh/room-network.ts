import {
  DropCounters,
  Fifo,
  type Instant,
  type SyncCrypto,
  TokenBucket,
  later,
  toHex,
  utf8Encode,
} from '@lumamesh/base';
import {
  HOMES_PER_ROOM,
  Rendezvous,
  type RoomMember,
  type SignedRelayRecord,
  mayBeHome,
} from '@lumamesh/protocol';
import { HINT_LIFETIME_MS, type HolderNews, HomeTable } from './home-table.ts';
import { type HintFrame, MESH_LIMITS, type RoomFrame } from './mesh-frame.ts';
import { type Holder, batchesOf, isToTell, makeHolder, presenceAmong } from './room-holder.ts';

export interface RoomNetworkOptions {
  readonly nk: string;
  /** Members of one room that other relays may show, in all. */
  readonly maxRemoteMembers: number;
  readonly hash: SyncCrypto['hash'];
  readonly random: () => number;
  /** Whether there is a link to this relay over which room frames are taken. */
  readonly isLinked: (nk: string) => boolean;
}

/** What the room network does next: a frame for a linked relay, or for another by way of one; or news for the members here. */
export type RoomNetworkOutput =
  | { readonly type: 'send'; readonly to: string; readonly frame: HintFrame | RoomFrame }
  | { readonly type: 'carry'; readonly by: string; readonly to: string; readonly frame: RoomFrame }
  | { readonly type: 'present'; readonly room: string; readonly member: RoomMember }
  | { readonly type: 'absent'; readonly room: string; readonly peer: string }
  | {
      readonly type: 'signal';
      readonly room: string;
      readonly from: string;
      readonly to: string;
      readonly data: string;
    };

export interface RoomNetworkCounters {
  hintsIn: number;
  hintsOut: number;
  signalsIn: number;
  signalsOut: number;
  carried: number;
}

interface RoomState {
  readonly local: Map<string, string>;
  readonly holders: Map<string, Holder>;
  /** Remote members as the members here were last told. */
  readonly shown: Map<string, string>;
  homes: readonly string[];
  /** Homes that hold a hint of ours. */
  readonly hinted: Set<string>;
  /** When the homes are to be chosen anew, and when the hints are to be repeated. */
  reviewAt: Instant;
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
/** Two relays compare what they know of each other's members soon after a whole list, and then about this often. */
const FIRST_CHECK_MS = 8000;
const CHECK_MS = 180_000;
/** News of members that one relay may bring at once, and each second; more waits for its turn. */
const NEWS_PER_SECOND = 20;
const NEWS_BURST = 500;
const NEWS_PER_TICK = 200;
/** Relays a home may name that have shown nothing themselves. */
const MAX_HOLDERS_BY_ONE_HOME = 24;
/** Relays that show the same peer and are all sent a signal for it: one of them may lie. */
const MAX_SIGNAL_COPIES = 3;

/**
 * Rooms beyond this relay. It reports the rooms of its members to their homes (rendezvous hashing), hears from them which other relays have members
 * there, and exchanges presence and sealed signals with those: over a link where there is one, otherwise by way of a home that both have.
 *
 * ```
 * member joins ──► hints to 3 homes ──► holders: C, D ──► present all, ask (our members) to C, D
 *                                                     ◄── present all      (theirs)
 *                                                     ◄─► present, absent  (changes)
 *                                                     ◄─► check            (does the other know what we think it knows?)
 * signal for a member of C ──► C                          (directly, or carried by a home)
 * ```
 * Only members of this relay's own sessions are told to others, so nothing goes round in circles. Frames may be lost with a link or on a detour: whoever
 * has just made a {@link Holder} asks for everything, and a check that fails asks again.
 */
export class RoomNetwork {
  readonly drops = new DropCounters();
  readonly counters: RoomNetworkCounters = {
    hintsIn: 0,
    hintsOut: 0,
    signalsIn: 0,
    signalsOut: 0,
    carried: 0,
  };
  readonly #options: RoomNetworkOptions;
  #maxRemoteMembers: number;
  readonly #table = new HomeTable();
  readonly #rooms = new Map<string, RoomState>();
  readonly #outputs = new Fifo<RoomNetworkOutput>();
  /** Hints that wait to be sent together, by home. */
  readonly #pending = new Map<string, Map<string, 'hints' | 'unhint'>>();
  /** How much news each relay may still bring. */
  readonly #news = new Map<string, TokenBucket>();
  /** Room and peer of news that waits. */
  readonly #waiting = new Map<string, readonly [room: string, peer: string]>();
  #rendezvous = new Rendezvous<SignedRelayRecord>([]);
  #scanAt: Instant | null = null;

  constructor(options: RoomNetworkOptions) {
    this.#options = options;
    this.#maxRemoteMembers = options.maxRemoteMembers;
  }

  get counts(): {
    readonly reported: number;
    readonly remoteRelays: number;
    readonly asHome: HomeTable['counts'];
  } {
    const remote = new Set([...this.#rooms.values()].flatMap(({ holders }) => [...holders.keys()]));
    return { reported: this.#rooms.size, remoteRelays: remote.size, asHome: this.#table.counts };
  }

  /** Who is shown already stays. */
  setMaxRemoteMembers(count: number): void {
    this.#maxRemoteMembers = count;
  }

  /** The relays there are, this one among them. Rooms look for their homes anew. */
  setRelays(now: Instant, relays: readonly SignedRelayRecord[]): void {
    this.#rendezvous = new Rendezvous(relays.filter(mayBeHome));
    for (const state of this.#rooms.values()) {
      const at = later(now, this.#options.random() * REVIEW_SPREAD_MS);
      if (at < state.reviewAt) state.reviewAt = at;
    }
  }

  /** The relays responsible for a room, heaviest first. */
  homesOf(room: string): readonly SignedRelayRecord[] {
    return this.#rendezvous.rank(room, HOMES_PER_ROOM);
  }

  /** Relays that a link is wanted to: homes of rooms with members here. */
  wantedLinks(): ReadonlySet<string> {
    const wanted = new Set<string>();
    for (const { homes } of this.#rooms.values())
      for (const home of homes) if (home !== this.#options.nk) wanted.add(home);
    return wanted;
  }

  /** Members of other relays. A peer that stands on several is named once. */
  membersOf(room: string): RoomMember[] {
    const members = new Map<string, string>();
    for (const { roster } of this.#rooms.get(room)?.holders.values() ?? [])
      for (const [peer, presence] of roster) members.set(peer, presence);
    return [...members].map(([peer, presence]) => ({ peer, presence }));
  }

  has(room: string, peer: string): boolean {
    const state = this.#rooms.get(room);
    return state !== undefined && presenceAmong(state.holders, peer) !== undefined;
  }

  /** A peer is in a room over a session of this relay, or has changed its presence. */
  handleLocalPresent(now: Instant, room: string, peer: string, presence: string): void {
    let state = this.#rooms.get(room);
    if (state === undefined) {
      state = {
        local: new Map(),
        holders: new Map(),
        shown: new Map(),
        homes: [],
        hinted: new Set(),
        reviewAt: now,
        refreshAt: now,
      };
      this.#rooms.set(room, state);
      state.local.set(peer, presence);
      return this.#review(now, room, state);
    }
    state.local.set(peer, presence);
    for (const [nk, holder] of state.holders) this.#tell(now, room, state, nk, holder);
  }

  /** The last session of a peer in a room is gone. */
  handleLocalAbsent(room: string, peer: string): void {
    const state = this.#rooms.get(room);
    if (state?.local.delete(peer) !== true) return;
    for (const [nk, holder] of state.holders) {
      if (
        holder.told.delete(peer) &&
        !this.#route(nk, state, { type: 'absent', room, peers: [peer] })
      )
        holder.owes = 'ask';
    }
    if (state.local.size > 0) return;
    for (const home of state.hinted) this.#unhint(home, room);
    this.#rooms.delete(room);
  }

  /** Sends a sealed signal to a member of other relays; false when there is none, or no way to it. */
  sendSignal(room: string, from: string, to: string, data: string): boolean {
    const state = this.#rooms.get(room);
    if (state === undefined) return false;
    const showing = [...state.holders].filter(([, { roster }]) => roster.has(to)).map(([nk]) => nk);
    showing.sort((a, b) => Number(this.#options.isLinked(b)) - Number(this.#options.isLinked(a)));
    let copies = 0;
    for (const nk of showing)
      if (
        copies < MAX_SIGNAL_COPIES &&
        this.#route(nk, state, { type: 'signal', room, from, to, data })
      )
        copies += 1;
    if (copies > 0) this.counters.signalsOut += 1;
    return copies > 0;
  }

  /** A link is up on which both sides take room frames. */
  handleLinkUp(now: Instant, nk: string): void {
    for (const [room, state] of this.#rooms) {
      if (state.homes.includes(nk)) this.#hintHome(nk, room, state);
      const holder = state.holders.get(nk);
      if (holder === undefined) continue;
      // What was on its way when the old link broke is lost on both sides.
      holder.owes = 'ask';
      holder.doubtedAt = null;
      this.#tell(now, room, state, nk, holder);
    }
  }

  handleLinkDown(now: Instant, nk: string): void {
    this.#pending.delete(nk);
    this.#news.delete(nk);
    this.#table.handleReporterLost(now, nk);
    for (const state of this.#rooms.values()) {
      state.hinted.delete(nk);
      for (const [other, holder] of state.holders) {
        // It may have been carrying something.
        if (holder.saidBy.delete(nk) && !this.#options.isLinked(other)) holder.owes = 'ask';
        this.#settleDoubt(now, other, holder);
      }
    }
  }

  /** A relay does not answer, and there is no link to it: what only it vouched for itself ends; the homes that vouch for it find out themselves. */
  handleRelayDoubted(now: Instant, nk: string): void {
    if (this.#table.isLost(nk)) this.#pushNews(now, this.#table.handleReporterDead(nk));
    for (const [room, state] of this.#rooms)
      if (state.holders.get(nk)?.saidBy.size === 0) this.#dropHolder(room, state, nk);
  }

  /** A relay is dead, or said goodbye: what it said is void at once. */
  handleRelayDead(now: Instant, nk: string): void {
    this.handleLinkDown(now, nk);
    this.#pushNews(now, this.#table.handleReporterDead(nk));
    for (const [room, state] of this.#rooms) this.#dropHolder(room, state, nk);
  }

  handleHintFrame(now: Instant, from: string, frame: HintFrame): void {
    switch (frame.type) {
      case 'hints':
        this.counters.hintsIn += frame.rooms.length;
        return this.#pushNews(now, this.#table.handleHints(now, from, frame.rooms));
      case 'unhint':
        return this.#pushNews(now, this.#table.handleUnhint(from, frame.rooms));
      case 'holders':
        return this.#handleHolders(now, from, frame);
    }
  }

  /** Whether a relay that asks us to carry a frame may: both have members in the room, and we are its home. */
  mayCarry(from: string, to: string, room: string): boolean {
    return this.#table.holds(room, from) && this.#table.holds(room, to);
  }

  /** A frame about a room, of a relay that we are linked to, or signed by it and carried by another. */
  handleRoomFrame(
    now: Instant,
    from: string,
    frame: RoomFrame,
    carrier: string | null = null,
  ): void {
    const state = this.#rooms.get(frame.room);
    if (state === undefined) return this.#denyRoom(from, frame, carrier);
    switch (frame.type) {
      case 'present':
        return this.#handlePresent(now, state, from, frame);
      case 'absent':
        return this.#handleAbsent(now, state, from, frame.room, frame.peers);
      case 'check':
        return this.#handleCheck(now, state, from, frame.room, frame.digest);
      case 'signal':
        // Who speaks must be one of the members that this relay has shown.
        if (state.holders.get(from)?.roster.has(frame.from) !== true)
          return this.drops.count('mesh.signal.unknownSender');
        if (!state.local.has(frame.to)) return this.drops.count('mesh.signal.notHere');
        this.counters.signalsIn += 1;
        this.#outputs.push(frame);
    }
  }

  /** To be called about every half second. */
  handleTimeout(now: Instant): void {
    this.#pushNews(now, this.#table.handleTimeout(now));
    if (this.#scanAt === null || this.#scanAt <= now) {
      this.#scanAt = later(now, EXPIRY_SCAN_MS);
      this.#pushNews(now, this.#table.expire(now));
    }
    this.#reviewDue(now);
    for (const [room, state] of this.#rooms) {
      for (const [nk, holder] of state.holders) {
        if (holder.doubtedAt !== null && now - holder.doubtedAt >= HOLDER_GRACE_MS)
          this.#dropHolder(room, state, nk);
        else if (holder.owes !== 'nothing') this.#tell(now, room, state, nk, holder);
        else if (holder.checkAt <= now) this.#check(now, room, state, nk, holder);
      }
    }
    for (const [key, [room, peer]] of [...this.#waiting].slice(0, NEWS_PER_TICK)) {
      this.#waiting.delete(key);
      this.#show(room, peer);
    }
  }

  poll(): RoomNetworkOutput | null {
    this.#flushHints();
    return this.#outputs.shift() ?? null;
  }

  #reviewDue(now: Instant): void {
    const due: [string, RoomState][] = [];
    for (const entry of this.#rooms) {
      if (due.length >= MAX_REVIEWS) break;
      if (entry[1].reviewAt <= now || entry[1].refreshAt <= now) due.push(entry);
    }
    for (const [room, state] of due) {
      // To the end of the map: however often relays come and go, every room has its turn.
      this.#rooms.delete(room);
      this.#rooms.set(room, state);
      this.#review(now, room, state);
    }
  }

  /** Chooses the homes of a room by what is known now, and hints those that lack it. */
  #review(now: Instant, room: string, state: RoomState): void {
    if (state.refreshAt <= now) {
      state.refreshAt = later(now, REFRESH_MS * (0.8 + 0.2 * this.#options.random()));
      state.hinted.clear();
    }
    state.reviewAt = state.refreshAt;
    state.homes = this.homesOf(room).map(({ nk }) => nk);
    for (const home of [...state.hinted])
      if (!state.homes.includes(home)) this.#retract(now, home, room, state);
    for (const home of state.homes) {
      if (home !== this.#options.nk) this.#hintHome(home, room, state);
      else if (!state.hinted.has(home)) {
        state.hinted.add(home);
        this.#pushNews(now, this.#table.handleHints(now, home, [room]));
      }
    }
  }

  #retract(now: Instant, home: string, room: string, state: RoomState): void {
    state.hinted.delete(home);
    this.#unhint(home, room);
    for (const [nk, holder] of state.holders) {
      holder.saidBy.delete(home);
      this.#settleDoubt(now, nk, holder);
    }
  }

  #hintHome(home: string, room: string, state: RoomState): void {
    if (state.hinted.has(home) || !this.#options.isLinked(home)) return;
    state.hinted.add(home);
    this.#pend('hints', home, room);
  }

  #unhint(home: string, room: string): void {
    // What our own table has to say of it is for others: this relay is no reporter of the room any more.
    if (home === this.#options.nk)
      for (const news of this.#table.handleUnhint(home, [room])) this.#sendNews(news);
    else this.#pend('unhint', home, room);
  }

  #pend(type: 'hints' | 'unhint', home: string, room: string): void {
    let pending = this.#pending.get(home);
    if (pending === undefined) this.#pending.set(home, (pending = new Map()));
    pending.set(room, type);
  }

  #flushHints(): void {
    if (this.#pending.size === 0) return;
    for (const [to, rooms] of this.#pending) {
      if (!this.#options.isLinked(to)) continue;
      for (const type of ['unhint', 'hints'] as const) {
        const ids = [...rooms].filter(([, what]) => what === type).map(([room]) => room);
        if (type === 'hints') this.counters.hintsOut += ids.length;
        for (let i = 0; i < ids.length; i += MESH_LIMITS.maxHints)
          this.#outputs.push({
            type: 'send',
            to,
            frame: { type, rooms: ids.slice(i, i + MESH_LIMITS.maxHints) },
          });
      }
    }
    this.#pending.clear();
  }

  /** News of our own table: for other relays as frames, for ourselves at once. */
  #pushNews(now: Instant, news: readonly HolderNews[]): void {
    for (const item of news) {
      if (item.to === this.#options.nk) this.#handleHolders(now, item.to, item);
      else this.#sendNews(item);
    }
  }

  #sendNews({ to, room, add, gone }: HolderNews): void {
    if (this.#options.isLinked(to))
      this.#outputs.push({ type: 'send', to, frame: { type: 'holders', room, add, gone } });
  }

  #handleHolders(
    now: Instant,
    home: string,
    { room, add, gone }: Pick<HolderNews, 'room' | 'add' | 'gone'>,
  ): void {
    const state = this.#rooms.get(room);
    // Only homes that we asked are answered.
    if (state === undefined || !state.hinted.has(home))
      return this.drops.count('mesh.holders.unasked');
    for (const nk of add) {
      if (nk === this.#options.nk) continue;
      const holder = this.#holder(state, nk, home);
      if (holder === null) continue;
      holder.saidBy.add(home);
      holder.doubtedAt = null;
      this.#tell(now, room, state, nk, holder);
    }
    for (const nk of gone) {
      const holder = state.holders.get(nk);
      if (holder?.saidBy.delete(home) !== true || holder.saidBy.size > 0) continue;
      // The last home that vouched for it says that it is gone; a live link says more.
      if (this.#options.isLinked(nk) && holder.roster.size > 0) continue;
      this.#clearRoster(room, holder);
      // It is kept for a moment, so that coming and going costs nobody whole lists.
      holder.owes = 'ask';
      this.#settleDoubt(now, nk, holder);
    }
  }

  #handlePresent(
    now: Instant,
    state: RoomState,
    from: string,
    { room, members, all, ask }: Extract<RoomFrame, { type: 'present' }>,
  ): void {
    const holder = this.#holder(state, from, null);
    if (holder === null) return this.drops.count('mesh.present.tooManyRelays');
    const before = new Set(all === true ? holder.roster.keys() : []);
    for (const { peer, presence } of members) {
      before.delete(peer);
      if (!holder.roster.has(peer) && !this.#makeRoom(state, holder, room)) {
        this.drops.count('mesh.present.roomFull');
        break;
      }
      holder.roster.set(peer, presence);
      this.#announce(now, from, room, peer);
    }
    for (const peer of before) {
      holder.roster.delete(peer);
      // A long list goes on in the next frame.
      this.#wait(room, peer);
    }
    if (ask === true) {
      holder.told.clear();
      if (holder.owes === 'nothing') holder.owes = 'all';
    }
    // A whole list answers what we may have wanted to ask.
    if (all === true && holder.owes === 'ask') holder.owes = 'all';
    this.#tell(now, room, state, from, holder);
    this.#settleDoubt(now, from, holder);
  }

  #handleAbsent(
    now: Instant,
    state: RoomState,
    from: string,
    room: string,
    peers: readonly string[],
  ): void {
    const holder = state.holders.get(from);
    if (holder === undefined) return;
    for (const peer of peers) if (holder.roster.delete(peer)) this.#announce(now, from, room, peer);
    // It may have been left out of our members those that it had itself.
    this.#tell(now, room, state, from, holder);
    this.#settleDoubt(now, from, holder);
  }

  #handleCheck(now: Instant, state: RoomState, from: string, room: string, digest: string): void {
    const holder = this.#holder(state, from, null);
    if (holder === null || this.#digestOf(holder.roster) === digest) return;
    this.drops.count('mesh.check.differs');
    holder.owes = 'ask';
    this.#tell(now, room, state, from, holder);
  }

  /** Somebody tells us of a room that nobody is in here: it should know. */
  #denyRoom(from: string, frame: RoomFrame, carrier: string | null): void {
    this.drops.count('mesh.room.notHere');
    const isQuestion = frame.type === 'check' || (frame.type === 'present' && frame.ask === true);
    if (!isQuestion) return;
    const answer: RoomFrame = { type: 'present', room: frame.room, members: [], all: true };
    if (this.#options.isLinked(from)) this.#outputs.push({ type: 'send', to: from, frame: answer });
    else if (carrier !== null)
      this.#outputs.push({ type: 'carry', by: carrier, to: from, frame: answer });
  }

  /** Tells a holder of our members what it does not know: not those that it has itself. */
  #tell(now: Instant, room: string, state: RoomState, nk: string, holder: Holder): void {
    const { owes } = holder;
    if (owes !== 'nothing') {
      if (!holder.lists.take(now)) return;
      holder.told.clear();
    }
    const batches = batchesOf(
      [...state.local].filter(([peer, presence]) => isToTell(holder, peer, presence)),
    );
    if (owes !== 'nothing' && batches.length === 0) batches.push([]);
    for (const [i, members] of batches.entries()) {
      const flags =
        owes === 'nothing' || i > 0
          ? {}
          : owes === 'ask'
            ? ({ all: true, ask: true } as const)
            : ({ all: true } as const);
      if (!this.#route(nk, state, { type: 'present', room, members, ...flags })) {
        holder.owes = owes === 'nothing' ? 'all' : owes;
        return;
      }
      for (const { peer, presence } of members) holder.told.set(peer, presence);
    }
    if (owes === 'nothing') return;
    holder.owes = 'nothing';
    holder.checkAt = later(now, FIRST_CHECK_MS * (0.75 + this.#options.random() / 2));
  }

  #check(now: Instant, room: string, state: RoomState, nk: string, holder: Holder): void {
    holder.checkAt = later(now, CHECK_MS * (0.75 + this.#options.random() / 2));
    this.#route(nk, state, { type: 'check', room, digest: this.#digestOf(holder.told) });
  }

  #digestOf(members: ReadonlyMap<string, string>): string {
    const lines = [...members].map(([peer, presence]) => `${peer} ${presence}\n`).toSorted();
    return toHex(this.#options.hash('sha256', utf8Encode(lines.join(''))).subarray(0, 8));
  }

  /** Sends a frame to a relay, directly or by way of a home that named it. */
  #route(nk: string, state: RoomState, frame: RoomFrame): boolean {
    if (this.#options.isLinked(nk)) {
      this.#outputs.push({ type: 'send', to: nk, frame });
      return true;
    }
    const homes = [...(state.holders.get(nk)?.saidBy ?? []), ...state.homes];
    const by = homes.find((other) => other !== this.#options.nk && this.#options.isLinked(other));
    if (by === undefined) return false;
    this.counters.carried += 1;
    this.#outputs.push({ type: 'carry', by, to: nk, frame });
    return true;
  }

  #holder(state: RoomState, nk: string, home: string | null): Holder | null {
    const known = state.holders.get(nk);
    if (known !== undefined) return known;
    const isEmpty = (holder: Holder): boolean => holder.roster.size === 0;
    if (home !== null) {
      const named = [...state.holders.values()].filter(
        (holder) => isEmpty(holder) && holder.saidBy.size === 1 && holder.saidBy.has(home),
      );
      if (named.length >= MAX_HOLDERS_BY_ONE_HOME) return null;
    }
    if (state.holders.size >= MESH_LIMITS.maxHolders) {
      const spare = [...state.holders].find(
        ([other, holder]) => isEmpty(holder) && !this.#options.isLinked(other),
      );
      if (spare === undefined) return null;
      state.holders.delete(spare[0]);
    }
    const holder = makeHolder();
    state.holders.set(nk, holder);
    return holder;
  }

  /** A full room takes the place of a new member from the relay that shows most. */
  #makeRoom(state: RoomState, holder: Holder, room: string): boolean {
    let total = 0;
    let largest = holder;
    for (const other of state.holders.values()) {
      total += other.roster.size;
      if (other.roster.size > largest.roster.size) largest = other;
    }
    if (total < this.#maxRemoteMembers) return true;
    const victim = largest.roster.keys().next().value;
    if (largest.roster.size <= holder.roster.size + 1 || victim === undefined) return false;
    largest.roster.delete(victim);
    this.#wait(room, victim);
    return true;
  }

  #dropHolder(room: string, state: RoomState, nk: string): void {
    const holder = state.holders.get(nk);
    if (holder === undefined) return;
    state.holders.delete(nk);
    for (const peer of holder.roster.keys()) this.#show(room, peer);
  }

  #clearRoster(room: string, holder: Holder): void {
    const peers = [...holder.roster.keys()];
    holder.roster.clear();
    for (const peer of peers) this.#show(room, peer);
  }

  /** Something about a remote member may be new: the members here are told at once, or in turn when its relay brings too much. */
  #announce(now: Instant, from: string, room: string, peer: string): void {
    let budget = this.#news.get(from);
    if (budget === undefined)
      this.#news.set(from, (budget = new TokenBucket(NEWS_PER_SECOND, NEWS_BURST)));
    if (budget.take(now)) this.#show(room, peer);
    else this.#wait(room, peer);
  }

  #wait(room: string, peer: string): void {
    this.#waiting.set(`${room} ${peer}`, [room, peer]);
  }

  /** Tells the members here of a remote one what they do not know yet. */
  #show(room: string, peer: string): void {
    const state = this.#rooms.get(room);
    if (state === undefined) return;
    const presence = presenceAmong(state.holders, peer);
    if (presence === state.shown.get(peer)) return;
    if (presence === undefined) {
      state.shown.delete(peer);
      this.#outputs.push({ type: 'absent', room, peer });
    } else {
      state.shown.set(peer, presence);
      this.#outputs.push({ type: 'present', room, member: { peer, presence } });
    }
  }

  /** A holder is believed in as long as a home names it, or a link to it stands on which it has shown somebody. */
  #settleDoubt(now: Instant, nk: string, holder: Holder): void {
    if (holder.saidBy.size > 0 || (holder.roster.size > 0 && this.#options.isLinked(nk)))
      holder.doubtedAt = null;
    else holder.doubtedAt ??= now;
  }
}
