import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pause, until } from '@lumamesh/testkit';
import { type Channel, type ChannelOptions, LumameshError, type Net, connect } from './index.ts';
import { useRelayProcess } from './relay-process.test-support.ts';

/* Channels over a real relay: no WebRTC is needed. */

const scene = useRelayProcess();

interface Page {
  readonly net: Net;
  readonly channel: Channel;
  /** What it was told, by members' presence. */
  readonly log: string[];
}

function enter(name: string, presence: unknown, options: ChannelOptions = {}): Page {
  const net = connect({ relays: [scene.line] });
  scene.nets.push(net);
  const channel = net.channel(name, { presence, ...options });
  const log: string[] = [];
  channel.on('joined', (member) => log.push(`joined ${String(member.presence)}`));
  channel.on('left', (member) => log.push(`left ${String(member.presence)}`));
  channel.on('presence', (member) => log.push(`presence ${String(member.presence)}`));
  channel.on('signal', (value, member) =>
    log.push(`signal ${String(member.presence)} ${JSON.stringify(value)}`),
  );
  channel.on('error', ({ code }) => log.push(`error ${code}`));
  return { net, channel, log };
}

const sees = (page: Page, presence: unknown): Promise<unknown> =>
  until(
    () => page.channel.members.some((member) => member.presence === presence),
    `${String(page.channel.presence)} sees ${String(presence)}`,
  );
const memberOf = (page: Page, presence: unknown) =>
  page.channel.members.find((member) => member.presence === presence) ??
  assert.fail(`${String(presence)} is not there`);

