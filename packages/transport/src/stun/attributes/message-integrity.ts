import { type SyncCrypto, bytesEqual, readUint16, writeUint16 } from '@lumamesh/base';
import {
  ATTRIBUTE,
  type RawAttribute,
  STUN_HEADER_BYTES,
  type StunBuilder,
  type StunMessage,
  findAttribute,
} from '../message.ts';

const HMAC_SHA1_BYTES = 20;

/**
 * Appends MESSAGE-INTEGRITY (RFC 8489 §14.5): HMAC-SHA1 over the message up to here, with the
 * header's length as if this attribute were the last. `key` is the short-term password (§9.1.1).
 */
export function addMessageIntegrity(
  builder: StunBuilder,
  crypto: SyncCrypto,
  key: Uint8Array,
): StunBuilder {
  const covered = builder.withLengthFor(HMAC_SHA1_BYTES);
  return builder.attribute(ATTRIBUTE.messageIntegrity, crypto.hmac('sha1', key, covered));
}

export type IntegrityVerdict = 'valid' | 'missing' | 'malformed' | 'mismatch';

/**
 * Checks MESSAGE-INTEGRITY of `datagram`, whose decoded form is `message`. The datagram is
 * unchanged when this returns.
 */
export function checkMessageIntegrity(
  datagram: Uint8Array,
  message: StunMessage,
  crypto: SyncCrypto,
  key: Uint8Array,
): IntegrityVerdict {
  const attribute = findAttribute(message, ATTRIBUTE.messageIntegrity);
  if (attribute === null) return 'missing';
  if (attribute.value.length !== HMAC_SHA1_BYTES) return 'malformed';
  const length = readUint16(datagram, 2);
  writeUint16(datagram, 2, attribute.offset + 4 + HMAC_SHA1_BYTES - STUN_HEADER_BYTES);
  const expected = crypto.hmac('sha1', key, datagram.subarray(0, attribute.offset));
  writeUint16(datagram, 2, length);
  return bytesEqual(expected, attribute.value) ? 'valid' : 'mismatch';
}

/**
 * The attributes that MESSAGE-INTEGRITY protects: RFC 8489 §14.5 has everything behind it ignored,
 * but for FINGERPRINT.
 */
export function protectedAttributes(message: StunMessage): readonly RawAttribute[] {
  const end = message.attributes.findIndex(
    (attribute) => attribute.type === ATTRIBUTE.messageIntegrity,
  );
  return end < 0 ? message.attributes : message.attributes.slice(0, end);
}
