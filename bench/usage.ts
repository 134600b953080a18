/* What a measured relay tells its parent, whatever it is built on. */
let forcedGcMs = 0;

export interface Usage {
  /** What the forced collections of earlier measurements took of it. */
  readonly forcedGcMs: number;
  readonly userMs: number;
  readonly systemMs: number;
  readonly rssBytes: number;
  readonly heapBytes: number;
}

/**
 * CPU so far and memory in use: as what the collector leaves, not as what it has not looked at yet.
 * Its own time counts for neither side.
 */
function measureUsage(): Usage {
  const { user, system } = process.cpuUsage();
  globalThis.gc?.();
  globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  const usage: Usage = {
    forcedGcMs,
    userMs: user / 1000,
    systemMs: system / 1000,
    rssBytes: rss,
    heapBytes: heapUsed + external,
  };
  const afterGc = process.cpuUsage();
  forcedGcMs += (afterGc.user + afterGc.system - user - system) / 1000;
  return usage;
}

/** Answers the parent's questions, and ends on `quit`. */
export function answerParent(): void {
  process.on('message', (message) => {
    if (message === 'usage') process.send?.(measureUsage());
    else if (message === 'quit') process.exit(0);
  });
}
