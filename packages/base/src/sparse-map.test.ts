import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SparseMap } from './sparse-map.ts';

const byNumber = (a: number, b: number): number => a - b;

describe('a sparse map', () => {
  it('answers as a Map does, whatever is done to it', () => {
    let seed = 7;
    const next = (below: number): number => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed % below;
    };
    const sparse = new SparseMap<string>();
    const map = new Map<number, string>();
    for (let step = 0; step < 20_000; step++) {
      const key = next(6);
      const value = `${step}`;
      switch (next(8)) {
        case 0:
        case 1:
        case 2:
          sparse.set(key, value);
          map.set(key, value);
          break;
        case 3:
        case 4:
        case 5:
          assert.equal(sparse.delete(key), map.delete(key));
          break;
        case 6:
          assert.equal(sparse.delete(-1), false);
          break;
        default:
          if (next(50) === 0) {
            sparse.clear();
            map.clear();
          }
      }
      assert.equal(sparse.size, map.size);
      for (let each = 0; each < 6; each++) {
        assert.equal(sparse.get(each), map.get(each));
        assert.equal(sparse.has(each), map.has(each));
      }
      assert.deepEqual([...sparse.keys()].toSorted(byNumber), [...map.keys()].toSorted(byNumber));
      assert.deepEqual([...sparse.values()].toSorted(), [...map.values()].toSorted());
    }
  });

  it('may be changed while it is gone through', () => {
    const sparse = new SparseMap<string>();
    for (const key of [4, 0, 9]) sparse.set(key, `${key}`);
    const seen: number[] = [];
    for (const key of sparse.keys()) {
      seen.push(key);
      sparse.delete(key);
    }
    assert.deepEqual([seen, sparse.size], [[4, 0, 9], 0]);
  });
});
