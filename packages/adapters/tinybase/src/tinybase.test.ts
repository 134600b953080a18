import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type MemoryRoom, makeMemoryRoom, until } from '@lumamesh/testkit';
import type { Room } from 'lumamesh';
import { type MergeableStore, createMergeableStore } from 'tinybase';
import { createLumameshSynchronizer } from './index.ts';

interface Member {
  readonly room: MemoryRoom;
  readonly store: MergeableStore;
  readonly errors: unknown[];
  readonly end: () => Promise<void>;
}

async function member(
  room: MemoryRoom,
  store = createMergeableStore(room.selfId),
): Promise<Member> {
  const errors: unknown[] = [];
  const synchronizer = createLumameshSynchronizer(store, room as unknown as Room, {
    requestTimeoutSeconds: 0.5,
    onIgnoredError: (error) => errors.push(error),
  });
  await synchronizer.startSync();
  const end = async (): Promise<void> => {
    await synchronizer.destroy();
    room.leave();
  };
  return { room, store, errors, end };
}

async function untilSame(members: readonly Member[]): Promise<void> {
  const hashes = (): Set<unknown> =>
    new Set(members.map(({ store }) => String(store.getMergeableContentHashes())));
  await until(
    () => hashes().size === 1,
    () => members.map(({ store }) => store.getJson()).join('\n'),
  );
}

describe('a TinyBase store', () => {
  it('is the same for all, with what each has had before, and changes and deletions after', async () => {
    const join = makeMemoryRoom();
    const stores = ['a', 'b', 'c'].map((id) => createMergeableStore(id));
    for (const [i, store] of stores.entries()) store.setCell('pets', `row ${i}`, 'legs', i);
    const members: Member[] = [];
    for (const [i, store] of stores.entries()) members.push(await member(join(`m${i}`), store));
    await untilSame(members);
    const [a, b, c] = members;
    assert.ok(a !== undefined && b !== undefined && c !== undefined);
    assert.equal(a.store.getRowIds('pets').length, 3);
    a.store.delCell('pets', 'row 1', 'legs');
    b.store.setValue('open', true);
    c.store.setTables({ species: { dog: { price: 5 } } });
    await untilSame(members);
    assert.equal(a.store.getValue('open'), true);
    assert.equal(c.store.hasRow('pets', 'row 1'), false);
    for (const { end } of members) await end();
  });

  it('is caught up with by who was away, both ways', async () => {
    const join = makeMemoryRoom();
    const [a, b] = [await member(join('a')), await member(join('b'))];
    a.store.setCell('t', 'r', 'c', 1);
    await untilSame([a, b]);
    await b.end();
    a.store.setCell('t', 'r', 'c', 2);
    b.store.setCell('t', 'offline', 'c', 3);
    const again = await member(join('b2'), b.store);
    await untilSame([a, again]);
    assert.deepEqual(JSON.parse(JSON.stringify(a.store.getTable('t'))), {
      r: { c: 2 },
      offline: { c: 3 },
    });
    for (const { end } of [a, again]) await end();
  });

  it('is not harmed by what a hostile member sends', async () => {
    const join = makeMemoryRoom();
    const [a, b] = [await member(join('a')), await member(join('b'))];
    const mallory = join('mallory');
    await until(() => a.room.byId.get('mallory')?.isOpen === true, 'mallory is not there');
    const [send] = mallory.action('tinybase') as [(value: unknown) => Promise<boolean>];
    for (const value of [
      ...[null, 7, '', '{', '[]', 'null', '[1,2,3]', '["x",99,{}]', new Uint8Array(9)],
      ...Array.from({ length: 9 }, (_, i) => JSON.stringify(['id', i, { __proto__: { a: 1 } }])),
      ...Array.from({ length: 9 }, (_, i) => JSON.stringify(['id', i, [[{}, 5], 'x']])),
      '['.repeat(5000),
    ])
      await send(value);
    // A value of two million parts has more of them than any that is sent.
    const startedAt = performance.now();
    await send(`["id",3,[${'[],'.repeat(2_000_000)}1]]`);
    await new Promise((resolve) => setTimeout(resolve, 0));
    assert.ok(performance.now() - startedAt < 1000);
    a.store.setCell('t', 'r', 'c', 1);
    await untilSame([a, b]);
    assert.ok(a.errors.length > 0);
    for (const { end } of [a, b]) await end();
  });
});
