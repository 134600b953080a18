import { type Source, SourceCounts } from '@lumamesh/transport';

export interface PlaceLimits {
  readonly maxSessions: number;
  /** Of one address. */
  readonly maxSessionsPerHost: number;
  readonly maxSessionsPerNetwork: number;
}

/** Why there is no place for a session. */
export interface PlaceRefusal {
  readonly message: string;
  /** Whose sessions have taken all that they may have. */
  readonly of: 'relay' | 'address' | 'network';
}

/** How many sessions come from where. */
export class SourcePlaces {
  readonly #bySource = new SourceCounts();
  #sessions = 0;

  /** @returns Why there is no place for one more session of this source, or `null`. */
  refusal(source: Source, limits: PlaceLimits): PlaceRefusal | null {
    const noRoom = 'this relay has no room for another session';
    if (this.#sessions >= limits.maxSessions) return { message: noRoom, of: 'relay' };
    if (this.#bySource.ofHost(source) >= limits.maxSessionsPerHost)
      return { message: `${noRoom} of your address`, of: 'address' };
    return this.#bySource.ofNetwork(source) >= limits.maxSessionsPerNetwork
      ? { message: `${noRoom} of your network`, of: 'network' }
      : null;
  }

  change(source: Source, by: 1 | -1): void {
    this.#sessions += by;
    this.#bySource.change(source, by);
  }
}
