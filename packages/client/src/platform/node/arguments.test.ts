import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import * as webrtc from 'node-datachannel/polyfill';
import { connect as connectCore } from '../../core.ts';
import { files, presence } from '../../features/index.ts';
import { LumameshError, connect } from './index.ts';

/* What callers without type checks give; no relay is needed to hear that it is wrong. */

const RELAY = {
  fingerprint: `AA${':AA'.repeat(31)}`,
  ip: '203.0.113.1',
  port: 3478,
  ufrag: 'luma',
  pwd: 'x'.repeat(22),
  nk: Buffer.alloc(32).toString('base64url'),
};
const untyped = connect as unknown as (options?: unknown) => ReturnType<typeof connect>;
const net = connect({ relays: [RELAY] });
after(() => net.close());

function isRefused(run: () => unknown, code: string, parameter: RegExp): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof LumameshError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, parameter);
    return true;
  });
}

describe('connect', () => {
  const wrong: readonly (readonly [string, readonly unknown[], string?])[] = [
    ['relays', [42, null, [null], [42], {}, [{}], true, () => undefined, [], ''], 'BAD_RELAY'],
    ['iceServers', [42, null, 'stun:x', {}, [42], [{ urls: 'http://x' }], [{}]]],
    ['signal', [42, {}, 'x', true]],
    ['storage', [42, {}, 'x', { getItem: () => null }]],
    ['logger', [42, null, 'x', { warn: 'x' }, { debug: null }]],
    ['rtcConfiguration', [42, null, 'x', { iceServers: 42 }, { iceServers: [{}] }]],
    ['onListenerError', [42, null, 'x', {}]],
    ['discover', [42, null, 'no', {}]],
  ];
  for (const [name, values, code = 'BAD_ARGUMENT'] of wrong)
    it(`refuses ${name} that are none`, () => {
      for (const value of values)
        isRefused(
          () => untyped({ relays: [RELAY], webrtc, [name]: value }).close(),
          code,
          code === 'BAD_RELAY' ? /relay/ : new RegExp(`connect: .*${name}`),
        );
    });

  it('takes what is right', () => {
    const { signal } = new AbortController();
    const storage = { getItem: () => null, setItem: () => undefined };
    const iceServers = [{ urls: 'stun:203.0.113.2:3478' }];
    untyped({ relays: RELAY, signal, storage, iceServers, logger: console }).close();
    untyped({ relays: [RELAY], storage: null, logger: {}, signal: undefined }).close();
  });
});

describe('connect of lumamesh/core', () => {
  it('refuses features that are none, as the function of one that was not called', () => {
    const core = connectCore as unknown as (options: object) => ReturnType<typeof connect>;
    for (const features of [42, null, 'files', files, [files], [presence(), files], [null]])
      isRefused(() => core({ relays: [RELAY], features }), 'BAD_ARGUMENT', /connect: features/);
    core({ relays: [RELAY], features: [presence(), files()] }).close();
    core({ relays: [RELAY], features: undefined }).close();
  });
});

describe('a net', () => {
  it('that could not be made dials nobody, whatever list is on its way', async () => {
    const original = globalThis.fetch;
    const asked = Promise.withResolvers<void>();
    globalThis.fetch = async () => {
      asked.resolve();
      return new Response(JSON.stringify([]));
    };
    const dialled: unknown[] = [];
    const logger = { warn: (text: string) => dialled.push(text) };
    try {
      assert.throws(() => untyped({ relays: ['/relay.txt', 'garbage'], logger }), {
        code: 'BAD_RELAY',
      });
      await asked.promise;
      await new Promise((resolve) => setTimeout(resolve, 50));
    } finally {
      globalThis.fetch = original;
    }
    assert.deepEqual(
      dialled.filter((text) => !/passed over/.test(String(text))),
      [],
    );
  });

  it('lets go of its signal when it is closed', async () => {
    const { signal } = new AbortController();
    let listeners = 0;
    signal.addEventListener = () => void (listeners += 1);
    signal.removeEventListener = () => void (listeners -= 1);
    const own = connect({ relays: [RELAY], signal });
    assert.equal(listeners, 1);
    await own.close();
    assert.equal(listeners, 0);
  });
});

