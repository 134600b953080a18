/**
 * Tells counters that were not seen yet from those that were: what comes late is taken within a
 * window, what comes again never.
 */
const WINDOW = 64;

export class ReplayWindow {
  #highest = -1;
  readonly #seen = new Set<number>();

  /** Whether a counter is new; from now on it is not. */
  accept(counter: number): boolean {
    if (counter <= this.#highest - WINDOW || this.#seen.has(counter)) return false;
    this.#seen.add(counter);
    this.#highest = Math.max(this.#highest, counter);
    for (const old of this.#seen) if (old <= this.#highest - WINDOW) this.#seen.delete(old);
    return true;
  }
}
