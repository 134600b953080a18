import { DropCounters, type Instant, type Machine, type SyncCrypto, later } from '@lumamesh/base';
import type { RoomMember, SignedRelayRecord } from '@lumamesh/protocol';
import type { LocalRoomEvent } from '../remote-rooms.ts';
import { HomeHints } from './home-hints.ts';
import type { HomeTable } from './home-table.ts';
import { MemberNews } from './member-news.ts';
import type { HintFrame, RoomFrame } from './mesh-frame.ts';
import { RelayBudgets } from './relay-budgets.ts';
import { type RoomState, makeRoomState, presencesAmong } from './remote-relay.ts';
import { type RoomNetworkOutput, RoomRoutes, type RoomRoutesOptions } from './room-routes.ts';
import { RosterSync } from './roster-sync.ts';
import { type RosterLimits, Rosters } from './rosters.ts';

export interface RoomNetworkOptions extends RoomRoutesOptions, RosterLimits {
  readonly hash: SyncCrypto['hash'];
  readonly random: () => number;
}

const TICK_MS = 500;
/**
 * Signals for members here that one relay may author, linked or not: those of a thousand members
 * who connect to each other.
 */
const SIGNALS_PER_SECOND = 500;
const SIGNALS_BURST = 10_000;

/**
 * Rooms beyond this relay. It reports the rooms of its members to their homes (rendezvous hashing),
 * hears from them which other relays report them, and exchanges presence and sealed signals with
 * those: over a link where there is one, otherwise by way of a home that both have.
 *
 * ```
 * member joins ──► hints to 3 homes ──► reporters: C, D ──► present all, ask (our members) to C, D
 *                                                       ◄── present all      (theirs)
 *                                                       ◄─► present, absent  (changes)
 *                                                       ◄─► check            (does the other know what we think it knows?)
 * signal for a member of C ──► C                            (directly, or forwarded by a home)
 * ```
 * Only members of this relay's own sessions are told to others, so nothing goes round in circles.
 * Its parts share its rooms and push to its outputs: {@link HomeHints} → {@link RosterSync} →
 * {@link Rosters} → {@link MemberNews}, each over {@link RoomRoutes}.
 */
export class RoomNetwork implements Machine<RoomNetworkOutput> {
  readonly drops = new DropCounters();
  /** Sealed signals from and to other relays. */
  readonly signals = { in: 0, out: 0 };
  readonly #nk: string;
  readonly #rooms = new Map<string, RoomState>();
  readonly #routes: RoomRoutes;
  readonly #news: MemberNews;
  readonly #rosters: Rosters;
  readonly #sync: RosterSync;
  readonly #hints: HomeHints;
  readonly #inSignals = new RelayBudgets(SIGNALS_PER_SECOND, SIGNALS_BURST);
  #tickAt: Instant | null = null;

