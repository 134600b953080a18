import assert from 'node:assert/strict';
import { it } from 'node:test';
import { expectNumber, expectThat, expectType } from './arguments.ts';
import { LumameshError } from './error.ts';

const messageOf = (run: () => void): string => {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof LumameshError && error.code === 'BAD_ARGUMENT');
    return error.message;
  }
  return '';
};

it('takes the types that are named, and names the parameter otherwise', () => {
  const name = (value: unknown): string =>
    messageOf(() => expectType('joinRoom: name', value, 'string', 'undefined'));
  assert.equal(name('tea'), '');
  assert.equal(name(undefined), '');
  assert.equal(name(42), 'joinRoom: name must be string or undefined, not 42');
  assert.equal(name(null), 'joinRoom: name must be string or undefined, not null');
  assert.equal(name({}), 'joinRoom: name must be string or undefined, not object');
  assert.equal(
    messageOf(() => expectType('send: options', null, 'object')),
    'send: options must be object, not null',
  );
});

it('takes numbers within their bounds only', () => {
  const fault = (value: unknown): string => messageOf(() => expectNumber('maxPeers', value, 1, 9));
  for (const value of [1, 1.5, 9, undefined]) assert.equal(fault(value), '');
  for (const value of [0, -1, 10, Number.NaN, Infinity, '5', null, {}])
    assert.notEqual(fault(value), '');
  assert.equal(fault(Number.NaN), 'maxPeers must be a number of 1 to 9, not NaN');
  assert.equal(fault('5'), 'maxPeers must be a number of 1 to 9, not string');
});

it('shows nothing of what texts and objects hold', () => {
  assert.equal(
    messageOf(() => expectThat(false, 'x', 'y', 'a secret')),
    'x must be y, not string',
  );
  const odd = Object.create(null) as object;
  for (const value of [odd, Symbol('s'), 10n])
    assert.match(
      messageOf(() => expectThat(false, 'x', 'y', value)),
      /not (object|symbol|bigint)$/,
    );
});
