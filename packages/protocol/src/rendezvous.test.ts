import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { seededRandom } from '@lumamesh/testkit';
import { HOMES_PER_ROOM, Rendezvous, type RendezvousNode, prefixOf } from './rendezvous.ts';

/*
 * The vectors are the contract between relays and clients of all versions: a change of them is a
 * change of the wire protocol.
 */
const VECTORS = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../../fixtures/rendezvous.json'), 'utf8'),
) as {
  readonly nodes: readonly RendezvousNode[];
  readonly rooms: readonly { readonly room: string; readonly ranked: readonly string[] }[];
};

function manyNodes(count: number, prefixes: number, seed = 1): RendezvousNode[] {
  const random = seededRandom(seed);
  const nk = (): string =>
    Array.from(
      { length: 43 },
      () =>
        'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'[
          Math.floor(random() * 64)
        ],
    ).join('');
  return Array.from({ length: count }, (_, i) => ({
    nk: nk(),
    ip: `20.${(i % prefixes) >> 8}.${(i % prefixes) & 255}.${(i / prefixes) & 255}`,
    meshPort: 7402,
  }));
}

const room = (i: number): string => `room-${i}`.padEnd(43, '_');

describe('rendezvous hashing', () => {
  it('answers its vectors, in whatever order the relays come', () => {
    for (const nodes of [VECTORS.nodes, VECTORS.nodes.toReversed()]) {
      const rendezvous = new Rendezvous(nodes);
      for (const { room: id, ranked } of VECTORS.rooms) {
        const answer = rendezvous.rank(id, ranked.length).map(({ nk }) => nk);
        assert.deepEqual(answer, ranked);
        assert.deepEqual(
          rendezvous.rank(id, HOMES_PER_ROOM).map(({ nk }) => nk),
          ranked.slice(0, HOMES_PER_ROOM),
        );
      }
    }
  });

  it('takes distinct prefixes while there are enough, then a second of each; and never more than there are', () => {
    const nodes = manyNodes(30, 5);
    const rendezvous = new Rendezvous(nodes);
    for (let i = 0; i < 50; i++) {
      const prefixes = rendezvous.rank(room(i), 12).map((node) => prefixOf(node));
      assert.equal(new Set(prefixes.slice(0, 5)).size, 5);
      assert.equal(new Set(prefixes.slice(5, 10)).size, 5);
    }
    assert.equal(new Set(rendezvous.rank(room(1), 100).map(({ nk }) => nk)).size, 30);
    assert.deepEqual(new Rendezvous<RendezvousNode>([]).rank(room(1), 3), []);
  });

  it('puts relays that ask for a token behind all others, in an order of their own', () => {
    const nodes = manyNodes(40, 20);
    const open = nodes.slice(0, 20);
    const ask = nodes.slice(20).map((node) => ({ ...node, access: 'token' }));
    const [ofOpen, ofAll] = [new Rendezvous(open), new Rendezvous([...ask, ...open])];
    for (let i = 0; i < 50; i++) {
      assert.deepEqual(ofAll.rank(room(i), 20), ofOpen.rank(room(i), 20));
      // Among themselves they are ranked like any others.
      assert.deepEqual(ofAll.rank(room(i), 40).slice(20), new Rendezvous(ask).rank(room(i), 20));
      // One that lets in everybody does not take the place of all homes of a private network.
      const few = new Rendezvous([...ask, ...open.slice(0, 1)]).rank(room(i), HOMES_PER_ROOM);
      assert.deepEqual(few, [...open.slice(0, 1), ...new Rendezvous(ask).rank(room(i), 2)]);
    }
  });

  it('says the same for a few as the beginning of what it says for many', () => {
    const rendezvous = new Rendezvous(manyNodes(300, 60));
    for (let i = 0; i < 20; i++) {
      const all = rendezvous.rank(room(i), 300);
      for (const count of [1, 2, 3, 8, 9, 59, 60, 61, 200])
        assert.deepEqual(rendezvous.rank(room(i), count), all.slice(0, count), `${count}`);
    }
  });

  it('spreads rooms evenly over prefixes, and one prefix full of ground keys wins no more than its share', () => {
    const honest = manyNodes(100, 100);
    const sybils = manyNodes(5000, 1, 2).map((node) => ({ ...node, ip: '66.6.6.6' }));
    const rendezvous = new Rendezvous([...honest, ...sybils]);
    const held = new Map<string, number>();
    const rooms = 3000;
    for (let i = 0; i < rooms; i++)
      for (const home of rendezvous.rank(room(i), 3))
        held.set(prefixOf(home), (held.get(prefixOf(home)) ?? 0) + 1);
    const expected = (rooms * 3) / 101;
    for (const [prefix, count] of held)
      assert.ok(
        count > expected * 0.5 && count < expected * 1.6,
        `${prefix} ${count} of ${expected}`,
      );
  });

  it('moves only what a relay wins when it comes', () => {
    const nodes = manyNodes(100, 100);
    const before = new Rendezvous(nodes.slice(1));
    const after = new Rendezvous(nodes);
    for (let i = 0; i < 500; i++) {
      const old = before.rank(room(i), 3);
      const fresh = after.rank(room(i), 3);
      const rest = fresh.filter((node) => node !== nodes[0]);
      assert.deepEqual(rest, old.slice(0, rest.length));
    }
  });
});
