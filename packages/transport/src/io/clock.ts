import { type Instant, instant } from '@lumamesh/base';

/** The process's monotonic clock. */
export function monotonicNow(): Instant {
  return instant(performance.now());
}

/** One `setTimeout` for a whole endpoint: it is moved only when the next deadline comes closer. */
export class Alarm {
  readonly #onDue: () => void;
  #timer: NodeJS.Timeout | null = null;
  #at: Instant | null = null;

  constructor(onDue: () => void) {
    this.#onDue = onDue;
  }

  /** Makes sure that `onDue` is called at `at` or a little earlier; an early call is asked to set the alarm again. */
  set(at: Instant | null): void {
    if (at === null || (this.#at !== null && this.#at <= at)) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#at = at;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#at = null;
      this.#onDue();
    }, Math.max(0, Math.ceil(at - monotonicNow())));
  }

  clear(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#at = null;
  }
}
