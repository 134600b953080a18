import { globSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { build } from 'esbuild';
import type { Browser, Page } from 'puppeteer-core';
import { launchBrowser, serveStrictPage } from '@lumamesh/testkit/browsers';
import { startRelay } from '../tests/browser/support.ts';

/*
 * `node bench/room-size.ts [members …]`: what a room of n costs, for each n. All members run in one
 * headless Chromium, some in a page, and meet through a relay of this process. Told is what it
 * takes until everybody is connected to everybody, first when all come at once, then when one more
 * comes; and what the room costs while nobody says anything. Needs an address besides loopback, as
 * the browser tests do.
 */
const SIZES = [2, 5, 10, 20, 40];
/** Chromium makes some 500 connections in a process, and each member has n - 1. */
const MEMBERS_PER_PAGE = 10;
const IDLE_MS = 20_000;
const TIMEOUT_MS = 240_000;
/** `sysconf(_SC_CLK_TCK)`, which is this on every Linux. */
const TICKS_PER_SECOND = 100;

const PAGE_SCRIPT = `
import { connect } from 'lumamesh';
const nets = [];
const peers = new Set();
let leaves = 0;
globalThis.join = (relay, count) => {
  for (let i = 0; i < count; i++) {
    const net = connect({ relays: [relay], discover: false, storage: null });
    const room = net.joinRoom('bench', { nick: String(i), forward: false });
    room.on('peer', (peer) => peer.on('open', () => peers.add(peer)));
    room.on('leave', (peer) => { leaves += 1; peers.delete(peer); });
    nets.push(net);
  }
};
globalThis.count = () => peers.size;
globalThis.leaves = () => leaves;
`;

interface Usage {
  readonly cpuSeconds: number;
  readonly megabytes: number;
}

/**
 * CPU so far of the browser's processes, and the memory that they have written to and share with
 * nobody.
 */
function usageOf(browser: Browser): Usage {
  const parents = new Map<number, number>();
  const ticks = new Map<number, number>();
  for (const path of globSync('/proc/[0-9]*/stat')) {
    try {
      const text = readFileSync(path, 'utf8');
      // Behind the name, which may contain anything: state, parent, …
      const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
      const pid = Number.parseInt(text, 10);
      parents.set(pid, Number(fields[1]));
      ticks.set(pid, Number(fields[11]) + Number(fields[12]));
    } catch {
      // Gone meanwhile.
    }
  }
  const root = browser.process()?.pid ?? -1;
  const isOurs = (pid: number): boolean =>
    pid === root || (parents.has(pid) && isOurs(parents.get(pid) ?? 0));
  const ours = [...parents.keys()].filter(isOurs);
  const kilobytes = ours.map((pid) => {
    try {
      return Number(
        /^Private_Dirty:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ??
          0,
      );
    } catch {
      return 0;
    }
  });
  const sum = (values: readonly number[]): number =>
    values.reduce((total, value) => total + value, 0);
  return {
    cpuSeconds: sum(ours.map((pid) => ticks.get(pid) ?? 0)) / TICKS_PER_SECOND,
    megabytes: sum(kilobytes) / 1024,
  };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function total(pages: readonly Page[], method: 'count' | 'leaves'): Promise<number> {
  const counts = (await Promise.all(
    pages.map((page) => page.evaluate(`globalThis.${method}()`)),
  )) as number[];
  return counts.reduce((sum, count) => sum + count, 0);
}

/**
 * Waits until there are so many open peers, seen from both sides; answers the milliseconds, or
 * `null` when they do not come.
 */
async function waitForPeers(pages: readonly Page[], wanted: number): Promise<number | null> {
  const startedAt = performance.now();
  while ((await total(pages, 'count')) < wanted) {
    if (performance.now() - startedAt > TIMEOUT_MS) return null;
    await pause(50);
  }
  return Math.round(performance.now() - startedAt);
}

const round = (value: number, digits = 1): number => Number(value.toFixed(digits));

async function measure(members: number, script: string): Promise<object> {
  const relay = await startRelay();
  const strictPage = await serveStrictPage(script);
  const browser = await launchBrowser('chromium');
  try {
    const pages: Page[] = [];
    for (let i = 0; i <= members / MEMBERS_PER_PAGE; i++) {
      const page = await (await browser.createBrowserContext()).newPage();
      await page.goto(strictPage.url);
      await page.waitForFunction('globalThis.join !== undefined');
      pages.push(page);
    }
    // The last page is for the one who comes later.
    const newcomer = pages.at(-1);
    await pause(15_000);
    const before = usageOf(browser);
    for (const [i, page] of pages.slice(0, -1).entries())
      await page.evaluate(
        `join(${JSON.stringify(relay.record)}, ${Math.min(MEMBERS_PER_PAGE, members - 1 - i * MEMBERS_PER_PAGE)})`,
      );
    if (pages.length === 1)
      await newcomer?.evaluate(`join(${JSON.stringify(relay.record)}, ${members - 1})`);
    const allAtOnceMs = await waitForPeers(pages, (members - 1) * (members - 2));
    const met = usageOf(browser);
    await pause(10_000);
    await newcomer?.evaluate(`join(${JSON.stringify(relay.record)}, 1)`);
    const newcomerMs = await waitForPeers(pages, members * (members - 1));
    await pause(10_000);
    const idle = usageOf(browser);
    await pause(IDLE_MS);
    const end = usageOf(browser);
    return {
      members,
      connections: (members * (members - 1)) / 2,
      allButOneAtOnceMs: allAtOnceMs,
      cpuSecondsUntilThen: round(met.cpuSeconds - before.cpuSeconds),
      oneMoreMs: newcomerMs,
      megabytes: Math.round(end.megabytes - before.megabytes),
      idleCpuMsPerSecondAndMember: round(
        ((end.cpuSeconds - idle.cpuSeconds) * 1000) / (IDLE_MS / 1000) / members,
      ),
      leaves: await total(pages, 'leaves'),
    };
  } finally {
    await browser.close();
    await strictPage.close();
    await relay.close();
  }
}

const bundle = await build({
  stdin: { contents: PAGE_SCRIPT, resolveDir: import.meta.dirname },
  bundle: true,
  write: false,
  format: 'esm',
  target: 'es2022',
});
process.stdout.write(
  `${cpus()[0]?.model ?? 'unknown'}, ${cpus().length} cores, node ${process.version}\n`,
);
const sizes = process.argv.slice(2).map(Number);
for (const members of sizes.length === 0 ? SIZES : sizes)
  process.stdout.write(
    `${JSON.stringify(await measure(members, bundle.outputFiles[0]?.text ?? ''))}\n`,
  );
