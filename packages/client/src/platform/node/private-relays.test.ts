import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import * as webrtc from 'node-datachannel/polyfill';
import { decodeRecordLine } from '@lumamesh/protocol';
import { pause, until } from '@lumamesh/testkit';
import { connectOn } from '../../library.ts';
import { browserPlatform } from '../browser/browser-platform.ts';
import { dialRelay } from './dial-relay.ts';
import { type ConnectOptions, LumameshError, type Net, connect } from './index.ts';
import { type RunningRelay, startRelayProcess } from './relay-process.test-support.ts';

/* Private relays as pages meet them: real relays, and whole clients in Node. */

const [ALICE, BOB, WRONG] = ['token-of-alice-1', 'token-of-bob-0001', 'token-of-nobody-1'];

let relay: RunningRelay;
const open: RunningRelay[] = [];
const nets: Net[] = [];

const setTokens = async (...tokens: readonly string[]): Promise<void> =>
  writeFile(join(relay.folder, 'tokens'), tokens.join('\n'));

before(async () => {
  relay = await startRelayProcess({ ACCESS_TOKENS_FILE: 'tokens' }, async (folder) =>
    writeFile(join(folder, 'tokens'), `${ALICE}\n${BOB}\n`),
  );
});
after(async () => {
  for (const net of nets) void net.close();
  for (const one of [relay, ...open]) await one.close();
});

function page(options: ConnectOptions = {}): { readonly net: Net; readonly codes: string[] } {
  const net = connect({ relays: relay.line, storage: null, webrtc, ...options });
  nets.push(net);
  const codes: string[] = [];
  net.on('error', ({ code }) => codes.push(code));
  return { net, codes };
}

const seen = (): string => JSON.stringify(nets.map(({ status }) => status));
const isSo = async (condition: () => boolean): Promise<void> => {
  await until(condition, seen);
};
const isOnline = async (net: Net): Promise<void> => isSo(() => net.status.state === 'online');
const hears = async (codes: readonly string[], code: string): Promise<void> =>
  isSo(() => codes.includes(code));

