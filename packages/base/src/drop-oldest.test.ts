import assert from 'node:assert/strict';
import { it } from 'node:test';
import { dropOldest } from './drop-oldest.ts';

it('drops the oldest entry of a map that is full, and nothing of one that is not', () => {
  const map = new Map([
    ['a', 1],
    ['b', 2],
  ]);
  dropOldest(map, 3);
  assert.deepEqual([...map.keys()], ['a', 'b']);
  dropOldest(map, 2);
  assert.deepEqual([...map.keys()], ['b']);
  dropOldest(new Map(), 0);
});
