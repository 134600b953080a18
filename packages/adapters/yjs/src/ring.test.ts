import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seededRandom } from '@lumamesh/testkit';
import { arcsOf, inOrderFrom, isBetween, neighboursOf } from './ring.ts';

const idsOf = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${(i * 7919) % 1000}`.padStart(4, '0'));

const others = (ids: readonly string[], self: string): string[] => ids.filter((id) => id !== self);

describe('the ring', () => {
  it('has places in the order of ids, and no end', () => {
    assert.deepEqual(inOrderFrom('c', ['a', 'e', 'd', 'b']), ['d', 'e', 'a', 'b']);
    assert.deepEqual(inOrderFrom('z', ['b', 'a']), ['a', 'b']);
    assert.ok(isBetween('a', 'b', 'c') && !isBetween('a', 'a', 'c') && !isBetween('a', 'c', 'c'));
    assert.ok(isBetween('c', 'd', 'b') && isBetween('c', 'a', 'b') && !isBetween('c', 'b', 'b'));
    assert.ok(isBetween('b', 'a', 'b') && isBetween('b', 'c', 'b') && !isBetween('b', 'b', 'b'));
  });

  it('has neighbours that name each other, and no more than were asked for', () => {
    for (const [count, max] of [
      [5, 2],
      [20, 4],
      [100, 8],
      [7, 100],
    ] as const) {
      const ids = idsOf(count);
      const of = (self: string): ReadonlySet<string> => neighboursOf(self, others(ids, self), max);
      for (const id of ids) {
        assert.ok(of(id).size <= max);
        for (const other of of(id)) assert.ok(of(other).has(id), `${id} and ${other}`);
      }
    }
  });

  it('passes what one says to everybody, once, whoever that is', () => {
    for (const [count, max] of [
      [2, 2],
      [3, 2],
      [9, 2],
      [50, 6],
      [120, 10],
    ] as const) {
      const ids = idsOf(count);
      for (const origin of ids) {
        const heard = new Map<string, number>();
        const say = (self: string, end: string): void => {
          const members = others(ids, self);
          for (const [id, stop] of arcsOf(
            self,
            [...neighboursOf(self, members, max)],
            members,
            end,
          )) {
            heard.set(id, (heard.get(id) ?? 0) + 1);
            if (stop !== '') say(id, stop);
          }
        };
        say(origin, origin);
        assert.deepEqual([...heard.keys()].toSorted(), others(ids, origin).toSorted());
        assert.ok([...heard.values()].every((times) => times === 1));
      }
    }
  });

  it('reaches those behind a connection that is missing from the other side', () => {
    const ids = ['a', 'b', 'c', 'd', 'e'];
    // A cannot tell b: d answers for the way round to c.
    assert.deepEqual(arcsOf('a', ['c', 'd'], others(ids, 'a'), 'a'), [
      ['c', ''],
      ['d', 'c'],
    ]);
  });

  it('comes to an end whatever members say of it', () => {
    const random = seededRandom(5);
    const ids = idsOf(30);
    const pick = (): string => ids[Math.floor(random() * ids.length)] ?? '';
    for (let i = 0; i < 1000; i++) {
      const [self, end] = [pick(), pick()];
      const members = others(ids, self);
      for (const [id, stop] of arcsOf(self, members.slice(0, 5), members, end))
        assert.ok(isBetween(self, id, end) && (stop === '' || stop !== id));
    }
  });
});
