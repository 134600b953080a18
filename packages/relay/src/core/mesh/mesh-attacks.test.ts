import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { instant, utf8Decode, utf8Encode } from '@lumamesh/base';
import { mutations } from '@lumamesh/testkit';
import { VirtualMesh, type VirtualRelay } from '@lumamesh/testkit/mesh';
import { DIRECTORY_LIMITS } from './directory-limits.ts';
import { HOME_LIMITS, HomeTable } from './home-table.ts';
import { MESH_LIMITS, encodeMeshFrame } from './mesh-frame.ts';

/* What a stranger with a salt can try. Every relay here runs the real core; the attacker is one of them whose frames and gossip the test writes. */

interface Stats {
  readonly records: Record<string, number>;
  readonly homes: Record<string, number>;
  readonly drops: Record<string, number>;
}

function stats(mesh: VirtualMesh, relay: VirtualRelay): Stats {
  return relay.core.stats(mesh.now) as unknown as Stats;
}

/** Five honest relays, and `evil`, linked to all of them. */
function meshWithAttacker(): VirtualMesh {
  const mesh = new VirtualMesh();
  for (let i = 0; i < 5; i++) mesh.add(`r${i}`, { peers: i === 0 ? [] : ['r0'] });
  mesh.add('evil', { peers: ['r0', 'r1', 'r2', 'r3', 'r4'] });
  mesh.run(10_000);
  for (let i = 0; i < 5; i++) assert.ok(mesh.isLinked('evil', `r${i}`));
  return mesh;
}

const nodeKey = (i: number): string => i.toString(36).padStart(42, 'S').slice(-42) + 'A';
const room = (i: number): string => `room${i}`.padEnd(43, '_');

