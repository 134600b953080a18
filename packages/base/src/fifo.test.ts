import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Fifo } from './fifo.ts';

it('keeps order in a queue that is filled and emptied by turns', () => {
  const queue = new Fifo<number>();
  const out: (number | undefined)[] = [];
  for (let i = 0; i < 500; i++) {
    queue.push(i);
    queue.push(i + 1000);
    out.push(queue.shift());
  }
  assert.deepEqual([...queue].length, 500);
  while (queue.size > 0) out.push(queue.shift());
  assert.deepEqual(out, Array.from({ length: 500 }, (_, i) => [i, i + 1000]).flat());
  assert.equal(queue.shift(), undefined);
});
