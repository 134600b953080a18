/** Waiting times that double from `initialMs` to `maxMs`, each varied to between half and all of it (so that a crowd does not return at once). */
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
    const full = Math.min(this.#initialMs * 2 ** this.#attempt, this.#maxMs);
    this.#attempt += 1;
    return full * (0.5 + this.#random() / 2);
  }

  reset(): void {
    this.#attempt = 0;
  }
}
