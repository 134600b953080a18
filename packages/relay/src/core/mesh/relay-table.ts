import { type Instant, parseIp, toHex } from '@lumamesh/base';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { type RecordOrigin, isLocal } from './candidate.ts';
import { DIRECTORY_LIMITS } from './directory-limits.ts';

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
}

/** A full prefix asks its stalest relay whether it still lives, this often at most. */
const EVICTION_TEST_MS = 60_000;

/** The relays that are known, by node key, and how many there are of each network. */
export class RelayTable {
  readonly #entries = new Map<string, RelayEntry>();
  readonly #perPrefix = new Map<string, number>();
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

  /** Adds a relay that is not in the table. */
  add(entry: RelayEntry): void {
    this.#entries.set(entry.record.nk, entry);
    this.#perPrefix.set(entry.prefix, (this.#perPrefix.get(entry.prefix) ?? 0) + 1);
  }

  delete(entry: RelayEntry): void {
    this.#entries.delete(entry.record.nk);
    const left = (this.#perPrefix.get(entry.prefix) ?? 1) - 1;
    if (left > 0) this.#perPrefix.set(entry.prefix, left);
    else this.#perPrefix.delete(entry.prefix);
  }

  /** Whether a prefix has as many relays as it may. */
  isFull(prefix: string, record: SignedRelayRecord): boolean {
    const max = isLocal(record)
      ? DIRECTORY_LIMITS.maxPerLocalPrefix
      : DIRECTORY_LIMITS.maxPerPrefix;
    return (this.#perPrefix.get(prefix) ?? 0) >= max;
  }

  /**
   * Why there is no place for a record: its prefix, or its address or IPv6 provider, has more
   * relays than anybody needs there; `null` when there is one. A known relay that stays keeps its
   * place.
   */
  crowding(
    record: SignedRelayRecord,
    prefix: string,
    known: RelayEntry | undefined,
  ): 'addressFull' | 'prefixFull' | null {
    if (this.#isCrowdedNear(record, known)) return 'addressFull';
    return known?.prefix !== prefix && this.isFull(prefix, record) ? 'prefixFull' : null;
  }

  /** @returns The relay of a full prefix that was last seen alive the longest ago, now and then. */
  dueForEvictionTest(now: Instant, prefix: string): RelayEntry | undefined {
    if ((this.#evictionTests.get(prefix) ?? -Infinity) > now - EVICTION_TEST_MS) return undefined;
    if (this.#evictionTests.size > DIRECTORY_LIMITS.maxRecords) this.#evictionTests.clear();
    this.#evictionTests.set(prefix, now);
    return [...this.#entries.values()]
      .filter((entry) => entry.prefix === prefix)
      .toSorted((a, b) => a.aliveAt - b.aliveAt)[0];
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
      prefixes: this.#perPrefix.size,
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

  #isCrowdedNear(record: SignedRelayRecord, known: RelayEntry | undefined): boolean {
    if (known?.record.ip === record.ip || isLocal(record)) return false;
    const isV6 = record.ip.includes(':');
    const wide = isV6 ? slash32(record.ip) : '';
    let sameAddress = 0;
    let sameNetwork = 0;
    for (const { record: other } of this.#entries.values()) {
      if (other.ip === record.ip) sameAddress += 1;
      if (isV6 && other.ip.includes(':') && slash32(other.ip) === wide) sameNetwork += 1;
    }
    return (
      sameAddress >= DIRECTORY_LIMITS.maxPerAddress || sameNetwork >= DIRECTORY_LIMITS.maxPerSlash32
    );
  }
}

/** The first 32 bits of an IPv6 address. */
function slash32(ip: string): string {
  return toHex((parseIp(ip) ?? new Uint8Array(0)).subarray(0, 4));
}
