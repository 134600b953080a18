import { type Source, SourceCounts } from '@lumamesh/transport';

export interface PlaceLimits {
  readonly maxSessions: number;
  /** Of one address. */
  readonly maxSessionsPerHost: number;
  readonly maxSessionsPerNetwork: number;
}

/** How many sessions come from where. */
export class SourcePlaces {
  readonly #bySource = new SourceCounts();
  #sessions = 0;

  /** @returns Why there is no place for one more session of this source, or `null`. */
  refusal(source: Source, limits: PlaceLimits): string | null {
    if (this.#sessions >= limits.maxSessions) return 'this relay has no room for another session';
    if (this.#bySource.ofHost(source) >= limits.maxSessionsPerHost)
      return 'this relay has no room for another session of your address';
    return this.#bySource.ofNetwork(source) >= limits.maxSessionsPerNetwork
      ? 'this relay has no room for another session of your network'
      : null;
  }

  change(source: Source, by: 1 | -1): void {
    this.#sessions += by;
    this.#bySource.change(source, by);
  }
}
