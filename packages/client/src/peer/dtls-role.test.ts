import assert from 'node:assert/strict';
import { it } from 'node:test';
import { keepDtlsRole } from './dtls-role.ts';

const sdp = (setup: string): string => `v=0\r\na=setup:${setup}\r\nm=audio\r\na=setup:${setup}\r\n`;

it('an answer keeps the role that its side has, whoever had offered first', () => {
  for (const [own, other, kept] of [
    // We had answered: what we said is ours, and the other side has what is left.
    ['active', 'actpass', 'passive'],
    ['passive', 'actpass', 'active'],
    // The other side had answered.
    ['actpass', 'active', 'active'],
    ['actpass', 'passive', 'passive'],
  ] as const)
    for (const said of ['active', 'passive'])
      assert.equal(keepDtlsRole(sdp(said), [sdp(own), sdp(other)]), sdp(kept), `${own} ${other}`);
  assert.equal(keepDtlsRole(sdp('active'), ['', '']), sdp('active'), 'where nothing was agreed on');
});
