import { fromBase64Url, toBase64Url } from '@lumamesh/base';
import type { WebCryptoKey, WebCryptoKeyPair, WebCryptoSubtle } from '@lumamesh/protocol';
import { PEER_KEY_ALGORITHM } from '../room/peer-identity.ts';

/** What proofs are made with: it agrees on secrets, and signs nothing (see proof.ts). */
export const PROOF_KEY_ALGORITHM = { name: 'ECDH', namedCurve: 'P-256' };

export async function makePeerKeys(
  subtle: WebCryptoSubtle,
  isExtractable: boolean,
): Promise<WebCryptoKeyPair> {
  const usages = ['sign', 'verify'];
  return (await subtle.generateKey(PEER_KEY_ALGORITHM, isExtractable, usages)) as WebCryptoKeyPair;
}

export async function makeProofKeys(
  subtle: WebCryptoSubtle,
  isExtractable: boolean,
): Promise<WebCryptoKeyPair> {
  const usages = ['deriveBits'];
  return (await subtle.generateKey(PROOF_KEY_ALGORITHM, isExtractable, usages)) as WebCryptoKeyPair;
}

/** A public key: the point, uncompressed. */
export async function exportPublic(
  subtle: WebCryptoSubtle,
  { publicKey }: { readonly publicKey: WebCryptoKey },
): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await subtle.exportKey('raw', publicKey));
}

/** Both keys as a text. Rejects when the private one cannot be exported. */
export async function keysToText(
  subtle: WebCryptoSubtle,
  { publicKey, privateKey }: WebCryptoKeyPair,
): Promise<string> {
  const parts = [
    await subtle.exportKey('raw', publicKey),
    await subtle.exportKey('pkcs8', privateKey),
  ];
  return parts.map((part) => toBase64Url(new Uint8Array(part))).join('.');
}

/** Reads what {@link keysToText} wrote. Rejects at anything else. */
export async function keysFromText(
  subtle: WebCryptoSubtle,
  text: string,
  algorithm: object,
  isExtractable: boolean,
): Promise<WebCryptoKeyPair> {
  const [raw, pkcs8] = text.split('.').map((part) => fromBase64Url(part));
  if (!raw || !pkcs8) throw new RangeError('not two keys');
  const isForSigning = algorithm === PEER_KEY_ALGORITHM;
  const publicUsages = isForSigning ? ['verify'] : [];
  const privateUsages = isForSigning ? ['sign'] : ['deriveBits'];
  return {
    publicKey: await subtle.importKey('raw', raw, algorithm, true, publicUsages),
    privateKey: await subtle.importKey('pkcs8', pkcs8, algorithm, isExtractable, privateUsages),
  };
}
