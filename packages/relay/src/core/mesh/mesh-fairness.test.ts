import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { instant } from '@lumamesh/base';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { VirtualMesh, type VirtualRelay } from '@lumamesh/testkit/mesh';
import { HOME_LIMITS, HomeTable } from './home-table.ts';
import { encodeMeshFrame } from './mesh-frame.ts';
import { RoomNetwork } from './room-network.ts';
import type { RoomNetworkOutput } from './room-routes.ts';

/* What one relay, or one network of relays, may take of what others need. */

interface Stats {
  readonly rooms: Record<string, number>;
  readonly homes: Record<string, number>;
  readonly drops: Record<string, number>;
}

function stats(mesh: VirtualMesh, relay: VirtualRelay): Stats {
  return relay.core.stats(mesh.now);
}

function meshWithAttacker(): VirtualMesh {
  const mesh = new VirtualMesh();
  for (let i = 0; i < 4; i++) mesh.add(`r${i}`, { peers: i === 0 ? [] : ['r0'] });
  mesh.add('evil', { peers: ['r0', 'r1', 'r2', 'r3'] });
  mesh.run(10_000);
  return mesh;
}

const room = (name: string): string => name.padEnd(43, '_');
const peer = (name: string): string => name.padEnd(22, '_');

/** What a session was told of a peer's presence. */
function presencesOf(mesh: VirtualMesh, relay: string, session: string, id: string): unknown[] {
  return (mesh.relay(relay).heard.get(session) ?? []).flatMap((frame) => {
    const members = frame['action'] === 'peer-joined' ? [frame] : (frame['members'] ?? []);
    return (members as Record<string, unknown>[])
      .filter((member) => member['peer'] === peer(id))
      .map(({ presence }) => presence);
  });
}

describe('news of members', () => {
  it('a relay that brings ever new members has a bounded part waiting, and delays nobody else’s', () => {
    const mesh = meshWithAttacker();
    mesh.join('r0', 'ada', 'room');
    mesh.run(1000);
    for (let i = 0; i < 400; i++) {
      const members = Array.from({ length: 100 }, (_, j) => ({
        peer: peer(`ghost${i}x${j}`),
        presence: 'x'.repeat(800),
      }));
      const frame = { room: room('room') };
      mesh.injectFrame('evil', 'r0', encodeMeshFrame({ ...frame, type: 'present', members }));
      const peers = members.map((member) => member.peer);
      mesh.injectFrame('evil', 'r0', encodeMeshFrame({ ...frame, type: 'absent', peers }));
    }
    const { rooms } = stats(mesh, mesh.relay('r0'));
    assert.ok((rooms['newsWaiting'] ?? Infinity) < 1000, `${rooms['newsWaiting']} wait`);
    mesh.join('r1', 'bob', 'room');
    assert.ok(mesh.runUntil(() => mesh.seen('r0', 'ada', 'room').includes('bob'), 2000));
  });

  it('what one relay shows in all rooms together is bounded, and others have room beside it', () => {
    const maxBytes = 1024 * 1024;
    const mesh = new VirtualMesh();
    mesh.add('r0', { bounds: { maxBytes } });
    mesh.add('r1', { peers: ['r0'] });
    mesh.add('evil', { peers: ['r0'] });
    mesh.run(5000);
    for (let i = 0; i < 10; i++) mesh.join('r0', 'ada', `room${i}`);
    mesh.run(1000);
    for (let i = 0; i < 10; i++) {
      const members = Array.from({ length: 40 }, (_, j) => ({
        peer: peer(`ghost${j}`),
        presence: 'x'.repeat(2000),
      }));
      const frame = { type: 'present', room: room(`room${i}`), members } as const;
      mesh.injectFrame('evil', 'r0', encodeMeshFrame(frame));
    }
    const { rooms, drops } = stats(mesh, mesh.relay('r0'));
    assert.ok((rooms['remoteBytes'] ?? Infinity) <= maxBytes / 4, `${rooms['remoteBytes']}`);
    assert.ok((drops['mesh.present.relayFull'] ?? 0) > 0);
    mesh.join('r1', 'bob', 'room9');
    assert.ok(mesh.runUntil(() => mesh.seen('r0', 'ada', 'room9').includes('bob'), 2000));
    mesh.kill('evil');
    mesh.run(15_000);
    assert.ok((stats(mesh, mesh.relay('r0')).rooms['remoteBytes'] ?? Infinity) < 1000);
  });

  it('a relay that shows rubbish under a member’s id does not hide the member, whichever comes first', () => {
    const mesh = meshWithAttacker();
    mesh.join('r0', 'ada', 'room');
    mesh.run(1000);
    const members = [{ peer: peer('bob'), presence: 'rubbish' }];
    const frame = encodeMeshFrame({ type: 'present', room: room('room'), members });
    mesh.injectFrame('evil', 'r0', frame);
    mesh.run(1000);
    mesh.join('r1', 'bob', 'room');
    mesh.run(3000);
    assert.ok(presencesOf(mesh, 'r0', 'ada', 'bob').includes('presence-of-bob'));
    mesh.injectFrame('evil', 'r0', frame);
    mesh.join('r0', 'late', 'room');
    const listed = new Set(presencesOf(mesh, 'r0', 'late', 'bob'));
    assert.deepEqual(listed, new Set(['rubbish', 'presence-of-bob']));
    mesh.close('r1', 'bob');
    mesh.kill('evil');
    mesh.run(15_000);
    assert.ok(!mesh.seen('r0', 'ada', 'room').includes('bob'));
  });

  it('relays of one network together do not hide a member either', () => {
    const mesh = new VirtualMesh();
    mesh.add('r0');
    mesh.add('r1', { peers: ['r0'] });
    for (let i = 0; i < 6; i++) mesh.add(`evil${i}`, { ip: `66.6.6.${i + 1}`, peers: ['r0'] });
    mesh.run(10_000);
    mesh.join('r0', 'ada', 'room');
    mesh.run(1000);
    for (let i = 0; i < 6; i++) {
      const members = [{ peer: peer('bob'), presence: `rubbish ${i}` }];
      const frame = encodeMeshFrame({ type: 'present', room: room('room'), members });
      mesh.injectFrame(`evil${i}`, 'r0', frame);
    }
    mesh.join('r1', 'bob', 'room');
    mesh.run(3000);
    assert.ok(presencesOf(mesh, 'r0', 'ada', 'bob').includes('presence-of-bob'));
    mesh.say('r0', 'ada', {
      action: 'signal',
      room: room('room'),
      to: peer('bob'),
      data: 'sealed',
    });
    mesh.run(1000);
    const heard = mesh.relay('r1').heard.get('bob') ?? [];
    assert.ok(heard.some(({ action }) => action === 'signal'));
  });

  it('relays of one network that fill a room’s places make way for one of another', () => {
    const mesh = new VirtualMesh();
    mesh.add('r0');
    for (let i = 0; i < 8; i++) mesh.add(`evil${i}`, { ip: `66.6.6.${i + 1}`, peers: ['r0'] });
    mesh.add('r1', { peers: ['r0'] });
    mesh.run(10_000);
    mesh.join('r0', 'ada', 'room');
    mesh.run(500);
    mesh.join('r1', 'bob', 'room');
    assert.ok(mesh.runUntil(() => mesh.seen('r0', 'ada', 'room').includes('bob'), 3000));
  });
});

