import {
  type DropCounters,
  type Instant,
  type SyncCrypto,
  later,
  toHex,
  utf8Encode,
} from '@lumamesh/base';
import type { RoomFrame } from './mesh-frame.ts';
import type { MemberNews } from './member-news.ts';
import { RelayBudgets } from './relay-budgets.ts';
import { type RemoteRelay, type RoomState, batchesOf, lacksMember } from './remote-relay.ts';
import type { RoomRoutes } from './room-routes.ts';
import type { Rosters } from './rosters.ts';

/** A relay that no home and no link vouches for any more. */
const REMOTE_RELAY_GRACE_MS = 10_000;
/** An answer by way of another relay takes no longer. */
const ANSWER_MS = 4000;
/**
 * Two relays compare what they know of each other's members soon after a whole list, and then about
 * this often.
 */
const FIRST_CHECK_MS = 8000;
const CHECK_MS = 180_000;

/**
 * Whole lists that one relay is sent, over all rooms: a few bytes ask for a list, and for those of
 * many rooms at once. A relay that starts gets all that it needs; one of very many members waits for
 * the rest.
 */
const LIST_BYTES_PER_SECOND = 1_048_576;
const LIST_BYTES_BURST = 4_194_304;
/** A frame without members. */
const LIST_FRAME_BYTES = 120;
const MEMBER_FRAME_BYTES = 25;

export interface RosterSyncOptions {
  readonly hash: SyncCrypto['hash'];
  readonly random: () => number;
  readonly drops: DropCounters;
}

/**
 * Keeps two relays' lists of each other's members in a room alike. Frames may be lost with a link
 * or by a forwarder: a relay that is new is asked for everything, and a digest that differs asks
 * again.
 */
export class RosterSync {
  readonly #options: RosterSyncOptions;
  readonly #routes: RoomRoutes;
  readonly #rosters: Rosters;
  readonly #news: MemberNews;
  readonly #listBytes = new RelayBudgets(LIST_BYTES_PER_SECOND, LIST_BYTES_BURST);

  constructor(options: RosterSyncOptions, routes: RoomRoutes, rosters: Rosters, news: MemberNews) {
    this.#options = options;
    this.#routes = routes;
    this.#rosters = rosters;
    this.#news = news;
  }

