import * as crypto from 'node:crypto';
import { type KeyShare, type KeyShareResponse, type NamedGroup, concatBytes } from '@lumamesh/base';

const X25519_KEY_BYTES = 32;
const P256_POINT_BYTES = 65;
/** FIPS 203 §8, table 3: ML-KEM-768. */
const ENCAPSULATION_KEY_BYTES = 1184;
const CIPHERTEXT_BYTES = 1088;
/** SubjectPublicKeyInfo of an ML-KEM-768 key (RFC 9935 §4), up to the key itself. */
const ML_KEM_SPKI_PREFIX = Buffer.from('308204b2300b0609608648016503040402038204a100', 'hex');
/** SubjectPublicKeyInfo of an X25519 key (RFC 8410 §4), up to the key itself. */
const X25519_SPKI_PREFIX = Buffer.from('302a300506032b656e032100', 'hex');

/** ML-KEM came with Node 24.7; what an older one has stays X25519 and P-256. */
const hasMlKem = typeof crypto.encapsulate === 'function' && generatesMlKem();

export const namedGroups: readonly NamedGroup[] = hasMlKem
  ? ['x25519mlkem768', 'x25519', 'secp256r1']
  : ['x25519', 'secp256r1'];

export function generateKeyShare(group: NamedGroup): KeyShare {
  switch (group) {
    case 'x25519':
      return x25519KeyShare();
    case 'secp256r1':
      return p256KeyShare();
    case 'x25519mlkem768':
      return hybridKeyShare();
  }
}

export function respondToKeyShare(
  group: NamedGroup,
  peerPublicKey: Uint8Array,
): KeyShareResponse | null {
  if (group === 'x25519mlkem768') return hybridResponse(peerPublicKey);
  const own = generateKeyShare(group);
  const secret = own.derive(peerPublicKey);
  return secret === null ? null : { publicKey: own.publicKey, secret };
}

function generatesMlKem(): boolean {
  try {
    crypto.generateKeyPairSync('ml-kem-768');
    return true;
  } catch {
    // A Node that has the function on an OpenSSL that has not.
    return false;
  }
}

function x25519KeyShare(): KeyShare {
  const { privateKey, publicKey } = crypto.generateKeyPairSync('x25519');
  const { x } = publicKey.export({ format: 'jwk' });
  return {
    group: 'x25519',
    publicKey: new Uint8Array(Buffer.from(x ?? '', 'base64url')),
    derive(peerPublicKey) {
      if (peerPublicKey.length !== X25519_KEY_BYTES) return null;
      try {
        // OpenSSL refuses the all-zero result that points of low order give (RFC 7748 §6.1).
        return crypto.diffieHellman({
          privateKey,
          publicKey: publicKeyOf(X25519_SPKI_PREFIX, peerPublicKey),
        });
      } catch {
        return null;
      }
    },
  };
}

function p256KeyShare(): KeyShare {
  const ecdh = crypto.createECDH('prime256v1');
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

/** X25519MLKEM768 (draft-ietf-tls-ecdhe-mlkem §4): each part and the secret, ML-KEM first. */
function hybridKeyShare(): KeyShare {
  const kem = crypto.generateKeyPairSync('ml-kem-768');
  const spki = kem.publicKey.export({ format: 'der', type: 'spki' });
  const classic = x25519KeyShare();
  return {
    group: 'x25519mlkem768',
    publicKey: concatBytes([spki.subarray(ML_KEM_SPKI_PREFIX.length), classic.publicKey]),
    derive(peerPublicKey) {
      if (peerPublicKey.length !== CIPHERTEXT_BYTES + X25519_KEY_BYTES) return null;
      const classicSecret = classic.derive(peerPublicKey.subarray(CIPHERTEXT_BYTES));
      if (classicSecret === null) return null;
      // A ciphertext of the right length never fails: implicit rejection (FIPS 203 §7.3).
      const kemSecret = crypto.decapsulate(
        kem.privateKey,
        peerPublicKey.subarray(0, CIPHERTEXT_BYTES),
      );
      return concatBytes([kemSecret, classicSecret]);
    },
  };
}

function hybridResponse(peerPublicKey: Uint8Array): KeyShareResponse | null {
  if (!hasMlKem || peerPublicKey.length !== ENCAPSULATION_KEY_BYTES + X25519_KEY_BYTES) return null;
  const classic = respondToKeyShare('x25519', peerPublicKey.subarray(ENCAPSULATION_KEY_BYTES));
  if (classic === null) return null;
  try {
    // OpenSSL checks the modulus of the key (FIPS 203 §7.2): a coefficient of 3329 or more throws.
    const { sharedKey, ciphertext } = crypto.encapsulate(
      publicKeyOf(ML_KEM_SPKI_PREFIX, peerPublicKey.subarray(0, ENCAPSULATION_KEY_BYTES)),
    );
    return {
      publicKey: concatBytes([ciphertext, classic.publicKey]),
      secret: concatBytes([sharedKey, classic.secret]),
    };
  } catch {
    return null;
  }
}

function publicKeyOf(spkiPrefix: Uint8Array, key: Uint8Array): crypto.KeyObject {
  return crypto.createPublicKey({
    key: Buffer.concat([spkiPrefix, key]),
    format: 'der',
    type: 'spki',
  });
}
