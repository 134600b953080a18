import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Emitter } from './emitter.ts';

const makeEmitter = (onError: (error: unknown) => void = () => undefined) =>
  new Emitter<{ word: [string] }>(onError, ['word']);

it('calls every listener though one throws, and none that has ended', () => {
  const errors: unknown[] = [];
  const heard: string[] = [];
  const emitter = makeEmitter((error) => errors.push(error));
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

it('ends what it was returned for: one function given twice is two listeners', () => {
  const heard: string[] = [];
  const emitter = makeEmitter();
  const listener = (word: string): void => void heard.push(word);
  const [first, second] = [emitter.on('word', listener), emitter.on('word', listener)];
  emitter.emit('word', 'both');
  first();
  first();
  emitter.emit('word', 'one');
  second();
  emitter.emit('word', 'none');
  assert.deepEqual(heard, ['both', 'both', 'one']);
  assert.equal(emitter.has('word'), false);
});

it('refuses events that it does not have, and listeners that are none', () => {
  const emitter = makeEmitter();
  const untyped = emitter as unknown as { on(event: unknown, listener?: unknown): void };
  const code = 'BAD_ARGUMENT';
  assert.throws(() => untyped.on('words', () => undefined), { code, message: /one of word/ });
  for (const event of [undefined, null, 42, {}, '__proto__', 'constructor'])
    assert.throws(() => untyped.on(event, () => undefined), { code });
  for (const listener of [undefined, null, 'word', {}])
    assert.throws(() => untyped.on('word', listener), { code, message: /listener/ });
  emitter._addEvents(['words', 'word']);
  untyped.on('words', () => undefined);
});
