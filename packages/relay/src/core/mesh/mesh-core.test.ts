import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { VirtualMesh, type VirtualRelay } from '@lumamesh/testkit/mesh';

type Mesh = { readonly records: { readonly alive: number; readonly known: number } };

function aliveAt(mesh: VirtualMesh, relay: VirtualRelay): number {
  return (relay.core.stats(mesh.now) as Mesh).records.alive;
}

/** `count` relays r0, r1, …, each with the peers that `peersOf` names. */
function build(count: number, peersOf: (i: number) => readonly number[], seed = 1): VirtualMesh {
  const mesh = new VirtualMesh(seed);
  for (let i = 0; i < count; i++)
    mesh.add(`r${i}`, { peers: peersOf(i).map((peer) => `r${peer}`) });
  return mesh;
}

const inLine = (i: number): readonly number[] => (i === 0 ? [] : [i - 1]);

function isComplete(mesh: VirtualMesh): boolean {
  const { alive } = mesh;
  return alive.every((relay) => aliveAt(mesh, relay) === alive.length - 1);
}

function peer(name: string): string {
  return name.padEnd(22, '_');
}

describe('relays that find each other', () => {
  for (const [shape, peersOf] of [
    ['a line', inLine],
    ['a star', (i: number) => (i === 0 ? [] : [0])],
    ['a binary tree', (i: number) => (i === 0 ? [] : [(i - 1) >> 1])],
  ] as const) {
    for (const count of [3, 10, 30]) {
      it(`${count} in ${shape} all know each other within five seconds`, () => {
        const mesh = build(count, peersOf);
        assert.ok(
          mesh.runUntil(() => isComplete(mesh), 5000),
          mesh.alive.map((relay) => aliveAt(mesh, relay)).join(' '),
        );
      });
    }
  }

  it('tell a browser all of them, page by page, each once, and no prefix twice before every prefix once', () => {
    const mesh = build(12, inLine);
    for (let i = 0; i < 4; i++) mesh.add(`crowd${i}`, { peers: ['r0'], ip: `66.6.6.${i + 1}` });
    assert.ok(mesh.runUntil(() => isComplete(mesh), 10_000));
    mesh.run(300);
    mesh.join('r3', 'browser', 'tea');
    const seen: { nk: string; ip: string }[] = [];
    let after: unknown = '';
    while (after !== undefined) {
      const [answer] = mesh.say('r3', 'browser', { action: 'nodes', limit: 5, after });
      assert.equal(answer?.['action'], 'nodes');
      seen.push(...(answer?.['nodes'] as { nk: string; ip: string }[]));
      after = answer?.['next'];
    }
    assert.equal(seen.length, 16);
    assert.equal(new Set(seen.map(({ nk }) => nk)).size, 16);
    assert.equal(new Set(seen.slice(0, 13).map(({ ip }) => ip.replace(/\.\d+$/, ''))).size, 13);
  });

  it('of another salt are never met, not even through a relay that carries records across', () => {
    const mesh = build(4, inLine);
    const other = 'BBBBBBBBBBBBBBBBBBBBBA';
    mesh.add('x0', { mesh: other });
    mesh.add('x1', { mesh: other, peers: ['x0'] });
    mesh.add('lost', { mesh: other, peers: ['r0'] });
    mesh.run(5000);
    mesh.inject('r1', mesh.relay('x0').record);
    mesh.run(10_000);
    for (let i = 0; i < 4; i++) assert.equal(aliveAt(mesh, mesh.relay(`r${i}`)), 3);
    assert.equal(aliveAt(mesh, mesh.relay('x0')), 1);
    assert.equal(aliveAt(mesh, mesh.relay('lost')), 0);
  });

  it('notice a relay that was killed, and take it back when it returns', () => {
    const mesh = build(6, inLine);
    assert.ok(mesh.runUntil(() => isComplete(mesh), 5000));
    mesh.kill('r3');
    // Doubted at once, and no home of anything any more.
    assert.ok(mesh.runUntil(() => isComplete(mesh), 5000));
    mesh.add('r3-again', { nk: mesh.relay('r3').nk, peers: ['r0'] });
    assert.ok(mesh.runUntil(() => isComplete(mesh), 10_000));
  });

  it('come back by what they remember when none of the configured peers is alive', () => {
    const mesh = build(6, inLine);
    assert.ok(mesh.runUntil(() => isComplete(mesh), 5000));
    const saved = mesh.relay('r5').core.saved();
    mesh.kill('r5');
    mesh.kill('r4');
    mesh.run(1000);
    mesh.add('r5-again', { nk: mesh.relay('r5').nk, peers: ['r4'] }, saved);
    assert.ok(
      mesh.runUntil(() => isComplete(mesh), 10_000),
      mesh.alive.map((relay) => aliveAt(mesh, relay)).join(' '),
    );
  });

  it('do not take in one whose UDP port nobody reaches, and it is told', () => {
    const mesh = build(3, inLine);
    mesh.add('walled', { peers: ['r0'], isFirewalled: true });
    mesh.run(40_000);
    assert.equal(aliveAt(mesh, mesh.relay('r0')), 2);
    assert.ok(mesh.relay('walled').unproven.length > 0);
    assert.deepEqual(mesh.relay('r1').unproven, []);
  });

  it('find each other again after a partition into five and five', () => {
    const mesh = build(10, inLine);
    assert.ok(mesh.runUntil(() => isComplete(mesh), 5000));
    const half = new Set(mesh.relays.slice(0, 5));
    mesh.partition((relay) => half.has(relay));
    mesh.run(1_500_000);
    for (const relay of mesh.alive) assert.equal(aliveAt(mesh, relay), 4);
    mesh.heal();
    assert.ok(
      mesh.runUntil(() => isComplete(mesh), 60_000),
      mesh.alive.map((relay) => aliveAt(mesh, relay)).join(' '),
    );
  });

  it('bear clocks that are ten minutes wrong in both directions', () => {
    const mesh = new VirtualMesh();
    mesh.add('r0');
    mesh.add('fast', { skewSeconds: 600, peers: ['r0'] });
    mesh.add('slow', { skewSeconds: -600, peers: ['r0'] });
    assert.ok(mesh.runUntil(() => isComplete(mesh), 5000) || aliveAt(mesh, mesh.relay('r0')) === 2);
    mesh.renew('fast');
    mesh.renew('slow');
    mesh.run(5000);
    assert.equal(aliveAt(mesh, mesh.relay('r0')), 2);
  });

  it('tell two relays with the same key that they are, and believe the newer record', () => {
    const mesh = build(4, inLine);
    mesh.run(5000);
    const twin = mesh.add('twin', { nk: mesh.relay('r1').nk, ip: '99.1.1.1', peers: ['r3'] });
    mesh.run(10_000);
    assert.ok(mesh.relay('r1').ownRecords.some(({ isElsewhere }) => isElsewhere));
    for (const name of ['r0', 'r3']) {
      const known = mesh
        .relay(name)
        .core.known()
        .filter(({ nk }) => nk === twin.nk);
      assert.deepEqual(
        known.map(({ ip }) => ip),
        ['99.1.1.1'],
      );
    }
  });
});

