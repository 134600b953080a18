import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { it } from 'node:test';
import { verifyEd25519, type WebCryptoSubtle } from '@lumamesh/protocol';
import { verify } from './ed25519-fallback.ts';

/** A message, with its signature by a new key. */
function signedMessage(): [
  Uint8Array<ArrayBuffer>,
  Uint8Array<ArrayBuffer>,
  Uint8Array<ArrayBuffer>,
] {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const data = Uint8Array.from({ length: 100 }, (_, i) => i);
  const key = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  return [Uint8Array.from(key), Uint8Array.from(sign(null, data, privateKey)), data];
}

it('tells what is signed as WebCrypto does, and throws at nothing', async () => {
  const [key, signature, data] = signedMessage();
  const subtle = crypto.subtle as unknown as WebCryptoSubtle;
  const flip = (bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> =>
    bytes.map((byte, i) => (i === 5 ? byte ^ 1 : byte));
  for (const [k, s, d] of [
    [key, signature, data],
    [flip(key), signature, data],
    [key, flip(signature), data],
    [key, signature, flip(data)],
  ] as const) {
    const expected = k === key && s === signature && d === data;
    assert.equal(await verify(k, s, d), expected);
    assert.equal(await verifyEd25519(subtle, k, s, d), expected);
  }
  assert.equal(await verify(new Uint8Array(3), signature, data), false);
  assert.equal(await verify(key, new Uint8Array(0), data), false);
});

it('is asked for by null, where the platform has no Ed25519', async () => {
  const without = {
    importKey: async () => Promise.reject(new Error('NotSupportedError')),
  } as unknown as WebCryptoSubtle;
  assert.equal(await verifyEd25519(without, ...signedMessage()), null);
});