  /** Tells a relay of our members what it lacks: nothing of those that it has itself. */
  advertise(now: Instant, room: string, state: RoomState, nk: string, relay: RemoteRelay): void {
    const { pendingSync } = relay;
    if (pendingSync !== 'none') {
      // What is not sent now is due with the next update.
      if (!relay.lists.take(now)) return;
      if (!this.#listBytes.take(now, nk, listBytesOf(state)))
        return this.#options.drops.count('mesh.list.paced');
      relay.advertised.clear();
    }
    const batches = batchesOf(
      [...state.local].filter(([peer, presence]) => lacksMember(relay, peer, presence)),
    );
    if (pendingSync !== 'none' && batches.length === 0) batches.push([]);
    for (const [i, members] of batches.entries()) {
      const flags = i > 0 ? {} : FLAGS[pendingSync];
      const by = this.#routes.route(nk, state, { type: 'present', room, members, ...flags });
      if (by === null) {
        relay.pendingSync = pendingSync === 'none' ? 'send' : pendingSync;
        return;
      }
      if (i === 0 && pendingSync === 'exchange' && by.length > 0) relay.asked = { by, at: now };
      for (const { peer, presence } of members) relay.advertised.set(peer, presence);
    }
    if (pendingSync === 'none') return;
    relay.pendingSync = 'none';
    relay.checkAt = later(now, FIRST_CHECK_MS * (0.75 + this.#options.random() / 2));
  }

  /** One of our members has left the room. */
  withdraw(room: string, state: RoomState, peer: string): void {
    for (const [nk, relay] of state.relays)
      if (
        relay.advertised.delete(peer) &&
        this.#routes.route(nk, state, { type: 'absent', room, peers: [peer] }) === null
      )
        relay.pendingSync = 'exchange';
  }

  /**
   * A link to a relay of the room is up: what was on its way when the old one broke is lost on both
   * sides.
   */
  handleLinkUp(now: Instant, room: string, state: RoomState, nk: string): void {
    const relay = state.relays.get(nk);
    if (relay === undefined) return;
    relay.pendingSync = 'exchange';
    relay.suspectAt = null;
    this.advertise(now, room, state, nk, relay);
  }

  handlePresent(
    now: Instant,
    state: RoomState,
    from: string,
    { room, members, all, ask }: Extract<RoomFrame, { readonly type: 'present' }>,
    forwarder: string | null,
  ): void {
    const relay = this.#rosters.relayOf(room, state, from, null);
    if (relay === null) return this.#options.drops.count('mesh.present.tooManyRelays');
    if (all === true) {
      // Whichever way the answer came.
      relay.asked = null;
      if (forwarder !== null) relay.silentBy.delete(forwarder);
    }
    const before = new Set(all === true ? relay.roster.keys() : []);
    for (const { peer, presence } of members) {
      before.delete(peer);
      const known = relay.roster.get(peer);
      const drop = this.#rosters.setMember(room, state, relay, peer, presence);
      if (drop !== null) {
        this.#options.drops.count(`mesh.present.${drop}`);
        break;
      }
      if (this.#news.announce(now, from, room, peer)) continue;
      // As if it had not been said: a digest that differs brings it again.
      this.#options.drops.count('mesh.present.tooMuchWaits');
      if (known === undefined) relay.roster.delete(peer);
      else relay.roster.set(peer, known);
    }
    for (const peer of before) {
      relay.roster.delete(peer);
      // A long list goes on in the next frame.
      this.#news.postpone(from, room, peer);
    }
    if (ask === true) {
      relay.advertised.clear();
      if (relay.pendingSync === 'none') relay.pendingSync = 'send';
    }
    // A whole list answers what we may have wanted to ask.
    if (all === true && relay.pendingSync === 'exchange') relay.pendingSync = 'send';
    this.advertise(now, room, state, from, relay);
    this.#rosters.updateSuspicion(now, from, relay);
  }

  handleAbsent(
    now: Instant,
    state: RoomState,
    from: string,
    { room, peers }: Extract<RoomFrame, { readonly type: 'absent' }>,
  ): void {
    const relay = state.relays.get(from);
    if (relay === undefined) return;
    for (const peer of peers)
      if (relay.roster.delete(peer)) this.#news.announce(now, from, room, peer);
    // It was not told of those of our members that it had itself.
    this.advertise(now, room, state, from, relay);
    this.#rosters.updateSuspicion(now, from, relay);
  }

  handleCheck(
    now: Instant,
    state: RoomState,
    from: string,
    { room, digest }: Extract<RoomFrame, { readonly type: 'check' }>,
  ): void {
    const relay = this.#rosters.relayOf(room, state, from, null);
    if (relay?.checks.take(now) !== true || this.#digestOf(relay.roster) === digest) return;
    this.#options.drops.count('mesh.check.differs');
    relay.pendingSync = 'exchange';
    this.advertise(now, room, state, from, relay);
  }

  /** Does what is due with the relays of a room. */
  update(now: Instant, room: string, state: RoomState): void {
    for (const [nk, relay] of state.relays) {
      if (relay.suspectAt !== null && now - relay.suspectAt >= REMOTE_RELAY_GRACE_MS)
        this.#rosters.drop(room, state, nk);
      else if (relay.asked !== null && now - relay.asked.at >= ANSWER_MS)
        this.#askByOthers(now, room, state, nk, relay);
      else if (relay.pendingSync !== 'none') this.advertise(now, room, state, nk, relay);
      else if (relay.checkAt <= now) this.#check(now, room, state, nk, relay);
    }
  }

  /** No answer: whoever was to forward the question may lose what it is given. */
  #askByOthers(now: Instant, room: string, state: RoomState, nk: string, relay: RemoteRelay): void {
    this.#options.drops.count('mesh.forward.unanswered');
    for (const by of relay.asked?.by ?? []) relay.silentBy.add(by);
    relay.asked = null;
    relay.pendingSync = 'exchange';
    this.advertise(now, room, state, nk, relay);
  }

  #check(now: Instant, room: string, state: RoomState, nk: string, relay: RemoteRelay): void {
    relay.checkAt = later(now, CHECK_MS * (0.75 + this.#options.random() / 2));
    const digest = this.#digestOf(relay.advertised);
    this.#routes.route(nk, state, { type: 'check', room, digest });
  }

  #digestOf(members: Iterable<readonly [peer: string, presence: string]>): string {
    const lines = [...members].map(([peer, presence]) => `${peer} ${presence}\n`).toSorted();
    return toHex(this.#options.hash('sha256', utf8Encode(lines.join(''))).subarray(0, 8));
  }
}

function listBytesOf({ local }: RoomState): number {
  let bytes = LIST_FRAME_BYTES;
  for (const [peer, presence] of local) bytes += MEMBER_FRAME_BYTES + peer.length + presence.length;
  return Math.min(bytes, LIST_BYTES_BURST);
}

/** What the first `present` frame of a list says. */
const FLAGS = {
  none: {},
  send: { all: true },
  exchange: { all: true, ask: true },
} as const satisfies Record<RemoteRelay['pendingSync'], object>;
