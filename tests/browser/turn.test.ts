import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { patience, until } from '@lumamesh/testkit';
import { type BrowserName, serveStrictPage } from '@lumamesh/testkit/browsers';
import { type TestRelay, bundleHarness, startRelay, whySkipped } from './support.ts';
import { Tab } from './tab.ts';

const skip = whySkipped() ?? false;
const DATA_BYTES = 200_000;
const PAIRS: readonly (readonly [BrowserName, BrowserName])[] = [
  ['chromium', 'chromium'],
  ['firefox', 'firefox'],
  ['chromium', 'firefox'],
  ['firefox', 'chromium'],
];

interface Exchanged {
  readonly bytes: number;
  readonly isIntact: boolean;
  readonly kinds: readonly string[];
}

/**
 * Lets two tabs meet over the relay only, and send each other data.
 * @param overTcp who reaches the relay and its TURN server by TCP
 */
async function meet(
  relay: TestRelay,
  [one, other]: readonly [Tab, Tab],
  room: string,
  overTcp: readonly [boolean, boolean] = [false, false],
) {
  const enter = async (tab: Tab, peer: string, isTcp: boolean): Promise<unknown> =>
    tab.call('enter', relay.record, room.padEnd(43, 'R'), peer.repeat(22), isTcp);
  const first = await enter(one, 'a', overTcp[0]);
  const second = await enter(other, 'b', overTcp[1]);
  const offer = await one.call<string>('offer', relay.record, first, overTcp[0]);
  assert.match(offer, /198\.1[89]\.[\d.]+ \d+ typ relay/);
  const answer = await other.call<string>('answer', relay.record, second, offer, overTcp[1]);
  await one.call('accept', answer);
  return Promise.all([one.call<Exchanged>('exchange'), other.call<Exchanged>('exchange')]);
}

describe('TURN on the UDP port of a relay, with virtual addresses', { skip }, () => {
  for (const names of PAIRS)
    it(`carries data between ${names[0]} and ${names[1]} that may use nothing else`, async () => {
      const relay = await startRelay({ TURN_RATE: '20000000' });
      const page = await serveStrictPage(await bundleHarness('turn.ts', {}));
      const tabs: Tab[] = [];
      try {
        assert.equal(relay.record.turn, 20_000_000);
        const pair = [
          await Tab.open(names[0], page.url),
          await Tab.open(names[1], page.url),
        ] as const;
        tabs.push(...pair);
        const exchanged = await meet(relay, pair, names.join('-'));
        for (const { bytes, isIntact, kinds } of exchanged) {
          assert.equal(bytes, DATA_BYTES);
          assert.ok(isIntact);
          assert.deepEqual(kinds, ['relay', 'relay']);
        }
        const { turn } = relay.server.stats();
        assert.ok(turn !== undefined && turn.forwardedBytes > 2 * DATA_BYTES);
        assert.ok(turn.allocations >= 2);
        for (const tab of pair) await tab.call('close');
        await until(
          () => relay.server.stats().turn?.allocations === 0,
          'the allocations have not ended with their connections',
          patience(5000),
        );
      } finally {
        for (const tab of tabs) await tab.close().catch(() => undefined);
        await page.close();
        await relay.close();
      }
    });

  for (const [names, overTcp] of [
    [
      ['chromium', 'firefox'],
      [true, true],
    ],
    [
      ['firefox', 'chromium'],
      [true, false],
    ],
    [
      ['chromium', 'chromium'],
      [true, false],
    ],
    [
      ['firefox', 'firefox'],
      [true, true],
    ],
  ] as const)
    it(`carries it for ${names[0]} over TCP and ${names[1]} over ${overTcp[1] ? 'TCP' : 'UDP'}, the session as well`, async () => {
      const relay = await startRelay({ TURN_RATE: '20000000', TCP_PORT: '28443' });
      const page = await serveStrictPage(await bundleHarness('turn.ts', {}));
      const tabs: Tab[] = [];
      try {
        assert.equal(relay.record.tcpPort, 28_443);
        const pair = [
          await Tab.open(names[0], page.url),
          await Tab.open(names[1], page.url),
        ] as const;
        tabs.push(...pair);
        const exchanged = await meet(relay, pair, names.join('-'), overTcp);
        for (const { bytes, isIntact, kinds } of exchanged) {
          assert.equal(bytes, DATA_BYTES);
          assert.ok(isIntact);
          assert.deepEqual(kinds, ['relay', 'relay']);
        }
        const { sockets = 0 } = relay.server.stats().tcp ?? {};
        assert.ok(sockets >= (overTcp[1] ? 4 : 2), `${sockets} connections`);
      } finally {
        for (const tab of tabs) await tab.close().catch(() => undefined);
        await page.close();
        await relay.close();
      }
    });
});
