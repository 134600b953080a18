import type { Source } from '@lumamesh/transport';

export interface PlaceLimits {
  readonly maxSessions: number;
  /** Of one address. */
  readonly maxSessionsPerHost: number;
  readonly maxSessionsPerNetwork: number;
}

/** How many sessions come from where. */
export class SourcePlaces {
  readonly #counts = new Map<string, number>();
  #sessions = 0;

  /** @returns Why there is no place for one more session of this source, or `null`. */
  refusal({ host, network }: Source, limits: PlaceLimits): string | null {
    if (this.#sessions >= limits.maxSessions) return 'this relay has no room for another session';
    if ((this.#counts.get(`h${host}`) ?? 0) >= limits.maxSessionsPerHost)
      return 'this relay has no room for another session of your address';
    return (this.#counts.get(`n${network}`) ?? 0) >= limits.maxSessionsPerNetwork
      ? 'this relay has no room for another session of your network'
      : null;
  }

  change({ host, network }: Source, by: 1 | -1): void {
    this.#sessions += by;
    for (const key of [`h${host}`, `n${network}`]) {
      const count = (this.#counts.get(key) ?? 0) + by;
      if (count === 0) this.#counts.delete(key);
      else this.#counts.set(key, count);
    }
  }
}
