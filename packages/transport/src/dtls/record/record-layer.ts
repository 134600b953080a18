import { type Decoded, decoded, dropped } from '@lumamesh/base';
import { type DtlsRecord, encodePlaintextRecord } from './record.ts';
import type { RecordProtection } from './record-protection.ts';
import { DtlsReplayWindow } from './dtls-replay-window.ts';

/**
 * RFC 6347 §4.1: "implementations MUST NOT allow the sequence number to wrap"; we stop long before.
 */
const MAX_RECORD_SEQUENCE_NUMBER = 2 ** 48 - 1;

const MAX_FIRST_SEQUENCE_NUMBER = 2 ** 32;

interface ProtectedEpoch {
  readonly protection: RecordProtection;
  /** The next number to send; it only ever grows, whatever is retransmitted. */
  nextSequenceNumber: number;
}

/**
 * The two epochs of a DTLS 1.2 connection without renegotiation: 0 in the clear, 1 under the
 * negotiated keys.
 */
export class RecordLayer {
  #plaintextSequenceNumber: number;
  #write: ProtectedEpoch | null = null;
  #read: { readonly protection: RecordProtection; readonly window: DtlsReplayWindow } | null = null;

  /**
   * @param firstSequenceNumber the number of the first record we send (RFC 6347 §4.2.1: after a
   * stateless HelloVerifyRequest, the ClientHello's).
   */
  constructor(firstSequenceNumber = 0) {
    this.#plaintextSequenceNumber = firstSequenceNumber;
  }

  /**
   * Numbers the records from here on as RFC 6347 §4.2.1 has it for a server that replied
   * statelessly before.
   */
  startAt(sequenceNumber: number): void {
    // Nothing authenticates the number; one near the end would leave us none of our own.
    if (sequenceNumber < MAX_FIRST_SEQUENCE_NUMBER)
      this.#plaintextSequenceNumber = Math.max(this.#plaintextSequenceNumber, sequenceNumber);
  }

  installWriteKeys(protection: RecordProtection): void {
    this.#write = { protection, nextSequenceNumber: 0 };
  }

  installReadKeys(protection: RecordProtection): void {
    this.#read = { protection, window: new DtlsReplayWindow() };
  }

  /** A record of epoch 0. */
  encodePlaintext(contentType: number, fragment: Uint8Array): Uint8Array {
    const sequenceNumber = this.#plaintextSequenceNumber;
    this.#plaintextSequenceNumber += 1;
    return encodePlaintextRecord(contentType, 0, sequenceNumber, fragment);
  }

  /** A record of epoch 1, or `null` when there are no keys yet or the numbers are used up. */
  encodeProtected(contentType: number, plaintext: Uint8Array): Uint8Array | null {
    const write = this.#write;
    if (write === null || write.nextSequenceNumber >= MAX_RECORD_SEQUENCE_NUMBER) return null;
    const sequenceNumber = write.nextSequenceNumber;
    write.nextSequenceNumber += 1;
    return write.protection.seal(contentType, 1, sequenceNumber, plaintext);
  }

  /**
   * The plaintext of a record of epoch 1. The replay window moves only when the record
   * authenticated (RFC 6347 §4.1.2.6).
   */
  open(record: DtlsRecord): Decoded<Uint8Array> {
    const read = this.#read;
    if (read === null) return dropped('dtls.record.early');
    if (!read.window.isFresh(record.recordSequenceNumber)) return dropped('dtls.record.replayed');
    const plaintext = read.protection.open(record);
    if (plaintext === null) return dropped('dtls.record.unauthentic');
    read.window.markSeen(record.recordSequenceNumber);
    return decoded(plaintext);
  }
}
