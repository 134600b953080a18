import { ByteWriter, type Decoded, decoded, dropped, readUint16, readUint32 } from '@lumamesh/base';

/*
 * The DTLS 1.2 record (RFC 6347 §4.1):
 *
 *   ContentType type; ProtocolVersion version; uint16 epoch; uint48 sequence_number; uint16 length; opaque fragment[length];
 */
export const RECORD_HEADER_BYTES = 13;
/** RFC 5246 §6.2.3: ciphertext is at most 2^14 + 2048. */
const MAX_FRAGMENT_BYTES = 2 ** 14 + 2048;

export const CONTENT_TYPE = {
  changeCipherSpec: 20,
  alert: 21,
  handshake: 22,
  applicationData: 23,
  /** RFC 9147 §7. */
  ack: 26,
} as const;

export const VERSION_DTLS_1_0 = 0xfeff;
export const VERSION_DTLS_1_2 = 0xfefd;
export const VERSION_DTLS_1_3 = 0xfefc;

export interface DtlsRecord {
  readonly contentType: number;
  readonly version: number;
  readonly epoch: number;
  /** 0 … 2^48-1. */
  readonly recordSequenceNumber: number;
  /** A view: plaintext in epoch 0, sealed later. */
  readonly fragment: Uint8Array;
  /** Where the next record of the datagram begins. */
  readonly end: number;
}

/** Whether a datagram's first byte says DTLS (RFC 7983 §7: 20..63). */
export function isDtls(firstByte: number): boolean {
  return firstByte >= 20 && firstByte <= 63;
}

/**
 * Decodes the record at `offset` of a datagram. Several may follow each other (RFC 6347 §4.1.1).
 */
export function decodeRecord(datagram: Uint8Array, offset: number): Decoded<DtlsRecord> {
  if (datagram.length - offset < RECORD_HEADER_BYTES) return dropped('dtls.record.truncated');
  const version = readUint16(datagram, offset + 1);
  if (version !== VERSION_DTLS_1_2 && version !== VERSION_DTLS_1_0)
    return dropped('dtls.record.version');
  const length = readUint16(datagram, offset + 11);
  const end = offset + RECORD_HEADER_BYTES + length;
  if (length > MAX_FRAGMENT_BYTES || end > datagram.length) return dropped('dtls.record.length');
  return decoded({
    contentType: datagram[offset] ?? 0,
    version,
    epoch: readUint16(datagram, offset + 3),
    recordSequenceNumber:
      readUint16(datagram, offset + 5) * 2 ** 32 + readUint32(datagram, offset + 7),
    fragment: datagram.subarray(offset + RECORD_HEADER_BYTES, end),
    end,
  });
}

/** An unprotected record, as all of epoch 0 is. */
export function encodePlaintextRecord(
  contentType: number,
  epoch: number,
  recordSequenceNumber: number,
  fragment: Uint8Array,
  version: number = VERSION_DTLS_1_2,
): Uint8Array {
  return new ByteWriter(RECORD_HEADER_BYTES + fragment.length)
    .uint8(contentType)
    .uint16(version)
    .uint16(epoch)
    .uint48(recordSequenceNumber)
    .uint16(fragment.length)
    .bytes(fragment)
    .finish();
}
