import assert from 'node:assert/strict';
import { it } from 'node:test';
import { mutations, overlong, truncations } from '@lumamesh/testkit';
import { decodeErrorCode, encodeErrorCode } from './attributes/error-code.ts';
import {
  decodeUnknownAttributes,
  encodeUnknownAttributes,
} from './attributes/unknown-attributes.ts';
import { StunBuilder, decodeStun } from './message.ts';

const message = new StunBuilder('error', 0x7a5, new Uint8Array(12).fill(3))
  .attribute(6, Uint8Array.of(1, 2, 3, 4, 5))
  .attribute(0x8001, new Uint8Array(0))
  .finish();

it('round-trips class, method, and attributes with padding', () => {
  const result = decodeStun(message);
  assert.ok(result.ok);
  assert.equal(result.value.messageClass, 'error');
  assert.equal(result.value.method, 0x7a5);
  assert.deepEqual(
    result.value.attributes.map(({ type, value }) => [type, [...value]]),
    [
      [6, [1, 2, 3, 4, 5]],
      [0x8001, []],
    ],
  );
});

it('drops a message cut anywhere, or with bytes behind it', () => {
  for (const cut of truncations(message)) assert.ok(!decodeStun(cut).ok, `${cut.length} bytes`);
  assert.ok(!decodeStun(overlong(message)).ok);
});

it('drops another cookie, the two high bits, and more attributes than anyone sends', () => {
  const cookie = message.slice();
  cookie[4] = 0;
  assert.deepEqual(decodeStun(cookie), { ok: false, drop: 'stun.magicCookie' });
  const bits = message.slice();
  bits[0] = 0x80;
  assert.deepEqual(decodeStun(bits), { ok: false, drop: 'stun.notStun' });
  const many = new StunBuilder('request', 1, new Uint8Array(12));
  for (let i = 0; i < 40; i++) many.attribute(0x8000 + i, new Uint8Array(0));
  assert.deepEqual(decodeStun(many.finish()), { ok: false, drop: 'stun.tooManyAttributes' });
});

it('takes any mutation without throwing', () => {
  for (const mutated of mutations(message, 5000, 1)) decodeStun(mutated);
});

it('round-trips ERROR-CODE and UNKNOWN-ATTRIBUTES, and refuses malformed ones', () => {
  assert.deepEqual(decodeErrorCode(encodeErrorCode({ code: 487, reason: 'Role Conflict' })), {
    code: 487,
    reason: 'Role Conflict',
  });
  for (const bad of [[], [0, 0, 4], [0, 0, 7, 0], [0, 0, 2, 0], [0, 0, 4, 100], [0, 0, 4, 0, 0xff]])
    assert.equal(decodeErrorCode(Uint8Array.from(bad)), null);
  assert.deepEqual(decodeUnknownAttributes(encodeUnknownAttributes([1, 0x7fff])), [1, 0x7fff]);
  assert.equal(decodeUnknownAttributes(Uint8Array.of(1)), null);
});
