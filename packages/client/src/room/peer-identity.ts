import { concatBytes, fromBase64Url, toBase64Url } from '@lumamesh/base';
import type { WebCryptoKey, WebCryptoKeyPair, WebCryptoSubtle } from '@lumamesh/protocol';

/** P-256, which every browser has had for a decade. */
export const PEER_KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' };
export const PEER_SIGN_ALGORITHM = { name: 'ECDSA', hash: 'SHA-256' };
/** An uncompressed point. */
export const PEER_KEY_BYTES = 65;
const PEER_ID_BYTES = 16;

/** Nobody seals as many messages in a second. */
export const COUNTERS_PER_SECOND = 16_000;
/** Room for all that a clock may say in this century and the next. */
const MAX_FIRST_COUNTER = 2 ** 47;

/** A key pair and the id that is made of it: whoever can sign with the key is the peer. */
export interface PeerIdentity {
  /** base64url of the first 16 bytes of SHA-256 over {@link publicKey}. */
  readonly id: string;
  /** The point, uncompressed. */
  readonly publicKey: Uint8Array<ArrayBuffer>;
  readonly privateKey: WebCryptoKey;
  /** The first counter that was not used yet: receivers refuse those they have seen. */
  readonly counter: number;
  /** Called once, when the page is not in the room any more: another may be this peer. */
  readonly release?: () => void;
}

/** Who a page is beyond its visit. `lumamesh/identity` makes and keeps them. */
export interface Identity {
  /**
   * Who to be in a room for this stay: nobody else is that peer until it is released.
   * @param roomId what relays know the room by
   */
  peerFor(roomId: string): Promise<PeerIdentity>;
}

/** A new identity. Its private key can be exported: {@link storePeerIdentity}. */
export async function createPeerIdentity(subtle: WebCryptoSubtle): Promise<PeerIdentity> {
  const { privateKey } = (await subtle.generateKey(PEER_KEY_ALGORITHM, true, [
    'sign',
    'verify',
  ])) as WebCryptoKeyPair;
  return identityOf(subtle, privateKey, 0);
}

/** An identity as a text; whoever has it is the peer. */
export async function storePeerIdentity(
  subtle: WebCryptoSubtle,
  { privateKey }: PeerIdentity,
): Promise<string> {
  return toBase64Url(new Uint8Array(await subtle.exportKey('pkcs8', privateKey)));
}

/**
 * Reads what {@link storePeerIdentity} wrote; rejects at anything else.
 *
 * Its counters go on above all that were used: `counter` is as far as is known, and a copy of the
 * text may have come further, though never as far as the clock.
 */
export async function restorePeerIdentity(
  subtle: WebCryptoSubtle,
  stored: string,
  counter: number,
  unixSeconds: number,
): Promise<PeerIdentity> {
  if (!(counter < MAX_FIRST_COUNTER)) throw new RangeError('no counter');
  const privateKey = await subtle.importKey(
    'pkcs8',
    fromBase64Url(stored) ?? new Uint8Array(0),
    PEER_KEY_ALGORITHM,
    true,
    ['sign'],
  );
  const least = Math.floor(unixSeconds * COUNTERS_PER_SECOND);
  return identityOf(subtle, privateKey, Math.max(least, counter));
}

/** The public key comes from the private one, so that they always are a pair. */
async function identityOf(
  subtle: WebCryptoSubtle,
  privateKey: WebCryptoKey,
  counter: number,
): Promise<PeerIdentity> {
  const { x, y } = await subtle.exportKey('jwk', privateKey);
  const publicKey = concatBytes([
    Uint8Array.of(4),
    ...[x, y].map((part) => fromBase64Url(part ?? '') ?? new Uint8Array(0)),
  ]);
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
