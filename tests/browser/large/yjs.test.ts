import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { until } from '@lumamesh/testkit';
import { whySkipped } from '../support.ts';
import { type Member, untilSame, withWorld } from '../yjs-support.ts';

/* What takes too much memory and time for every run of yjs.test.ts. */

const skip = whySkipped() ?? false;
const LIMIT_MS = 120_000;
/** `YJS_BYTES=50000000 npm test -- tests/browser/large/yjs.test.ts` for a larger one. */
const BYTES = Number(process.env['YJS_BYTES'] ?? 20_000_000);
const MEMBERS = 20;

describe('large Yjs documents', { skip }, () => {
  it(`of ${MEMBERS} members with four connections each, half of them offline for a while, end the same`, () =>
    withWorld(async ({ options, open }) => {
      const tabs = [await open('chromium'), await open('firefox')];
      const members = Array.from(
        { length: MEMBERS },
        (_, i) => [tabs[i % tabs.length], `M${i}`] as Member,
      );
      for (const [tab, nick] of members) await tab.call('start', nick, { ...options, maxConns: 4 });
      for (const [tab, nick] of members)
        await until(async () => tab.call('isSynced', nick), `${nick} is alone`);
      const offline = members.filter((_, i) => i % 4 < 2);
      for (const [tab, nick] of offline) await tab.call('disconnect', nick);
      await Promise.all(
        members.map(async ([tab, nick], i) => tab.call('scribble', nick, 20, i + 1)),
      );
      for (const [tab, nick] of offline) await tab.call('connect', nick);
      await untilSame(members, LIMIT_MS);
      for (const tab of tabs)
        assert.deepEqual(
          (await tab.log()).filter(({ event }) => event === 'error'),
          [],
        );
    }));

  it(`of ${BYTES / 1e6} MB reach one who comes late, while others write on`, () =>
    withWorld(async ({ options, open }) => {
      const [ada, bob] = [await open('chromium'), await open('firefox')];
      await ada.call('start', 'Ada', options);
      const bytes = await ada.call<number>('fill', 'Ada', BYTES);
      assert.ok(bytes >= BYTES);
      await bob.call('start', 'Bob', options);
      await ada.waitFor('names', ['Ada', 'Bob']);
      await ada.call('insert', 'Ada', 0, 'meanwhile ');
      await untilSame(
        [
          [ada, 'Ada'],
          [bob, 'Bob'],
        ],
        LIMIT_MS,
      );
      assert.deepEqual(
        (await bob.log()).filter(({ event }) => event === 'error'),
        [],
      );
    }));
});
