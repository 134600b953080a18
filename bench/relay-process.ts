import { RelayServer, readConfig, silentLogger } from '@lumamesh/relay';

/* A relay in a process of its own that tells its parent what it used. */
const relay = await RelayServer.start(readConfig(process.env, {}), silentLogger);

let forcedGcMs = 0;

export interface Usage {
  /** What the forced collections of earlier measurements took of it. */
  readonly forcedGcMs: number;
  readonly userMs: number;
  readonly systemMs: number;
  readonly rssBytes: number;
  readonly heapBytes: number;
  readonly stats: Record<string, unknown>;
}

process.on('message', (message) => {
  if (message === 'usage') {
    const { user, system } = process.cpuUsage();
    // Memory is compared as what is in use, not as what the collector has not looked at yet. Its own time counts for neither side.
    globalThis.gc?.();
    globalThis.gc?.();
    const { rss, heapUsed, external } = process.memoryUsage();
    const usage: Usage = { forcedGcMs, userMs: user / 1000, systemMs: system / 1000, rssBytes: rss, heapBytes: heapUsed + external, stats: relay.stats() };
    const afterGc = process.cpuUsage();
    forcedGcMs += (afterGc.user + afterGc.system - user - system) / 1000;
    process.send?.(usage);
  } else if (message === 'quit') process.exit(0);
});
process.send?.(relay.record);
