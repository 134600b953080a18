import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { VirtualMesh, type VirtualRelay } from '@lumamesh/testkit/mesh';
import { encodeMeshFrame } from './mesh-frame.ts';

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
