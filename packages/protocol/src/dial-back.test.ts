import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseDialledBack } from './dial-back.ts';
import { parseClientMessage } from './room-messages.ts';

const ANSWER = { action: 'dialled-back', result: 'reached', address: '203.0.113.9' };

describe('the answer to a dial-back frame', () => {
  it('is read; further fields are passed over', () => {
    assert.deepEqual(parseDialledBack(JSON.stringify({ ...ANSWER, more: 1 })), {
      ok: true,
      value: ANSWER,
    });
  });

  it('is not taken cut short at any place, nor with anything else in its fields', () => {
    const text = JSON.stringify(ANSWER);
    for (let end = 0; end < text.length; end++)
      assert.equal(parseDialledBack(text.slice(0, end)).ok, false);
    for (const odd of [null, 1, '', [], {}, 'dead', '203.0.113.009', '\u001B[2J'])
      for (const field of Object.keys(ANSWER))
        assert.equal(parseDialledBack(JSON.stringify({ ...ANSWER, [field]: odd })).ok, false);
  });
});

describe('a dial-back frame', () => {
  it('has a record, or is none', () => {
    for (const record of [undefined, null, 7, 'luma1.', [], {}, { ip: '203.0.113.9' }]) {
      const parsed = parseClientMessage(JSON.stringify({ action: 'dial-back', record }));
      assert.equal(!parsed.ok && parsed.fault.code, 'BAD_FRAME');
      if (!parsed.ok) assert.match(parsed.fault.message, /^dial-back: /);
    }
  });
});