describe('a channel', { timeout: 120_000 }, () => {
  it('shows who is there, carries signals to one member, and tells who comes and goes', async () => {
    const ada = enter('signals', 'Ada');
    const [bob, cyd] = [enter('signals', 'Bob'), enter('signals', 'Cyd')];
    const ready: string[] = [];
    ada.channel.on('ready', (id) => ready.push(id));
    for (const page of [ada, bob, cyd])
      for (const other of [ada, bob, cyd])
        if (other !== page) await sees(page, other.channel.presence);
    assert.equal(ada.channel.state, 'joined');
    assert.deepEqual(ready, [await ada.channel.ready]);
    assert.equal(memberOf(bob, 'Ada').id, ada.channel.selfId);
    const heard = Promise.withResolvers<unknown>();
    memberOf(bob, 'Ada').on('signal', heard.resolve);
    assert.equal(await memberOf(ada, 'Bob').signal({ offer: ['sdp', 7, null] }), true);
    assert.deepEqual(await heard.promise, { offer: ['sdp', 7, null] });
    assert.ok(bob.log.includes('signal Ada {"offer":["sdp",7,null]}'));
    // In order, however many.
    for (let i = 0; i < 100; i++) void memberOf(bob, 'Ada').signal(i);
    await until(() => ada.log.includes('signal Bob 99'), 'the last one is there');
    assert.deepEqual(
      ada.log.filter((line) => line.startsWith('signal')),
      Array.from({ length: 100 }, (_, i) => `signal Bob ${i}`),
    );
    assert.ok(!cyd.log.some((line) => line.startsWith('signal')), 'and to nobody else');
    const gone = memberOf(ada, 'Cyd');
    const left = Promise.withResolvers<void>();
    gone.on('left', left.resolve);
    cyd.channel.leave();
    await left.promise;
    assert.ok(gone.isGone && ada.log.includes('left Cyd'));
    assert.equal(await gone.signal('too late'), false);
    assert.deepEqual(cyd.channel.members, []);
    assert.equal(bob.net.channel('signals'), bob.channel, 'twice is once');
  });

  it('tells what a member says of itself, the latest of it, also to who comes later', async () => {
    const [ada, bob] = [enter('moods', 'calm'), enter('moods', 'Bob')];
    await Promise.all([sees(bob, 'calm'), sees(ada, 'Bob')]);
    ada.channel.setPresence('merry');
    await sees(bob, 'merry');
    assert.ok(bob.log.includes('presence merry'));
    assert.ok(!bob.log.some((line) => line.startsWith('left')), 'it is the same member');
    const member = memberOf(bob, 'merry');
    for (let i = 0; i < 200; i++) ada.channel.setPresence(i);
    await sees(bob, 199);
    assert.equal(memberOf(bob, 199), member);
    // What is sealed to it still opens: its stay is the same.
    assert.equal(await member.signal('are you there?'), true);
    await until(() => ada.log.includes('signal Bob "are you there?"'), 'the signal');
    const cyd = enter('moods', 'Cyd');
    await sees(cyd, 199);
    void memberOf(cyd, 199).signal('hello');
    await until(() => ada.log.includes('signal Cyd "hello"'), 'a signal of who came later');
    assert.deepEqual(
      ada.log.filter((line) => line.startsWith('error')),
      [],
    );
  });

  it('has nothing in common with a room or a channel of another password', async () => {
    const ada = enter('secret', 'Ada', { password: 'sesame' });
    const friend = enter('secret', 'friend', { password: 'sesame' });
    const guess = enter('secret', 'guess', { password: 'guess' });
    const open = enter('secret', 'open');
    const room = ada.net.joinRoom('secret', { password: 'sesame' });
    await Promise.all([sees(ada, 'friend'), sees(friend, 'Ada')]);
    await until(() => room.state === 'joined', 'the room is joined');
    await until(() => guess.channel.state === 'joined', 'the other password is in its channel');
    await pause(300);
    assert.deepEqual([guess.channel.members, open.channel.members, room.peers], [[], [], []]);
    assert.notEqual(await room.ready, await ada.channel.ready);
  });

  it('refuses what it cannot carry, by name', async () => {
    const net = connect({ relays: [scene.line] });
    scene.nets.push(net);
    const code = (call: () => unknown): string => {
      try {
        call();
      } catch (error) {
        assert.ok(error instanceof LumameshError);
        return error.code;
      }
      return '';
    };
    const { maxPresenceBytes, maxSignalBytes } = net.channel('limits').limits;
    assert.equal(
      code(() => net.channel('a', { presence: 'x'.repeat(maxPresenceBytes) })),
      'MESSAGE_TOO_LARGE',
    );
    assert.equal(
      code(() => net.channel('b', { presence: new Map() })),
      'NOT_SENDABLE',
    );
    assert.equal(
      code(() => net.channel('')),
      'BAD_ROOM_NAME',
    );
    assert.equal(
      code(() => net.channel('c', { password: 7 as unknown as string })),
      'BAD_ARGUMENT',
    );
    // The largest that is allowed arrives.
    const [ada, bob] = [
      enter('limits', 'p'.repeat(maxPresenceBytes - 2)),
      enter('limits', 'é'.repeat((maxPresenceBytes - 2) / 2)),
    ];
    await Promise.all([sees(ada, bob.channel.presence), sees(bob, ada.channel.presence)]);
    const member = memberOf(ada, bob.channel.presence);
    assert.equal(
      code(() => void member.signal('s'.repeat(maxSignalBytes - 1))),
      'MESSAGE_TOO_LARGE',
    );
    const arrived = Promise.withResolvers<unknown>();
    bob.channel.on('signal', arrived.resolve);
    assert.equal(await member.signal('s'.repeat(maxSignalBytes - 2)), true);
    assert.equal(await arrived.promise, 's'.repeat(maxSignalBytes - 2));
    // Pressed, it says so rather than to be thrown out by the relay.
    const sent: Promise<boolean>[] = [];
    const pressed = code(() => {
      for (let i = 0; i < 5000; i++) sent.push(member.signal(i));
    });
    assert.equal(pressed, 'TOO_MUCH_PENDING');
    assert.ok(sent.length >= 1000);
    net.close();
    assert.equal(
      code(() => net.channel('d')),
      'NET_CLOSED',
    );
    await assert.rejects(async () => connectAndLeave(), { code: 'ROOM_LEFT' });
  });

  it('says at once which ICE servers there are, and when that changes', async () => {
    const net = connect({ relays: [scene.line], iceServers: [{ urls: 'stun:192.0.2.1' }] });
    scene.nets.push(net);
    assert.deepEqual(net.iceServers, [{ urls: 'stun:192.0.2.1' }]);
    const told: (readonly RTCIceServer[])[] = [];
    net.on('iceServers', (servers) => told.push(servers));
    await until(() => told.length > 0, 'the relay is a STUN server');
    assert.deepEqual(told.at(-1), net.iceServers);
    assert.match(JSON.stringify(net.iceServers[0]), /stun:127\.0\.0\.1/);
    assert.deepEqual(net.channel('ice').iceServers, net.iceServers);
  });
});

function connectAndLeave(): Promise<string> {
  const net = connect({ relays: [scene.line] });
  scene.nets.push(net);
  const channel = net.channel('left at once');
  channel.leave();
  return channel.ready;
}
