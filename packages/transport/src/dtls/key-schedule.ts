import { type Aead, type HashName, type SyncCrypto, concatBytes, utf8Encode } from '@lumamesh/base';
import type { CipherSuite } from './cipher-suite.ts';
import { RecordProtection } from './record/record-protection.ts';

const HASH_BYTES: Readonly<Record<HashName, number>> = { sha256: 32, sha384: 48 };
const MASTER_SECRET_BYTES = 48;
const VERIFY_DATA_BYTES = 12;

/** The TLS 1.2 PRF: P_hash(secret, label + seed) cut to `length` bytes (RFC 5246 §5). */
export function prf(
  crypto: SyncCrypto,
  hash: HashName,
  secret: Uint8Array,
  label: string,
  seed: Uint8Array,
  length: number,
): Uint8Array {
  const labelBytes = utf8Encode(label);
  const hashBytes = HASH_BYTES[hash];
  // A(i) in front of label and seed: the input of each block, written over in place.
  const input = concatBytes([new Uint8Array(hashBytes), labelBytes, seed]);
  const out = new Uint8Array(length);
  let a = crypto.hmac(hash, secret, input.subarray(hashBytes));
  for (let offset = 0; offset < length; a = crypto.hmac(hash, secret, a)) {
    input.set(a);
    const block = crypto.hmac(hash, secret, input);
    out.set(block.subarray(0, length - offset), offset);
    offset += block.length;
  }
  return out;
}

/**
 * The extended master secret (RFC 7627 §4). `sessionHash` covers all messages up to and including
 * ClientKeyExchange.
 */
export function extendedMasterSecret(
  crypto: SyncCrypto,
  hash: HashName,
  premasterSecret: Uint8Array,
  sessionHash: Uint8Array,
): Uint8Array {
  return prf(
    crypto,
    hash,
    premasterSecret,
    'extended master secret',
    sessionHash,
    MASTER_SECRET_BYTES,
  );
}

/** The verify_data of a Finished message (RFC 5246 §7.4.9): 12 bytes. */
export function verifyData(
  crypto: SyncCrypto,
  hash: HashName,
  masterSecret: Uint8Array,
  sender: 'client' | 'server',
  transcriptHash: Uint8Array,
): Uint8Array {
  return prf(crypto, hash, masterSecret, `${sender} finished`, transcriptHash, VERIFY_DATA_BYTES);
}

export interface TrafficKeys {
  readonly client: RecordProtection;
  readonly server: RecordProtection;
}

/**
 * Both directions' record protection from the key block (RFC 5246 §6.3): client key, server key,
 * client IV, server IV; AEAD suites have no MAC keys.
 */
export function trafficKeys(
  crypto: SyncCrypto,
  suite: CipherSuite,
  masterSecret: Uint8Array,
  clientRandom: Uint8Array,
  serverRandom: Uint8Array,
): TrafficKeys {
  const { keyBytes, fixedIvBytes } = suite;
  const block = prf(
    crypto,
    suite.prfHash,
    masterSecret,
    'key expansion',
    concatBytes([serverRandom, clientRandom]),
    2 * keyBytes + 2 * fixedIvBytes,
  );
  const key = (i: number): Aead =>
    crypto.createAead(suite.aead, block.slice(i * keyBytes, (i + 1) * keyBytes));
  const iv = (i: number): Uint8Array =>
    block.slice(2 * keyBytes + i * fixedIvBytes, 2 * keyBytes + (i + 1) * fixedIvBytes);
  return {
    client: new RecordProtection(suite, key(0), iv(0)),
    server: new RecordProtection(suite, key(1), iv(1)),
  };
}
