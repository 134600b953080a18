import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeRecordLine } from '@lumamesh/protocol';
import { until } from '@lumamesh/testkit';
import { BROWSERS, serveHarness, startRelay, whySkipped } from './support.ts';
import { type Tab, withTabs } from './tab.ts';

/* Streams between two pages: what the one says of them, and what the other one sees. */

const skip = whySkipped() ?? false;

/** Waits until a tab shows a picture. */
async function shows(tab: Tab, id: string, picture: string): Promise<void> {
  let last = '';
  await until(
    async () => (last = await tab.call<string>('pictureOf', id)) === picture,
    () => `${tab.name} shows ${last} in the place of ${picture}`,
  );
}

/** Waits for an event later than all that were logged before. */
async function after(tab: Tab, event: string, run: () => Promise<unknown>): Promise<unknown> {
  const before = (await tab.log()).length;
  await run();
  let value: unknown;
  await until(
    async () => {
      const found = (await tab.log()).slice(before).find((entry) => entry.event === event);
      value = found?.value;
      return found !== undefined;
    },
    () => `${tab.name} hears of no ${event}`,
  );
  return value;
}

describe('media', { skip }, () => {
  for (const from of BROWSERS)
    for (const to of BROWSERS)
      it(`${from} to ${to}: streams come, change, go and come again`, async () => {
        const [page, relay] = [await serveHarness('media.ts'), await startRelay()];
        try {
          await withTabs(page.url, async (open) => {
            const [ada, bob] = await Promise.all([open(from), open(to)]);
            for (const [colour, width, height] of [
              ['red', 160, 120],
              ['lime', 320, 240],
              ['blue', 240, 240],
            ] as const)
              await ada.call('makeVideo', colour, colour, width, height);
            // Browsers let a page make sound after a click.
            await ada.page.mouse.click(10, 10);
            await ada.call('makeAudio', 'tone');
            await ada.call('makeStream', 'camera', 'red', 'tone');
            await ada.call('makeStream', 'copy', 'red');
            await ada.call('join', encodeRecordLine(relay.record), 'Ada');
            // Before anybody is there.
            const options = {
              id: 'camera',
              video: { metadata: 'front', codecs: ['VP9', 'none'], maxBitrate: 400_000 },
            };
            assert.equal(await ada.call('add', 'room', 'camera', { of: 'Ada' }, options), 'camera');
            await ada.waitFor('joined', 0);
            await bob.call('join', encodeRecordLine(relay.record), 'Bob');
            const kinds = ['audio', 'video'];
            const came = { id: 'camera', metadata: { of: 'Ada' }, kinds };
            assert.deepEqual((await bob.waitFor('stream')).value, came);
            const track = { streamId: 'camera', kind: 'video', metadata: 'front', isMuted: false };
            await bob.waitFor('track', track);
            await shows(bob, 'camera', '160x120 red');
            await until(
              async () => (await bob.call<number>('soundPackets')) > 10,
              'there is no sound',
            );
            assert.equal(await ada.call('codec'), 'video/VP9');
            assert.ok((await ada.call<unknown[]>('maxBitrates')).includes(400_000));
            assert.deepEqual(await ada.call('warnings'), ['this browser has no codec NONE']);

            const changed = await after(bob, 'streamChanged', () =>
              ada.call('add', 'room', 'camera', 'at home'),
            );
            assert.deepEqual(changed, { id: 'camera', metadata: 'at home', kinds });

            assert.deepEqual(
              await after(bob, 'trackMuted', () => ada.call('enable', 'red', false)),
              { ...track, metadata: null, isMuted: true },
            );
            await shows(bob, 'camera', '160x120 black');
            await after(bob, 'trackUnmuted', () => ada.call('enable', 'red', true));
            await shows(bob, 'camera', '160x120 red');

            // The same track in another stream is not sent twice.
            const sections = await ada.call('sections');
            await after(bob, 'stream', () =>
              ada.call('add', 'peer', 'copy', 'a copy', { id: 'copy' }),
            );
            await shows(bob, 'copy', '160x120 red');
            assert.ok(await bob.call('isSameTrack', 'camera', 'copy'));
            assert.equal(await ada.call('sections'), sections);

            for (const [before, now, picture] of [
              ['red', 'lime', '320x240 lime'],
              ['lime', 'blue', '240x240 blue'],
              ['blue', null, ''],
              ['red', 'lime', '320x240 lime'],
            ] as const) {
              await ada.call('replace', 'room', before, now);
              for (const id of picture === '' ? [] : ['camera', 'copy'])
                await shows(bob, id, picture);
            }

            // Removed from one stream, the track stays in the other.
            await after(bob, 'streamRemoved', () => ada.call('remove', 'room', 'camera'));
            await shows(bob, 'copy', '320x240 lime');
            await after(bob, 'streamRemoved', () => ada.call('remove', 'peer', 'copy'));
            assert.deepEqual(await bob.call('streams'), []);
            for (let i = 0; i < 3; i++) {
              const again = { id: 'camera', metadata: i, kinds };
              assert.deepEqual(
                await after(bob, 'stream', () =>
                  ada.call('add', 'room', 'camera', i, { id: 'camera' }),
                ),
                again,
              );
              await shows(bob, 'camera', '160x120 red');
              await after(bob, 'streamRemoved', () => ada.call('remove', 'room', 'camera'));
            }
            assert.equal(await ada.call('sections'), sections);

            // A connection that is made anew brings it again: other tracks of the same stream.
            await ada.call('add', 'room', 'camera', 'at last', { id: 'camera' });
            await shows(bob, 'camera', '160x120 red');
            const streams = (await bob.log()).filter(({ event }) => event === 'stream').length;
            await after(bob, 'track', () =>
              Promise.all([ada.call('reconnect'), bob.call('reconnect')]),
            );
            await shows(bob, 'camera', '160x120 red');
            assert.equal(
              (await bob.log()).filter(({ event }) => event === 'stream').length,
              streams,
            );
            // The other way, at the same time as something else is agreed on.
            await bob.call('makeVideo', 'blue', 'blue', 240, 240);
            await bob.call('makeStream', 'answer', 'blue');
            await Promise.all([
              bob.call('add', 'room', 'answer', null, { id: 'answer' }),
              ada.call('add', 'room', 'copy', null, { id: 'copy' }),
            ]);
            await shows(ada, 'answer', '240x240 blue');
            await shows(bob, 'copy', '160x120 red');
            await after(bob, 'streamRemoved', () => ada.call('close'));
          });
        } finally {
          await page.close();
          await relay.close();
        }
      });
});
