import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import type { JoinProof } from '@lumamesh/protocol';

const PEER_ID_BYTES = 16;

/** A peer with keys of its own, as relays know one: it can prove its id. */
export interface JoiningPeer {
  readonly id: string;
  /** Signs what a relay asks (`joinProofText`). */
  prove(text: string): JoinProof;
}

export function makeJoiningPeer(): JoiningPeer {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' });
  const point = Buffer.concat([
    Buffer.of(4),
    Buffer.from(x, 'base64url'),
    Buffer.from(y, 'base64url'),
  ]);
  const hash = createHash('sha256').update(point).digest();
  return {
    id: hash.subarray(0, PEER_ID_BYTES).toString('base64url'),
    prove: (text) => ({
      key: point.toString('base64url'),
      signature: sign('sha256', Buffer.from(text), {
        key: privateKey,
        dsaEncoding: 'ieee-p1363',
      }).toString('base64url'),
    }),
  };
}
