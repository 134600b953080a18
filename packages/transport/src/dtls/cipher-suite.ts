import type { AeadName, HashName } from '@lumamesh/base';

/** The cipher suites spoken here: ECDHE_ECDSA with an AEAD, nothing else. */
export interface CipherSuite {
  readonly id: number;
  readonly name: string;
  readonly aead: AeadName;
  readonly keyBytes: 16 | 32;
  /** The part of the nonce that the key block gives (RFC 5288 §3: 4; RFC 7905 §2: 12). */
  readonly fixedIvBytes: 4 | 12;
  /**
   * GCM carries eight bytes of nonce in each record; ChaCha20-Poly1305 derives them from epoch and
   * sequence number.
   */
  readonly explicitNonceBytes: 0 | 8;
  readonly prfHash: HashName;
}

/**
 * In our order of preference: AES-128-GCM is the cheapest with AES-NI and what both browsers
 * prefer.
 */
export const CIPHER_SUITES: readonly CipherSuite[] = [
  {
    id: 0xc02b,
    name: 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256',
    aead: 'aes-128-gcm',
    keyBytes: 16,
    fixedIvBytes: 4,
    explicitNonceBytes: 8,
    prfHash: 'sha256',
  },
  {
    id: 0xcca9,
    name: 'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256',
    aead: 'chacha20-poly1305',
    keyBytes: 32,
    fixedIvBytes: 12,
    explicitNonceBytes: 0,
    prfHash: 'sha256',
  },
  {
    id: 0xc02c,
    name: 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384',
    aead: 'aes-256-gcm',
    keyBytes: 32,
    fixedIvBytes: 4,
    explicitNonceBytes: 8,
    prfHash: 'sha384',
  },
];

export function findCipherSuite(id: number): CipherSuite | null {
  return CIPHER_SUITES.find((suite) => suite.id === id) ?? null;
}
