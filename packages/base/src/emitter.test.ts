import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Emitter } from './emitter.ts';

it('calls every listener though one throws, and none that has ended', () => {
  const errors: unknown[] = [];
  const heard: string[] = [];
  const emitter = new Emitter<{ word: [string] }>((error) => errors.push(error));
  emitter.on('word', () => {
    throw new Error('mine');
  });
  const end = emitter.on('word', (word) => heard.push(`a ${word}`));
  emitter.on('word', (word) => {
    heard.push(`b ${word}`);
    end();
  });
  emitter.emit('word', 'one');
  emitter.emit('word', 'two');
  assert.deepEqual(heard, ['a one', 'b one', 'b two']);
  assert.equal(errors.length, 2);
});
