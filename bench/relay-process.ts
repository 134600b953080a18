import { RelayServer, readConfig, silentLogger } from '@lumamesh/relay';

/* A relay in a process of its own that tells its parent what it used. */
const relay = await RelayServer.start(readConfig(process.env, {}), silentLogger);

export interface Usage {
  readonly userMs: number;
  readonly systemMs: number;
  readonly rssBytes: number;
  readonly heapBytes: number;
  readonly stats: Record<string, unknown>;
}

process.on('message', (message) => {
  if (message === 'usage') {
    // Memory is compared as what is in use, not as what the collector has not looked at yet.
    globalThis.gc?.();
    globalThis.gc?.();
    const { user, system } = process.cpuUsage();
    const { rss, heapUsed, external } = process.memoryUsage();
    const usage: Usage = { userMs: user / 1000, systemMs: system / 1000, rssBytes: rss, heapBytes: heapUsed + external, stats: relay.stats() };
    process.send?.(usage);
  } else if (message === 'quit') process.exit(0);
});
process.send?.(relay.record);