describe('what a home holds', () => {
  it('relays of one network that fill the places of a room make way for one of another, and are told', () => {
    const table = new HomeTable((nk) => nk.slice(0, 4));
    const now = instant(0);
    for (let i = 0; i < 72; i++) table.add(now, `evil${i}`, ['room']);
    const news = table.add(now, 'good', ['room']);
    assert.ok(news.some(({ type, to }) => type === 'refused' && to.startsWith('evil')));
    assert.ok(news.some(({ type, to }) => type === 'reporters' && to === 'good'));
    assert.ok(table.reports('good', 'room'));
    assert.deepEqual(table.add(now, 'evil99', ['room']), [
      { type: 'refused', to: 'evil99', room: 'room' },
    ]);
  });

  it('a network with many reporters loses its hints first when all places are taken', () => {
    const table = new HomeTable((nk) => nk.slice(0, 4));
    const now = instant(0);
    const rooms = (name: string, count: number): string[] =>
      Array.from({ length: count }, (_, i) => `${name} ${i}`);
    table.add(now, 'good', rooms('good', 9000));
    for (let i = 0; i < 200; i++) table.add(now, `evil${i}`, rooms(`evil${i}`, 1000));
    assert.equal(table.counts.hints, HOME_LIMITS.maxHints);
    for (const name of rooms('good', 9000)) assert.ok(table.reports('good', name));
    table.add(now, 'new', ['room']);
    assert.ok(table.reports('new', 'room'));
  });

  it('rooms made up by clients of one network leave places for those of others, who are told when theirs has none', () => {
    const outputs: RoomNetworkOutput[] = [];
    const network = new RoomNetwork({
      nk: 'own',
      maxRemoteMembers: 250,
      maxRemoteBytes: 1_000_000,
      hash: () => new Uint8Array(32),
      random: () => 0.5,
      isLinked: (nk) => nk === 'home',
      prefixOf: (nk) => nk,
    });
    const now = instant(0);
    const records = [{ nk: 'home', ip: '20.0.0.1', meshPort: 1 }];
    network.setRelays(now, records as unknown as SignedRelayRecord[]);
    const join = (name: string, from: string): void => {
      const member = { room: room(name), peer: peer('p'), presence: 'x', network: from };
      network.handleLocalRooms(now, { ...member, type: 'localPresent' });
      for (let output = network.poll(); output !== null; output = network.poll())
        outputs.push(output);
    };
    for (let i = 0; i < 19_200; i++) join(`made up ${i}`, 'evil');
    for (let i = 0; i < 20; i++) join(`real ${i}`, `honest ${i}`);
    const hinted = outputs.flatMap((output) =>
      output.type === 'send' && output.frame.type === 'hints' ? output.frame.rooms : [],
    );
    const refused = outputs.flatMap((output) =>
      output.type === 'remoteRefused' ? [output.room] : [],
    );
    for (let i = 0; i < 20; i++) assert.ok(hinted.includes(room(`real ${i}`)));
    assert.equal(hinted.length + refused.length, 19_220);
    assert.ok(hinted.length < 3000 && new Set(refused).size === refused.length);
    network.handleHintFrame(now, 'home', { type: 'refused', rooms: [room('real 1')] });
    network.poll();
    assert.ok(network.drops.snapshot()['mesh.hint.refused'] === 1);
  });

  it('a hint that comes and goes without end costs the link, not those who report the room', () => {
    const mesh = meshWithAttacker();
    for (let i = 0; i < 3; i++) mesh.join(`r${i}`, 'ada', 'room');
    mesh.run(3000);
    const rooms = Array.from({ length: 500 }, () => room('room'));
    for (let i = 0; i < 60; i++)
      for (const type of ['hints', 'withdraw'] as const)
        mesh.injectFrame('evil', 'r0', encodeMeshFrame({ type, rooms }));
    mesh.run(100);
    const { drops } = stats(mesh, mesh.relay('r0'));
    const ended = ['mesh.link.tooManyHints', 'mesh.link.tooMuchNews'];
    assert.equal(ended.filter((reason) => drops[reason] === 1).length, 1, JSON.stringify(drops));
  });
});