describe('a mesh under fire', () => {
  it('a flood of well-signed records that nobody answers for gets none in, and the honest ones stay', () => {
    const mesh = meshWithAttacker();
    for (let i = 0; i < 2000; i++)
      mesh.inject('evil', mesh.sign({ nk: nodeKey(i), ip: `66.6.6.${i % 256}` }));
    mesh.run(60_000);
    for (let i = 0; i < 5; i++) {
      const { records } = stats(mesh, mesh.relay(`r${i}`));
      assert.equal(records['alive'], 5);
      assert.ok(
        (records['candidates'] ?? 0) <= DIRECTORY_LIMITS.maxCandidates &&
          (records['refused'] ?? 0) <= DIRECTORY_LIMITS.maxRefused,
      );
    }
  });

  it('fifty relays that do answer, in one prefix, get the share of one prefix; those that were there first stay', () => {
    const mesh = new VirtualMesh();
    for (let i = 0; i < 5; i++) mesh.add(`r${i}`, { peers: i === 0 ? [] : ['r0'] });
    for (let i = 0; i < 50; i++)
      mesh.add(`s${i}`, { ip: `66.6.6.${i + 1}`, peers: ['r0', 'r1', 'r2'] });
    mesh.run(120_000);
    for (let i = 0; i < 5; i++) {
      const known = mesh.relay(`r${i}`).core.known();
      assert.ok(
        known.filter(({ ip }) => ip.startsWith('66.6.6.')).length <= DIRECTORY_LIMITS.maxPerPrefix,
      );
      assert.equal(known.filter(({ ip }) => !ip.startsWith('66.6.6.')).length, 4);
    }
  });

  it('a dead one of a full prefix makes room for a living one', () => {
    const mesh = new VirtualMesh();
    mesh.add('r0');
    for (let i = 0; i < DIRECTORY_LIMITS.maxPerPrefix; i++)
      mesh.add(`s${i}`, { ip: `66.6.6.${i + 1}`, peers: ['r0'] });
    mesh.run(5000);
    mesh.kill('s3');
    mesh.add('new', { ip: '66.6.6.99', peers: ['r0'] });
    assert.ok(
      mesh.runUntil(
        () =>
          mesh
            .relay('r0')
            .core.known()
            .some(({ ip }) => ip === '66.6.6.99'),
        180_000,
      ),
    );
    assert.ok(
      !mesh
        .relay('r0')
        .core.known()
        .some(({ ip }) => ip === '66.6.6.4'),
    );
  });

  it('records of private, loopback and multicast addresses are refused by relays on the internet, and cost the sender its link', () => {
    const mesh = meshWithAttacker();
    for (const ip of [
      '127.0.0.1',
      '10.0.0.1',
      '192.168.1.1',
      '169.254.169.254',
      '224.0.0.1',
      '0.0.0.0',
    ])
      mesh.inject('evil', mesh.sign({ nk: nodeKey(1), ip }));
    mesh.run(1000);
    assert.equal(stats(mesh, mesh.relay('r0')).drops['mesh.record.address'], 6);
    assert.equal(stats(mesh, mesh.relay('r0')).records['alive'], 5);
  });

  it('a record that points at somebody else’s relay does not prove its key', () => {
    const mesh = meshWithAttacker();
    mesh.inject('evil', mesh.sign({ nk: nodeKey(1), ip: mesh.relay('r1').record.ip }));
    mesh.run(5000);
    for (let i = 0; i < 5; i++)
      assert.ok(
        !mesh
          .relay(`r${i}`)
          .core.known()
          .some(({ nk }) => nk === nodeKey(1)),
      );
  });

  it('a record that is not signed by its key is refused, and a hello with one ends in a ban', () => {
    const mesh = meshWithAttacker();
    const forged = {
      ...mesh.relay('r1').record,
      ip: '66.6.6.6',
      sequence: mesh.relay('r1').record.sequence + 1,
      signature: `${'B'.repeat(85)}A`,
    };
    mesh.inject('evil', forged);
    mesh.run(1000);
    assert.ok((stats(mesh, mesh.relay('r0')).drops['mesh.record.signature'] ?? 0) >= 1);
    assert.ok(
      mesh
        .relay('r0')
        .core.known()
        .some(({ nk, ip }) => nk === mesh.relay('r1').nk && ip !== '66.6.6.6'),
    );
    mesh.injectFrame('evil', 'r0', encodeMeshFrame({ type: 'hello', version: 1, record: forged }));
    mesh.run(1000);
    assert.ok(mesh.relay('evil').bannedBy.has('r0'));
  });

  it('a relay cannot speak for members that it has not shown, nor take away those of others', () => {
    const mesh = meshWithAttacker();
    mesh.join('r0', 'ada', 'room0');
    mesh.join('r1', 'bob', 'room0');
    mesh.run(2000);
    assert.deepEqual(mesh.seen('r0', 'ada', 'room0'), ['bob']);
    mesh.injectFrame(
      'evil',
      'r0',
      encodeMeshFrame({ type: 'absent', room: room(0), peers: ['bob'.padEnd(22, '_')] }),
    );
    mesh.injectFrame(
      'evil',
      'r0',
      encodeMeshFrame({
        type: 'signal',
        room: room(0),
        from: 'bob'.padEnd(22, '_'),
        to: 'ada'.padEnd(22, '_'),
        data: 'forged',
      }),
    );
    mesh.injectFrame(
      'evil',
      'r0',
      encodeMeshFrame({ type: 'reporters', room: room(0), add: [], remove: [mesh.relay('r1').nk] }),
    );
    mesh.run(15_000);
    assert.deepEqual(mesh.seen('r0', 'ada', 'room0'), ['bob']);
    assert.ok(!(mesh.relay('r0').heard.get('ada') ?? []).some(({ action }) => action === 'signal'));
  });

  it('made-up members fill no room for those who come themselves', () => {
    const mesh = new VirtualMesh();
    mesh.add('r0', { maxRoomSize: 20 });
    mesh.add('evil', { peers: ['r0'] });
    mesh.run(3000);
    mesh.join('r0', 'ada', 'room0');
    for (let i = 0; i < 50; i++) {
      const members = Array.from({ length: 10 }, (_, j) => ({
        peer: `ghost${i}x${j}`.padEnd(22, '_'),
        presence: 'x',
      }));
      mesh.injectFrame('evil', 'r0', encodeMeshFrame({ type: 'present', room: room(0), members }));
    }
    mesh.run(1000);
    assert.ok(mesh.seen('r0', 'ada', 'room0').length <= 20);
    const joined = mesh.join('r0', 'bob', 'room0').find(({ action }) => action === 'joined');
    assert.ok(joined !== undefined);
    mesh.kill('evil');
    mesh.run(10_000);
    assert.deepEqual(mesh.seen('r0', 'bob', 'room0'), ['ada']);
  });

  it('hints without end are refused beyond a reporter’s share; a room keeps a bounded number of reporters', () => {
    const mesh = meshWithAttacker();
    for (let i = 0; i < 60; i++) {
      const rooms = Array.from({ length: MESH_LIMITS.maxHints }, (_, j) =>
        room(i * MESH_LIMITS.maxHints + j),
      );
      mesh.injectFrame('evil', 'r0', encodeMeshFrame({ type: 'hints', rooms }));
    }
    mesh.run(1000);
    const { homes } = stats(mesh, mesh.relay('r0'));
    assert.equal(homes['hintsHeld'], HOME_LIMITS.maxHintsPerReporter);
    assert.ok((homes['hintsRefused'] ?? 0) > 0);
    mesh.kill('evil');
    mesh.run(15_000);
    assert.equal(stats(mesh, mesh.relay('r0')).homes['hintsHeld'], 0);
  });

  it('a home carries frames only between relays that both report the room, and cannot make one up', () => {
    const mesh = meshWithAttacker();
    mesh.join('r0', 'ada', 'room0');
    mesh.run(1000);
    const frame = {
      type: 'present',
      room: room(0),
      members: [{ peer: 'ghost'.padEnd(22, '_'), presence: 'x' }],
    } as const;
    const carried = {
      counter: 2 ** 50,
      text: JSON.stringify(frame),
      signature: 'A'.repeat(86),
      frame,
    };
    for (let i = 1; i < 5; i++)
      mesh.injectFrame(
        'evil',
        `r${i}`,
        encodeMeshFrame({ type: 'forwardRequest', to: mesh.relay('r0').nk, ...carried }),
      );
    mesh.injectFrame(
      'evil',
      'r0',
      encodeMeshFrame({ type: 'forwarded', from: mesh.relay('r1').nk, ...carried }),
    );
    assert.equal(stats(mesh, mesh.relay('r0')).drops['mesh.forwarded.forged'], 1);
    mesh.run(2000);
    assert.deepEqual(mesh.seen('r0', 'ada', 'room0'), []);
  });

  it('frames that are none cost the link after some, and nothing else', () => {
    const mesh = meshWithAttacker();
    mesh.join('r0', 'ada', 'room0');
    mesh.join('r1', 'bob', 'room0');
    mesh.run(2000);
    const texts = [
      encodeMeshFrame({ type: 'hints', rooms: [room(0)] }),
      encodeMeshFrame({ type: 'reporters', room: room(0), add: [nodeKey(5)], remove: [] }),
    ];
    for (const text of texts) {
      for (const damaged of mutations(utf8Encode(text), 400, 11))
        mesh.injectFrame('evil', 'r0', utf8Decode(damaged) ?? '{');
    }
    mesh.run(15_000);
    assert.ok(mesh.relay('evil').bannedBy.has('r0'));
    assert.deepEqual(mesh.seen('r0', 'ada', 'room0'), ['bob']);
  });

  it('rumours of death are looked into and not believed', () => {
    const mesh = meshWithAttacker();
    const relays = [1, 2, 3, 4].map((i) => mesh.relay(`r${i}`).nk);
    for (let i = 0; i < 100; i++)
      mesh.injectFrame('evil', 'r0', encodeMeshFrame({ type: 'suspect', relays }));
    mesh.run(3000);
    assert.equal(stats(mesh, mesh.relay('r0')).records['alive'], 5);
    assert.ok((stats(mesh, mesh.relay('r0')).drops['mesh.suspect.tooMany'] ?? 0) > 0);
  });

  it('a relay that changes its record without end is slowed down', () => {
    const mesh = meshWithAttacker();
    for (let i = 1; i < 60; i++) {
      const { nk } = mesh.relay('evil');
      mesh.inject(
        'evil',
        mesh.sign({
          nk,
          ip: mesh.relay('evil').record.ip,
          sequence: mesh.relay('evil').record.sequence + i,
        }),
      );
    }
    mesh.run(2000);
    assert.ok((stats(mesh, mesh.relay('r0')).drops['mesh.record.tooManyUpdates'] ?? 0) >= 50);
  });

  it('a copy of somebody’s record with another mesh id, or under another key, harms neither its owner nor those who pass records on', () => {
    const mesh = meshWithAttacker();
    const victim = mesh.relay('r1').record;
    for (let i = 0; i < 5; i++) {
      mesh.injectFrame(
        'evil',
        `r${i}`,
        encodeMeshFrame({
          type: 'records',
          records: [{ ...victim, mesh: 'BBBBBBBBBBBBBBBBBBBBBA' }],
        }),
      );
      mesh.inject('evil', { ...victim, nk: nodeKey(77), sequence: victim.sequence + 5 });
    }
    mesh.run(10_000);
    for (let i = 0; i < 5; i++) {
      assert.equal(mesh.relay(`r${i}`).bannedBy.size, 0);
      assert.equal(stats(mesh, mesh.relay(`r${i}`)).records['alive'], 5);
    }
  });

  it('records of places that never answer keep neither a newcomer out nor a death from being noticed', () => {
    const mesh = meshWithAttacker();
    for (let i = 0; i < 1200; i++)
      mesh.inject('evil', mesh.sign({ nk: nodeKey(i), ip: `30.${i >> 8}.${i & 255}.1` }));
    for (let second = 0; second < 10; second++) {
      for (let i = 0; i < 30; i++)
        mesh.inject(
          'evil',
          mesh.sign({ nk: nodeKey(2000 + second * 30 + i), ip: `31.${second}.${i}.1` }),
        );
      mesh.run(1000);
    }
    mesh.add('new', { peers: ['r0'] });
    const isKnown = (name: string): boolean =>
      mesh
        .relay('r0')
        .core.known()
        .some(({ nk }) => nk === mesh.relay(name).nk);
    assert.ok(
      mesh.runUntil(() => isKnown('new'), 5000),
      'the newcomer is kept out',
    );
    mesh.kill('r3');
    assert.ok(
      mesh.runUntil(() => !isKnown('r3'), 10_000),
      'a death goes unnoticed',
    );
  });

  it('ready said a hundred times brings one list of members', () => {
    const mesh = meshWithAttacker();
    mesh.join('r0', 'ada', 'room0');
    mesh.join('evil', 'eve', 'room0');
    mesh.run(5000);
    const before = mesh.relay('r0').bytesOut;
    for (let i = 0; i < 100; i++)
      mesh.injectFrame('evil', 'r0', encodeMeshFrame({ type: 'ready' }));
    mesh.run(1000);
    assert.ok(mesh.relay('r0').bytesOut - before < 5000);
  });

  it('presence that changes without end is told in turn, not as fast as it comes', () => {
    const mesh = meshWithAttacker();
    mesh.join('r0', 'ada', 'room0');
    mesh.run(1000);
    for (let round = 0; round < 50; round++) {
      const members = Array.from({ length: 32 }, (_, i) => ({
        peer: `ghost${i}`.padEnd(22, '_'),
        presence: `p${round}`,
      }));
      mesh.injectFrame('evil', 'r0', encodeMeshFrame({ type: 'present', room: room(0), members }));
    }
    mesh.run(1000);
    const told = (mesh.relay('r0').heard.get('ada') ?? []).filter(
      ({ action }) => action === 'peer-joined',
    ).length;
    assert.ok(told <= 600, `${told} of 1600`);
  });

  it('ghosts that fill a room make way for members of honest relays', () => {
    const mesh = new VirtualMesh();
    mesh.add('r0', { maxRoomSize: 20 });
    mesh.add('r1', { peers: ['r0'], maxRoomSize: 20 });
    mesh.add('evil', { peers: ['r0', 'r1'] });
    mesh.run(5000);
    mesh.join('r0', 'ada', 'room0');
    const members = Array.from({ length: 200 }, (_, i) => ({
      peer: `ghost${i}`.padEnd(22, '_'),
      presence: 'x',
    }));
    mesh.injectFrame('evil', 'r0', encodeMeshFrame({ type: 'present', room: room(0), members }));
    mesh.run(1000);
    mesh.join('r1', 'bob', 'room0');
    assert.ok(mesh.runUntil(() => mesh.seen('r0', 'ada', 'room0').includes('bob'), 3000));
  });

  it('who claims another’s peer id does not get its signals alone', () => {
    const mesh = meshWithAttacker();
    mesh.join('r0', 'ada', 'room0');
    mesh.run(1000);
    mesh.injectFrame(
      'evil',
      'r0',
      encodeMeshFrame({
        type: 'present',
        room: room(0),
        members: [{ peer: 'bob'.padEnd(22, '_'), presence: 'x' }],
      }),
    );
    mesh.join('r1', 'bob', 'room0');
    mesh.run(3000);
    mesh.say('r0', 'ada', {
      action: 'signal',
      room: room(0),
      to: 'bob'.padEnd(22, '_'),
      data: 'sealed',
    });
    mesh.run(1000);
    assert.ok((mesh.relay('r1').heard.get('bob') ?? []).some(({ action }) => action === 'signal'));
  });

  it('coming and going of a hint does not make others send their members again and again', () => {
    const mesh = meshWithAttacker();
    for (let i = 0; i < 50; i++) mesh.join('r1', `p${i}`, 'room0');
    mesh.run(3000);
    const before = mesh.relay('r1').bytesOut;
    for (let i = 0; i < 50; i++) {
      for (let r = 0; r < 5; r++) {
        mesh.injectFrame('evil', `r${r}`, encodeMeshFrame({ type: 'hints', rooms: [room(0)] }));
        mesh.injectFrame('evil', `r${r}`, encodeMeshFrame({ type: 'withdraw', rooms: [room(0)] }));
      }
      mesh.run(100);
    }
    assert.ok(
      mesh.relay('r1').bytesOut - before < 100_000,
      `${mesh.relay('r1').bytesOut - before} bytes`,
    );
  });

  it('a table full of one’s hints takes those of others all the same', () => {
    const table = new HomeTable((nk) => nk.slice(0, 4));
    const now = instant(0);
    for (let r = 0; r < 20; r++)
      table.add(
        now,
        `evil${r}`,
        Array.from({ length: 10_000 }, (_, i) => `${r} ${i}`),
      );
    assert.equal(table.counts.hints, HOME_LIMITS.maxHints);
    table.add(now, 'a', ['room']);
    const news = table.add(now, 'b', ['room']).filter(({ type }) => type === 'reporters');
    assert.deepEqual(news, [
      { type: 'reporters', to: 'b', room: 'room', add: ['a'], remove: [] },
      { type: 'reporters', to: 'a', room: 'room', add: ['b'], remove: [] },
    ]);
    assert.equal(table.counts.hints, HOME_LIMITS.maxHints);
  });

  it('a relay that is named by more than it takes does not redial without end', () => {
    const mesh = new VirtualMesh();
    mesh.add('r0');
    for (let i = 0; i < 130; i++) mesh.add(`c${i}`, { peers: ['r0'], isHidden: true });
    mesh.run(60_000);
    const { hello } = (
      mesh.relay('r0').core.stats(mesh.now) as { traffic: Record<string, { outFrames: number }> }
    ).traffic as { hello: { outFrames: number } };
    assert.ok(hello.outFrames < 2500, `${hello.outFrames} frames of greeting in a minute`);
  });
});
