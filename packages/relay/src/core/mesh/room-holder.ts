import { type Instant, TokenBucket, instant } from '@lumamesh/base';
import type { RoomMember } from '@lumamesh/protocol';
import { MESH_LIMITS } from './mesh-frame.ts';

/** Bytes of presence in one `present` frame. */
const MAX_PRESENT_BYTES = 90_000;
/** Whole lists that one holder of a room is sent: a reloaded page makes its relay ask again, a hostile relay as often as it likes. */
const LISTS_PER_SECOND = 0.2;
const LISTS_BURST = 10;

/** Another relay that has members in a room where we have some. */
export interface Holder {
  /** The homes that say so; this relay's own key when it is a home itself. */
  readonly saidBy: Set<string>;
  /** Its members, as it told us. */
  readonly roster: Map<string, string>;
  /** Our members that it was told of, with the presence it was told: what its roster of us should be. */
  readonly told: Map<string, string>;
  /** A whole list is due: `ask` also wants the other's. */
  owes: 'nothing' | 'all' | 'ask';
  /** Whole lists that may be sent to it. */
  readonly lists: TokenBucket;
  checkAt: Instant;
  /** Nothing shows that it is still there; dropped when that lasts. */
  doubtedAt: Instant | null;
}

/** Nothing is known of it yet, so everything is asked. */
export function makeHolder(): Holder {
  const lists = new TokenBucket(LISTS_PER_SECOND, LISTS_BURST);
  return {
    saidBy: new Set(),
    roster: new Map(),
    told: new Map(),
    owes: 'ask',
    lists,
    checkAt: instant(0),
    doubtedAt: null,
  };
}

/** What any of these relays says of a peer. */
export function presenceAmong(
  holders: ReadonlyMap<string, Holder>,
  peer: string,
): string | undefined {
  for (const { roster } of holders.values()) {
    const presence = roster.get(peer);
    if (presence !== undefined) return presence;
  }
  return undefined;
}

/** Whether a holder lacks this about one of our members: it needs nothing of those that it has itself. */
export function isToTell(holder: Holder, peer: string, presence: string): boolean {
  return !holder.roster.has(peer) && holder.told.get(peer) !== presence;
}

/** As few frames as hold them. */
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
