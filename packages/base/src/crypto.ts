import type { RandomBytes } from './random.ts';

/**
 * The synchronous primitives the transport needs, implemented over node:crypto by
 * `@lumamesh/transport/io`. Nothing here throws on hostile input: a point that is not on the curve,
 * a signature that is no DER or a bad tag gives `null` or `false`.
 */
export interface SyncCrypto {
  readonly randomBytes: RandomBytes;
  /** @returns The digest: 16 bytes for MD5, 32 for SHA-256, 48 for SHA-384. */
  hash(algorithm: DigestName, data: Uint8Array): Uint8Array;
  /** @returns The whole HMAC (RFC 2104): 20, 32 or 48 bytes. */
  hmac(algorithm: HmacName, key: Uint8Array, data: Uint8Array): Uint8Array;
  /** An ephemeral key pair for one key exchange. */
  generateKeyShare(group: NamedGroup): KeyShare;
  /** Seals and opens with one key. `keyBytes` is 16 or 32 bytes long, as `algorithm` asks. */
  createAead(algorithm: AeadName, keyBytes: Uint8Array): Aead;
  /**
   * ECDSA with P-256 and SHA-256.
   * @returns A DER `ECDSA-Sig-Value` (RFC 3279 §2.2.3).
   */
  signEcdsaP256(privateKey: SigningKey, data: Uint8Array): Uint8Array;
  /**
   * Checks a DER `ECDSA-Sig-Value` by the key of a DER X.509 certificate. False for every malformed
   * input, and for a key that is not P-256.
   */
  verifyWithCertificate(
    certificateDer: Uint8Array,
    data: Uint8Array,
    signature: Uint8Array,
  ): boolean;
}

export type HashName = 'sha256' | 'sha384';
/** MD5 only where a protocol asks for it: as the key of long-term credentials (RFC 8489 §9.2.2). */
export type DigestName = HashName | 'md5';
export type HmacName = 'sha1' | 'sha256' | 'sha384';
export type AeadName = 'aes-128-gcm' | 'aes-256-gcm' | 'chacha20-poly1305';
export type NamedGroup = 'x25519' | 'secp256r1';

/** An opaque private key of the {@link SyncCrypto} that made it. */
export interface SigningKey {
  readonly __kind: 'ECDSA P-256 private key';
}

export interface KeyShare {
  readonly group: NamedGroup;
  /**
   * 32 bytes for X25519, 65 (uncompressed point) for P-256: the form that stands on the wire (RFC
   * 8422 §5.4).
   */
  readonly publicKey: Uint8Array;
  /**
   * The shared secret (32 bytes), or `null` when the peer's key is malformed, off the curve, or of
   * low order (RFC 7748 §6.1).
   */
  derive(peerPublicKey: Uint8Array): Uint8Array | null;
}

export const AEAD_TAG_BYTES = 16;

export interface Aead {
  /**
   * Ciphertext with the 16-byte tag behind it, written to `out` at `offset`. The nonce has 12
   * bytes.
   */
  seal(
    nonce: Uint8Array,
    additionalData: Uint8Array,
    plaintext: Uint8Array,
    out: Uint8Array,
    offset: number,
  ): void;
  /** The plaintext, or `null` when the tag does not verify. */
  open(nonce: Uint8Array, additionalData: Uint8Array, sealed: Uint8Array): Uint8Array | null;
}
