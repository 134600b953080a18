import assert from 'node:assert/strict';
import { it } from 'node:test';
import { instant } from './instant.ts';
import { type HeapEntry, TimerHeap } from './timer-heap.ts';
import { TimerTable } from './timer-table.ts';
import { TokenBucket } from './token-bucket.ts';
import { Fifo } from './fifo.ts';

it('keeps named timers and hands out the earliest that is due', () => {
  const timers = new TimerTable<'a' | 'b' | 'c'>();
  assert.equal(timers.next(), null);
  timers.arm('a', instant(30));
  timers.arm('b', instant(10));
  timers.arm('c', instant(20));
  timers.arm('a', instant(15));
  assert.equal(timers.next(), 10);
  assert.equal(timers.takeExpired(instant(9)), null);
  assert.deepEqual(
    [
      timers.takeExpired(instant(16)),
      timers.takeExpired(instant(16)),
      timers.takeExpired(instant(16)),
    ],
    ['b', 'a', null],
  );
  timers.disarm('c');
  assert.equal(timers.next(), null);
});

it('orders a thousand moving deadlines like a sorted list', () => {
  const heap = new TimerHeap<HeapEntry & { name: number }>();
  const entries = Array.from({ length: 1000 }, (_, name) => ({
    name,
    deadline: null,
    heapIndex: -1,
  }));
  let state = 1;
  const random = (): number => (state = (state * 48_271) % 2_147_483_647);
  for (let round = 0; round < 5; round++) {
    for (const entry of entries)
      heap.set(entry, random() % 7 === 0 ? null : instant(random() % 500));
  }
  const expected = entries
    .flatMap(({ deadline }) => (deadline === null ? [] : [deadline]))
    .sort((a, b) => a - b);
  assert.equal(heap.size, expected.length);
  const taken: number[] = [];
  for (let entry = heap.peek(); entry !== null; entry = heap.peek()) {
    taken.push(entry.deadline ?? -1);
    heap.set(entry, null);
  }
  assert.deepEqual(taken, expected);
});

it('lets a bucket fill at its rate and no further', () => {
  const bucket = new TokenBucket(10, 5);
  for (let i = 0; i < 5; i++) assert.ok(bucket.take(instant(0)));
  assert.ok(!bucket.take(instant(0)) && !bucket.take(instant(99)) && bucket.take(instant(100)));
  let taken = 0;
  while (bucket.take(instant(60_000))) taken += 1;
  assert.equal(taken, 5);
});

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
