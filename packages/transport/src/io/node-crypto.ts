import {
  type CipherGCMTypes,
  type KeyObject,
  X509Certificate,
  createCipheriv,
  createDecipheriv,
  createHmac,
  hash as oneShotHash,
  randomBytes,
  sign,
  verify,
} from 'node:crypto';
import {
  AEAD_TAG_BYTES,
  type Aead,
  type AeadName,
  type DigestName,
  type HmacName,
  type SigningKey,
  type SyncCrypto,
} from '@lumamesh/base';
import { generateKeyShare, namedGroups, respondToKeyShare } from './key-shares.ts';
import { createRecordMask } from './record-mask.ts';

const TAG_OPTIONS = { authTagLength: AEAD_TAG_BYTES };

/** The transport's primitives over node:crypto. */
export const nodeCrypto: SyncCrypto = {
  randomBytes: pooledRandomBytes,
  hash: (algorithm: DigestName, data: Uint8Array) => oneShotHash(algorithm, data, 'buffer'),
  hmac: (algorithm: HmacName, key: Uint8Array, data: Uint8Array) =>
    createHmac(algorithm, key).update(data).digest(),
  namedGroups,
  generateKeyShare,
  respondToKeyShare,
  createAead,
  createRecordMask,
  signEcdsaP256: (privateKey: SigningKey, data: Uint8Array) =>
    sign('sha256', data, nodeKeyOf(privateKey)),
  verifyWithCertificate,
};

/**
 * A handshake asks for random bytes a dozen times, a few at a time, and each call of the system's
 * costs 5 µs: so they are drawn in blocks.
 */
const POOL_BYTES = 4096;
let pool = new Uint8Array(0);
let poolUsed = 0;

function pooledRandomBytes(length: number): Uint8Array {
  if (length > POOL_BYTES / 4) return new Uint8Array(randomBytes(length));
  if (poolUsed + length > pool.length) {
    pool = new Uint8Array(randomBytes(POOL_BYTES));
    poolUsed = 0;
  }
  const taken = pool.slice(poolUsed, poolUsed + length);
  // What was handed out does not stay behind.
  pool.fill(0, poolUsed, poolUsed + length);
  poolUsed += length;
  return taken;
}

interface NodeSigningKey extends SigningKey {
  readonly keyObject: KeyObject;
}

/**
 * Wraps a node:crypto private key for {@link nodeCrypto}. The key must be ECDSA P-256; identity
 * files are checked where they are read.
 */
export function signingKey(keyObject: KeyObject): SigningKey {
  const key: NodeSigningKey = { __kind: 'ECDSA P-256 private key', keyObject };
  return key;
}

function nodeKeyOf(key: SigningKey): KeyObject {
  // `signingKey` is the only maker of SigningKeys in a Node program.
  return (key as NodeSigningKey).keyObject;
}

function createAead(algorithm: AeadName, keyBytes: Uint8Array): Aead {
  // node:crypto types the two families apart; both take the tag length in their options.
  const name = algorithm as CipherGCMTypes;
  return {
    seal(nonce, additionalData, plaintext, out, offset) {
      const cipher = createCipheriv(name, keyBytes, nonce, TAG_OPTIONS);
      cipher.setAAD(additionalData, { plaintextLength: plaintext.length });
      out.set(cipher.update(plaintext), offset);
      cipher.final();
      out.set(cipher.getAuthTag(), offset + plaintext.length);
    },
    open(nonce, additionalData, sealed) {
      const end = sealed.length - AEAD_TAG_BYTES;
      if (end < 0) return null;
      const decipher = createDecipheriv(name, keyBytes, nonce, TAG_OPTIONS);
      decipher.setAAD(additionalData, { plaintextLength: end });
      decipher.setAuthTag(sealed.subarray(end));
      const plaintext = decipher.update(sealed.subarray(0, end));
      try {
        decipher.final();
      } catch {
        return null;
      }
      // A Buffer would print and compare differently from the bytes that callers know.
      return new Uint8Array(plaintext.buffer, plaintext.byteOffset, plaintext.length);
    },
  };
}

function verifyWithCertificate(
  certificateDer: Uint8Array,
  data: Uint8Array,
  signature: Uint8Array,
): boolean {
  try {
    const { publicKey } = new X509Certificate(certificateDer);
    if (
      publicKey.asymmetricKeyType !== 'ec' ||
      publicKey.asymmetricKeyDetails?.namedCurve !== 'prime256v1'
    )
      return false;
    return verify('sha256', data, publicKey, signature);
  } catch {
    return false;
  }
}
