import { type Instant, dropOldest, later } from '@lumamesh/base';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { DIRECTORY_LIMITS, MAX_AGE_SECONDS } from './directory-limits.ts';

/**
 * One of those that died is asked this often whether it is back: how the halves of a network find
 * each other again.
 */
const REVIVAL_MS = 2000;

/** The last records of relays that do not answer any more, by node key. */
export class Tombstones {
  readonly #records = new Map<string, SignedRelayRecord>();
  #reviveAt: Instant | null = null;

  get size(): number {
    return this.#records.size;
  }

  records(): SignedRelayRecord[] {
    return [...this.#records.values()];
  }

  add(record: SignedRelayRecord): void {
    dropOldest(this.#records, DIRECTORY_LIMITS.maxTombstones);
    this.#records.set(record.nk, record);
  }

  delete(nk: string): void {
    this.#records.delete(nk);
  }

  /**
   * Now and then, one that is to be asked again; those that are too old are forgotten.
   * @param random a number in [0, 1)
   */
  due(now: Instant, unixSeconds: number, random: () => number): SignedRelayRecord | null {
    if (this.#records.size === 0 || (this.#reviveAt !== null && now < this.#reviveAt)) return null;
    this.#reviveAt = later(now, REVIVAL_MS);
    const records = this.records();
    const record = records[Math.floor(random() * records.length)];
    if (record === undefined) return null;
    if (record.sequence >= unixSeconds - MAX_AGE_SECONDS) return record;
    this.#records.delete(record.nk);
    return null;
  }
}
