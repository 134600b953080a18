import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { measureSlowness, patience, until } from '@lumamesh/testkit';
import { ATTACKS, type Attack } from './hostile-attacks.ts';
import { HostileMember } from './hostile-member.ts';
import { type TestRelay, serveHarness, startRelay, whySkipped } from './support.ts';
import { type Tab, withTabs } from './tab.ts';

/*
 * The published library in a page, beside a member that is hostile: whatever it says, the page goes
 * on, nothing reaches window.onerror, memory stays bounded, and its connection to others lives.
 */
const skip = whySkipped() ?? false;
const ROOM = 'beside mallory';
const NICKS = ['Ada', 'Bob'] as const;
/** A page may be held up for so long by one attack, on an idle machine. */
const MAX_HELD_UP_MS = 1500;
const MAX_HEAP_MB = 160;

interface Health {
  readonly errors: readonly string[];
  readonly longestMs: number;
  readonly isPolluted: boolean;
}

async function heapMb(tab: Tab): Promise<number> {
  // Firefox tells nothing of it.
  if (tab.name !== 'chromium') return 0;
  const session = await tab.page.createCDPSession();
  await session.send('HeapProfiler.collectGarbage');
  const { usedSize } = await session.send('Runtime.getHeapUsage');
  await session.detach();
  return usedSize / 1_048_576;
}

/** Attacks the page of a tab, and waits until that has come to what it has to. */
async function attack(tab: Tab, nick: string, relay: TestRelay, what: string): Promise<void> {
  const { run, ends, isNoted } = ATTACKS[what] as Attack;
  const mallory = await HostileMember.join(relay.record, ROOM);
  try {
    await until(() => mallory.idOf(nick) !== '', 'it does not see the page');
    const page = mallory.idOf(nick);
    await run(mallory, page);
    if (ends === 'cut') await until(() => mallory.hasEnded, `${what}: it is still connected`);
    else {
      // Not one of its frames has cost it the page's ear, so that all of them were read.
      if (ends === 'refused') await mallory.connect(page).then(() => mallory.bind(page));
      assert.equal(mallory.hasEnded, false, `${what}: its connection was ended`);
      await mallory.mark(what);
      await tab.waitFor('say', what);
    }
    if (isNoted !== undefined) await tab.waitFor(...isNoted);
  } finally {
    await mallory.leave();
  }
}

/** What became of a page after an attack on it. */
async function isWell(tab: Tab, other: string, what: string): Promise<void> {
  const took = await tab.call<number | string>('echo', other);
  assert.ok(typeof took === 'number', `${what}: ${other} is not heard: ${took}`);
  const { errors, longestMs, isPolluted } = await tab.call<Health>('health');
  assert.deepEqual({ errors, isPolluted }, { errors: [], isPolluted: false }, what);
  const isHeldUp =
    longestMs > patience(MAX_HELD_UP_MS) && longestMs > MAX_HELD_UP_MS * measureSlowness();
  assert.ok(!isHeldUp, `${what}: ${tab.name} was held up for ${longestMs} ms`);
  const ends = (await tab.log()).filter(
    ({ event, value }) => event === 'leave' && String(value).startsWith(other),
  );
  assert.deepEqual(ends, [], what);
  const heap = await heapMb(tab);
  assert.ok(heap <= MAX_HEAP_MB, `${what}: ${heap} MB`);
  if (process.env['VERBOSE'] !== undefined)
    process.stderr.write(
      `${tab.name}: ${what}: echo ${took.toFixed()} ms, held up ${longestMs.toFixed()} ms, ${heap.toFixed()} MB\n`,
    );
}

describe('pages beside a hostile member', { skip }, () => {
  it('go on in both browsers, whatever it says, and so does the connection between them', async () => {
    const relay = await startRelay({ MAX_SESSIONS_PER_ADDRESS: '200' });
    const page = await serveHarness('hostile.ts');
    try {
      await withTabs(page.url, async (open) => {
        const tabs = [await open('chromium'), await open('firefox')];
        for (const [i, tab] of tabs.entries())
          await tab.call('join', { relays: [relay.record] }, ROOM, NICKS[i]);
        for (const [i, tab] of tabs.entries()) await tab.waitFor('open', NICKS[1 - i]);
        for (const what of Object.keys(ATTACKS)) {
          for (const tab of tabs) await tab.call<Health>('health');
          await Promise.all(tabs.map(async (tab, i) => attack(tab, NICKS[i] ?? '', relay, what)));
          for (const [i, tab] of tabs.entries()) await isWell(tab, NICKS[1 - i] ?? '', what);
        }
      });
    } finally {
      await page.close();
      await relay.close();
    }
  });
});
