import {
  AEAD_TAG_BYTES,
  type AeadName,
  type HmacName,
  type RecordMask,
  type SyncCrypto,
  bytesEqual,
  fromHex,
} from '@lumamesh/base';
import type { HmacSource } from './native-hmac.ts';

/** The part of {@link SyncCrypto} that seals and opens. */
export type AeadSource = Pick<SyncCrypto, 'createAead'>;

/** The part of it that masks record sequence numbers. */
export type MaskSource = Pick<SyncCrypto, 'createRecordMask'>;

interface Vector {
  readonly algorithm: AeadName;
  readonly key: string;
  readonly nonce: string;
  readonly additionalData: string;
  readonly plaintext: string;
  readonly sealed: string;
}

/** McGrew and Viega's GCM specification, appendix B, cases 4 and 16; RFC 8439 §2.8.2. */
const GCM_NONCE = 'cafebabefacedbaddecaf888';
const GCM_AAD = 'feedfacedeadbeeffeedfacedeadbeefabaddad2';
const GCM_PLAINTEXT =
  'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39';
const VECTORS: readonly Vector[] = [
  {
    algorithm: 'aes-128-gcm',
    key: 'feffe9928665731c6d6a8f9467308308',
    nonce: GCM_NONCE,
    additionalData: GCM_AAD,
    plaintext: GCM_PLAINTEXT,
    sealed:
      '42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e0915bc94fbc3221a5db94fae95ae7121a47',
  },
  {
    algorithm: 'aes-256-gcm',
    key: 'feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308',
    nonce: GCM_NONCE,
    additionalData: GCM_AAD,
    plaintext: GCM_PLAINTEXT,
    sealed:
      '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b',
  },
  {
    algorithm: 'chacha20-poly1305',
    key: '808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f',
    nonce: '070000004041424344454647',
    additionalData: '50515253c0c1c2c3c4c5c6c7',
    plaintext:
      '4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f66202739393a204966204920636f756c64206f6666657220796f75206f6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73637265656e20776f756c642062652069742e',
    sealed:
      'd31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691',
  },
];

/** Around the blocks of the ciphers, and as long as records and packets are. */
const LENGTHS: readonly number[] = [0, 1, 15, 16, 17, 64, 300, 1200, 16_384, 18_416];

/**
 * Checks AEADs by the vectors of their specifications, and against those of node:crypto.
 * @returns What is wrong, or `null`.
 */
export function aeadFault(ours: AeadSource, reference: SyncCrypto): string | null {
  for (const vector of VECTORS) {
    const [key, nonce, aad, plaintext, sealed] = [
      vector.key,
      vector.nonce,
      vector.additionalData,
      vector.plaintext,
      vector.sealed,
    ].map(bytesOf) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array];
    const aead = ours.createAead(vector.algorithm, key);
    const out = new Uint8Array(sealed.length);
    aead.seal(nonce, aad, plaintext, out, 0);
    const opened = aead.open(nonce, aad, sealed);
    if (!bytesEqual(out, sealed) || opened === null || !bytesEqual(opened, plaintext))
      return `${vector.algorithm} is not as specified`;
    for (const length of LENGTHS)
      if (!areAlike(ours, reference, vector.algorithm, key, length))
        return `${vector.algorithm} differs from node:crypto at ${length} bytes`;
  }
  return null;
}

/**
 * Whether both seal random bytes to the same, each opens what the other sealed, and neither opens
 * it when a bit is wrong.
 */
export function areAlike(
  ours: AeadSource,
  reference: SyncCrypto,
  algorithm: AeadName,
  key: Uint8Array,
  length: number,
): boolean {
  const mine = ours.createAead(algorithm, key);
  const theirs = reference.createAead(algorithm, key);
  const nonce = reference.randomBytes(12);
  const aad = reference.randomBytes(13);
  const plaintext = reference.randomBytes(length);
  const [a, b] = [new Uint8Array(length + 20), new Uint8Array(length + 20)];
  mine.seal(nonce, aad, plaintext, a, 4);
  theirs.seal(nonce, aad, plaintext, b, 4);
  const sealed = a.slice(4, 4 + length + AEAD_TAG_BYTES);
  const opened = mine.open(nonce, aad, sealed);
  if (!bytesEqual(a, b) || opened === null || !bytesEqual(opened, plaintext)) return false;
  const [place = 0] = reference.randomBytes(1);
  sealed[place % sealed.length] = (sealed[place % sealed.length] ?? 0) ^ 1;
  return mine.open(nonce, aad, sealed) === null;
}

function bytesOf(hex: string): Uint8Array {
  return fromHex(hex) ?? new Uint8Array(0);
}

/** RFC 2202 §3 and RFC 4231 §4.3, test case 2 of each. */
const HMAC_KEY = '4a656665';
const HMAC_DATA = '7768617420646f2079612077616e7420666f72206e6f7468696e673f';
const HMAC_VECTORS: Readonly<Record<HmacName, string>> = {
  sha1: 'effcdf6ae5eb2fa2d27416d5f184df9c259a7c79',
  sha256: '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
  sha384:
    'af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649',
};
const HMAC_LENGTHS: readonly number[] = [0, 1, 63, 64, 65, 128, 129, 300, 2048, 2049];
const HMAC_KEY_LENGTHS: readonly number[] = [0, 1, 20, 32, 48, 64, 65, 128, 129, 256, 257];

/** As {@link aeadFault}, of HMACs. */
export function hmacFault(ours: HmacSource, reference: SyncCrypto): string | null {
  for (const [name, expected] of Object.entries(HMAC_VECTORS)) {
    const algorithm = name as HmacName;
    const mac = ours.hmac(algorithm, bytesOf(HMAC_KEY), bytesOf(HMAC_DATA));
    if (!bytesEqual(mac, bytesOf(expected))) return `HMAC with ${algorithm} is not as specified`;
    for (const keyLength of HMAC_KEY_LENGTHS) {
      const key = reference.randomBytes(keyLength);
      for (const length of HMAC_LENGTHS) {
        const data = reference.randomBytes(length);
        if (!bytesEqual(ours.hmac(algorithm, key, data), reference.hmac(algorithm, key, data)))
          return `HMAC with ${algorithm} differs from node:crypto at ${keyLength} and ${length} bytes`;
      }
    }
  }
  return null;
}

const MASK_ROUNDS = 4;

/** As {@link aeadFault}, of the masks of record sequence numbers. */
export function maskFault(ours: MaskSource, reference: SyncCrypto): string | null {
  for (const { algorithm, key } of VECTORS) {
    const [mine, theirs] = [ours, reference].map((source) =>
      source.createRecordMask(algorithm, bytesOf(key)),
    ) as [RecordMask, RecordMask];
    for (let i = 0; i < MASK_ROUNDS; i++) {
      const sample = reference.randomBytes(16);
      const [a, b] = [mine.mask(sample), theirs.mask(sample)];
      if (a[0] !== b[0] || a[1] !== b[1])
        return `the mask for ${algorithm} differs from node:crypto`;
    }
  }
  return null;
}
