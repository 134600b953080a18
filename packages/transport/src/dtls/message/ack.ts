import { ByteReader, ByteWriter, type Decoded, decoded, dropped } from '@lumamesh/base';
import type { RecordNumber } from '../record/record-layer.ts';

/*
 * The content of an ACK record (RFC 9147 §7):
 *
 *   struct { uint64 epoch; uint64 sequence_number; } RecordNumber;
 *   struct { RecordNumber record_numbers<0..2^16-1>; } ACK;
 */
const RECORD_NUMBER_BYTES = 16;

export function encodeAck(numbers: readonly RecordNumber[]): Uint8Array {
  return new ByteWriter(2 + RECORD_NUMBER_BYTES * numbers.length)
    .vector(2, (list) => {
      for (const { epoch, recordSequenceNumber } of numbers)
        list.uint16(0).uint48(epoch).uint16(0).uint48(recordSequenceNumber);
    })
    .finish();
}

/** Numbers of 2^48 and more, which no record can have, are left out. */
export function decodeAck(content: Uint8Array): Decoded<readonly RecordNumber[]> {
  const reader = new ByteReader(content);
  const list = reader.sub(reader.uint16());
  if (!reader.done || list.remaining % RECORD_NUMBER_BYTES !== 0)
    return dropped('dtls.ack.malformed');
  const numbers: RecordNumber[] = [];
  while (list.remaining > 0) {
    const epochHigh = list.uint16();
    const epoch = list.uint48();
    const sequenceHigh = list.uint16();
    const recordSequenceNumber = list.uint48();
    if (epochHigh === 0 && sequenceHigh === 0) numbers.push({ epoch, recordSequenceNumber });
  }
  return decoded(numbers);
}
