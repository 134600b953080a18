import { type Instant, TokenBucket, parseIp, toHex } from '@lumamesh/base';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { type RecordOrigin, isLocal } from './candidate.ts';
import { DIRECTORY_LIMITS } from './directory-limits.ts';
import { Groups } from './groups.ts';

/** A relay that has answered a check. */
export interface RelayEntry {
  readonly id: string;
  readonly record: SignedRelayRecord;
  readonly prefix: string;
  readonly origin: RecordOrigin;
  readonly addedAt: Instant;
  aliveAt: Instant;
  checkAt: Instant;
  /** Checks in a row that it did not answer: from the first on it is suspect. */
  failures: number;
  isChecking: boolean;
  /** What others say of it that is looked into. */
  readonly rumours: TokenBucket;
}

/** Whether the table has a place for a relay, and whose place that is. */
export type RelayPlace =
  | { readonly ok: true; readonly evict: RelayEntry | null }
  | { readonly ok: false; readonly reason: 'addressFull' | 'prefixFull' | 'full' };

const RUMOURS_PER_SECOND = 0.1;
const RUMOURS_BURST = 2;
/** A full prefix asks its stalest relay whether it still lives, this often at most. */
const EVICTION_TEST_MS = 60_000;

/**
 * The relays that are known, by node key, and how many there are of each network. Where a network or
 * the table is full, a newcomer takes the place of the last one of its most crowded part.
 */
export class RelayTable {
  readonly #entries = new Map<string, RelayEntry>();
  readonly #byEndpoint = new Map<string, RelayEntry>();
  readonly #byAddress = new Groups<RelayEntry>();
  readonly #byPrefix = new Groups<RelayEntry>();
  /** IPv6 only. */
  readonly #bySlash32 = new Groups<RelayEntry>();
  /** When a relay of a full prefix was last chosen to be tested. */
  readonly #evictionTests = new Map<string, Instant>();

  get size(): number {
    return this.#entries.size;
  }

  get(nk: string): RelayEntry | undefined {
    return this.#entries.get(nk);
  }

  values(): Iterable<RelayEntry> {
    return this.#entries.values();
  }

  /** @returns The relay that answered where a record of another key points. */
  holderOf(record: SignedRelayRecord): RelayEntry | undefined {
    for (const endpoint of endpointsOf(record)) {
      const holder = this.#byEndpoint.get(endpoint);
      if (holder !== undefined && holder.record.nk !== record.nk) return holder;
    }
    return undefined;
  }

  /** Adds a relay that is not in the table. */
  add(entry: RelayEntry): void {
    const { record, prefix } = entry;
    this.#entries.set(record.nk, entry);
    for (const endpoint of endpointsOf(record)) this.#byEndpoint.set(endpoint, entry);
    this.#byAddress.add(record.ip, entry);
    this.#byPrefix.add(prefix, entry);
    if (isIpv6(record)) this.#bySlash32.add(slash32(record.ip), entry);
  }

