import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as webrtc from 'node-datachannel/polyfill';
import { pause, until } from '@lumamesh/testkit';
import { type Peer, type PeerRole, type Room, connect } from './index.ts';
import { useRelayProcess } from './relay-process.test-support.ts';

/* Who connects to whom: members, observers, and those who were sent away. */

const scene = useRelayProcess();

interface Tab {
  readonly room: Room;
  readonly log: string[];
  peer(nick: string): Peer;
}

function join(name: string, nick: string, role: PeerRole = 'member'): Tab {
  const net = connect({ relays: [scene.line], webrtc });
  scene.nets.push(net);
  const room = net.joinRoom(name, { nick, role });
  const log: string[] = [];
  room.on('error', ({ code, message }) => log.push(`error ${code} ${message}`));
  room.on('leave', (peer, reason) => log.push(`leave ${peer.nick} ${reason}`));
  room.on('peer', (peer) => {
    log.push(`peer ${peer.nick} ${peer.role} ${peer.state}`);
    peer.on('data', (value) => log.push(`data ${peer.nick} ${String(value)}`));
  });
  const find = (wanted: string): Peer | undefined =>
    room.peers.find((peer) => peer.nick === wanted);
  return {
    room,
    log,
    peer: (wanted) => find(wanted) ?? assert.fail(`${nick} does not see ${wanted}`),
  };
}

const meets = (tab: Tab, nick: string): Promise<unknown> =>
  until(() => tab.room.peers.some((peer) => peer.nick === nick), `${nick} is seen`);
const opens = (tab: Tab, nick: string): Promise<unknown> =>
  until(() => tab.peer(nick).isOpen, `${nick} is open`);

describe('an observer', { timeout: 120_000 }, () => {
  it('sees and is seen, and is connected to when either side asks for it', async () => {
    const [ada, eve, fay] = [
      join('watched', 'Ada'),
      join('watched', 'Eve', 'observer'),
      join('watched', 'Fay', 'observer'),
    ];
    const bob = join('watched', 'Bob');
    await Promise.all([meets(ada, 'Bob'), meets(bob, 'Ada')]);
    await Promise.all([opens(ada, 'Bob'), opens(bob, 'Ada')]);
    for (const tab of [ada, bob, fay]) await meets(tab, 'Eve');
    for (const tab of [ada, bob, eve]) await meets(tab, 'Fay');
    assert.deepEqual([ada.peer('Eve').role, eve.peer('Ada').role], ['observer', 'member']);
    await pause(5000);
    const idle = (tab: Tab): string[] =>
      tab.room.peers.filter(({ state }) => state === 'idle').map(({ nick }) => nick);
    assert.deepEqual(idle(ada).toSorted(), ['Eve', 'Fay']);
    assert.deepEqual(idle(eve).toSorted(), ['Ada', 'Bob', 'Fay']);
    // What goes to all goes to who is connected.
    assert.equal(await ada.room.broadcast('all'), true);
    await until(() => bob.log.includes('data Ada all'), 'Bob has it');
    assert.equal(ada.peer('Eve').state, 'idle');
    // The member asks, by sending; the observer asks.
    void ada.peer('Eve').send('hello');
    await until(() => eve.log.includes('data Ada hello'), 'Eve has it');
    eve.peer('Bob').connect();
    eve.peer('Bob').connect();
    await Promise.all([opens(eve, 'Bob'), opens(bob, 'Eve')]);
    // Both at once.
    eve.peer('Fay').connect();
    fay.peer('Eve').connect();
    await Promise.all([opens(eve, 'Fay'), opens(fay, 'Eve')]);
    assert.equal(await fay.peer('Eve').send('psst'), true);
    await until(() => eve.log.includes('data Fay psst'), 'Eve has it');
    assert.equal(ada.peer('Fay').state, 'idle');
    fay.room.leave();
    await until(() => ada.log.includes('leave Fay left'), 'Ada sees it leave');
    const errors = [ada, bob, eve, fay].flatMap(({ log }) =>
      log.filter((line) => /error/.test(line)),
    );
    assert.deepEqual(errors, []);
  });
});

describe('a peer that is sent away', { timeout: 120_000 }, () => {
  it('hears that, and both leave each other alone', async () => {
    const [ada, bob] = [join('unwelcome', 'Ada'), join('unwelcome', 'Bob')];
    await Promise.all([meets(ada, 'Bob'), meets(bob, 'Ada')]);
    await Promise.all([opens(ada, 'Bob'), opens(bob, 'Ada')]);
    ada.peer('Bob').close();
    await until(() => bob.log.some((line) => line.startsWith('leave')), 'Bob hears it');
    assert.deepEqual(bob.log.slice(1), ['leave Ada refused-by-peer']);
    assert.deepEqual(ada.log.slice(1), ['leave Bob refused']);
    await pause(35_000);
    assert.deepEqual([ada.log.length, bob.log.length], [2, 2]);
    assert.deepEqual([ada.room.peers.length, bob.room.peers.length], [0, 0]);
    // Who joins anew is somebody else.
    bob.room.leave();
    const again = join('unwelcome', 'Bob again');
    await Promise.all([meets(ada, 'Bob again'), meets(again, 'Ada')]);
    await opens(ada, 'Bob again');
  });
});
