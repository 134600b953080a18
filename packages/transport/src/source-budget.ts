import { type Instant, TokenBucket, dropOldest } from '@lumamesh/base';
import type { Source } from './source.ts';

/** A network may do so many times what one address may. */
export const NETWORK_SHARE = 4;
const MAX_SOURCES = 4096;

export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/**
 * A rate limit for each source: its address has one, its network {@link NETWORK_SHARE} times that.
 * Sources that were quiet longest are forgotten first: forged ones push each other out.
 */
export class SourceBudget {
  readonly #hosts = new Map<string, TokenBucket>();
  readonly #networks = new Map<string, TokenBucket>();
  #rate: Rate;

  constructor(rate: Rate) {
    this.#rate = rate;
  }

  /** How many addresses and networks are remembered. */
  get size(): number {
    return this.#hosts.size + this.#networks.size;
  }

  /** From now on; what sources have used up is forgotten where the rate is another. */
  setRate(rate: Rate): void {
    if (rate.perSecond === this.#rate.perSecond && rate.burst === this.#rate.burst) return;
    this.#rate = rate;
    this.#hosts.clear();
    this.#networks.clear();
  }

  /**
   * Takes `amount` from the budgets of a source; more than a whole burst is as much as a burst.
   * @returns Whether both have it.
   */
  take(now: Instant, { host, network }: Source, amount = 1): boolean {
    const atMost = Math.min(amount, this.#rate.burst);
    return (
      this.#bucket(this.#hosts, host, 1).take(now, atMost) &&
      this.#bucket(this.#networks, network, NETWORK_SHARE).take(now, atMost)
    );
  }

  /** Whether {@link take} would take something. */
  has(now: Instant, { host, network }: Source): boolean {
    return (
      this.#bucket(this.#hosts, host, 1).take(now, 0, 1) &&
      this.#bucket(this.#networks, network, NETWORK_SHARE).take(now, 0, 1)
    );
  }

  #bucket(buckets: Map<string, TokenBucket>, key: string, share: number): TokenBucket {
    let bucket = buckets.get(key);
    if (bucket === undefined) {
      dropOldest(buckets, MAX_SOURCES);
      bucket = new TokenBucket(this.#rate.perSecond * share, this.#rate.burst * share);
    } else {
      // Who was heard of last matters when somebody has to be forgotten soon.
      if (buckets.size < MAX_SOURCES / 2) return bucket;
      buckets.delete(key);
    }
    buckets.set(key, bucket);
    return bucket;
  }
}
