import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as webrtc from 'node-datachannel/polyfill';
import { until } from '@lumamesh/testkit';
import { type Room, type RoomOptions, type RoomReach, connect } from './index.ts';
import { useRelayProcess } from './relay-process.test-support.ts';

/* Presence of the page's own, whom a page accepts, and who of a room is reached. */

const scene = useRelayProcess();

function join(name: string, options: RoomOptions = {}, canConnect = true): Room {
  const net = connect({ relays: [scene.line], ...(canConnect ? { webrtc } : {}) });
  scene.nets.push(net);
  return net.joinRoom(name, options);
}

const isOpen = (room: Room, id: string): boolean =>
  room.peers.some((peer) => peer.id === id && peer.isOpen);

describe('what a page says of itself', { timeout: 120_000 }, () => {
  it('is there with the peer, changes, and is refused when it is too long', async () => {
    const ada = join('presence', { nick: 'Ada', presence: { colour: 'red' } });
    const bob = join('presence', { nick: 'Bob' });
    await until(() => bob.peers.length > 0, 'Bob sees Ada');
    const [peer] = bob.peers;
    assert.ok(peer !== undefined);
    assert.deepEqual(peer.presence, { colour: 'red' });
    const heard: unknown[] = [];
    peer.on('presence', (value) => heard.push(value));
    ada.setPresence({ colour: 'blue' });
    assert.deepEqual(ada.presence, { colour: 'blue' });
    await until(() => heard.length > 0, 'Bob hears of it');
    assert.deepEqual(
      [heard, peer.presence, peer.nick],
      [[{ colour: 'blue' }], { colour: 'blue' }, 'Ada'],
    );
    // The longest of everything still goes.
    const nick = '\u0007'.repeat(64);
    const cyd = join('presence', { nick, presence: 'x'.repeat(698) });
    await until(() => bob.peers.some((one) => one.nick === nick), 'Bob sees who says the most');
    assert.throws(() => cyd.setPresence('x'.repeat(699)), { code: 'MESSAGE_TOO_LARGE' });
    assert.throws(() => cyd.setPresence(() => undefined), { code: 'NOT_SENDABLE' });
  });

  it('decides whom a page accepts, before there is any connection, and anew when it changes', async () => {
    const asked: unknown[] = [];
    const gate = join('accept', {
      nick: 'gate',
      accept: ({ nick, role, presence }) => {
        asked.push([nick, role, presence]);
        if (presence === 'throw') throw new Error('of the page');
        return presence === 'ticket';
      },
    });
    await gate.ready;
    const guest = join('accept', { nick: 'guest', presence: 'none' });
    const ended: string[] = [];
    guest.on('leave', (_peer, reason) => ended.push(reason));
    await until(() => ended.length > 0, 'the guest hears that it is not accepted');
    assert.deepEqual(ended, ['refused-by-peer']);
    assert.deepEqual(gate.peers, []);
    assert.ok(asked.length > 0 && JSON.stringify(asked[0]) === '["guest","member","none"]');
    assert.deepEqual(gate.reach.missed, new Map([[guest.selfId, 'not-accepted']]));
    assert.equal(gate.reach.isPartial, true);
    guest.setPresence('ticket');
    await until(
      () => isOpen(gate, guest.selfId) && isOpen(guest, gate.selfId),
      'they are connected',
    );
    assert.deepEqual(gate.reach, {
      reached: [guest.selfId],
      trying: [],
      missed: new Map(),
      isPartial: false,
    });
  });
});

describe('who is reached', { timeout: 120_000 }, () => {
  it('is settled at once where nobody is, and with those who were there where somebody is', async () => {
    const ada = join('settled');
    assert.deepEqual((await ada.settled).reached, []);
    assert.equal(ada.state, 'joined');
    const eve = join('settled', { role: 'observer' });
    await until(() => ada.peers.length === 1, 'Ada sees the observer');
    const bob = join('settled');
    const first = await bob.settled;
    assert.deepEqual(first.reached, [ada.selfId]);
    assert.deepEqual(first.missed, new Map([[eve.selfId, 'observer']]));
    assert.ok(isOpen(bob, ada.selfId));
    const heard: RoomReach[] = [];
    bob.on('reach', (now) => heard.push(now));
    // Who comes later changes nothing of it.
    const cyd = join('settled', {}, false);
    await until(() => bob.reach.trying.includes(cyd.selfId), 'Bob sees Cyd');
    assert.equal(await bob.settled, first);
    // It can reach nobody, and knows.
    const { reached, missed } = await cyd.settled;
    assert.deepEqual([reached, missed.get(bob.selfId)], [[], 'failed']);
    void cyd.leave();
    await until(() => heard.at(-1)?.trying.length === 0, 'Bob hears that Cyd is gone');
    assert.ok(
      heard.some(({ trying, isPartial }) => isPartial && trying.includes(cyd.selfId)),
      'and had heard of her',
    );
    assert.deepEqual(heard.at(-1), bob.reach);
    const texts = heard.map((now) => JSON.stringify([now.reached, now.trying, [...now.missed]]));
    assert.ok(
      texts.every((text, i) => text !== texts[i - 1]),
      'nothing is told twice',
    );
  });

  it('gives up those who go, and those who are too many, by name', async () => {
    const [ada, bob] = [join('given up'), join('given up')];
    await Promise.all([ada.settled, bob.settled]);
    // It is in the room and reaches nobody.
    const mute = join('given up', {}, false);
    await until(() => ada.reach.trying.includes(mute.selfId), 'Ada tries to reach it');
    const cyd = join('given up');
    await until(() => cyd.reach.trying.includes(mute.selfId), 'Cyd tries as well');
    void mute.leave();
    const settled = await cyd.settled;
    assert.deepEqual(settled.missed, new Map([[mute.selfId, 'left']]));
    assert.equal(settled.reached.length, 2);
    const dan = join('given up', { maxPeers: 1 });
    const ofDan = await dan.settled;
    assert.deepEqual([ofDan.reached.length, [...ofDan.missed.values()]], [1, ['full', 'full']]);
    const gone = join('given up');
    void gone.leave();
    await assert.rejects(gone.settled, { code: 'ROOM_LEFT' });
  });
});
