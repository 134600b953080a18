import { type Decoded, decoded, dropped, readUint16 } from '@lumamesh/base';

/*
 * The header of a protected DTLS 1.3 record (RFC 9147 §4, figure 3):
 *
 *   0 0 1 C S L E E | [connection id if C] | sequence number (16 bits if S, else 8) | [length, 16 bits, if L]
 *
 * E E are the low bits of the epoch; the sequence number is masked, the content type is inside.
 */
const FIXED_BITS = 0x20;
const CONNECTION_ID_BIT = 0x10;
const SEQUENCE_16_BIT = 0x08;
const LENGTH_BIT = 0x04;
export const EPOCH_MASK = 0x03;

/** RFC 9147 §4.2.3: the mask is made from so many bytes of the ciphertext. */
export const MASK_SAMPLE_BYTES = 16;
/** What we write: 16 bits of sequence number, and the length, whatever follows. */
export const OWN_HEADER_BYTES = 5;

export interface UnifiedRecord {
  /** The low two bits of the epoch. */
  readonly epochBits: number;
  readonly sequenceBytes: 1 | 2;
  /** Views of the datagram; the sequence number in the header is masked. */
  readonly header: Uint8Array;
  readonly sealed: Uint8Array;
  /** Where the next record of the datagram begins. */
  readonly end: number;
}

/** Whether a record begins with a unified header: its first byte is 32 to 63. */
export function isUnified(firstByte: number): boolean {
  return firstByte >> 5 === FIXED_BITS >> 5;
}

/** The first byte of the headers that we write. */
export function ownFirstByte(epoch: number): number {
  return FIXED_BITS | SEQUENCE_16_BIT | LENGTH_BIT | (epoch & EPOCH_MASK);
}

export function decodeUnifiedRecord(datagram: Uint8Array, offset: number): Decoded<UnifiedRecord> {
  const first = datagram[offset] ?? 0;
  // RFC 9147 §9: a connection id only where one was negotiated, which we never do.
  if ((first & CONNECTION_ID_BIT) !== 0) return dropped('dtls.record.connectionId');
  const sequenceBytes = (first & SEQUENCE_16_BIT) === 0 ? 1 : 2;
  const hasLength = (first & LENGTH_BIT) !== 0;
  const headerBytes = 1 + sequenceBytes + (hasLength ? 2 : 0);
  const start = offset + headerBytes;
  if (start > datagram.length) return dropped('dtls.record.truncated');
  // RFC 9147 §4: without a length the record takes the rest of the datagram.
  const end = hasLength ? start + readUint16(datagram, start - 2) : datagram.length;
  if (end > datagram.length) return dropped('dtls.record.length');
  if (end - start < MASK_SAMPLE_BYTES) return dropped('dtls.record.truncated');
  return decoded({
    epochBits: first & EPOCH_MASK,
    sequenceBytes,
    header: datagram.subarray(offset, start),
    sealed: datagram.subarray(start, end),
    end,
  });
}

/**
 * The number with these low bits that is closest to the expected one (RFC 9147 §4.2.2).
 * @param expected one more than the highest that authenticated
 */
export function fullSequenceNumber(
  lowBits: number,
  sequenceBytes: 1 | 2,
  expected: number,
): number {
  const range = 2 ** (8 * sequenceBytes);
  const candidate = expected - (expected % range) + lowBits;
  if (candidate + range / 2 <= expected) return candidate + range;
  return candidate > expected + range / 2 && candidate >= range ? candidate - range : candidate;
}
