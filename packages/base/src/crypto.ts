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
  /** The groups that this runtime can compute; those of {@link EcdheGroup} are always there. */
  readonly namedGroups: readonly NamedGroup[];
  /** An ephemeral key pair for one key exchange, for the side that speaks first. */
  generateKeyShare(group: NamedGroup): KeyShare;
  /**
   * The other side's half of a key exchange, for a key that is there already.
   * @returns `null` for a group that is not in {@link namedGroups}, and for a key that is
   * malformed, off the curve, or of low order.
   */
  respondToKeyShare(group: NamedGroup, peerPublicKey: Uint8Array): KeyShareResponse | null;
  /** Seals and opens with one key. `keyBytes` is 16 or 32 bytes long, as `algorithm` asks. */
  createAead(algorithm: AeadName, keyBytes: Uint8Array): Aead;
  /**
   * The cipher that masks record sequence numbers in DTLS 1.3 (RFC 9147 §4.2.3), for records sealed
   * by `algorithm`; its key is as long as theirs.
   */
  createRecordMask(algorithm: AeadName, keyBytes: Uint8Array): RecordMask;
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
/** The groups that DTLS 1.2 knows as well. */
export type EcdheGroup = 'x25519' | 'secp256r1';
/** With the hybrid of X25519 and ML-KEM-768 (draft-ietf-tls-ecdhe-mlkem). */
export type NamedGroup = EcdheGroup | 'x25519mlkem768';

/** An opaque private key of the {@link SyncCrypto} that made it. */
export interface SigningKey {
  readonly __kind: 'ECDSA P-256 private key';
}

export interface KeyShare {
  readonly group: NamedGroup;
  /**
   * The form that stands on the wire: 32 bytes for X25519, 65 (uncompressed point) for P-256 (RFC
   * 8422 §5.4), 1216 for the hybrid (an ML-KEM encapsulation key, then X25519).
   */
  readonly publicKey: Uint8Array;
  /**
   * The shared secret (32 bytes; 64 for the hybrid), or `null` when the peer's key is malformed,
   * off the curve, or of low order (RFC 7748 §6.1).
   */
  derive(peerPublicKey: Uint8Array): Uint8Array | null;
}

export interface KeyShareResponse {
  /** As long as the peer's, but for the hybrid: 1120 bytes (an ML-KEM ciphertext, then X25519). */
  readonly publicKey: Uint8Array;
  /** 32 bytes; 64 for the hybrid. */
  readonly secret: Uint8Array;
}

export interface RecordMask {
  /**
   * @param sample the first 16 bytes of the ciphertext
   * @returns At least two bytes, valid until the next call.
   */
  mask(sample: Uint8Array): Uint8Array;
}

export const AEAD_TAG_BYTES = 16;

export interface Aead {
  /**
   * Ciphertext with the 16-byte tag behind it, written to `out` at `offset`, where the plaintext
   * itself may stand. The nonce has 12 bytes.
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