describe('a private relay', () => {
  it('says so in its record, and lets in who has a token: these meet', async () => {
    const record = decodeRecordLine(relay.line);
    assert.equal(record.ok && record.value.access, 'token');
    const [alice, bob] = [page({ token: ALICE }).net, page({ token: BOB }).net];
    const rooms = [alice, bob].map((net, i) => net.joinRoom('tea', { nick: `${i}` }));
    await isSo(() => rooms.every(({ peers }) => peers.some(({ isOpen }) => isOpen)));
  });

  it('is not dialled without one, and the page is told at once', async () => {
    const startedAt = performance.now();
    const { net, codes } = page();
    await hears(codes, 'RELAY_PRIVATE');
    assert.ok(performance.now() - startedAt < 1000);
    const { state, code, text, relays } = net.status;
    assert.deepEqual([state, code], ['offline', 'RELAY_PRIVATE']);
    assert.match(text, /connect\(\{ token \}\)/);
    assert.deepEqual(
      relays.map(({ state: one, error }) => [one, error?.code]),
      [['waiting', 'RELAY_PRIVATE']],
    );
  });

  it('refuses a wrong token, and is not called well again and again meanwhile', async () => {
    const { net, codes } = page({ token: WRONG });
    await hears(codes, 'ACCESS_DENIED');
    const states: string[] = [];
    net.on('status', ({ state }) => states.push(state));
    for (let i = 0; i < 3; i++) {
      // As when the page is looked at again.
      net.wake();
      await isSo(() => net.status.relays[0]?.state === 'connecting');
      await isSo(() => net.status.relays[0]?.state === 'waiting');
    }
    assert.ok(!states.includes('online'), states.join(' '));
    assert.equal(net.status.code, 'ACCESS_DENIED');
    // The operator adds it: the page comes in.
    await setTokens(ALICE, BOB, WRONG);
    relay.reload();
    await isSo(() => {
      net.wake();
      return net.status.state === 'online';
    });
    await setTokens(ALICE, BOB);
    relay.reload();
    await isSo(() => net.status.relays[0]?.error?.code === 'ACCESS_DENIED');
  });

  it('lets nobody stay whose token is gone, and disturbs no others', async () => {
    const [alice, bob] = [page({ token: ALICE }), page({ token: BOB })];
    const room = bob.net.joinRoom('stay');
    await Promise.all([isOnline(alice.net), isSo(() => room.state === 'joined')]);
    await setTokens(BOB);
    relay.reload();
    await hears(alice.codes, 'ACCESS_DENIED');
    assert.deepEqual([bob.net.status.state, room.state, bob.codes], ['online', 'joined', []]);
    await setTokens(ALICE, BOB);
    relay.reload();
  });

  it('is shown the token of a function, which is asked by its record', async () => {
    const asked: unknown[] = [];
    const { net } = page({
      token: async ({ nk, ip }) => {
        asked.push([nk, ip]);
        await pause(20);
        return ALICE;
      },
    });
    await isOnline(net);
    const record = decodeRecordLine(relay.line);
    assert.deepEqual(asked, [[record.ok && record.value.nk, '127.0.0.1']]);
    const throws = (): string => {
      throw new Error('no keyring');
    };
    for (const token of [
      () => null,
      () => undefined,
      () => 'short',
      throws,
      async () => throws(),
    ]) {
      const { net: kept, codes } = page({ token });
      await hears(codes, 'RELAY_PRIVATE');
      assert.match(kept.status.text, /has no token of its operator/);
    }
  });

  it('is known for what it is also by an old record, or bare fields', async () => {
    const { ok, value } = decodeRecordLine(relay.line) as { ok: true; value: object };
    assert.ok(ok);
    const { signature: _, access: __, ...old } = value as Record<string, unknown>;
    const relays = [old as unknown as string];
    await isOnline(page({ relays, token: ALICE }).net);
    await hears(page({ relays }).codes, 'RELAY_PRIVATE');
  });

  it('keeps nobody from another relay of the list', async () => {
    const other = await startRelayProcess();
    open.push(other);
    const { net, codes } = page({ relays: [relay.line, other.line] });
    await isOnline(net);
    const [first, second] = net.status.relays;
    assert.deepEqual([first?.state, first?.error?.code], ['waiting', 'RELAY_PRIVATE']);
    assert.deepEqual([second?.state, codes], ['open', []]);
    // Who has a token and who has none meet at the one that lets in both.
    const [a, b] = [
      net.joinRoom('both'),
      page({ relays: [relay.line, other.line], token: BOB }).net.joinRoom('both'),
    ];
    await isSo(() => [a, b].every(({ peers }) => peers.some(({ isOpen }) => isOpen)));
  });

  it('costs no round trip, and is never told the token', async () => {
    const frames: string[] = [];
    const platform = {
      ...browserPlatform(),
      PeerConnection: webrtc.RTCPeerConnection as unknown as typeof RTCPeerConnection,
      storage: () => null,
      dialRelay: ((record, addresses, events, tcpAfterMs) => {
        const log = (way: string, text: string): void => {
          frames.push(`${way}${(JSON.parse(text) as { action: string }).action}`);
          assert.ok(!text.includes(ALICE));
        };
        const frame = (text: string): void => {
          log('<', text);
          events.frame(text);
        };
        const channel = dialRelay(record, addresses, { ...events, frame }, tcpAfterMs);
        const send = (text: string): boolean => {
          log('>', text);
          return channel.send(text);
        };
        return { connection: null, send, close: () => channel.close() };
      }) satisfies typeof dialRelay,
    };
    const net = connectOn(platform, { relays: relay.line, storage: null, token: ALICE });
    nets.push(net);
    const room = net.joinRoom('ready');
    await room.ready;
    await isSo(() => room.state === 'joined');
    // Nothing is heard between the welcome and what is asked of the relay.
    const sent = frames.slice(0, frames.indexOf('<joined'));
    assert.deepEqual(sent.slice(0, 2), ['<welcome', '>access']);
    assert.ok(sent.indexOf('>join') > 1, sent.join(' '));
    assert.deepEqual(
      sent.filter((frame) => frame.startsWith('<') && frame !== '<nodes'),
      ['<welcome'],
    );
  });
});

it('a token that cannot be one is the page’s mistake', () => {
  for (const token of ['short', `${ALICE} `, `key:${ALICE}`, 42, null, {}, ['x'.repeat(16)]])
    assert.throws(
      () => page({ token: token as string }),
      (error) =>
        error instanceof LumameshError &&
        error.code === 'BAD_ARGUMENT' &&
        /connect: token must be 16 to 128/.test(error.message) &&
        !error.message.includes(ALICE),
    );
});
