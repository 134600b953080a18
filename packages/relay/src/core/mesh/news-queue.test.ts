import assert from 'node:assert/strict';
import { it } from 'node:test';
import { NewsQueue } from './news-queue.ts';

it('a relay and a room with much to tell delay only themselves', () => {
  const queue = new NewsQueue();
  for (let i = 0; i < 3000; i++) queue.add('evil', 'room', `ghost${i}`, false);
  queue.add('evil', 'other room', 'eve', false);
  queue.add('honest', 'room', 'bob', false);
  const first = [1, 2, 3].map(() => queue.shift()?.[1]);
  assert.deepEqual(first, ['ghost0', 'bob', 'eve']);
});

it('one relay has a bounded part waiting, and what is owed besides', () => {
  const queue = new NewsQueue();
  let i = 0;
  while (queue.add('evil', `room${i % 50}`, `ghost${i}`, false)) i += 1;
  assert.ok(i < 5000 && queue.size === i);
  assert.ok(queue.add('evil', 'room', 'told before', true));
  assert.ok(queue.add('honest', 'room', 'bob', false));
});

it('the same news waits once, and not when it is taken back', () => {
  const queue = new NewsQueue();
  queue.add('r', 'room', 'bob', false);
  queue.add('r', 'room', 'bob', false);
  assert.equal(queue.size, 1);
  queue.delete('r', 'room', 'bob');
  assert.equal(queue.size, 0);
  assert.equal(queue.shift(), null);
});
