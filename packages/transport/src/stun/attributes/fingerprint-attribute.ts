import { readUint32, writeUint32 } from '@lumamesh/base';
import { crc32 } from '../crc32.ts';
import { ATTRIBUTE, type StunBuilder, type StunMessage } from '../message.ts';

const FINGERPRINT_XOR = 0x5354554e;

/** Appends FINGERPRINT (RFC 8489 §14.7), which must be the last attribute. */
export function addFingerprint(builder: StunBuilder): StunBuilder {
  const covered = builder.withLengthFor(4);
  const value = new Uint8Array(4);
  writeUint32(value, 0, crc32(covered, covered.length) ^ FINGERPRINT_XOR);
  return builder.attribute(ATTRIBUTE.fingerprint, value);
}

export type FingerprintVerdict = 'valid' | 'missing' | 'mismatch';

/** Checks FINGERPRINT, which counts only as the last attribute. */
export function checkFingerprint(datagram: Uint8Array, message: StunMessage): FingerprintVerdict {
  const last = message.attributes.at(-1);
  if (last === undefined || last.type !== ATTRIBUTE.fingerprint) return 'missing';
  if (last.value.length !== 4) return 'mismatch';
  return readUint32(last.value, 0) === (crc32(datagram, last.offset) ^ FINGERPRINT_XOR) >>> 0
    ? 'valid'
    : 'mismatch';
}