describe('joinRoom', () => {
  const join = net.joinRoom.bind(net) as (name?: unknown, options?: unknown) => unknown;

  it('refuses names and options of other types', () => {
    for (const name of [42, null, undefined, {}, ['tea'], Symbol('tea')])
      isRefused(() => join(name), 'BAD_ARGUMENT', /joinRoom: name must be string/);
    isRefused(() => join(''), 'BAD_ROOM_NAME', /name/);
    for (const options of [null, 42, 'x', () => undefined])
      isRefused(() => join('tea', options), 'BAD_ARGUMENT', /joinRoom: options/);
    for (const name of ['nick', 'password'])
      for (const value of [42, null, {}, []])
        isRefused(() => join('tea', { [name]: value }), 'BAD_ARGUMENT', new RegExp(name));
    for (const maxPeers of [Number.NaN, 0, -1, 'x', null, {}])
      isRefused(() => join('tea', { maxPeers }), 'BAD_ARGUMENT', /maxPeers/);
    for (const handshake of [42, null, 'x', {}])
      isRefused(() => join('hand', { handshake }), 'BAD_ARGUMENT', /handshake/);
    for (const accept of [42, null, 'x', {}])
      isRefused(() => join('choosy', { accept }), 'BAD_ARGUMENT', /accept/);
    for (const forward of [42, null, 'no', {}])
      isRefused(() => join('tea', { forward }), 'BAD_ARGUMENT', /forward/);
    for (const role of ['boss', 42, null, {}])
      isRefused(() => join('tea', { role }), 'BAD_ARGUMENT', /role/);
  });

  it('is the same room the second time, whatever its options then', () => {
    const room = net.joinRoom('twice', { nick: 'Ada', maxPeers: 1 });
    assert.equal(net.joinRoom('twice', { nick: 'Bob', maxPeers: Infinity }), room);
    isRefused(() => join('twice', { nick: 42 }), 'BAD_ARGUMENT', /nick/);
    room.leave();
    assert.notEqual(net.joinRoom('twice'), room);
  });

  it('is left, and the net closed, as told or not at all', async () => {
    const own = connect({ relays: [RELAY] });
    const room = own.joinRoom('leave');
    for (const options of [null, 42, 'x', { flush: 'no' }] as unknown as { flush: boolean }[]) {
      await assert.rejects(room.leave(options), { code: 'BAD_ARGUMENT' });
      await assert.rejects(own.close(options), { code: 'BAD_ARGUMENT' });
    }
    assert.deepEqual([room.state, own.status.state], ['joining', 'connecting']);
    assert.equal(await room.broadcast('nobody is there yet'), true);
    // What nobody can be sent is a mistake also now.
    const unsendable: unknown = () => undefined;
    await assert.rejects(room.broadcast(unsendable), { code: 'NOT_SENDABLE' });
    const stream = { getTracks: () => [], id: 'stream' } as unknown as MediaStream;
    assert.throws(() => room.addStream(stream, unsendable), { code: 'NOT_SENDABLE' });
    await room.leave();
    assert.equal(await room.broadcast('nobody can be there'), false);
    await own.close();
    assert.throws(() => own.addRelays('/relay.txt'), { code: 'NET_CLOSED' });
  });

  it('has actions that go to peers, and to nothing else', async () => {
    const [send] = net.joinRoom('to').action('move');
    // `undefined` is what a page gets for somebody who is gone: not everybody.
    const nobody = [42, null, undefined, 'Bob', {}, [null], [undefined], ['Bob']];
    for (const to of nobody as unknown as readonly [])
      await assert.rejects(send(1, { to }), { code: 'BAD_ARGUMENT' });
    await assert.rejects(send(1, null as unknown as object), { code: 'BAD_ARGUMENT' });
    assert.equal(await send(1, { to: [] }), true);
  });

  it('has events that exist, and removers of what they were returned for', () => {
    const room = net.joinRoom('events');
    for (const target of [net, room] as const) {
      const on = target.on.bind(target) as unknown as (event?: unknown, listener?: unknown) => void;
      isRefused(() => on('no-such-event', () => undefined), 'BAD_ARGUMENT', /on: event/);
      isRefused(() => on('error', 'x'), 'BAD_ARGUMENT', /on: listener/);
    }
    let heard = 0;
    const listener = (): void => void (heard += 1);
    const [first] = [room.on('status', listener), room.on('status', listener)];
    first();
    first();
    room.leave();
    assert.equal(heard, 1);
  });
});
