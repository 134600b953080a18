/**
 * The part of WebCrypto used for rooms and identities, as browsers and Node both have it:
 * `globalThis.crypto` fits. It is an argument everywhere, so tests choose it and importing this
 * package does nothing.
 */
export interface WebCrypto {
  readonly subtle: WebCryptoSubtle;
  getRandomValues(array: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer>;
}

/** An opaque key of the platform. */
export interface WebCryptoKey {
  readonly type: string;
}

export interface WebCryptoKeyPair {
  readonly publicKey: WebCryptoKey;
  readonly privateKey: WebCryptoKey;
}

type Bytes = Uint8Array<ArrayBuffer>;

/** The calls this package makes, and no more. */
export interface WebCryptoSubtle {
  importKey(
    format: 'raw' | 'pkcs8',
    bytes: Bytes,
    algorithm: object | string,
    extractable: boolean,
    usages: readonly string[],
  ): Promise<WebCryptoKey>;
  exportKey(format: 'raw' | 'pkcs8', key: WebCryptoKey): Promise<ArrayBuffer>;
  exportKey(
    format: 'jwk',
    key: WebCryptoKey,
  ): Promise<{ readonly x?: string; readonly y?: string }>;
  generateKey(
    algorithm: object | string,
    extractable: boolean,
    usages: readonly string[],
  ): Promise<unknown>;
  deriveBits(algorithm: object, key: WebCryptoKey, bits: number): Promise<ArrayBuffer>;
  digest(algorithm: string, data: Bytes): Promise<ArrayBuffer>;
  encrypt(algorithm: object, key: WebCryptoKey, data: Bytes): Promise<ArrayBuffer>;
  decrypt(algorithm: object, key: WebCryptoKey, data: Bytes): Promise<ArrayBuffer>;
  sign(algorithm: object | string, key: WebCryptoKey, data: Bytes): Promise<ArrayBuffer>;
  verify(
    algorithm: object | string,
    key: WebCryptoKey,
    signature: Bytes,
    data: Bytes,
  ): Promise<boolean>;
}

/**
 * Checks Ed25519 signatures by WebCrypto. Returns `null` where the platform has no Ed25519 (Chrome
 * before 137, Firefox before 129, Safari before 17); any 32 bytes can be imported where it has.
 */
export async function verifyEd25519(
  subtle: WebCryptoSubtle,
  publicKey: Bytes,
  signature: Bytes,
  data: Bytes,
): Promise<boolean | null> {
  let key: WebCryptoKey;
  try {
    key = await subtle.importKey('raw', publicKey, 'Ed25519', false, ['verify']);
  } catch {
    return null;
  }
  return subtle.verify('Ed25519', key, signature, data).catch(() => false);
}
