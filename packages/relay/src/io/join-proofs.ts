import { createHash, createPublicKey, randomBytes, verify } from 'node:crypto';
import { fromBase64Url } from '@lumamesh/base';
import type { JoinProofs } from '../core/index.ts';

const CHALLENGE_BYTES = 16;
const PEER_ID_BYTES = 16;
const COORDINATE_BYTES = 32;
const UNCOMPRESSED = 4;

/** Proofs by P-256 keys; a peer's id is base64url of the first 16 bytes of SHA-256 over the point. */
export const joinProofs: JoinProofs = {
  challenge: () => randomBytes(CHALLENGE_BYTES).toString('base64url'),
  verify: (peer, { key, signature }, text) => {
    const point = fromBase64Url(key);
    const signed = fromBase64Url(signature);
    if (point?.[0] !== UNCOMPRESSED || signed === null) return false;
    const id = createHash('sha256').update(point).digest().subarray(0, PEER_ID_BYTES);
    if (id.toString('base64url') !== peer) return false;
    const coordinate = (i: number): string =>
      Buffer.from(point)
        .subarray(1 + i * COORDINATE_BYTES, 1 + (i + 1) * COORDINATE_BYTES)
        .toString('base64url');
    try {
      const jwk = { kty: 'EC', crv: 'P-256', x: coordinate(0), y: coordinate(1) };
      const publicKey = createPublicKey({ key: jwk, format: 'jwk' });
      return verify(
        'sha256',
        Buffer.from(text),
        { key: publicKey, dsaEncoding: 'ieee-p1363' },
        signed,
      );
    } catch {
      // A point that is on no curve.
      return false;
    }
  },
};
