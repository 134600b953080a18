import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as webrtc from 'node-datachannel/polyfill';
import { connectWith } from '../../connect-with.ts';
import type { Api, Feature } from '../../feature.ts';
import { actions } from '../../features/actions.ts';
import { requests } from '../../features/requests.ts';
import { allFeatures } from '../../features/index.ts';
import { browserPlatform } from '../browser/browser-platform.ts';
import { dialRelay } from './dial-relay.ts';
import { useRelayProcess } from './relay-process.test-support.ts';

/* What a page picks, and a feature of its own. */

/* A feature of a page's own: pages show each other how they feel. */
type MoodEvents = { mood: [mood: string] };
interface MoodApi extends Api {
  readonly room: { moods(): ReadonlyMap<string, unknown> };
  readonly peer: { showMood(mood: string): Promise<boolean> };
  readonly peerEvents: MoodEvents;
}
function mood(): Feature<MoodApi> {
  return {
    name: 'mood',
    room: () => {
      const moods = new Map<string, unknown>();
      return {
        api: { moods: () => moods },
        peer: (peer) => ({
          api: { showMood: (text: string) => peer.sendFrame('mood', '', text) },
          frames: {
            mood: {
              handle: (text) => {
                if (typeof text !== 'string') throw new TypeError('a mood is a text');
                moods.set(peer.id, text);
                peer.emit('mood', text);
              },
            },
          },
          onClose: () => moods.delete(peer.id),
        }),
      };
    },
  };
}

const scene = useRelayProcess();

function join<const Features extends readonly Feature[]>(
  nick: string,
  features: Features,
  onListenerError = (error: unknown): void => assert.fail(String(error)),
) {
  const PeerConnection = webrtc.RTCPeerConnection as unknown as typeof RTCPeerConnection;
  const platform = { ...browserPlatform(), PeerConnection, dialRelay, storage: () => null };
  const options = { relays: scene.line, storage: null, onListenerError };
  const net = connectWith(platform, options, features);
  scene.nets.push(net);
  // What all of an unknown list add to the options is not known here.
  return net.joinRoom('picked', { nick } as Parameters<typeof net.joinRoom>[1]);
}

describe('a page that picks its features', { timeout: 120_000 }, () => {
  it('has what it picked, in values and in types, and a feature of its own', async () => {
    const ada = join('Ada', [requests(), mood()]);
    const faults: unknown[] = [];
    const bob = join('Bob', [mood(), actions()], (error) => faults.push(error));
    const met = Promise.withResolvers<void>();
    const felt = Promise.withResolvers<string>();
    ada.on('peer', (peer) => peer.on('open', met.resolve));
    bob.on('peer', (peer) => peer.on('mood', felt.resolve));
    await met.promise;
    const [toBob] = ada.peers;
    assert.ok(toBob !== undefined);
    // What its handler throws at is reported, and ends nothing.
    await toBob.showMood(7 as unknown as string);
    assert.equal(await toBob.showMood('merry'), true);
    assert.equal(await felt.promise, 'merry');
    assert.deepEqual([...bob.moods().values()], ['merry']);
    assert.match(String(faults), /a mood is a text/);
    assert.ok('request' in toBob && !('sendFile' in toBob));
    // @ts-expect-error: files were not picked
    assert.equal(toBob.sendFile, undefined);
    // @ts-expect-error: neither were actions
    assert.equal(ada.action, undefined);
    assert.equal(typeof bob.action, 'function');
    // The other side has no requests: what it does not know it passes over.
    const unanswered = toBob.request('anything', null, { timeoutMs: 300 });
    await assert.rejects(unanswered, { code: 'REQUEST_TIMEOUT' });
  });

  it('meets who has the whole library, and each passes over what it does not know', async () => {
    const ada = join('Cyd', []);
    const bob = join('Dan', allFeatures());
    const heard = Promise.withResolvers<unknown>();
    ada.on('peer', (peer) => peer.nick === 'Dan' && peer.on('data', heard.resolve));
    bob.on('peer', (peer) => {
      if (peer.nick !== 'Cyd') return;
      peer.on('open', () => {
        void peer.send(new Uint8Array(300_000));
        void bob.action('move')[0]({ x: 1 });
        void peer.send('small');
      });
    });
    // What comes in pieces is heard as well, in its order.
    assert.deepEqual(await heard.promise, new Uint8Array(300_000));
  });

  it('hears that two features want the same name', () => {
    assert.throws(() => join('Eve', [requests(), requests()]), { code: 'BAD_FEATURE' });
  });
});
