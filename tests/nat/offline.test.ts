import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { patienceNow, pause, until } from '@lumamesh/testkit';
import type { NatTab } from '@lumamesh/testkit/browsers';
import { meetAsAdaAndBob, numbersHeard, shareLab, tabOf, whySkipped } from './support.ts';

/* A cable that is pulled out of a browser's machine, and plugged in again. */

const skip = whySkipped() ?? false;
const LIMIT_MS = 60_000;
/** Shorter than peers are waited for. */
const BRIEF_MS = 3000;
/** Longer. */
const LONG_MS = 20_000;
/** From the cable to the open connection: a relay to be dialled, which is tried every 4 s by then, a room, an offer. */
const BACK_MS = 9000;

describe('a browser that has no network for a while', { skip }, () => {
  const lab = shareLab([
    ['cone', 'chromium'],
    ['cone', 'firefox'],
    ['cone', 'chromium'],
  ]);

  for (const [i, name] of [
    [0, 'chromium'],
    [1, 'firefox'],
  ] as const) {
    const meet = async (): Promise<readonly [NatTab, NatTab]> => {
      const relay = await lab().network.startRelay();
      const [ada, bob] = [tabOf(lab(), i), tabOf(lab(), 2)];
      await meetAsAdaAndBob(relay, ada, bob);
      return [ada, bob];
    };
    const lossless =
      name === 'chromium' ? 'nothing is lost, and nobody has left' : 'is heard again';
    it(`${name}: for three seconds: ${lossless}`, async (t) => {
      const [ada, bob] = await meet();
      await bob.call('count', 100);
      await until(async () => (await numbersHeard(ada)).length > 5, 'nothing comes');
      lab().network.setCable(i, false);
      await pause(BRIEF_MS);
      const before = (await numbersHeard(ada)).length;
      lab().network.setCable(i, true);
      const pluggedAt = Date.now();
      await until(async () => (await numbersHeard(ada)).length > before, 'nothing comes any more');
      t.diagnostic(`heard again ${Date.now() - pluggedAt} ms after the cable was in again`);
      const last = await bob.call<number>('stopCounting');
      await ada.waitFor('data', last, LIMIT_MS);
      // Firefox ends all connections at once when there is no network, and dials again in its own time.
      if (name === 'chromium') {
        const heard = await numbersHeard(ada);
        const [first = Number.NaN] = heard;
        assert.deepEqual(
          heard,
          Array.from({ length: last - first + 1 }, (_, n) => first + n),
        );
        for (const tab of [ada, bob])
          assert.ok(!(await tab.log()).some(({ event }) => event === 'leave'), 'nobody has left');
      }
      for (const tab of [ada, bob]) await tab.call('close');
    });

    it(`${name}: for twenty seconds: is seen to leave, says that it is offline, and is back soon`, async (t) => {
      const [ada, bob] = await meet();
      lab().network.setCable(i, false);
      await bob.waitFor('leave', 'Ada lost', LIMIT_MS);
      await pause(LONG_MS);
      assert.deepEqual(await ada.call('relays'), [], 'no relay is reached');
      for (const tab of [ada, bob]) await tab.call('clearLog');
      const pluggedAt = Date.now();
      lab().network.setCable(i, true);
      await Promise.all([
        ada.waitFor('open', 'Bob', LIMIT_MS),
        bob.waitFor('open', 'Ada', LIMIT_MS),
      ]);
      const backMs = Date.now() - pluggedAt;
      t.diagnostic(`back ${backMs} ms after the cable was in again`);
      assert.ok(backMs <= patienceNow(BACK_MS), `${backMs} ms`);
      await bob.call('sendTo', 'Ada', 'welcome back');
      await ada.waitFor('data', 'welcome back', LIMIT_MS);
      for (const tab of [ada, bob]) await tab.call('close');
    });
  }
});
