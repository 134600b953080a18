import { type Instant, TokenBucket, instant } from '@lumamesh/base';
import type { RoomMember } from '@lumamesh/protocol';
import { acrossNetworks } from './crowding.ts';
import type { FairShare } from './fair-share.ts';
import { MESH_LIMITS } from './mesh-frame.ts';
import { Roster } from './roster.ts';

/** Bytes of presence in one `present` frame. */
const MAX_PRESENT_BYTES = 90_000;
/**
 * Whole lists that one relay is sent of a room: a reloaded page makes its relay ask again, a
 * hostile relay as often as it likes.
 */
const LISTS_PER_SECOND = 0.2;
const LISTS_BURST = 10;

/** Versions of one peer's presence that are told, where relays say different things of it. */
const MAX_PRESENCES = 3;

/** Another relay that has members in a room where we have some. */
export interface RemoteRelay {
  /** The network of its address; empty while its record is not known. */
  readonly prefix: string;
  /**
   * The homes that name it as a reporter of the room; this relay's own key when it is a home
   * itself.
   */
  readonly vouchedBy: Set<string>;
  /** Its members, by peer id, with their presence, as it told us. */
  readonly roster: Roster;
  /** Our members that it was told of, with that presence: what its roster of us should be. */
  readonly advertised: Map<string, string>;
  /** The whole list that is due to it: `exchange` also asks for its own. */
  pendingSync: 'none' | 'send' | 'exchange';
  /** Whole lists that may be sent to it, and digests of its that are compared. */
  readonly lists: TokenBucket;
  readonly checks: TokenBucket;
  /** Who was asked to forward a question to it that has no answer yet. */
  asked: { readonly by: readonly string[]; readonly at: Instant } | null;
  /** Forwarders by which no answer came. */
  readonly silentBy: Set<string>;
  checkAt: Instant;
  /** Since when nothing shows that it is still there; it is dropped when that lasts. */
  suspectAt: Instant | null;
}

/** Nothing is known of it yet, so everything is asked. */
export function makeRemoteRelay(nk: string, prefix: string, share: FairShare<string>): RemoteRelay {
  return {
    prefix,
    vouchedBy: new Set(),
    roster: new Roster(nk, share),
    advertised: new Map(),
    pendingSync: 'exchange',
    lists: new TokenBucket(LISTS_PER_SECOND, LISTS_BURST),
    checks: new TokenBucket(LISTS_PER_SECOND, LISTS_BURST),
    asked: null,
    silentBy: new Set(),
    checkAt: instant(0),
    suspectAt: null,
  };
}

/** A room in which this relay has members. */
export interface RoomState {
  /** Our members, by peer id, with their presence. */
  readonly local: Map<string, string>;
  /** By node key. */
  readonly relays: Map<string, RemoteRelay>;
  /** Remote members, with the versions of their presence that the members here were last told. */
  readonly shown: Map<string, readonly string[]>;
  /** Of the client that brought the room; empty when it has left already. */
  readonly network: string;
  /** It is among the rooms that are reported. */
  hasPlace: boolean;
  isToldRefused: boolean;
  homes: readonly string[];
  /** Homes that hold a hint of ours. */
  readonly hinted: Set<string>;
  /** When the homes are to be chosen anew, and when the hints are to be repeated. */
  reviewAt: Instant;
  refreshAt: Instant;
}

export function makeRoomState(now: Instant, network: string): RoomState {
  return {
    network,
    hasPlace: false,
    isToldRefused: false,
    local: new Map(),
    relays: new Map(),
    shown: new Map(),
    homes: [],
    hinted: new Set(),
    reviewAt: now,
    refreshAt: now,
  };
}

/**
 * @returns What relays say of a peer: different presences, of different networks before others, a
 *   few at most.
 */
export function presencesAmong({ relays }: Pick<RoomState, 'relays'>, peer: string): string[] {
  const showing = [...relays.values()].filter(({ roster }) => roster.has(peer));
  const distinct = new Map<string, RemoteRelay>();
  for (const relay of showing) {
    const presence = relay.roster.get(peer) ?? '';
    if (!distinct.has(presence)) distinct.set(presence, relay);
  }
  if (distinct.size <= MAX_PRESENCES) return [...distinct.keys()];
  const prefixOf = (presence: string): string => distinct.get(presence)?.prefix ?? '';
  return acrossNetworks(distinct.keys(), MAX_PRESENCES, prefixOf);
}

/**
 * @returns Whether a relay lacks this about one of our members: it needs nothing of those that it
 * has itself.
 */
export function lacksMember(relay: RemoteRelay, peer: string, presence: string): boolean {
  return !relay.roster.has(peer) && relay.advertised.get(peer) !== presence;
}

/** @returns The members in as few `present` frames as hold them. */
export function batchesOf(
  members: readonly (readonly [peer: string, presence: string])[],
): RoomMember[][] {
  const batches: RoomMember[][] = [];
  let bytes = Infinity;
  for (const [peer, presence] of members) {
    const last = batches.at(-1);
    if (
      last === undefined ||
      last.length >= MESH_LIMITS.maxMembers ||
      bytes + presence.length > MAX_PRESENT_BYTES
    ) {
      batches.push([{ peer, presence }]);
      bytes = 0;
    } else last.push({ peer, presence });
    bytes += presence.length + 80;
  }
  return batches;
}
