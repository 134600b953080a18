import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { whySkipped } from '../support.ts';
import { untilSame, withWorld } from '../yjs-support.ts';

/* What takes too much memory and time for every run of yjs.test.ts. */

const skip = whySkipped() ?? false;
const LIMIT_MS = 120_000;

describe('large Yjs documents', { skip }, () => {
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
});
