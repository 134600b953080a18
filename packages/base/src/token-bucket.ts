import type { Instant } from './instant.ts';

/** A rate limit: `perSecond` tokens flow in, at most `burst` are held. */
export class TokenBucket {
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #at: Instant | null = null;

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#tokens = burst;
  }

  /**
   * Takes `amount` tokens if that many are there, and `spare` besides.
   * @returns Whether they were.
   */
  take(now: Instant, amount = 1, spare = 0): boolean {
    if (this.#at !== null && now > this.#at) {
      this.#tokens = Math.min(
        this.#burst,
        this.#tokens + ((now - this.#at) / 1000) * this.#perSecond,
      );
    }
    if (this.#at === null || now > this.#at) this.#at = now;
    if (this.#tokens < amount + spare) return false;
    this.#tokens -= amount;
    return true;
  }
}
