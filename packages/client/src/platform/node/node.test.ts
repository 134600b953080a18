import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as webrtc from 'node-datachannel/polyfill';
import { patience, pause, until } from '@lumamesh/testkit';
import { LumameshError, type Handshake, type Net, type Peer, type Room, connect } from './index.ts';
import { useRelayProcess } from './relay-process.test-support.ts';

/* Node programs with a WebRTC implementation of somebody else's, and a real relay. */

const LIMIT_MS = 30_000;
const scene = useRelayProcess();
const { nets } = scene;

function join2(
  nick: string,
  room: string,
  password?: string,
): { readonly net: Net; readonly room: Room } {
  const net = connect({ relays: [scene.line], webrtc });
  nets.push(net);
  return {
    net,
    room: net.joinRoom(room, { nick, ...(password === undefined ? {} : { password }) }),
  };
}

async function within<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not in time: ${what}`)), patience(LIMIT_MS));
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The first peer of a room, once it is open. */
async function firstPeer(room: Room): Promise<Peer> {
  return within(
    new Promise((resolve) => {
      const take = (peer: Peer): void =>
        void (peer.isOpen ? resolve(peer) : peer.on('open', () => resolve(peer)));
      for (const peer of room.peers) take(peer);
      room.on('peer', take);
    }),
    'a peer that is open',
  );
}

const next = async <T>(
  listen: (resolve: (value: T) => void) => unknown,
  what: string,
): Promise<T> => within(new Promise<T>((resolve) => void listen(resolve)), what);

describe('two Node programs', () => {
  it('meet over a real relay, and do with each other what pages do', async () => {
    const [ada, bob] = [join2('Ada', 'node'), join2('Bob', 'node')];
    const [toBob, toAda] = await Promise.all([firstPeer(ada.room), firstPeer(bob.room)]);
    assert.deepEqual([toBob.nick, toAda.nick, toBob.id], ['Bob', 'Ada', bob.room.selfId]);
    const heard = next<unknown>((resolve) => toAda.on('data', resolve), 'data');
    assert.equal(await toBob.send({ hello: 'Bob' }), true);
    assert.deepEqual(await heard, { hello: 'Bob' });
    const [move] = ada.room.action<{ x: number }>('move');
    const [, onMove] = bob.room.action<{ x: number }>('move');
    const moved = next<readonly [unknown, string]>(
      (resolve) => onMove((value, peer) => resolve([value, peer.nick])),
      'an action',
    );
    await move({ x: 7 });
    assert.deepEqual(await moved, [{ x: 7 }, 'Ada']);
    bob.room.answer('double', (value) => Number(value) * 2);
    bob.room.answer('secret', () => {
      throw new Error('with something private in it');
    });
    assert.equal(await toBob.request<number>('double', 21), 42);
    await assert.rejects(toBob.request('nothing'), { code: 'NO_HANDLER' });
    await assert.rejects(
      toBob.request('secret'),
      (error: unknown) =>
        error instanceof LumameshError &&
        error.code === 'REQUEST_FAILED' &&
        !error.message.includes('private'),
    );
    bob.room.answer('slow', async () => new Promise(() => undefined));
    await assert.rejects(toBob.request('slow', null, { timeoutMs: 100 }), {
      code: 'REQUEST_TIMEOUT',
    });
    assert.ok((await toBob.rtt()) < 5000);
    const large = Uint8Array.from({ length: 3_000_000 }, (_, i) => i % 253);
    const arrived = next<unknown>((resolve) => toBob.on('data', resolve), 'a large value');
    await toAda.send(large);
    assert.deepEqual(await arrived, large);
    const left = next<string>(
      (resolve) => ada.room.on('leave', (_peer, reason) => resolve(reason)),
      'leave',
    );
    bob.net.close();
    assert.equal(await left, 'left');
    await assert.rejects(async () => toBob.send('too late'), { code: 'PEER_CLOSED' });
  });

  it('never let in who fails the handshake, and hear nothing of them', async () => {
    const handshake =
      (word: string) =>
      async (_peer: Peer, { send, receive }: Handshake) => {
        send(word);
        if ((await receive()) !== word) throw new Error('who are you?');
      };
    const nicks: string[] = [];
    const make = (nick: string, word: string): Net => {
      const net = connect({ relays: [scene.line], webrtc });
      nets.push(net);
      const room = net.joinRoom('guarded', { nick, handshake: handshake(word) });
      room.on('peer', (peer) => peer.on('open', () => nicks.push(`${nick} ${peer.nick}`)));
      room.on('peer', (peer) => void peer.send(`from ${nick}`));
      return net;
    };
    make('Ada', 'tea');
    const eve = make('Eve', 'coffee');
    const eveRoom = eve.joinRoom('guarded');
    await next((resolve) => eveRoom.on('leave', resolve), 'Eve is sent away');
    make('Bob', 'tea');
    await until(() => nicks.length >= 2, 'Bob is not let in');
    assert.deepEqual(nicks.toSorted(), ['Ada Bob', 'Bob Ada']);
  });

  it('tell nothing to a member that has not passed the handshake, not even one that has none', async () => {
    const ada = connect({ relays: [scene.line], webrtc });
    const eve = connect({ relays: [scene.line], webrtc });
    nets.push(ada, eve);
    const room = ada.joinRoom('vault', {
      nick: 'Ada',
      handshake: async (_peer, { send, receive }) => {
        send('who are you?');
        await pause(1000);
        await receive();
      },
    });
    room.on('peer', (peer) => void peer.send('secret'));
    const heard: unknown[] = [];
    const other = eve.joinRoom('vault', { nick: 'Eve' });
    other.on('peer', (peer) => {
      peer.on('data', (value) => heard.push(value));
      peer.on('open', () => {
        // What a stranger says before is heard by nobody.
        void peer.send('let me in');
      });
    });
    const atAda: unknown[] = [];
    room.on('peer', (peer) => peer.on('data', (value) => atAda.push(value)));
    await next(
      (resolve) => other.on('peer', (peer) => peer.on('open', () => resolve(null))),
      'Eve is connected',
    );
    const timer = setInterval(() => void room.broadcast('secret too'), 100);
    await pause(3000);
    clearInterval(timer);
    assert.deepEqual([heard, atAda], [[], []]);
  });

  it('without WebRTC still reach relays and say what they lack', async () => {
    const bare = connect({ relays: [scene.line] });
    nets.push(bare);
    const room = bare.joinRoom('bare', { nick: 'bot' });
    await next((resolve) => room.on('joined', resolve), 'joined');
    assert.equal(bare.status.state, 'online');
    const failed = next<LumameshError>((resolve) => room.on('error', resolve), 'an error');
    join2('Ada', 'bare');
    assert.equal((await failed).code, 'WEBRTC_MISSING');
  });
});
