import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { patience } from '@lumamesh/testkit';
import { type BrowserName } from '@lumamesh/testkit/browsers';
import { type TestRelay, serveHarness, startRelay, whySkipped } from './support.ts';
import { Tab } from './tab.ts';

const skip = whySkipped() ?? false;

/** Two tabs on a page under the strict policy, and a relay; all closed afterwards. */
async function withTwo(
  names: readonly [BrowserName, BrowserName],
  test: (a: Tab, b: Tab, relay: TestRelay) => Promise<void>,
): Promise<void> {
  const relay = await startRelay();
  const page = await serveHarness();
  const tabs: Tab[] = [];
  try {
    for (const name of names) tabs.push(await Tab.open(name, page.url));
    const [a, b] = tabs;
    assert.ok(a !== undefined && b !== undefined);
    await test(a, b, relay);
  } finally {
    for (const tab of tabs) await tab.close().catch(() => undefined);
    await page.close();
    await relay.close().catch(() => undefined);
  }
}

async function meet(a: Tab, b: Tab, relay: TestRelay, password = ''): Promise<void> {
  await a.call('join', [relay.record], 'tea', 'Ada', password);
  await a.waitFor('joined', 0);
  await b.call('join', [relay.record], 'tea', 'Bob', password);
  await Promise.all([a.waitFor('open', 'Bob'), b.waitFor('open', 'Ada')]);
}

describe('two browsers that meet through a relay', { skip }, () => {
  const pairs: readonly (readonly [BrowserName, BrowserName])[] = [
    ['chromium', 'firefox'],
    ['firefox', 'chromium'],
    ['chromium', 'chromium'],
    ['firefox', 'firefox'],
  ];
  for (const [first, second] of pairs) {
    it(`${first} and ${second}: find each other, talk directly, and see each other leave within a second`, () =>
      withTwo([first, second], async (a, b, relay) => {
        await meet(a, b, relay);
        const signalsBefore = relay.server.stats().signals;
        await a.call('broadcast', { hello: ['wörld', 1] }, true);
        await b.waitFor('data', { hello: ['wörld', 1] });
        await b.call('broadcastBytes', 100_000);
        await a.waitFor('data', { bytes: [0, 1, 2, 3], length: 100_000 });
        await b.call('broadcast', 'over the unreliable channel', false);
        await a.waitFor('data', 'over the unreliable channel');
        assert.equal(relay.server.stats().signals, signalsBefore, 'the relay carried none of it');
        const leftAt = Date.now();
        await a.call('leave');
        const seen = await b.waitFor('leave');
        assert.ok(seen.at - leftAt < patience(1000), `${seen.at - leftAt} ms`);
      }));
  }

  it('go on talking when the relay is gone', () =>
    withTwo(['chromium', 'firefox'], async (a, b, relay) => {
      await meet(a, b, relay);
      await relay.close();
      await a.call('broadcast', 'still there?', true);
      await b.waitFor('data', 'still there?');
      await b.call('broadcast', 'still here', true);
      await a.waitFor('data', 'still here');
      assert.ok(!(await a.log()).some(({ event }) => event === 'leave'));
    }));

  it('come back to a relay that was restarted, and meet who comes after; nobody who is there is taken for gone', () =>
    withTwo(['chromium', 'firefox'], async (a, b, relay) => {
      await meet(a, b, relay);
      await relay.restart();
      const page = await serveHarness();
      const third = await Tab.open('chromium', page.url);
      try {
        await third.call('join', [relay.record], 'tea', 'Cyd', '');
        await Promise.all([a.waitFor('open', 'Cyd', 60_000), b.waitFor('open', 'Cyd', 60_000)]);
        await third.call('broadcast', 'hello both', true);
        await Promise.all([a.waitFor('data', 'hello both'), b.waitFor('data', 'hello both')]);
        assert.ok(!(await a.log()).some(({ event }) => event === 'leave'));
      } finally {
        await third.close();
        await page.close();
      }
    }));

  it('meet with the same password, and never with another or with none', () =>
    withTwo(['chromium', 'firefox'], async (a, b, relay) => {
      await meet(a, b, relay, 'sesame');
      const page = await serveHarness();
      const stranger = await Tab.open('chromium', page.url);
      try {
        await stranger.call('join', [relay.record], 'tea', 'Eve', 'guess');
        await stranger.waitFor('joined', 0);
      } finally {
        await stranger.close();
        await page.close();
      }
      assert.ok(!(await a.log()).some(({ value }) => value === 'Eve'));
    }));

  it('survive arriving at the same moment', () =>
    withTwo(['chromium', 'firefox'], async (a, b, relay) => {
      await Promise.all([
        a.call('join', [relay.record], 'tea', 'Ada', ''),
        b.call('join', [relay.record], 'tea', 'Bob', ''),
      ]);
      await Promise.all([a.waitFor('open', 'Bob'), b.waitFor('open', 'Ada')]);
      await a.call('broadcast', 1, true);
      await b.waitFor('data', 1);
    }));

  it('are told when no relay can be reached, and when a record is forged', () =>
    withTwo(['chromium', 'firefox'], async (a, b, relay) => {
      const forged = { ...relay.record, port: relay.record.port === 40_000 ? 40_001 : 40_000 };
      await a.call('join', [forged], 'tea', 'Ada', '');
      await a.waitFor('error', 'RELAY_FORGED');
      const { signature: _signature, ...unsigned } = { ...relay.record, port: 1025 };
      await b.call('join', [unsigned], 'tea', 'Bob', '');
      await b.waitFor('error', 'RELAYS_UNREACHABLE', 40_000);
    }));
});
