import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { patience, patienceNow, pause, until } from '@lumamesh/testkit';
import type { BrowserName } from '@lumamesh/testkit/browsers';
import { type TestRelay, serveHarness, startRelay, whySkipped } from './support.ts';
import { type OpenTab, type Tab, withTabs } from './tab.ts';

/* What pages do with each other beyond small messages, in real browsers of both kinds. */

const skip = whySkipped() ?? false;

interface World {
  readonly relay: TestRelay;
  readonly open: OpenTab;
}

async function withWorld(test: (world: World) => Promise<void>): Promise<void> {
  const relay = await startRelay();
  const page = await serveHarness('features.ts');
  try {
    await withTabs(page.url, async (open) => test({ relay, open }));
  } finally {
    await page.close();
    await relay.close().catch(() => undefined);
  }
}

async function meet(
  { relay, open }: World,
  first: BrowserName,
  second: BrowserName,
): Promise<readonly [Tab, Tab]> {
  const [ada, bob] = [await open(first), await open(second)];
  await ada.call('join', { relays: [relay.record] }, 'tea', { nick: 'Ada' });
  await ada.waitFor('joined', 0);
  await bob.call('join', { relays: [relay.record] }, 'tea', { nick: 'Bob' });
  await Promise.all([ada.waitFor('open', 'Bob'), bob.waitFor('open', 'Ada')]);
  return [ada, bob];
}

const sumOf = (length: number): number => {
  let sum = 0;
  for (let i = 0; i < length; i++) sum = (sum + (i & 255)) % 65_521;
  return sum;
};

