import assert from 'node:assert/strict';
import { it } from 'node:test';
import { acrossNetworks, evictionFor } from './crowding.ts';

const prefixOf = (name: string): string => name[0] ?? '';

it('a newcomer takes the place of the last of the most crowded network', () => {
  assert.equal(evictionFor(['a1', 'b1', 'a2', 'a3'], 'c1', prefixOf), 'a3');
  assert.equal(evictionFor(['a1', 'b1', 'a2', 'a3'], 'b2', prefixOf), 'a3');
});

it('a newcomer of a network that has its share is refused', () => {
  assert.equal(evictionFor(['a1', 'b1', 'a2', 'a3'], 'a4', prefixOf), null);
  assert.equal(evictionFor(['a1', 'b1'], 'c1', prefixOf), null);
  assert.equal(evictionFor([], 'c1', prefixOf), null);
});

it('takes one of each network before a second of any', () => {
  assert.deepEqual(acrossNetworks(['a1', 'a2', 'a3', 'b1', 'c1'], 3, prefixOf), ['a1', 'b1', 'c1']);
  assert.deepEqual(acrossNetworks(['a1', 'a2', 'b1'], 9, prefixOf), ['a1', 'b1', 'a2']);
});
