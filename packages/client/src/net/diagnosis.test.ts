import assert from 'node:assert/strict';
import { it } from 'node:test';
import { LumameshError } from '@lumamesh/base';
import { diagnose } from './diagnosis.ts';

/* What a page is told when none of its relays can be used. */
const verdict = (...codes: readonly string[]): string =>
  diagnose(codes.map((code) => new LumameshError(code, code))).code;

it('tells of a relay what is true of all, and accuses none while another is merely silent', () => {
  assert.equal(verdict('RELAY_UNREACHABLE'), 'RELAYS_UNREACHABLE');
  assert.equal(verdict('RELAY_LOST', 'RELAY_UNREACHABLE'), 'RELAYS_UNREACHABLE');
  const accusations = ['RELAY_FORGED', 'RELAY_HANDSHAKE_FAILED', 'RELAY_PRIVATE', 'ACCESS_DENIED'];
  for (const code of accusations) {
    assert.equal(verdict(code), code);
    assert.equal(verdict(code, 'RELAY_UNREACHABLE'), 'RELAYS_UNREACHABLE');
    assert.equal(verdict('RELAY_UNREACHABLE', code), 'RELAYS_UNREACHABLE');
  }
  assert.equal(verdict('RELAY_FORGED', 'RELAY_HANDSHAKE_FAILED'), 'RELAY_HANDSHAKE_FAILED');
  assert.equal(verdict('RELAY_PRIVATE', 'ACCESS_DENIED'), 'ACCESS_DENIED');
  assert.equal(verdict('RELAY_FORGED', 'WEBRTC_MISSING'), 'WEBRTC_MISSING');
  assert.equal(verdict('RELAY_LIST_FAILED'), 'RELAY_LIST_FAILED');
  assert.equal(verdict('RELAY_UNREACHABLE', 'RELAY_LIST_FAILED'), 'RELAY_LIST_FAILED');
});

it('has the text of what was seen', () => {
  const cause = new LumameshError('RELAY_UNREACHABLE', 'the relay does not answer');
  const fault = diagnose([new LumameshError('RELAY_FORGED', 'other'), cause]);
  assert.match(fault.message, /does not answer/);
  assert.equal(fault.cause, cause);
});
