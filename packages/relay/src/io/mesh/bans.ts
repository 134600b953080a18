import { dropOldest } from '@lumamesh/base';

/** Node keys and addresses that are not let in for a time. */
export class Bans {
  readonly #until = new Map<string, number>();
  readonly #maxEntries: number;

  constructor(maxEntries = 4096) {
    this.#maxEntries = maxEntries;
  }

  get size(): number {
    return this.#until.size;
  }

  add(nowMs: number, names: readonly string[], durationMs: number): void {
    for (const [name, until] of this.#until) if (until <= nowMs) this.#until.delete(name);
    for (const name of names) {
      dropOldest(this.#until, this.#maxEntries);
      this.#until.set(name, nowMs + durationMs);
    }
  }

  has(nowMs: number, name: string): boolean {
    return (this.#until.get(name) ?? 0) > nowMs;
  }
}
