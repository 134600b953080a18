import { type Instant, instant } from '@lumamesh/base';

/** The process's monotonic clock. */
export function monotonicNow(): Instant {
  return instant(performance.now());
}

/**
 * Wake-ups fall on multiples of this: a busy endpoint has a deadline every fraction of a
 * millisecond, and waking for each would cost more than the work. No timer of ours minds: the
 * shortest is 20 ms, and delayed acknowledgements are set early enough.
 */
const GRANULARITY_MS = 10;

/** One `setTimeout` for a whole endpoint: it is moved only when the next deadline comes closer. */
export class Alarm {
  readonly #onDue: () => void;
  #timer: NodeJS.Timeout | null = null;
  #at: Instant | null = null;
  #isStopped = false;

  constructor(onDue: () => void) {
    this.#onDue = onDue;
  }

  /**
   * Makes sure that `onDue` is called at `at`, up to {@link GRANULARITY_MS} later, or for an
   * earlier deadline; each call is asked to set the alarm again. Does nothing after {@link stop}.
   */
  set(at: Instant | null): void {
    if (this.#isStopped || at === null || (this.#at !== null && this.#at <= at)) return;
    const slot = instant(Math.ceil(at / GRANULARITY_MS) * GRANULARITY_MS);
    if (this.#at === slot) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#at = slot;
    this.#timer = setTimeout(
      () => {
        this.#timer = null;
        this.#at = null;
        this.#onDue();
      },
      Math.max(0, Math.ceil(slot - monotonicNow())),
    );
  }

  clear(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#at = null;
  }

  /** For good: whoever owns it is closed, and what is still on its way to it sets nothing. */
  stop(): void {
    this.#isStopped = true;
    this.clear();
  }
}
