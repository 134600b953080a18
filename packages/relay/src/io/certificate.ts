import { type KeyObject, createPublicKey, randomBytes, sign } from 'node:crypto';
import { LumameshError, concatBytes, utf8Encode } from '@lumamesh/base';

const TAG = {
  integer: 0x02,
  bitString: 0x03,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** OBJECT IDENTIFIER ecdsa-with-SHA256 (RFC 5758 §3.2), and id-at-commonName (RFC 5280 §A.1). */
const ECDSA_WITH_SHA256 = Uint8Array.of(6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2);
const COMMON_NAME = Uint8Array.of(6, 3, 0x55, 4, 3);

/** 2020-01-01. */
const VALID_FROM = tlv(TAG.utcTime, utf8Encode('200101000000Z'));
/**
 * RFC 5280 §4.1.2.5: the value for "no well-defined expiration". Browsers look at the fingerprint
 * only (RFC 8827 §6.5).
 */
const VALID_TO = tlv(TAG.generalizedTime, utf8Encode('99991231235959Z'));
/**
 * One attribute of one character: RFC 5280 §4.1.2.4 wants a name that is not empty, and some
 * parsers insist on it.
 */
const NAME = tlv(
  TAG.sequence,
  tlv(TAG.set, tlv(TAG.sequence, COMMON_NAME, tlv(TAG.utf8String, utf8Encode('r')))),
);
/**
 * NSS knows certificates by issuer and serial number, and refuses two of the same: so the number of
 * a relay is its own.
 */
const SERIAL_BYTES = 8;
/** An ECDSA signature has 70 to 72 bytes, rarely fewer: the shortest of so many is taken. */
const SIGNATURE_ATTEMPTS = 16;

/**
 * A self-signed certificate in PEM form for an ECDSA P-256 key, as small as X.509 allows: it is half
 * of what a relay sends before a client's address is proven. No extensions, hence version 1
 * (RFC 5280 §4.1.2.1).
 */
export function makeCertificate(key: KeyObject): string {
  try {
    const der = encodeCertificate(key);
    const lines = Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g);
    return ['-----BEGIN CERTIFICATE-----', ...(lines ?? []), '-----END CERTIFICATE-----', ''].join(
      '\n',
    );
  } catch (error) {
    throw new LumameshError(
      'CERTIFICATE_FAILED',
      `cannot make a certificate: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
}

function encodeCertificate(key: KeyObject): Uint8Array {
  const serial = new Uint8Array(randomBytes(SERIAL_BYTES));
  // Positive, and no zero in front.
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  const algorithm = tlv(TAG.sequence, ECDSA_WITH_SHA256);
  const toSign = tlv(
    TAG.sequence,
    tlv(TAG.integer, serial),
    algorithm,
    NAME,
    tlv(TAG.sequence, VALID_FROM, VALID_TO),
    NAME,
    new Uint8Array(createPublicKey(key).export({ type: 'spki', format: 'der' })),
  );
  let signature = sign('sha256', toSign, key);
  for (let i = 1; i < SIGNATURE_ATTEMPTS; i++) {
    const another = sign('sha256', toSign, key);
    if (another.length < signature.length) signature = another;
  }
  return tlv(TAG.sequence, toSign, algorithm, tlv(TAG.bitString, Uint8Array.of(0), signature));
}

/** Tag, length, value (X.690 §8.1); everything here is shorter than 64 KB. */
function tlv(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const value = concatBytes(parts);
  const { length } = value;
  const head =
    length < 0x80
      ? [tag, length]
      : length < 0x100
        ? [tag, 0x81, length]
        : [tag, 0x82, length >> 8, length & 0xff];
  return concatBytes([Uint8Array.from(head), value]);
}
