import {
  type CipherGCMTypes,
  type KeyObject,
  X509Certificate,
  createCipheriv,
  createDecipheriv,
  createECDH,
  createHmac,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
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
  type KeyShare,
  type NamedGroup,
  type SigningKey,
  type SyncCrypto,
} from '@lumamesh/base';

const TAG_OPTIONS = { authTagLength: AEAD_TAG_BYTES };
const X25519_KEY_BYTES = 32;
const P256_POINT_BYTES = 65;

/** The transport's primitives over node:crypto. */
export const nodeCrypto: SyncCrypto = {
  randomBytes: pooledRandomBytes,
  hash: (algorithm: DigestName, data: Uint8Array) => oneShotHash(algorithm, data, 'buffer'),
  hmac: (algorithm: HmacName, key: Uint8Array, data: Uint8Array) =>
    createHmac(algorithm, key).update(data).digest(),
  generateKeyShare: (group: NamedGroup) => (group === 'x25519' ? x25519KeyShare() : p256KeyShare()),
  createAead,
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

function x25519KeyShare(): KeyShare {
  const { privateKey, publicKey } = generateKeyPairSync('x25519');
  const { x } = publicKey.export({ format: 'jwk' });
  return {
    group: 'x25519',
    publicKey: new Uint8Array(Buffer.from(x ?? '', 'base64url')),
    derive(peerPublicKey) {
      if (peerPublicKey.length !== X25519_KEY_BYTES) return null;
      try {
        const peer = createPublicKey({
          key: { kty: 'OKP', crv: 'X25519', x: Buffer.from(peerPublicKey).toString('base64url') },
          format: 'jwk',
        });
        // OpenSSL refuses the all-zero result that points of low order give (RFC 7748 §6.1).
        return diffieHellman({ privateKey, publicKey: peer });
      } catch {
        return null;
      }
    },
  };
}

function p256KeyShare(): KeyShare {
  const ecdh = createECDH('prime256v1');
  const publicKey = new Uint8Array(ecdh.generateKeys());
  return {
    group: 'secp256r1',
    publicKey,
    derive(peerPublicKey) {
      // RFC 8422 §5.4.1: uncompressed points only. OpenSSL checks that the point is on the curve.
      if (peerPublicKey.length !== P256_POINT_BYTES || peerPublicKey[0] !== 4) return null;
      try {
        return ecdh.computeSecret(peerPublicKey);
      } catch {
        return null;
      }
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
