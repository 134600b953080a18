import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import {
  type MeshRelay,
  environmentOf,
  meshAddressOf,
  pause,
  until,
  withRelays,
} from '@lumamesh/testkit';
import { RelayServer, readConfig, silentLogger } from '@lumamesh/relay';
import { RoomClient, isComplete } from './support.ts';
import { SHAPES, itIsComplete } from './shapes.ts';

describe('relays in processes of their own', () => {
  for (const shape of SHAPES) itIsComplete(3, shape);

  it('two clients on A and C of the line A–B–C see each other; half of ten relays are killed, and rooms meet again', (t) =>
    withRelays(async (start) => {
      const relays = Array.from({ length: 10 }, (_, i) => start(i, i === 0 ? [] : [i - 1]));
      await Promise.all(relays.map((relay) => relay.ready()));
      await until(() => isComplete(relays), 'they do not all know each other', 60_000);
      const [a, b] = [relays[1], relays[8]] as [MeshRelay, MeshRelay];
      const ada = await RoomClient.join(a.record, 'tea', 'ada');
      const bob = await RoomClient.join(b.record, 'tea', 'bob');
      await until(() => ada.sees('bob') && bob.sees('ada'), 'they do not see each other');
      ada.send({
        action: 'signal',
        room: 'tea'.padEnd(43, '_'),
        to: 'bob'.padEnd(22, '_'),
        data: 'sealed',
      });
      await until(
        () => bob.heard.some((message) => message.action === 'signal' && message.data === 'sealed'),
        'no signal',
      );
      // The homes of a room among them, for some of these rooms.
      await Promise.all(
        relays.filter((_, i) => [0, 2, 4, 6, 9].includes(i)).map((relay) => relay.end('SIGKILL')),
      );
      const killedAt = performance.now();
      const pairs = await Promise.all(
        Array.from(
          { length: 8 },
          async (_, i) =>
            [
              await RoomClient.join(a.record, `room${i}`, 'cyd'),
              await RoomClient.join(b.record, `room${i}`, 'dan'),
            ] as const,
        ),
      );
      await until(
        () => pairs.every(([cyd, dan]) => cyd.sees('dan') && dan.sees('cyd')),
        'rooms do not meet',
      );
      t.diagnostic(
        `eight rooms met ${Math.round(performance.now() - killedAt)} ms after half of the relays were killed`,
      );
      assert.ok(ada.sees('bob') && bob.sees('ada'));
      await ada.close();
      await until(() => !bob.sees('ada'), 'ada is still shown');
      await Promise.all([bob, ...pairs.flat()].map((client) => client.close()));
    }));

  it('a relay that starts again finds its way back with none of its configured peers alive', () =>
    withRelays(async (start) => {
      const relays = [start(0, []), start(1, [0]), start(2, [0])];
      await Promise.all(relays.map((relay) => relay.ready()));
      await until(() => isComplete(relays), 'they do not all know each other');
      const [zero, one, two] = relays as [MeshRelay, MeshRelay, MeshRelay];
      two.child.kill('SIGTERM');
      await once(two.child, 'exit');
      await zero.end('SIGKILL');
      const again = start(2, [0]);
      await again.ready();
      await until(
        async () =>
          (await again.stats()).records.alive === 1 && (await again.stats()).links.proven === 1,
        'it does not come back',
      );
      await until(
        async () => (await one.stats()).records.alive === 1,
        'the other does not take it back',
      );
    }));

  it('relays with another salt never meet, though they are told to', () =>
    withRelays(async (start) => {
      const relays = [
        start(0, []),
        start(1, [0]),
        start(2, [0], { MESH_SALT: 'quite another salt' }),
        start(3, [2], { MESH_SALT: 'quite another salt' }),
      ];
      await Promise.all(relays.map((relay) => relay.ready()));
      await until(
        async () =>
          (await Promise.all(relays.map((relay) => relay.stats()))).every(
            ({ records }) => records.alive === 1,
          ),
        'the pairs do not find each other',
      );
      await pause(8000);
      for (const relay of relays) assert.equal((await relay.stats()).records.alive, 1);
      assert.notEqual(relays[0]?.record.mesh, relays[2]?.record.mesh);
    }));

  it('two relays with one key: each says so, and both go on', () =>
    withRelays(async (start) => {
      const relays = [start(0, []), start(1, [0])];
      await Promise.all(relays.map((relay) => relay.ready()));
      // Not as a second process, which would find the lock of the first on this machine: as the relay behind the program, which takes none.
      const first = relays[1] as MeshRelay;
      const told: string[] = [];
      const log = {
        ...silentLogger,
        error: (_details: object, message: string) => void told.push(message),
      };
      const environment = {
        ...environmentOf(2, first.folder),
        MESH_PEERS: [0, 1].map(meshAddressOf).join(','),
        NODE_KEY: join(first.folder, '1.node'),
      };
      const twin = await RelayServer.start(readConfig({ environment }), log);
      try {
        const words = 'another relay runs with our NODE_KEY';
        await until(
          () => first.stderr.includes(words) || told.some((message) => message.includes(words)),
          'nobody says so',
        );
        for (const relay of relays) assert.equal(relay.child.exitCode, null);
      } finally {
        await twin.close();
      }
    }));

  it('without MESH_SALT libp2p is not loaded at all', () =>
    withRelays(async (start) => {
      const spy = `data:text/javascript,${encodeURIComponent("import{registerHooks}from'node:module';registerHooks({resolve(s,c,n){if(/libp2p/.test(s))process.stderr.write('LOADED '+s);return n(s,c)}})")}`;
      const environment = { NODE_OPTIONS: `--import ${spy}` };
      const off = start(0, [], { ...environment, MESH_SALT: '', MESH_LISTEN: '', MESH_PEERS: '' });
      await off.ready();
      assert.ok(!off.stderr.includes('LOADED'), off.stderr);
      const on = start(1, [], environment);
      await on.ready();
      assert.ok(on.stderr.includes('LOADED'));
    }));
});
