import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import type { Browser, BrowserContext, Page } from 'puppeteer-core';
import { encodeRecordLine } from '@lumamesh/protocol';
import { launchBrowser, serveStrictPage } from '@lumamesh/testkit/browsers';
import { startRelay } from '../tests/browser/support.ts';
import { startSignaling } from './peers/y-webrtc-signaling.ts';

/*
 * `npm run bench:yjs -- [--rounds 3] [--members 5] [--kilobytes 345] [--json FILE]`: a document in so
 * many pages of one headless Chromium, each with storage and tabs of its own, kept the same by
 * @lumamesh/yjs and by y-webrtc, by turns. Each has its introductions on this machine (a relay, a
 * WebSocket server) and no other ICE server. Told is what all pages together have sent, to
 * each other and to relay or server (messages, bytes), and how long it took until all had the same.
 */
const LIMIT_MS = 60_000;
const EDITS = 100;
/** Pages that are not in front are not held back: neither of the two is. */
const AWAKE = [
  '--disable-background-timer-throttling',
  '--disable-renderer-backgrounding',
  '--disable-backgrounding-occluded-windows',
];
const POLICY = "default-src 'none'; script-src 'unsafe-inline'; connect-src *";

const PAGE_SCRIPT = `
import * as Y from 'yjs';
import { WebrtcProvider } from 'y-webrtc';
import { connect } from 'lumamesh';
import { LumameshProvider } from '@lumamesh/yjs';
const counts = { messages: 0, bytes: 0 };
for (const { prototype } of [RTCDataChannel, WebSocket]) {
  const { send } = prototype;
  prototype.send = function (data) {
    counts.messages += 1;
    counts.bytes += data.length ?? data.byteLength ?? data.size;
    return send.call(this, data);
  };
}
const doc = new Y.Doc();
const text = doc.getText('text');
globalThis.counts = () => ({ ...counts });
globalThis.length = () => text.length;
globalThis.start = (name, where) => {
  if (name === 'y-webrtc')
    globalThis.provider = new WebrtcProvider('bench', doc, { signaling: [where], maxConns: 100, peerOpts: { config: { iceServers: [] } } });
  else
    globalThis.provider = new LumameshProvider(doc, { net: connect({ relays: [where], storage: null, discover: false }), name: 'bench' });
};
globalThis.fill = (bytes) => doc.transact(() => {
  const part = 'all work and no play makes jack a dull boy ';
  while (text.length < bytes) text.insert(text.length, part);
});
globalThis.edit = async (count) => {
  for (let i = 0; i < count; i++) {
    text.insert(0, 'x');
    if (i % 10 === 9) await new Promise((resolve) => setTimeout(resolve, 100));
  }
};
`;

interface Result {
  readonly case: string;
  readonly provider: string;
  readonly ms: number | null;
  readonly messages: number;
  readonly bytes: number;
}

interface Counts {
  readonly messages: number;
  readonly bytes: number;
}

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    members: { type: 'string', default: '5' },
    kilobytes: { type: 'string', default: '345' },
    json: { type: 'string' },
  },
});
const members = Number(values.members);
const results: Result[] = [];

async function total(pages: readonly Page[]): Promise<Counts> {
  const all = await Promise.all(
    pages.map(async (page) => page.evaluate('counts()') as Promise<Counts>),
  );
  const sum = (name: keyof Counts): number => all.reduce((so, counts) => so + counts[name], 0);
  return { messages: sum('messages'), bytes: sum('bytes') };
}