  constructor(options: RoomNetworkOptions) {
    const { nk, hash, random } = options;
    const { drops } = this;
    this.#nk = nk;
    this.#routes = new RoomRoutes(options);
    this.#news = new MemberNews(this.#rooms, this.#routes.outputs);
    this.#rosters = new Rosters(this.#routes, this.#news, options);
    this.#sync = new RosterSync({ hash, random, drops }, this.#routes, this.#rosters, this.#news);
    this.#hints = new HomeHints(
      { nk, random, drops },
      this.#rooms,
      this.#routes,
      this.#rosters,
      this.#sync,
    );
  }

  /** It looks after its rooms twice a second. */
  get deadline(): Instant | null {
    return this.#tickAt;
  }

  get counts(): {
    readonly reported: number;
    readonly remoteRelays: number;
    readonly asHome: HomeTable['counts'];
    readonly hints: { readonly in: number; readonly out: number };
    readonly forwarded: number;
    readonly remoteBytes: number;
    readonly newsWaiting: number;
  } {
    const remote = new Set([...this.#rooms.values()].flatMap(({ relays }) => [...relays.keys()]));
    return {
      reported: this.#rooms.size,
      remoteRelays: remote.size,
      asHome: this.#hints.tableCounts,
      hints: this.#hints.counters,
      forwarded: this.#routes.forwarded,
      remoteBytes: this.#rosters.bytes,
      newsWaiting: this.#news.waiting,
    };
  }

  setMaxRemoteMembers(count: number): void {
    this.#rosters.maxRemoteMembers = count;
  }

  /** The relays there are, this one among them. */
  setRelays(now: Instant, relays: readonly SignedRelayRecord[]): void {
    this.#hints.setRelays(now, relays);
  }

  /** @returns The relays responsible for a room, heaviest first. */
  homesOf(room: string): readonly SignedRelayRecord[] {
    return this.#hints.homesOf(room);
  }

  /**
   * @returns Relays that a link is wanted to: the homes of rooms with members here, this relay left
   * out.
   */
  wantedLinks(): ReadonlySet<string> {
    const wanted = new Set<string>();
    for (const { homes } of this.#rooms.values()) for (const home of homes) wanted.add(home);
    wanted.delete(this.#nk);
    return wanted;
  }

  /**
   * @returns Members over other relays. A peer of which several relays say different things is named
   *   once for each, a few times at most.
   */
  membersOf(room: string): RoomMember[] {
    const state = this.#rooms.get(room);
    if (state === undefined) return [];
    const peers = new Set([...state.relays.values()].flatMap(({ roster }) => [...roster.keys()]));
    return [...peers].flatMap((peer) =>
      presencesAmong(state, peer).map((presence) => ({ peer, presence })),
    );
  }

  has(room: string, peer: string): boolean {
    return this.presencesOf(room, peer).length > 0;
  }

  presencesOf(room: string, peer: string): readonly string[] {
    const state = this.#rooms.get(room);
    return state === undefined ? [] : presencesAmong(state, peer);
  }

  canReach(room: string, peer: string): boolean {
    const state = this.#rooms.get(room);
    return state !== undefined && this.#routes.canReach(state, peer);
  }

  /**
   * Whether a relay may have a frame forwarded to another: both report the room, and we are its
   * home.
   */
  mayForward(from: string, to: string, room: string): boolean {
    return this.#hints.areReporters(from, to, room);
  }

  handleLocalRooms(now: Instant, event: LocalRoomEvent): void {
    const { room } = event;
    switch (event.type) {
      case 'localPresent':
        return this.#handleLocalPresent(now, event);
      case 'localAbsent':
        return this.#handleLocalAbsent(room, event.peer);
      case 'localSignal': {
        const state = this.#rooms.get(room);
        if (state !== undefined && this.#routes.signal(state, { ...event, type: 'signal' }))
          this.signals.out += 1;
      }
    }
  }

  /** A link is up on which both sides take room frames. */
  handleLinkUp(now: Instant, nk: string): void {
    for (const [room, state] of this.#rooms) {
      this.#hints.handleLinkUp(nk, room, state);
      this.#sync.handleLinkUp(now, room, state, nk);
    }
  }

  handleLinkDown(now: Instant, nk: string): void {
    this.#news.forget(nk);
    this.#hints.handleLinkDown(now, nk);
    for (const state of this.#rooms.values()) {
      state.hinted.delete(nk);
      for (const [other, relay] of state.relays) {
        // It may have been forwarding something.
        if (relay.vouchedBy.delete(nk) && !this.#routes.isLinked(other))
          relay.pendingSync = 'exchange';
        this.#rosters.updateSuspicion(now, other, relay);
      }
    }
  }

  /**
   * A relay does not answer, and there is no link to it: what only it vouched for itself ends; the
   * homes that vouch for it find out themselves.
   */
  handleRelaySuspect(now: Instant, nk: string): void {
    this.#hints.handleSuspect(now, nk);
    for (const [room, state] of this.#rooms)
      if (state.relays.get(nk)?.vouchedBy.size === 0) this.#rosters.drop(room, state, nk);
  }

  /** A relay is dead, or said goodbye: what it said is void at once. */
  handleRelayDead(now: Instant, nk: string): void {
    this.handleLinkDown(now, nk);
    this.#hints.handleDead(now, nk);
    for (const [room, state] of this.#rooms) this.#rosters.drop(room, state, nk);
  }

  /** @returns How many others are told something because of it. */
  handleHintFrame(now: Instant, from: string, frame: HintFrame): number {
    return this.#hints.handleFrame(now, from, frame);
  }

  /**
   * A frame about a room, of a relay that we are linked to, or signed by it and forwarded by
   * another.
   * @param forwarder the other one, or `null`
   */
  handleRoomFrame(
    now: Instant,
    from: string,
    frame: RoomFrame,
    forwarder: string | null = null,
  ): void {
    const state = this.#rooms.get(frame.room);
    if (state === undefined) return this.#handleUnknownRoom(from, frame, forwarder);
    switch (frame.type) {
      case 'present':
        return this.#sync.handlePresent(now, state, from, frame, forwarder);
      case 'absent':
        return this.#sync.handleAbsent(now, state, from, frame);
      case 'check':
        return this.#sync.handleCheck(now, state, from, frame);
      case 'signal':
        // Who speaks must be one of the members that this relay has shown.
        if (state.relays.get(from)?.roster.has(frame.from) !== true)
          return this.drops.count('mesh.signal.unknownSender');
        if (!state.local.has(frame.to)) return this.drops.count('mesh.signal.notHere');
        if (!this.#inSignals.take(now, from)) return this.drops.count('mesh.signal.tooMany');
        this.signals.in += 1;
        this.#routes.outputs.push({ ...frame, type: 'remoteSignal', relay: from });
    }
  }

  handleTimeout(now: Instant): void {
    if (this.#tickAt !== null && now < this.#tickAt) return;
    this.#tickAt = later(now, TICK_MS);
    this.#hints.update(now);
    for (const [room, state] of this.#rooms) this.#sync.update(now, room, state);
    this.#news.showWaiting();
  }

  poll(): RoomNetworkOutput | null {
    this.#hints.flush();
    return this.#routes.outputs.shift() ?? null;
  }

  #handleLocalPresent(
    now: Instant,
    { room, peer, presence, network }: Extract<LocalRoomEvent, { readonly type: 'localPresent' }>,
  ): void {
    let state = this.#rooms.get(room);
    if (state === undefined) {
      this.#rooms.set(room, (state = makeRoomState(now, network)));
      state.local.set(peer, presence);
      return this.#hints.review(now, room, state);
    }
    state.local.set(peer, presence);
    for (const [nk, relay] of state.relays) this.#sync.advertise(now, room, state, nk, relay);
  }

  #handleLocalAbsent(room: string, peer: string): void {
    const state = this.#rooms.get(room);
    if (state?.local.delete(peer) !== true) return;
    this.#sync.withdraw(room, state, peer);
    if (state.local.size > 0) return;
    this.#hints.withdrawAll(room, state);
    this.#rosters.forgetRoom(state);
    this.#rooms.delete(room);
  }

  /** Somebody tells us of a room that nobody is in here: it should know. */
  #handleUnknownRoom(from: string, frame: RoomFrame, forwarder: string | null): void {
    this.drops.count('mesh.room.notHere');
    if (frame.type === 'check' || (frame.type === 'present' && frame.ask === true)) {
      const { room } = frame;
      this.#routes.reply(from, forwarder, { type: 'present', room, members: [], all: true });
    }
  }
}