  delete(entry: RelayEntry): void {
    const { record } = entry;
    this.#entries.delete(record.nk);
    for (const endpoint of endpointsOf(record))
      if (this.#byEndpoint.get(endpoint) === entry) this.#byEndpoint.delete(endpoint);
    this.#byAddress.delete(entry);
    this.#byPrefix.delete(entry);
    this.#bySlash32.delete(entry);
  }

  /** Whether a prefix has as many relays as it may. */
  isFull(prefix: string, record: SignedRelayRecord): boolean {
    const max = isLocal(record)
      ? DIRECTORY_LIMITS.maxPerLocalPrefix
      : DIRECTORY_LIMITS.maxPerPrefix;
    return this.#byPrefix.sizeOf(prefix) >= max;
  }

  /**
   * Whether a relay has a place, whose network or address may have its share already.
   * @param known its entry with another record, which keeps its place
   */
  place(record: SignedRelayRecord, prefix: string, known: RelayEntry | undefined): RelayPlace {
    const { maxPerAddress, maxPerSlash32, maxRecords } = DIRECTORY_LIMITS;
    const isElsewhere = known?.record.ip !== record.ip && !isLocal(record);
    if (isElsewhere && this.#byAddress.sizeOf(record.ip) >= maxPerAddress)
      return { ok: false, reason: 'addressFull' };
    if (isElsewhere && isIpv6(record)) {
      const wide = slash32(record.ip);
      if (this.#bySlash32.sizeOf(wide) >= maxPerSlash32)
        return evicting('addressFull', this.#bySlash32.of(wide), this.#byPrefix, prefix);
    }
    if (known?.prefix !== prefix && this.isFull(prefix, record))
      return evicting('prefixFull', this.#byPrefix.of(prefix), this.#byAddress, record.ip);
    if (known === undefined && this.size >= maxRecords)
      return evicting('full', this.#byPrefix.largest(), this.#byPrefix, prefix);
    return { ok: true, evict: null };
  }

  /** @returns The relay of a full prefix that was last seen alive the longest ago, now and then. */
  dueForEvictionTest(now: Instant, prefix: string): RelayEntry | undefined {
    if ((this.#evictionTests.get(prefix) ?? -Infinity) > now - EVICTION_TEST_MS) return undefined;
    if (this.#evictionTests.size > DIRECTORY_LIMITS.maxRecords) this.#evictionTests.clear();
    this.#evictionTests.set(prefix, now);
    return [...this.#byPrefix.of(prefix)].toSorted((a, b) => a.aliveAt - b.aliveAt)[0];
  }

  /** For `/statsz`: relays by state, origin and age. */
  // Its type is what it holds: readers take from it what they know.
  stats(now: Instant) {
    const entries = [...this.#entries.values()];
    const count = (is: (entry: RelayEntry) => boolean): number => entries.filter(is).length;
    const youngerThan = (ms: number) => (entry: RelayEntry) => now - entry.addedAt < ms;
    return {
      known: entries.length,
      alive: count((entry) => entry.failures === 0),
      suspect: count((entry) => entry.failures > 0),
      prefixes: this.#byPrefix.size,
      byOrigin: Object.fromEntries(
        (['hello', 'gossip', 'sync', 'file'] as const).map((origin) => [
          origin,
          count((entry) => entry.origin === origin),
        ]),
      ),
      byAge: {
        underMinute: count(youngerThan(60_000)),
        underHour: count(youngerThan(3_600_000)),
        underDay: count(youngerThan(86_400_000)),
        total: entries.length,
      },
    };
  }
}

export function makeRumourBudget(): TokenBucket {
  return new TokenBucket(RUMOURS_PER_SECOND, RUMOURS_BURST);
}

/**
 * The place of one of `rivals`: of their most crowded part, where that has at least two more than the
 * newcomer's.
 */
function evicting(
  reason: 'addressFull' | 'prefixFull' | 'full',
  rivals: Iterable<RelayEntry>,
  parts: Groups<RelayEntry>,
  newcomersPart: string,
): RelayPlace {
  let victim: RelayEntry | null = null;
  let most = parts.sizeOf(newcomersPart) + 1;
  for (const rival of rivals) {
    const size = parts.sizeOf(parts.nameOf(rival));
    // Of those that are equally crowded the last.
    if (size < most || (size === most && victim === null)) continue;
    most = size;
    victim = rival;
  }
  return victim === null ? { ok: false, reason } : { ok: true, evict: victim };
}

function endpointsOf({ ip, ip6, port }: SignedRelayRecord): readonly string[] {
  return [ip, ...(ip6 === undefined ? [] : [ip6])].map((address) => `${address} ${port}`);
}

function isIpv6({ ip }: SignedRelayRecord): boolean {
  return ip.includes(':');
}

/** The first 32 bits of an IPv6 address. */
function slash32(ip: string): string {
  return toHex((parseIp(ip) ?? new Uint8Array(0)).subarray(0, 4));
}