/** Until all pages have a text of this length; `null` when they have not within a minute. */
async function untilLength(pages: readonly Page[], length: number): Promise<number | null> {
  const startedAt = performance.now();
  while (performance.now() - startedAt < LIMIT_MS) {
    const lengths = await Promise.all(pages.map(async (page) => page.evaluate('length()')));
    if (lengths.every((one) => one === length)) return performance.now() - startedAt;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return null;
}

async function measure(
  name: string,
  provider: string,
  pages: readonly Page[],
  length: number,
  run: () => Promise<unknown>,
): Promise<void> {
  const before = await total(pages);
  const startedAt = performance.now();
  await run();
  const waited = await untilLength(pages, length);
  const ms = waited === null ? null : performance.now() - startedAt;
  // What is said afterwards, of this and of signs of life, counts as well: as long for both.
  await new Promise((resolve) => setTimeout(resolve, 3000));
  const after = await total(pages);
  const messages = after.messages - before.messages;
  const result = { case: name, provider, ms, messages, bytes: after.bytes - before.bytes };
  results.push(result);
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

async function runOne(
  browser: Browser,
  url: string,
  provider: string,
  where: string,
): Promise<void> {
  const contexts: BrowserContext[] = [];
  const pages: Page[] = [];
  const open = async (): Promise<Page> => {
    const context = await browser.createBrowserContext();
    contexts.push(context);
    const page = await context.newPage();
    await page.goto(url);
    await page.waitForFunction('globalThis.start !== undefined');
    pages.push(page);
    return page;
  };
  const start = async (page: Page): Promise<unknown> =>
    page.evaluate(`start(${JSON.stringify(provider)}, ${JSON.stringify(where)})`);
  for (let i = 0; i < members; i++) await open();
  const [first] = pages;
  if (first === undefined) return;
  await first.evaluate('fill(1000)');
  const small = Number(await first.evaluate('length()'));
  await measure('meet', provider, pages, small, async () => Promise.all(pages.map(start)));
  await measure('edits', provider, pages, small + EDITS, async () =>
    first.evaluate(`edit(${EDITS})`),
  );
  await measure('idle', provider, pages, small + EDITS, async () => {
    await new Promise((resolve) => setTimeout(resolve, 10_000));
  });
  await first.evaluate(`fill(${Number(values.kilobytes) * 1000})`);
  const large = Number(await first.evaluate('length()'));
  await untilLength(pages, large);
  const late = await open();
  await measure('late joiner', provider, pages, large, async () => start(late));
  for (const context of contexts) await context.close();
}

const bundle = await build({
  stdin: { contents: PAGE_SCRIPT, resolveDir: import.meta.dirname },
  bundle: true,
  write: false,
  format: 'esm',
  target: 'es2022',
  define: { global: 'globalThis' },
});
const page = await serveStrictPage(bundle.outputFiles[0]?.text ?? '', POLICY);
const relay = await startRelay();
const signaling = await startSignaling();
try {
  for (let round = 0; round < Number(values.rounds); round++) {
    const both = [
      ['@lumamesh/yjs', encodeRecordLine(relay.record)],
      ['y-webrtc', signaling.url],
    ] as const;
    for (const [provider, where] of round % 2 === 0 ? both : [...both].reverse()) {
      const browser = await launchBrowser('chromium', undefined, AWAKE);
      await runOne(browser, page.url, provider, where);
      await browser.close();
    }
  }
} finally {
  signaling.close();
  await page.close();
  await relay.close();
}
if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(results, null, 2));

const median = (numbers: readonly number[]): number =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
process.stdout.write(`\n| | provider | time | messages | bytes |\n|---|---|---|---|---|\n`);
for (const name of ['meet', 'edits', 'idle', 'late joiner'])
  for (const provider of ['@lumamesh/yjs', 'y-webrtc']) {
    const rows = results.filter((row) => row.case === name && row.provider === provider);
    const times = rows.flatMap(({ ms }) => (ms === null ? [] : [ms]));
    const time =
      times.length === 0
        ? `not within ${LIMIT_MS / 1000} s`
        : `${(median(times) / 1000).toFixed(2)} s${times.length < rows.length ? ` (${rows.length - times.length} of ${rows.length} never)` : ''}`;
    const messages = median(rows.map((row) => row.messages));
    const bytes = median(rows.map((row) => row.bytes));
    process.stdout.write(`| ${name} | ${provider} | ${time} | ${messages} | ${bytes} |\n`);
  }
