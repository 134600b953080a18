import { type Instant, TokenBucket } from '@lumamesh/base';
import { type Source, SourceBudget } from '@lumamesh/transport';

/** A relay asks every few hours when all is well, and every few minutes while it is looked for. */
const OF_SOURCE = { perSecond: 1 / 30, burst: 4 };
/** Each holds a socket for some seconds. */
const MAX_RUNNING = 4;
const SECONDS_PER_MINUTE = 60;

export type DialBackCharge = 'taken' | 'off' | 'running' | 'sourceExceeded' | 'othersExceeded';

/**
 * What relays may ask to be dialled back. Who asks has proven its address, and that one is dialled
 * and no other: nothing is gained by asking, and nobody else is reached by it. All of it is
 * bounded: by source, by session and in all.
 */
export class DialBacks<Session> {
  readonly #bySource = new SourceBudget(OF_SOURCE);
  readonly #running = new Set<Session>();
  #perMinute: number;
  #all: TokenBucket;

  /** @param perMinute for all that ask; 0: none */
  constructor(perMinute: number) {
    this.#perMinute = perMinute;
    this.#all = bucketOf(perMinute);
  }

  setRate(perMinute: number): void {
    if (perMinute === this.#perMinute) return;
    this.#perMinute = perMinute;
    this.#all = bucketOf(perMinute);
  }

  /** Whether this session's relay may be dialled now; if so, {@link finish} is to follow. */
  take(now: Instant, session: Session, source: Source): DialBackCharge {
    if (this.#perMinute === 0) return 'off';
    if (this.#running.has(session)) return 'running';
    if (!this.#bySource.take(now, source)) return 'sourceExceeded';
    if (this.#running.size >= MAX_RUNNING || !this.#all.take(now)) return 'othersExceeded';
    this.#running.add(session);
    return 'taken';
  }

  /** @returns Whether one was running for this session. */
  finish(session: Session): boolean {
    return this.#running.delete(session);
  }
}

function bucketOf(perMinute: number): TokenBucket {
  return new TokenBucket(perMinute / SECONDS_PER_MINUTE, Math.max(1, perMinute / 4));
}