describe('what pages do with each other', { skip }, () => {
  const pairs: readonly (readonly [BrowserName, BrowserName])[] = [
    ['chromium', 'firefox'],
    ['firefox', 'chromium'],
  ];
  for (const [first, second] of pairs) {
    it(`${first} and ${second}: actions, requests, round trips, and values of any size in their order`, () =>
      withWorld(async (world) => {
        const [ada, bob] = await meet(world, first, second);
        await ada.call('move', 'Bob', 17);
        await bob.waitFor('move', ['Ada', 17]);
        assert.equal(await bob.call('request', 'Ada', 'add', [1, 2, 39]), 42);
        assert.equal(await bob.call('request', 'Ada', 'unheard of', 1), 'NO_HANDLER');
        assert.ok((await ada.call<number>('rtt', 'Bob')) < patience(5000));
        const size = 12_345_678;
        const [{ isSent, progress }] = await Promise.all([
          ada.call<{ isSent: boolean; progress: number }>('sendBytes', 'Bob', size),
          ada.call('send', 'Bob', 'behind it'),
        ]);
        assert.ok(isSent && progress > 100);
        await bob.waitFor('data', 'behind it', 60_000);
        const order = (await bob.log())
          .filter(({ event }) => event === 'data')
          .map(({ value }) => value);
        assert.deepEqual(order, [{ bytes: size, sum: sumOf(size) }, 'behind it']);
        assert.equal(await bob.call('cancelBytes', 'Ada', 20_000_000), false);
        await bob.call('send', 'Ada', 'and still in order');
        await ada.waitFor('data', 'and still in order');
        assert.ok(
          !(await ada.log()).some(
            ({ event, value }) => event === 'data' && typeof value === 'object',
          ),
        );
      }));

    it(`${first} and ${second}: files are offered, accepted, refused and stopped`, () =>
      withWorld(async (world) => {
        const [ada, bob] = await meet(world, first, second);
        const size = 5_000_001;
        const sending = ada.call('sendFile', 'Bob', size, '../../etc/notes.txt');
        await bob.waitFor('file', { name: 'notes.txt', size, type: 'text/plain' });
        const got = await bob.call<{
          size: number;
          type: string;
          isRight: boolean;
          progress: number;
        }>('acceptFile', 0);
        assert.deepEqual(
          { ...got, progress: got.progress > 10 },
          { size, type: 'text/plain', isRight: true, progress: true },
        );
        assert.equal(await sending, 'sent');
        const refused = ada.call('sendFile', 'Bob', 1000, 'no.txt');
        await bob.waitFor('file', { name: 'no.txt', size: 1000, type: 'text/plain' });
        await bob.call('refuseFile', 1);
        assert.equal(await refused, 'FILE_CANCELLED');
        const stopped = ada.call('sendFile', 'Bob', 30_000_000, 'half.bin', 2_000_000);
        await bob.waitFor('file', { name: 'half.bin', size: 30_000_000, type: 'text/plain' });
        assert.equal(await bob.call('acceptFile', 2), 'FILE_CANCELLED');
        assert.equal(await stopped, 'FILE_CANCELLED');
        const empty = ada.call('sendFile', 'Bob', 0, 'empty');
        await bob.waitFor('file', { name: 'empty', size: 0, type: 'text/plain' });
        assert.equal((await bob.call<{ size: number }>('acceptFile', 3)).size, 0);
        assert.equal(await empty, 'sent');
        const quick = ada.call('sendFile', 'Bob', 100_000, 'at once');
        await bob.waitFor('accepted', 100_000);
        assert.equal(await quick, 'sent');
        await ada.call('send', 'Bob', 'the room goes on');
        await bob.waitFor('data', 'the room goes on');
      }));

    it(`${first} and ${second}: while a gigabyte is on its way, what is urgent passes`, () =>
      withWorld(async (world) => {
        const [ada] = await meet(world, first, second);
        const all = await ada.call<{
          trips: number[];
          hasLine: boolean;
          isBusy: boolean;
          ended: string;
        }>('doAllAtOnce', 'Bob', 1_000_000_000);
        assert.deepEqual([all.hasLine, all.isBusy, all.ended], [true, true, 'FILE_CANCELLED']);
        const median = all.trips.toSorted((a, b) => a - b)[10] ?? Number.NaN;
        // Both browsers share the machine with each other.
        assert.ok(median <= patienceNow(100), `${all.trips.map(Math.round).join(' ')} ms`);
      }));

    it(`${first} and ${second}: many small files, and values that JSON does not carry`, () =>
      withWorld(async (world) => {
        const [ada, bob] = await meet(world, first, second);
        assert.equal(await ada.call('sendManyFiles', 'Bob', 600), 600);
        assert.equal(await ada.call('sendStructured', 'Bob'), true);
        await bob.waitFor('data', ['k', 7, true, 2, 'a.txt']);
      }));

    for (const what of ['peer', 'room', 'net'] as const)
      it(`${first} and ${second}: what was sent before the end of the ${what} arrives`, () =>
        withWorld(async (world) => {
          const [ada, bob] = await meet(world, first, second);
          const length = 1_000_000;
          assert.deepEqual(await ada.call('sendAndEnd', 'Bob', length, what), [true, true]);
          await bob.waitFor('data', { bytes: length, sum: sumOf(0) });
          await bob.waitFor('data', 'the last line');
        }));

    it(`${first} and ${second}: streams are added, replaced and removed, also while the relay is gone`, () =>
      withWorld(async (world) => {
        const [ada, bob] = await meet(world, first, second);
        await world.relay.close();
        await ada.call('addVideo', { of: 'a canvas' });
        await bob.waitFor('stream', { of: 'a canvas' }, 60_000);
        assert.ok((await bob.call<number>('framesOf', 0)) >= 3, 'pictures arrive');
        await ada.call('replaceVideo', 'Bob');
        await pause(1000);
        assert.equal(await bob.call('tracksOf', 0), 1);
        await bob.call('addVideo', null);
        await ada.waitFor('stream', null, 60_000);
        await ada.call('removeVideo');
        await until(() => bob.call<boolean>('mutedOf', 0), 'something still comes');
        await ada.call('send', 'Bob', 'and values go on');
        await bob.waitFor('data', 'and values go on');
      }));
  }

  it('a page connects to no more peers than it wants, and says so', () =>
    withWorld(async (world) => {
      const [ada, bob] = await meet(world, 'chromium', 'chromium');
      const cyd = await world.open('chromium');
      await cyd.call('join', { relays: [world.relay.record] }, 'tea', { nick: 'Cyd', maxPeers: 1 });
      await cyd.waitFor('error', 'ROOM_FULL');
      await Promise.race([ada.waitFor('open', 'Cyd'), bob.waitFor('open', 'Cyd')]);
      assert.equal((await cyd.call<unknown[]>('peers')).length, 1);
    }));
});
