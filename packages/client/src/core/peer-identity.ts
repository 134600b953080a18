import { toBase64Url } from '@lumamesh/base';
import type { WebCryptoKey, WebCryptoKeyPair, WebCryptoSubtle } from '@lumamesh/protocol';

/** P-256, which every browser has had for a decade. */
export const PEER_KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' };
export const PEER_SIGN_ALGORITHM = { name: 'ECDSA', hash: 'SHA-256' };
/** An uncompressed point. */
export const PEER_KEY_BYTES = 65;
const PEER_ID_BYTES = 16;

/** A key pair and the id that is made of it: whoever can sign with the key is the peer. */
export interface PeerIdentity {
  /** base64url of the first 16 bytes of SHA-256 over {@link publicKey}. */
  readonly id: string;
  readonly publicKey: Uint8Array<ArrayBuffer>;
  readonly privateKey: WebCryptoKey;
}

/** A new identity; its private key never leaves the platform's crypto. */
export async function createPeerIdentity(subtle: WebCryptoSubtle): Promise<PeerIdentity> {
  const pair = (await subtle.generateKey(PEER_KEY_ALGORITHM, false, ['sign', 'verify'])) as WebCryptoKeyPair;
  const publicKey = new Uint8Array(await subtle.exportKey('raw', pair.publicKey));
  return { id: await peerIdOf(subtle, publicKey), publicKey, privateKey: pair.privateKey };
}

/** The id that belongs to a public key. */
export async function peerIdOf(subtle: WebCryptoSubtle, publicKey: Uint8Array<ArrayBuffer>): Promise<string> {
  return toBase64Url(new Uint8Array(await subtle.digest('SHA-256', publicKey)).subarray(0, PEER_ID_BYTES));
}
