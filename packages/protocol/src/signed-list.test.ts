import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, it } from 'node:test';
import { toBase64Url, utf8Encode } from '@lumamesh/base';
import {
  MAX_SIGNED_LIST_LENGTH,
  MAX_SIGNED_LIST_SECONDS,
  decodeSignedList,
  encodeSignedList,
  listToSign,
  verifySignedList,
} from './signed-list.ts';
import { type WebCryptoSubtle, verifyEd25519 } from './web-crypto.ts';

const MADE = 1_795_824_000;
const EXPIRES = MADE + 30 * 86_400;
const LINES = ['luma1.AAAA', 'luma1.BBBB-_'];
const pair = generateKeyPairSync('ed25519');
const KEY = publicBytes(pair.publicKey);
const subtle = globalThis.crypto.subtle as unknown as WebCryptoSubtle;

function publicBytes(key: typeof pair.publicKey): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.from(key.export({ format: 'jwk' }).x ?? '', 'base64url'));
}

function signed(text: string): string {
  return encodeSignedList(
    text,
    toBase64Url(new Uint8Array(sign(null, utf8Encode(text), pair.privateKey))),
  );
}

async function verdict(list: string, now = MADE, keys = [KEY]): Promise<string> {
  const read = decodeSignedList(list);
  if (!read.ok) return read.drop;
  const verified = await verifySignedList(read.value, keys, now, async (key, signature, data) =>
    verifyEd25519(subtle, key, signature, data),
  );
  return verified.ok ? verified.value.join() : verified.drop;
}

const LIST = signed(listToSign(LINES, MADE, EXPIRES));

describe('a signed list of relays', () => {
  it('is a relay.txt that says by whom and until when', async () => {
    assert.equal(await verdict(LIST), LINES.join());
    const other = publicBytes(generateKeyPairSync('ed25519').publicKey);
    assert.equal(await verdict(LIST, MADE, [other, KEY]), LINES.join(), 'one of several keys');
    assert.equal(await verdict(LIST, MADE, [other]), 'list.forged');
    assert.equal(await verdict(LIST, MADE, []), 'list.forged');
    assert.equal(await verdict(LIST, EXPIRES - 1), LINES.join());
    assert.equal(await verdict(LIST, EXPIRES), 'list.expired');
  });

  it('is nothing when it is cut anywhere, or changed anywhere', async () => {
    for (let length = 0; length < LIST.length; length++)
      assert.match(await verdict(LIST.slice(0, length)), /^list\./, `${length}`);
    for (let at = 0; at < LIST.length; at++) {
      const other = LIST[at] === 'A' ? 'B' : 'A';
      assert.match(
        await verdict(LIST.slice(0, at) + other + LIST.slice(at + 1)),
        /^list\./,
        `${at}: ${LIST[at]}`,
      );
    }
  });

  it('cannot be prolonged, joined, reordered or put into another one', async () => {
    const [head = '', one = '', two = '', signature = ''] = LIST.split('\n');
    const later = head.replace(String(EXPIRES), String(EXPIRES + 1));
    for (const lines of [
      [later, one, two, signature, ''],
      [head, two, one, signature, ''],
      [head, one, signature, ''],
      [head, one, two, 'luma1.CCCC', signature, ''],
      [head, one, two, signature, 'luma1.CCCC', ''],
      [head, one, two, signature, signature, ''],
      [head, one, two, signature, head, 'luma1.CCCC', signature, ''],
      ['luma1.CCCC', head, one, two, signature, ''],
      [head, one, two, signature],
      [head, one, two, signature, '', ''],
      [head, one, two, `${signature} `, ''],
      LIST.replaceAll('\n', '\r\n').split('\n'),
    ])
      assert.match(await verdict(lines.join('\n')), /^list\./, lines.join('|'));
  });

  it('is refused though it is signed when it is too long, good for ever, or no list', async () => {
    const long = Array.from({ length: MAX_SIGNED_LIST_LENGTH / 8 }, () => 'luma1.AA');
    for (const [text, drop] of [
      [listToSign(long, MADE, EXPIRES), 'list.tooLong'],
      [listToSign([], MADE, EXPIRES), 'list.line'],
      [listToSign(['# a comment'], MADE, EXPIRES), 'list.line'],
      [listToSign(['luma1.AA luma1.BB'], MADE, EXPIRES), 'list.line'],
      [listToSign(LINES, MADE, MADE), 'list.times'],
      [listToSign(LINES, MADE, MADE + MAX_SIGNED_LIST_SECONDS + 1), 'list.times'],
      [listToSign(LINES, -1, 5), 'list.head'],
      [`# lumamesh relay list 2, made ${MADE}, expires ${EXPIRES}\nluma1.AA\n`, 'list.head'],
    ] as const)
      assert.equal(await verdict(signed(text)), drop);
  });

  it('is not known to be good where the platform cannot check signatures', async () => {
    const read = decodeSignedList(LIST);
    assert.ok(read.ok);
    const answer = await verifySignedList(read.value, [KEY], MADE, async () => null);
    assert.deepEqual(answer, { ok: false, drop: 'list.unknown' });
  });
});
