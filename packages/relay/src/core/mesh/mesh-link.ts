import {
  type Instant,
  TokenBucket,
  addressPrefix,
  isCanonicalIp,
  later,
  scopeOf,
} from '@lumamesh/base';

/** What one link may still ask of us; each of these costs more than its frame. */
interface LinkBudgets {
  /** Frames that could not be taken. */
  readonly strikes: TokenBucket;
  readonly syncs: TokenBucket;
  /** Relays that it suspects: each one may cost a check. */
  readonly suspects: TokenBucket;
  /** Each one may cost a check. */
  readonly hellos: TokenBucket;
  /** Rooms that it hints or takes back; ten thousand at once is a relay that has just started. */
  readonly hints: TokenBucket;
  /** What its hints make us tell others. */
  readonly news: TokenBucket;
  /** Frames that it forwards: each one may cost the verification of a signature. */
  readonly forwarded: TokenBucket;
}

/** A link to another relay: the one record of it, which the mesh core keeps and policies read. */
export interface MeshLink {
  readonly nk: string;
  readonly isOutbound: boolean;
  /** The IP address of the other end, and its /24 or /48; empty when it is none. */
  readonly address: string;
  readonly prefix: string;
  /** Of loopback or a private network, where many relays share a prefix. */
  readonly isLocal: boolean;
  readonly openedAt: Instant;
  readonly budgets: LinkBudgets;
  /** `host:port` that was dialled for it. */
  place: string | null;
  /** The record in their hello. */
  recordId: string | null;
  /** Their record answered, and we said so. */
  isReady: boolean;
  /** They said so of ours. */
  remoteReady: boolean;
  /** We are hanging up. */
  isEnding: boolean;
  /** When the sets of records are compared next, and how long to wait then. */
  syncAt: Instant;
  syncMs: number;
}

const STRIKES_BURST = 10;
const STRIKES_PER_SECOND = 0.1;
const SYNCS_PER_SECOND = 5;
const SYNCS_BURST = 40;
const SUSPECTS_PER_SECOND = 1;
const SUSPECTS_BURST = 64;
const HELLOS_PER_SECOND = 1 / 60;
const HELLOS_BURST = 3;
const HINTS_PER_SECOND = 200;
const HINTS_BURST = 25_000;
const NEWS_PER_SECOND = 500;
const NEWS_BURST = 100_000;
const FORWARDED_PER_SECOND = 200;
const FORWARDED_BURST = 4000;
/**
 * Sets are compared when a link comes up, once more when gossip has had time to begin on it, and
 * rarely afterwards.
 */
const SYNC_FIRST_MS = 3000;

export function makeMeshLink(
  now: Instant,
  nk: string,
  isOutbound: boolean,
  address: string,
): MeshLink {
  const isAddress = isCanonicalIp(address);
  return {
    nk,
    isOutbound,
    address,
    prefix: isAddress ? addressPrefix(address) : '',
    isLocal: isAddress && scopeOf(address) !== 'public',
    openedAt: now,
    budgets: {
      strikes: new TokenBucket(STRIKES_PER_SECOND, STRIKES_BURST),
      syncs: new TokenBucket(SYNCS_PER_SECOND, SYNCS_BURST),
      suspects: new TokenBucket(SUSPECTS_PER_SECOND, SUSPECTS_BURST),
      hellos: new TokenBucket(HELLOS_PER_SECOND, HELLOS_BURST),
      hints: new TokenBucket(HINTS_PER_SECOND, HINTS_BURST),
      news: new TokenBucket(NEWS_PER_SECOND, NEWS_BURST),
      forwarded: new TokenBucket(FORWARDED_PER_SECOND, FORWARDED_BURST),
    },
    place: null,
    recordId: null,
    isReady: false,
    remoteReady: false,
    isEnding: false,
    syncAt: later(now, SYNC_FIRST_MS),
    syncMs: SYNC_FIRST_MS,
  };
}

/** Whether both sides take everything from each other. */
export function isUsable(link: MeshLink | undefined): boolean {
  return link !== undefined && link.isReady && link.remoteReady;
}