describe('rooms beyond one relay', () => {
  /** A and C of the line A–B–C cannot reach each other at all: only B links them. */
  function lineOfThree(): VirtualMesh {
    const mesh = new VirtualMesh();
    mesh.add('b');
    mesh.add('a', { peers: ['b'], isHidden: true });
    mesh.add('c', { peers: ['b'], isHidden: true });
    mesh.run(3000);
    return mesh;
  }

  it('two browsers on A and C of the line A–B–C see each other and exchange signals, though A and C have no link', () => {
    const mesh = lineOfThree();
    assert.ok(!mesh.isLinked('a', 'c'));
    mesh.join('a', 'ada', 'tea');
    mesh.join('c', 'cyd', 'tea');
    assert.ok(
      mesh.runUntil(
        () =>
          mesh.seen('a', 'ada', 'tea').includes('cyd') &&
          mesh.seen('c', 'cyd', 'tea').includes('ada'),
        2000,
      ),
    );
    assert.deepEqual(
      mesh.say('a', 'ada', {
        action: 'signal',
        room: 'tea'.padEnd(43, '_'),
        to: peer('cyd'),
        data: 'sealed',
      }),
      [],
    );
    mesh.run(200);
    const signal = mesh
      .relay('c')
      .heard.get('cyd')
      ?.find(({ action }) => action === 'signal');
    assert.deepEqual(signal, {
      action: 'signal',
      room: 'tea'.padEnd(43, '_'),
      from: peer('ada'),
      data: 'sealed',
    });
    mesh.close('a', 'ada');
    assert.ok(mesh.runUntil(() => !mesh.seen('c', 'cyd', 'tea').includes('ada'), 1000));
  });

  it('names the homes in joined, the same on every relay', () => {
    const mesh = build(8, inLine);
    assert.ok(mesh.runUntil(() => isComplete(mesh), 5000));
    mesh.run(300);
    const homes = mesh.alive.map(({ name, nk }) => {
      const joined = mesh.join(name, `s-${name}`, 'tea').find(({ action }) => action === 'joined');
      const named = ((joined?.['homes'] ?? []) as { nk: string }[]).map((home) => home.nk);
      return { nk, named };
    });
    const all = new Set(homes.flatMap(({ named }) => named));
    assert.equal(all.size, 3);
    for (const { nk, named } of homes)
      assert.deepEqual(named.toSorted(), [...all].filter((home) => home !== nk).toSorted());
  });

  for (const [open, wanted] of [
    [5, 3],
    [1, 1],
    [0, 0],
  ] as const)
    it(`homes are relays that let in everybody, as far as there are such: ${open} of six`, () => {
      const mesh = new VirtualMesh(3);
      for (let i = 0; i < 6; i++)
        mesh.add(`r${i}`, {
          peers: inLine(i).map((one) => `r${one}`),
          ...(i < open ? {} : { access: 'token' }),
        });
      assert.ok(mesh.runUntil(() => isComplete(mesh), 5000));
      mesh.run(300);
      const named = new Map<string, boolean>();
      for (const { name } of mesh.alive)
        for (const { action, homes = [] } of mesh.join(name, `s-${name}`, 'tea') as {
          readonly action: string;
          readonly homes?: readonly { readonly nk: string; readonly access?: string }[];
        }[])
          if (action === 'joined')
            for (const { nk, access } of homes) named.set(nk, access === undefined);
      // Where there are too few, private ones help out: no relay becomes the home of everything.
      assert.equal(named.size, 3);
      assert.equal([...named.values()].filter(Boolean).length, wanted);
      // Wherever they came in, those in the room see each other.
      assert.ok(
        mesh.runUntil(
          () => mesh.alive.every(({ name }) => mesh.seen(name, `s-${name}`, 'tea').length === 5),
          5000,
        ),
      );
    });

  it('a peer that stands on several relays is named once, and leaves with the last of them', () => {
    const mesh = build(5, inLine);
    assert.ok(mesh.runUntil(() => isComplete(mesh), 5000));
    mesh.join('r0', 'watcher', 'tea');
    mesh.join('r1', 'one', 'tea', 'ada');
    mesh.join('r2', 'two', 'tea', 'ada');
    mesh.run(2000);
    const told = (mesh.relay('r0').heard.get('watcher') ?? []).filter(
      ({ action }) => action === 'peer-joined',
    );
    assert.equal(told.length, 1);
    mesh.close('r1', 'one');
    mesh.run(1000);
    assert.deepEqual(mesh.seen('r0', 'watcher', 'tea'), ['ada']);
    mesh.close('r2', 'two');
    mesh.run(1000);
    assert.deepEqual(mesh.seen('r0', 'watcher', 'tea'), []);
  });

  it('who changes its presence is told again, everywhere', () => {
    const mesh = build(3, inLine);
    mesh.run(3000);
    mesh.join('r0', 'watcher', 'tea');
    mesh.join('r2', 'ada', 'tea');
    mesh.run(1000);
    mesh.say('r2', 'ada', {
      action: 'join',
      room: 'tea'.padEnd(43, '_'),
      peer: peer('ada'),
      presence: 'another',
    });
    mesh.run(1000);
    const last = (mesh.relay('r0').heard.get('watcher') ?? []).at(-1);
    assert.equal(last?.['presence'], 'another');
  });

  it('members of a relay that was killed are gone within five seconds, and the rest of the room stays', () => {
    const mesh = build(10, inLine);
    assert.ok(mesh.runUntil(() => isComplete(mesh), 5000));
    for (let i = 0; i < 10; i++) mesh.join(`r${i}`, `p${i}`, 'tea');
    assert.ok(
      mesh.runUntil(
        () =>
          mesh.alive.every(({ name }) => mesh.seen(name, `p${name.slice(1)}`, 'tea').length === 9),
        3000,
      ),
    );
    mesh.kill('r4');
    assert.ok(
      mesh.runUntil(
        () =>
          mesh.alive.every(
            ({ name }) => !mesh.seen(name, `p${name.slice(1)}`, 'tea').includes('p4'),
          ),
        5000,
      ),
    );
    for (const { name } of mesh.alive)
      assert.equal(mesh.seen(name, `p${name.slice(1)}`, 'tea').length, 8);
  });

  it('half of ten relays die, and rooms on the others still meet within five seconds', () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const mesh = build(10, inLine, seed);
      assert.ok(mesh.runUntil(() => isComplete(mesh), 5000));
      for (let i = 0; i < 5; i++) mesh.kill(`r${(i * 2 + seed) % 10}`);
      const [a, b] = mesh.alive;
      assert.ok(a !== undefined && b !== undefined);
      const rooms = Array.from({ length: 20 }, (_, i) => `room${i}`);
      for (const room of rooms) {
        mesh.join(a.name, `a-${room}`, room, 'ada');
        mesh.join(b.name, `b-${room}`, room, 'bob');
      }
      const meets = (room: string): boolean =>
        mesh.seen(a.name, `a-${room}`, room).includes('bob') &&
        mesh.seen(b.name, `b-${room}`, room).includes('ada');
      assert.ok(
        mesh.runUntil(() => rooms.every(meets), 5000),
        `seed ${seed}: ${rooms.filter((room) => !meets(room)).length} rooms do not meet`,
      );
    }
  });

  it('nothing is left of a room that everybody has left', () => {
    const mesh = build(5, inLine);
    assert.ok(mesh.runUntil(() => isComplete(mesh), 5000));
    for (let i = 0; i < 5; i++) mesh.join(`r${i}`, `p${i}`, 'tea');
    mesh.run(3000);
    for (let i = 0; i < 5; i++) mesh.close(`r${i}`, `p${i}`);
    mesh.run(2000);
    for (const relay of mesh.alive) {
      const { homes, rooms } = relay.core.stats(mesh.now) as {
        homes: Record<string, number>;
        rooms: Record<string, number>;
      };
      assert.deepEqual(
        [homes['roomsHeld'], homes['hintsHeld'], rooms['reported'], rooms['remoteRelays']],
        [0, 0, 0, 0],
        relay.name,
      );
    }
  });

  it('homes that come later take over: a room whose relays all knew two relays only is found by a third', () => {
    const mesh = build(2, inLine);
    mesh.run(2000);
    mesh.join('r0', 'ada', 'tea');
    for (let i = 0; i < 12; i++) mesh.add(`late${i}`, { peers: ['r1'] });
    mesh.run(8000);
    mesh.join('late7', 'bob', 'tea');
    assert.ok(
      mesh.runUntil(
        () =>
          mesh.seen('late7', 'bob', 'tea').includes('ada') &&
          mesh.seen('r0', 'ada', 'tea').includes('bob'),
        2000,
      ),
    );
  });

  for (const pauseMs of [0, 5, 300, 3000]) {
    it(`a page that is loaded anew within ${pauseMs} ms, on another relay, sees everybody and is seen by all`, () => {
      const mesh = build(5, inLine);
      assert.ok(mesh.runUntil(() => isComplete(mesh), 5000));
      mesh.run(2000);
      mesh.join('r0', 'ada', 'tea');
      mesh.join('r3', 'bob', 'tea');
      mesh.run(2000);
      mesh.close('r3', 'bob');
      mesh.run(pauseMs);
      mesh.join('r3', 'bob2', 'tea', 'bob');
      assert.ok(
        mesh.runUntil(
          () =>
            mesh.seen('r3', 'bob2', 'tea').includes('ada') &&
            mesh.seen('r0', 'ada', 'tea').includes('bob'),
          3000,
        ),
      );
    });

    it(`a relay that starts again within ${pauseMs} ms shows those who come back, and only those`, () => {
      const mesh = build(5, inLine);
      assert.ok(mesh.runUntil(() => isComplete(mesh), 5000));
      mesh.run(2000);
      mesh.join('r0', 'ada', 'tea');
      mesh.join('r1', 'bob', 'tea');
      mesh.join('r1', 'gone', 'tea');
      mesh.run(2000);
      mesh.kill('r1');
      mesh.run(pauseMs);
      mesh.add('r1b', { nk: mesh.relay('r1').nk, ip: mesh.relay('r1').record.ip, peers: ['r0'] });
      mesh.join('r1b', 'bob2', 'tea', 'bob');
      const isRight = (): boolean =>
        mesh.seen('r1b', 'bob2', 'tea').join() === 'ada' &&
        mesh.seen('r0', 'ada', 'tea').join() === 'bob';
      assert.ok(
        mesh.runUntil(isRight, 30_000),
        `${mesh.seen('r1b', 'bob2', 'tea').join()} / ${mesh.seen('r0', 'ada', 'tea').join()}`,
      );
    });

    it(`whoever leaves during a cut of ${pauseMs} ms is no ghost, and whoever comes is not missed`, () => {
      for (const isHidden of [false, true]) {
        const mesh = new VirtualMesh();
        mesh.add('c');
        mesh.add('a', { peers: ['c'], isHidden });
        mesh.add('b', { peers: ['c'], isHidden });
        mesh.run(5000);
        mesh.join('a', 'ada', 'tea');
        mesh.join('b', 'bob', 'tea');
        mesh.join('b', 'eve', 'tea');
        mesh.run(5000);
        mesh.partition((relay) => relay.name === 'a');
        mesh.close('b', 'bob');
        mesh.join('b', 'carol', 'tea');
        mesh.run(pauseMs);
        mesh.heal();
        const isRight = (): boolean =>
          mesh.seen('a', 'ada', 'tea').join() === 'carol,eve' &&
          mesh.seen('b', 'carol', 'tea').join() === 'ada,eve';
        assert.ok(
          mesh.runUntil(isRight, 60_000),
          `${isHidden}: ${mesh.seen('a', 'ada', 'tea').join()} / ${mesh.seen('b', 'carol', 'tea').join()}`,
        );
      }
    });
  }

  it('a relay that signs a new record of the same place makes nobody hint again', () => {
    const mesh = build(5, inLine);
    assert.ok(mesh.runUntil(() => isComplete(mesh), 5000));
    mesh.run(2000);
    for (let i = 0; i < 50; i++) mesh.join('r1', `p${i}`, `room${i}`);
    mesh.run(3000);
    const hints = (): number =>
      (mesh.relay('r1').core.stats(mesh.now) as { hints: { out: number } }).hints.out;
    const before = hints();
    mesh.renew('r3');
    mesh.run(5000);
    assert.equal(hints(), before);
  });
});
