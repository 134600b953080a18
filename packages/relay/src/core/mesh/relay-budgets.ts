import { type Instant, TokenBucket, dropOldest } from '@lumamesh/base';

const MAX_RELAYS = 4096;

/**
 * A budget for each relay, linked or heard of by others, whichever rooms it is about. A link that
 * ends gives nothing back; the relay that was quiet longest is forgotten first.
 */
export class RelayBudgets {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
  }

  /** @returns Whether the relay had that much left; then it is taken. */
  take(now: Instant, nk: string, amount = 1): boolean {
    const bucket = this.#buckets.get(nk) ?? new TokenBucket(this.#perSecond, this.#burst);
    this.#buckets.delete(nk);
    dropOldest(this.#buckets, MAX_RELAYS);
    this.#buckets.set(nk, bucket);
    return bucket.take(now, amount);
  }
}
