import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { patienceNow, pause, until } from '@lumamesh/testkit';
import type { NatRelay, NatTab } from '@lumamesh/testkit/browsers';
import { meetAsAdaAndBob, shareLab, tabOf, whySkipped } from './support.ts';

/* Interfaces of a home that come and go. */

const skip = whySkipped() ?? false;
const LASTED_MS = 5500;
/** Chromium notices nothing by itself: the page does, by silence. */
const AGAIN_MS = { chromium: 9000, firefox: 4000 } as const;

describe('a browser whose Wi-Fi goes away, with LTE besides', { skip }, () => {
  const lab = shareLab([
    ['cone', 'chromium'],
    ['cone', 'firefox'],
    ['cone', 'chromium'],
    ['cone', null],
  ]);
  const [WITH, LTE] = [2, 3] as const;

  for (const [i, name] of [
    [0, 'chromium'],
    [1, 'firefox'],
  ] as const)
    it(
      name === 'chromium'
        ? 'chromium: keeps its session with the relay and its rooms, and is with the other one again'
        : 'firefox, which ends what went by the Wi-Fi: dials the relay at once, and is with the other one again',
      async (t) => {
        const { network } = lab();
        const relay = await network.startRelay();
        network.addSpare(i, LTE);
        const [ada, bob] = [tabOf(lab(), i), tabOf(lab(), WITH)];
        await meetAsAdaAndBob(relay, ada, bob);
        // A relay is dialled again at once when its link had lasted.
        await pause(LASTED_MS);
        const before = await handshakesOf(relay);
        const lostAt = Date.now();
        network.loseUplink(i);
        const heardAfter = async (tab: NatTab): Promise<number> =>
          (await tab.log()).find(
            ({ event, value }) => event === 'data' && typeof value === 'number' && value > lostAt,
          )?.at ?? 0;
        await until(
          async () => {
            await ada.evaluate(
              `globalThis.harness.broadcast(${Date.now()}, true).catch(() => undefined) && undefined`,
            );
            return (await heardAfter(bob)) > 0;
          },
          async () => `nothing arrives any more: ${JSON.stringify((await ada.log()).slice(-9))}`,
          90_000,
        );
        const tookMs = (await heardAfter(bob)) - lostAt;
        t.diagnostic(`heard again ${tookMs} ms after the Wi-Fi was gone`);
        assert.ok(tookMs <= patienceNow(AGAIN_MS[name]), `${tookMs} ms`);
        // The other one may have seen silence meanwhile; who says nothing for longer is gone.
        await until(async () => (await ada.call<string[]>('relays')).length === 1, 'the relay');
        const handshakes = (await handshakesOf(relay)) - before;
        t.diagnostic(`${handshakes} new handshakes`);
        assert.equal(handshakes, name === 'chromium' ? 0 : 1, 'new handshakes');
        assert.deepEqual(await bob.call('peers'), [{ nick: 'Ada', state: 'open' }]);
        for (const tab of [ada, bob]) await tab.call('close');
      },
    );
});

/** With how many sessions the relay has ever come to an understanding. */
async function handshakesOf(relay: NatRelay): Promise<number> {
  const { handshakes } = (await relay.stats()) as {
    readonly handshakes: Readonly<Record<string, number>>;
  };
  return Object.values(handshakes).reduce((sum, count) => sum + count, 0);
}
