import { LumameshError, TokenBucket } from '@lumamesh/base';
import type { Platform } from '../../platform/platform.ts';

/** A relay takes 500 frames a second of all that a page says, unless its operator says otherwise. */
const PER_SECOND = 100;
const BURST = 500;
const MAX_WAITING = 1000;
const LOOK_MS = 50;

/** What a page signals by itself, as fast as relays take it: what is more waits. */
export class SignalPace {
  readonly #platform: Platform;
  readonly #bucket = new TokenBucket(PER_SECOND, BURST);
  readonly #waiting: (() => void)[] = [];
  #cancel: (() => void) | null = null;

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  /** Resolves when it is one's turn. Throws `TOO_MUCH_PENDING`. */
  _take(): Promise<void> {
    if (this.#waiting.length >= MAX_WAITING)
      throw new LumameshError('TOO_MUCH_PENDING', `${MAX_WAITING} signals wait already`);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    if (this.#cancel === null) this.#serve();
    return promise;
  }

  /** It is everybody's turn: nothing that is said now is sent. */
  _close(): void {
    this.#cancel?.();
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #serve(): void {
    this.#cancel = null;
    while (this.#waiting.length > 0 && this.#bucket.take(this.#platform.now()))
      this.#waiting.shift()?.();
    if (this.#waiting.length > 0)
      this.#cancel = this.#platform.setTimer(LOOK_MS, () => this.#serve());
  }
}