describe('records of others', () => {
  it('that a relay gossips before it has shown one of its own that answers are not looked at', () => {
    const mesh = new VirtualMesh();
    mesh.add('r0');
    mesh.add('walled', { peers: ['r0'], isFirewalled: true });
    mesh.run(1000);
    assert.ok(mesh.isLinked('walled', 'r0'));
    const nk = `${'S'.repeat(42)}A`;
    for (let i = 0; i < 20; i++) mesh.inject('walled', mesh.sign({ nk, ip: `30.0.${i}.1` }));
    mesh.run(1000);
    const { drops } = stats(mesh, mesh.relay('r0'));
    assert.ok((drops['mesh.gossip.notReady'] ?? 0) >= 20, JSON.stringify(drops));
    // Its own, of its hello.
    assert.equal(drops['mesh.record.unreachable'], 1);
  });
});

describe('what one relay asks of all rooms together', () => {
  it('whole lists are sent no faster than its bytes allow, and all the same in the end', () => {
    const mesh = meshWithAttacker();
    const [rooms, members] = [32, 12];
    const presence = 'x'.repeat(2000);
    for (let j = 0; j < members; j++)
      for (let i = 0; i < rooms; i++) {
        mesh.join('r0', `ada${j}`, `room${i}`);
        const join = { action: 'join', room: room(`room${i}`), peer: peer(`ada${j}`), presence };
        mesh.say('r0', `ada${j}`, join);
      }
    mesh.run(2000);
    const ask = (): void => {
      for (let i = 0; i < rooms; i++) {
        const frame = { type: 'present', room: room(`room${i}`), members: [], ask: true } as const;
        mesh.injectFrame('evil', 'r0', encodeMeshFrame({ ...frame, all: true }));
      }
    };
    const { bytesOut: before } = mesh.relay('r0');
    for (let i = 0; i < 20; i++) ask();
    mesh.run(1000);
    const sent = mesh.relay('r0').bytesOut - before;
    const whole = rooms * members * 2000;
    // Ten of each would be 7.7 MB.
    assert.ok(sent > whole && sent < 5_800_000, `${sent} bytes`);
    assert.ok((stats(mesh, mesh.relay('r0')).drops['mesh.list.paced'] ?? 0) > 0);
    // Who was not served yet is, when there are bytes again.
    mesh.join('evil', 'eve', 'room0');
    assert.ok(mesh.runUntil(() => mesh.seen('evil', 'eve', 'room0').length === members, 30_000));
  });

  it('signals are passed on no faster than one relay may author', () => {
    const mesh = meshWithAttacker();
    mesh.join('r0', 'ada', 'room');
    mesh.run(1000);
    const ghost = { peer: peer('ghost'), presence: 'x' };
    const present = { type: 'present', room: room('room'), members: [ghost] } as const;
    mesh.injectFrame('evil', 'r0', encodeMeshFrame(present));
    const signal = {
      type: 'signal',
      room: room('room'),
      from: ghost.peer,
      to: peer('ada'),
    } as const;
    for (let i = 0; i < 15_000; i++)
      mesh.injectFrame('evil', 'r0', encodeMeshFrame({ ...signal, data: 'x' }));
    const { drops } = stats(mesh, mesh.relay('r0'));
    assert.equal(drops['mesh.signal.tooMany'], 5000);
  });
});
