import { type Decoded, decoded, dropped } from '@lumamesh/base';
import {
  type DtlsRecord,
  RECORD_HEADER_BYTES,
  decodeRecord,
  encodePlaintextRecord,
} from './record.ts';
import { DtlsReplayWindow } from './dtls-replay-window.ts';
import { RecordProtection } from './record-protection.ts';
import { RecordProtection13 } from './record-protection-13.ts';
import {
  EPOCH_MASK,
  type UnifiedRecord,
  decodeUnifiedRecord,
  isUnified,
} from './unified-record.ts';

/**
 * RFC 6347 §4.1: "implementations MUST NOT allow the sequence number to wrap"; we stop long before.
 */
const MAX_RECORD_SEQUENCE_NUMBER = 2 ** 48 - 1;
const MAX_FIRST_SEQUENCE_NUMBER = 2 ** 32;
/**
 * RFC 9147 §4.5.3 with RFC 8446 §5.5: AES-GCM must not seal more than 2^24.5 full records under one
 * key, and no AEAD open more than 2^36 that do not authenticate.
 */
const MAX_SEALED_13 = Math.floor(2 ** 24.5);
const MAX_UNAUTHENTIC = 2 ** 36;

type Protection = RecordProtection | RecordProtection13;

interface WriteEpoch {
  readonly epoch: number;
  readonly protection: Protection;
  /** The next number to send; it only ever grows, whatever is retransmitted. */
  nextSequenceNumber: number;
}

interface ReadEpoch {
  readonly epoch: number;
  readonly protection: Protection;
  readonly window: DtlsReplayWindow;
  unauthentic: number;
}

/** What names a record (RFC 9147 §7): its epoch and its number in it. */
export interface RecordNumber {
  readonly epoch: number;
  readonly recordSequenceNumber: number;
}

/** A record whose payload can be read: authenticated, but for epoch 0. */
export interface OpenedRecord extends RecordNumber {
  readonly contentType: number;
  readonly payload: Uint8Array;
}

export interface ReadResult {
  readonly record: Decoded<OpenedRecord>;
  /** Where the next record of the datagram begins; its end when there can be none. */
  readonly end: number;
}

/**
 * The epochs of one connection: 0 in the clear; in DTLS 1.2 then 1; in DTLS 1.3 2 for the rest of
 * the handshake and 3 for what follows, one more for each KeyUpdate (RFC 9147 §6.1).
 */
export class RecordLayer {
  #plaintextSequenceNumber: number;
  /** From the oldest to the newest; a handful each. Copied, as a push makes room for 16 more. */
  #write: WriteEpoch[] = [];
  #read: ReadEpoch[] = [];

  /**
   * @param firstSequenceNumber the number of the first record we send (RFC 6347 §4.2.1: after a
   * stateless HelloVerifyRequest, the ClientHello's).
   */
  constructor(firstSequenceNumber = 0) {
    this.#plaintextSequenceNumber = firstSequenceNumber;
  }

  /** The epoch that new records belong to. */
  get writeEpoch(): number {
    return this.#write.at(-1)?.epoch ?? 0;
  }

  /** The newest epoch that can be read. */
  get readEpoch(): number {
    return this.#read.at(-1)?.epoch ?? 0;
  }

