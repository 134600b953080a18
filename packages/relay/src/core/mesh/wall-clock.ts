import type { Instant } from '@lumamesh/base';

/** The time of day, for what is signed with one; everything else is measured by {@link Instant}. */
export interface WallTime {
  /** @returns Unix time in whole seconds. */
  secondsAt(now: Instant): number;
}

/** Keeps what it was told as an offset to the monotonic clock. */
export class WallClock implements WallTime {
  #offsetSeconds: number;

  /** @param unixSeconds the time of day at `now` */
  constructor(now: Instant, unixSeconds: number) {
    this.#offsetSeconds = unixSeconds - now / 1000;
  }

  set(now: Instant, unixSeconds: number): void {
    this.#offsetSeconds = unixSeconds - now / 1000;
  }

  secondsAt(now: Instant): number {
    return Math.floor(this.#offsetSeconds + now / 1000);
  }
}
