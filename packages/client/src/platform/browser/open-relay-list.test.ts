import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, it } from 'node:test';
import { toBase64Url, utf8Encode } from '@lumamesh/base';
import { encodeSignedList, listToSign } from '@lumamesh/protocol';
import { openRelayList } from './open-relay-list.ts';

const pair = generateKeyPairSync('ed25519');
const KEY = pair.publicKey.export({ format: 'jwk' }).x ?? '';

function signed(expires: number): string {
  const text = listToSign(['luma1.AAAA'], expires - 1000, expires);
  const signature = new Uint8Array(sign(null, utf8Encode(text), pair.privateKey));
  return encodeSignedList(text, toBase64Url(signature));
}

describe('openRelayList', () => {
  const now = Math.floor(Date.now() / 1000);

  it('gives the lines of a list that is signed and good', async () => {
    assert.deepEqual(await openRelayList(signed(now + 500), KEY), ['luma1.AAAA']);
    assert.deepEqual(await openRelayList(signed(now + 500), ['A'.repeat(43), KEY]), ['luma1.AAAA']);
  });

  it('says why it takes no other', async () => {
    const list = signed(now + 500);
    for (const [text, keys, code] of [
      [list.replace('AAAA', 'AAAB'), KEY, 'RELAY_LIST_FORGED'],
      [list.slice(0, -9), KEY, 'RELAY_LIST_FORGED'],
      ['luma1.AAAA', KEY, 'RELAY_LIST_FORGED'],
      ['', KEY, 'RELAY_LIST_FORGED'],
      [list, 'A'.repeat(43), 'RELAY_LIST_FORGED'],
      [list, [], 'RELAY_LIST_FORGED'],
      [signed(now - 1), KEY, 'RELAY_LIST_EXPIRED'],
      [list, 'short', 'BAD_ARGUMENT'],
      [list, [KEY, 7], 'BAD_ARGUMENT'],
      [7, KEY, 'BAD_ARGUMENT'],
    ] as const)
      await assert.rejects(openRelayList(text as string, keys as string), { code }, code);
  });
});
