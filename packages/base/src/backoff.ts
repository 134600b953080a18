/** How long to wait after the `attempt`th failure (1 is the first): see {@link Backoff}. */
export function backoffMs(
  attempt: number,
  initialMs: number,
  maxMs: number,
  random: () => number,
): number {
  return Math.min(initialMs * 2 ** (attempt - 1), maxMs) * (0.5 + random() / 2);
}

/**
 * Waiting times that double from `initialMs` to `maxMs`, each varied to between half and all of it
 * (so that a crowd does not return at once).
 */
export class Backoff {
  readonly #initialMs: number;
  readonly #maxMs: number;
  readonly #random: () => number;
  #attempt = 0;

  /** @param random a number in [0, 1), like Math.random. */
  constructor(initialMs: number, maxMs: number, random: () => number) {
    this.#initialMs = initialMs;
    this.#maxMs = maxMs;
    this.#random = random;
  }

  nextMs(): number {
    this.#attempt += 1;
    return backoffMs(this.#attempt, this.#initialMs, this.#maxMs, this.#random);
  }

  reset(): void {
    this.#attempt = 0;
  }
}
