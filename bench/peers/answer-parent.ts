import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createInterface } from 'node:readline';

/** What a peer in Node answers; one in Go knows `gcMs` only. */
export interface Answer {
  /** CPU that the collection before this answer took: it counts for nobody. */
  readonly gcMs: number;
  /** Since the answer before. */
  readonly loopDelayP99Ms?: number;
}

const RESOLUTION_MS = 1;

/**
 * Each line on standard input is answered by one, after the collector has left nothing that is not
 * in use; the process ends with its input.
 */
export function answerParent(): void {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  const lines = createInterface({ input: process.stdin });
  lines.on('line', () => {
    const loopDelayP99Ms = Math.max(0, delay.percentile(99) / 1e6 - RESOLUTION_MS);
    const before = process.cpuUsage();
    globalThis.gc?.();
    globalThis.gc?.();
    const { user, system } = process.cpuUsage(before);
    const answer: Answer = { gcMs: (user + system) / 1000, loopDelayP99Ms };
    process.stdout.write(`${JSON.stringify(answer)}\n`);
    delay.reset();
  });
  lines.on('close', () => process.exit(0));
}
