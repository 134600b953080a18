import { fromBase64Url, toBase64Url } from '@lumamesh/base';
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
  /** The first counter that was not used yet: receivers refuse those they have seen. */
  readonly counter: number;
}

/**
 * A new identity. Its private key can be exported, for the page to be the same peer after a reload:
 * {@link storePeerIdentity}.
 */
export async function createPeerIdentity(subtle: WebCryptoSubtle): Promise<PeerIdentity> {
  const pair = (await subtle.generateKey(PEER_KEY_ALGORITHM, true, [
    'sign',
    'verify',
  ])) as WebCryptoKeyPair;
  return identityOf(
    subtle,
    new Uint8Array(await subtle.exportKey('raw', pair.publicKey)),
    pair.privateKey,
    0,
  );
}

/** An identity as a text; whoever has it is the peer. */
export async function storePeerIdentity(
  subtle: WebCryptoSubtle,
  { publicKey, privateKey }: PeerIdentity,
): Promise<string> {
  return `${toBase64Url(publicKey)}.${toBase64Url(new Uint8Array(await subtle.exportKey('pkcs8', privateKey)))}`;
}

/**
 * Reads what {@link storePeerIdentity} wrote; rejects at anything else. `counter`: where the
 * identity has come to.
 */
export async function restorePeerIdentity(
  subtle: WebCryptoSubtle,
  stored: string,
  counter: number,
): Promise<PeerIdentity> {
  const [publicKey, pkcs8] = stored
    .split('.')
    .map((part) => fromBase64Url(part) ?? new Uint8Array(0));
  const privateKey = await subtle.importKey(
    'pkcs8',
    pkcs8 ?? new Uint8Array(0),
    PEER_KEY_ALGORITHM,
    true,
    ['sign'],
  );
  return identityOf(subtle, publicKey ?? new Uint8Array(0), privateKey, counter);
}

async function identityOf(
  subtle: WebCryptoSubtle,
  publicKey: Uint8Array<ArrayBuffer>,
  privateKey: WebCryptoKey,
  counter: number,
): Promise<PeerIdentity> {
  return { id: await peerIdOf(subtle, publicKey), publicKey, privateKey, counter };
}

/** The id that belongs to a public key. */
export async function peerIdOf(
  subtle: WebCryptoSubtle,
  publicKey: Uint8Array<ArrayBuffer>,
): Promise<string> {
  return toBase64Url(
    new Uint8Array(await subtle.digest('SHA-256', publicKey)).subarray(0, PEER_ID_BYTES),
  );
}
