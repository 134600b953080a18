import type { AeadName, HashName } from '@lumamesh/base';

/** A cipher suite of DTLS 1.3 (RFC 8446 §B.4): an AEAD and a hash, nothing else. */
export interface CipherSuite13 {
  readonly id: number;
  readonly name: string;
  readonly aead: AeadName;
  readonly keyBytes: 16 | 32;
  readonly hash: HashName;
}

/** In our order of preference, as for DTLS 1.2. */
export const CIPHER_SUITES_13: readonly CipherSuite13[] = [
  {
    id: 0x1301,
    name: 'TLS_AES_128_GCM_SHA256',
    aead: 'aes-128-gcm',
    keyBytes: 16,
    hash: 'sha256',
  },
  {
    id: 0x1303,
    name: 'TLS_CHACHA20_POLY1305_SHA256',
    aead: 'chacha20-poly1305',
    keyBytes: 32,
    hash: 'sha256',
  },
  {
    id: 0x1302,
    name: 'TLS_AES_256_GCM_SHA384',
    aead: 'aes-256-gcm',
    keyBytes: 32,
    hash: 'sha384',
  },
];

/** The one that is chosen from those of a ClientHello, which lists them in any order. */
export function chooseCipherSuite13(offered: readonly number[]): CipherSuite13 | null {
  return CIPHER_SUITES_13.find(({ id }) => offered.includes(id)) ?? null;
}
