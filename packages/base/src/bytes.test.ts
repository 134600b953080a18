import assert from 'node:assert/strict';
import { it } from 'node:test';
import {
  bytesEqual,
  concatBytes,
  fromBase64Url,
  fromHex,
  readUint16,
  readUint32,
  toBase64Url,
  toHex,
  utf8Decode,
  utf8Encode,
  writeUint16,
  writeUint32,
} from './bytes.ts';

it('writes and reads base64url of every length (RFC 4648 §10)', () => {
  const vectors: [string, string][] = [
    ['', ''],
    ['f', 'Zg'],
    ['fo', 'Zm8'],
    ['foo', 'Zm9v'],
    ['foob', 'Zm9vYg'],
    ['fooba', 'Zm9vYmE'],
    ['foobar', 'Zm9vYmFy'],
  ];
  for (const [text, encoded] of vectors) {
    assert.equal(toBase64Url(utf8Encode(text)), encoded);
    assert.deepEqual(fromBase64Url(encoded), utf8Encode(text));
  }
  assert.equal(toBase64Url(Uint8Array.of(0xfb, 0xff)), '-_8');
});

it('takes only the canonical spelling of base64url', () => {
  for (const bad of ['Zh', 'Zm9', 'A', 'Zg==', 'Zm+v', 'Zm/v', 'Zm9v ', 'Zmé', '-_9'])
    assert.equal(fromBase64Url(bad), null, bad);
});

it('reads and writes hexadecimal', () => {
  assert.equal(toHex(Uint8Array.of(0, 171, 255)), '00abff');
  assert.deepEqual(fromHex('00ABff'), Uint8Array.of(0, 171, 255));
  for (const bad of ['0', 'zz', '0x', ' 0']) assert.equal(fromHex(bad), null);
});

it('reads and writes integers in network order', () => {
  const bytes = new Uint8Array(6);
  writeUint16(bytes, 0, 0xabcd);
  writeUint32(bytes, 2, 0xfedcba98);
  assert.equal(readUint16(bytes, 0), 0xabcd);
  assert.equal(readUint32(bytes, 2), 0xfedcba98);
  assert.equal(readUint32(bytes, 4), 0xba980000);
});

it('tells invalid UTF-8 from text', () => {
  assert.equal(utf8Decode(Uint8Array.of(0xc3, 0x28)), null);
  assert.equal(utf8Decode(utf8Encode('\uFEFFé')), '\uFEFFé');
});

it('compares and joins', () => {
  assert.ok(bytesEqual(Uint8Array.of(1, 2), Uint8Array.of(1, 2)));
  assert.ok(
    !bytesEqual(Uint8Array.of(1, 2), Uint8Array.of(1, 3)) &&
      !bytesEqual(Uint8Array.of(1), Uint8Array.of(1, 2)),
  );
  assert.deepEqual(
    concatBytes([Uint8Array.of(1), new Uint8Array(0), Uint8Array.of(2, 3)]),
    Uint8Array.of(1, 2, 3),
  );
});