  /** How many records were sealed in the newest epoch. */
  get sealedRecords(): number {
    return this.#write.at(-1)?.nextSequenceNumber ?? 0;
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

  installWriteKeys(epoch: number, protection: Protection): void {
    this.#write = [...this.#write, { epoch, protection, nextSequenceNumber: 0 }];
  }

  installReadKeys(epoch: number, protection: Protection): void {
    const window = new DtlsReplayWindow();
    this.#read = [...this.#read, { epoch, protection, window, unauthentic: 0 }];
  }

  /** Keys of epochs before these are used no more. */
  forgetWriteKeysBefore(epoch: number): void {
    this.#write = since(this.#write, epoch);
  }

  forgetReadKeysBefore(epoch: number): void {
    this.#read = since(this.#read, epoch);
  }

  /** Records of this epoch are seldom to come: of its keys only the secret is kept. */
  restReadKeys(epoch: number): void {
    const protection = this.#read.find((keys) => keys.epoch === epoch)?.protection;
    if (protection instanceof RecordProtection13) protection.rest();
  }

  /** How many bytes a record of an epoch has besides its content. */
  overheadBytes(epoch: number): number {
    if (epoch === 0) return RECORD_HEADER_BYTES;
    return this.#write.find((keys) => keys.epoch === epoch)?.protection.overheadBytes ?? 0;
  }

  /** A record of epoch 0. */
  encodePlaintext(contentType: number, fragment: Uint8Array): Uint8Array {
    const sequenceNumber = this.#plaintextSequenceNumber;
    this.#plaintextSequenceNumber += 1;
    return encodePlaintextRecord(contentType, 0, sequenceNumber, fragment);
  }

  /** The number that the next record of an epoch will have. */
  nextNumber(epoch: number): RecordNumber {
    const keys = this.#write.find((each) => each.epoch === epoch);
    return {
      epoch,
      recordSequenceNumber: keys?.nextSequenceNumber ?? this.#plaintextSequenceNumber,
    };
  }

  /**
   * A protected record, of the newest epoch if none is named; `null` when there are no keys, or
   * they have sealed as much as they may.
   */
  encodeProtected(
    contentType: number,
    plaintext: Uint8Array,
    epoch: number = this.writeEpoch,
  ): Uint8Array | null {
    const keys = this.#write.find((each) => each.epoch === epoch);
    if (keys === undefined) return null;
    const { protection, nextSequenceNumber } = keys;
    const max =
      protection instanceof RecordProtection13 ? MAX_SEALED_13 : MAX_RECORD_SEQUENCE_NUMBER;
    if (nextSequenceNumber >= max) return null;
    keys.nextSequenceNumber += 1;
    return protection.seal(contentType, epoch, nextSequenceNumber, plaintext);
  }

  /** Reads the record at `offset`. */
  read(datagram: Uint8Array, offset: number): ReadResult {
    const isProtected13 = isUnified(datagram[offset] ?? 0);
    const header = isProtected13
      ? decodeUnifiedRecord(datagram, offset)
      : decodeRecord(datagram, offset);
    // RFC 6347 §4.1.2.7: invalid records are silently discarded, and what follows an unreadable
    // header has no beginning.
    if (!header.ok) return { record: header, end: datagram.length };
    const { value } = header;
    const record = 'epochBits' in value ? this.#open13(value) : this.#open(value);
    return { record, end: value.end };
  }

  #open(record: DtlsRecord): Decoded<OpenedRecord> {
    const { contentType, epoch, recordSequenceNumber } = record;
    if (epoch === 0)
      return decoded({ contentType, epoch, recordSequenceNumber, payload: record.fragment });
    if (epoch !== 1) return dropped('dtls.record.epoch');
    const keys = this.#read[0];
    if (keys === undefined) return dropped('dtls.record.early');
    // DTLS 1.3 has no epoch 1.
    if (!(keys.protection instanceof RecordProtection)) return dropped('dtls.record.epoch');
    if (!keys.window.isFresh(recordSequenceNumber)) return dropped('dtls.record.replayed');
    const payload = keys.protection.open(record);
    if (payload === null) return dropped('dtls.record.unauthentic');
    // The replay window moves only when the record authenticated (RFC 6347 §4.1.2.6).
    keys.window.markSeen(recordSequenceNumber);
    return decoded({ contentType, epoch, recordSequenceNumber, payload });
  }

  #open13(record: UnifiedRecord): Decoded<OpenedRecord> {
    // Of the epochs that are kept at one time no two have the same low bits.
    const keys = this.#read.find(({ epoch }) => (epoch & EPOCH_MASK) === record.epochBits);
    if (keys === undefined || !(keys.protection instanceof RecordProtection13))
      return dropped('dtls.record.early');
    if (keys.unauthentic >= MAX_UNAUTHENTIC) return dropped('dtls.record.integrityLimit');
    const opened = keys.protection.open(record, keys.window);
    if (!opened.ok) {
      if (opened.drop === 'dtls.record.unauthentic') keys.unauthentic += 1;
      return opened;
    }
    const { contentType, recordSequenceNumber, plaintext } = opened.value;
    keys.window.markSeen(recordSequenceNumber);
    return decoded({ contentType, epoch: keys.epoch, recordSequenceNumber, payload: plaintext });
  }
}

function since<Keys extends { readonly epoch: number }>(all: Keys[], epoch: number): Keys[] {
  const first = all.findIndex((keys) => keys.epoch >= epoch);
  return first < 0 ? [] : all.slice(first);
}
