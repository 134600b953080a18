/**
 * What a decoder returns: input paths never throw. `drop` is a dotted reason such as
 * `stun.truncated`, counted by {@link DropCounters}.
 */
export type Decoded<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly drop: string };

export function decoded<T>(value: T): Decoded<T> {
  return { ok: true, value };
}

export function dropped(drop: string): { readonly ok: false; readonly drop: string } {
  return { ok: false, drop };
}

/**
 * How often input was dropped, by reason. Reasons are literals of the source, never text from the
 * wire, so the map is bounded.
 */
export class DropCounters {
  readonly #counts = new Map<string, number>();

  count(reason: string): void {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + 1);
  }

  get(reason: string): number {
    return this.#counts.get(reason) ?? 0;
  }

  /** All counters, sorted by reason. */
  snapshot(): Record<string, number> {
    return Object.fromEntries([...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}
