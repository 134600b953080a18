import { addPublished, withRelay } from './published.ts';
import type { PeerSuite } from './suites.ts';

const RXDB = '17.6.0';
const RXJS = '7.8.2';
const NODE_DATACHANNEL = '^0.33.4';
const TEST = 'rxdb.test.mjs';

/**
 * RxDB itself, with its replication over WebRTC through our handler, between clients that meet at a
 * relay. Its own test of that plugin returns at once, so this one is ours.
 */
export const rxdb: PeerSuite = {
  name: 'rxdb',
  source: { registry: 'rxdb', version: RXDB },
  prepare: (checkout) => {
    checkout.install({ rxdb: RXDB, rxjs: RXJS, 'node-datachannel': NODE_DATACHANNEL });
    addPublished(checkout, 'rxdb');
    checkout.write(TEST, ENTRY);
  },
  commands: () => [{ title: 'replication', command: withRelay(process.execPath, '--test', TEST) }],
};

const ENTRY = `import assert from 'node:assert/strict';
import { after, it } from 'node:test';
import * as webrtc from 'node-datachannel/polyfill';
import { connect } from 'lumamesh/node';
import { createRxDatabase } from 'rxdb';
import { replicateWebRTC } from 'rxdb/plugins/replication-webrtc';
import { getRxStorageMemory } from 'rxdb/plugins/storage-memory';
import { getConnectionHandlerLumamesh } from '@lumamesh/rxdb';

const SCHEMA = {
  version: 0,
  primaryKey: 'id',
  type: 'object',
  properties: { id: { type: 'string', maxLength: 40 }, name: { type: 'string' }, age: { type: 'number' } },
  required: ['id', 'name'],
};
const LIMIT_MS = 60_000;
const nets = [];
const databases = [];
after(async () => {
  for (const database of databases) await database.close();
  await Promise.all(nets.map((net) => net.close()));
});

async function open(name, password = 'between us') {
  const net = connect({ relays: process.env.LUMAMESH_RELAY, webrtc });
  nets.push(net);
  const room = net.joinRoom('heroes', { password, nick: name });
  const database = await createRxDatabase({
    name: name + Math.random(),
    storage: getRxStorageMemory(),
    multiInstance: false,
  });
  databases.push(database);
  const { heroes } = await database.addCollections({ heroes: { schema: SCHEMA } });
  const errors = [];
  const replicate = async () => {
    const pool = await replicateWebRTC({
      collection: heroes,
      topic: 'heroes',
      connectionHandlerCreator: getConnectionHandlerLumamesh(room),
      pull: {},
      push: {},
    });
    pool.error$.subscribe((error) => errors.push(error));
    return pool;
  };
  return { room, heroes, replicate, pool: await replicate(), errors };
}

async function contents({ heroes }) {
  const all = await heroes.find().exec();
  return JSON.stringify(all.map(({ id, name, age }) => [id, name, age]).sort());
}

async function until(isSo, what) {
  const end = Date.now() + LIMIT_MS;
  while (!(await isSo())) {
    assert.ok(Date.now() < end, await what());
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function agree(...sides) {
  let seen = [];
  await until(
    async () => {
      seen = await Promise.all(sides.map(contents));
      return new Set(seen).size === 1;
    },
    () => seen.join(' '),
  );
  return JSON.parse(seen[0]);
}

it('replicates what is inserted, changed and removed on either side, and to who comes later', async () => {
  const [ada, bob] = [await open('Ada'), await open('Bob')];
  await ada.heroes.bulkInsert(Array.from({ length: 200 }, (_, i) => ({ id: 'a' + i, name: 'Ada ' + i })));
  await bob.heroes.insert({ id: 'b', name: 'Bob' });
  await until(async () => (await agree(ada, bob)).length === 201, () => 'not all has come');
  await (await bob.heroes.findOne('a7').exec()).patch({ age: 7 });
  await (await ada.heroes.findOne('b').exec()).remove();
  await until(
    async () => {
      const all = await agree(ada, bob);
      return all.length === 200 && all.some(([id, , age]) => id === 'a7' && age === 7);
    },
    () => 'a change has not come',
  );
  // Both write the same document while neither hears the other: RxDB settles it, the same on both sides.
  await ada.pool.cancel();
  await (await ada.heroes.findOne('a1').exec()).patch({ name: 'by Ada' });
  await (await bob.heroes.findOne('a1').exec()).patch({ name: 'by Bob' });
  ada.pool = await ada.replicate();
  const settled = await agree(ada, bob);
  assert.match(settled.find(([id]) => id === 'a1')[1], /^by (Ada|Bob)$/);
  const cyd = await open('Cyd');
  await until(async () => (await contents(cyd)) === (await contents(ada)), () => 'who came later has not all');
  assert.deepEqual([...ada.errors, ...bob.errors, ...cyd.errors], []);
});

it('tells nothing to who has another password', async () => {
  const [eve, dan] = [await open('Eve', 'a guess'), await open('Dan', 'another')];
  await dan.heroes.insert({ id: 'd', name: 'Dan' });
  await new Promise((resolve) => setTimeout(resolve, 3000));
  assert.deepEqual(JSON.parse(await contents(eve)), []);
});
`;
