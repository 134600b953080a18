import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { until } from '@lumamesh/testkit';
import { whySkipped } from '../support.ts';
import type { Tab } from '../tab.ts';
import { type Member, untilSame, withWorld } from '../yjs-support.ts';

/* What takes too long, or too much memory, for every run of yjs.test.ts. */

const skip = whySkipped() ?? false;
const LIMIT_MS = 120_000;

describe('large Yjs documents and rooms', { skip }, () => {
  it('of 20 MB reach one who comes late, while others write on', () =>
    withWorld(async ({ options, open }) => {
      const [ada, bob] = [await open('chromium'), await open('firefox')];
      await ada.call('start', 'Ada', options);
      const bytes = await ada.call<number>('fill', 'Ada', 20_000_000);
      assert.ok(bytes >= 20_000_000);
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

  it('are the same for twenty members with four connections each', () =>
    withWorld(async ({ options, open }) => {
      const tabs: Tab[] = [await open('chromium'), await open('firefox')];
      const members: readonly Member[] = Array.from({ length: 20 }, (_, i) => {
        const tab = tabs[i % tabs.length];
        assert.ok(tab !== undefined);
        return [tab, `M${i}`] as const;
      });
      for (const [tab, nick] of members) await tab.call('start', nick, { ...options, maxConns: 4 });
      for (const [tab, nick] of members)
        await until(async () => tab.call('isSynced', nick), `${nick} is alone`, LIMIT_MS);
      await Promise.all(members.map(async ([tab, nick], i) => tab.call('scribble', nick, 10, i)));
      await untilSame(members, LIMIT_MS);
      for (const [tab, nick] of members)
        await until(
          async () => (await tab.call<string[]>('namesAt', nick)).length === 20,
          async () => `${nick}: ${String(await tab.call('namesAt', nick))}`,
          LIMIT_MS,
        );
      let connections = 0;
      for (const [tab, nick] of members) connections += await tab.call<number>('connections', nick);
      // Some were made before all were there.
      assert.ok(connections / 20 < 14, `${connections / 20} connections each`);
    }));
});
