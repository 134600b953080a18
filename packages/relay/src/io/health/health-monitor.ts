import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { RelayServer } from '../relay-server.ts';
import type { EventLoopDelay } from '../relay-stats.ts';
import { type HealthFacts, judgeHealth } from './judge-health.ts';

/**
 * Coarse, so that an idle relay on a small machine is woken ten times a second and not a hundred.
 */
const DELAY_RESOLUTION_MS = 100;
const CHECK_INTERVAL_MS = 10_000;
const CHECK_TIMEOUT_MS = 2000;
const NANOSECONDS_PER_MS = 1e6;

/**
 * Watches a relay from its own machine: asks its UDP port as a stranger would, and sees how long
 * its event loop is held up.
 */
export class HealthMonitor {
  readonly #relay: RelayServer;
  readonly #delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
  readonly #timer: NodeJS.Timeout;
  #failures = 0;
  #aloneSinceMs: number | null = null;
  /**
   * Of the interval that has just ended: one bad minute must not be held against a relay for days.
   */
  #last: EventLoopDelay = { p50Ms: 0, p99Ms: 0, maxMs: 0 };

  constructor(relay: RelayServer) {
    this.#relay = relay;
    this.#delay.enable();
    this.#timer = setInterval(() => void this.#look(), CHECK_INTERVAL_MS);
    this.#timer.unref();
  }

  get eventLoop(): EventLoopDelay {
    return this.#last;
  }

  /** Why the relay is not well; empty when it is. */
  get reasons(): readonly string[] {
    return judgeHealth(this.#facts());
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#delay.disable();
  }

  #facts(): HealthFacts {
    const { isClosing, isResting, conflictAgeMs, isUnreached, machine } = this.#relay.condition;
    const aloneMs = this.#aloneSinceMs === null ? 0 : Date.now() - this.#aloneSinceMs;
    return {
      isClosing,
      conflictAgeMs,
      failedSelfChecks: this.#failures,
      eventLoopP99Ms: this.#last.p99Ms,
      aloneMs,
      isUnreached,
      isResting,
      machine,
    };
  }

  async #look(): Promise<void> {
    const ms = (nanoseconds: number): number =>
      Math.max(0, Math.round((nanoseconds / NANOSECONDS_PER_MS - DELAY_RESOLUTION_MS) * 10) / 10);
    this.#last = {
      p50Ms: ms(this.#delay.percentile(50)),
      p99Ms: ms(this.#delay.percentile(99)),
      maxMs: ms(this.#delay.max),
    };
    this.#delay.reset();
    this.#aloneSinceMs =
      this.#relay.condition.meshLinks === 0 ? (this.#aloneSinceMs ?? Date.now()) : null;
    const check = await this.#relay.checkSelf(CHECK_TIMEOUT_MS);
    if (check === 'answered') this.#failures = 0;
    else if (check === 'unanswered') this.#failures += 1;
  }
}
