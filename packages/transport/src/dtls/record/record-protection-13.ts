import {
  AEAD_TAG_BYTES,
  type Decoded,
  type SyncCrypto,
  decoded,
  dropped,
  writeUint16,
  writeUint32,
  shortLivedBytes,
} from '@lumamesh/base';
import type { CipherSuite13 } from '../cipher-suite-13.ts';
import { type RecordKeys, recordKeys } from '../key-schedule-13.ts';
import type { DtlsReplayWindow } from './dtls-replay-window.ts';
import {
  MASK_SAMPLE_BYTES,
  OWN_HEADER_BYTES,
  type UnifiedRecord,
  fullSequenceNumber,
  ownFirstByte,
} from './unified-record.ts';

const NONCE_BYTES = 12;
const MAX_HEADER_BYTES = 5;

// Written and consumed within one call each; a call cannot be interrupted by another.
const scratchNonce = new Uint8Array(NONCE_BYTES);
const scratchHeader = new Uint8Array(MAX_HEADER_BYTES);

export interface Opened13 {
  readonly contentType: number;
  readonly recordSequenceNumber: number;
  readonly plaintext: Uint8Array;
}

/**
 * So many have their keys at hand; the one that derived them first makes room, and derives them
 * anew with its next record (3 HMACs). Who is idle while others are busy keeps its secret only,
 * which is a fifth of a session's memory.
 */
const MAX_AWAKE = 512;
const awake: RecordProtection13[] = [];
let nextAwake = 0;

/**
 * Seals or opens the records of one direction of one epoch of DTLS 1.3 (RFC 9147 §4, RFC 8446
 * §5.2). It keeps no sequence number.
 */
export class RecordProtection13 {
  readonly #crypto: SyncCrypto;
  readonly #suite: CipherSuite13;
  readonly #secret: Uint8Array;
  #keys: RecordKeys | null = null;

  /** Derives the keys when they are first needed. */
  constructor(crypto: SyncCrypto, suite: CipherSuite13, secret: Uint8Array) {
    this.#crypto = crypto;
    this.#suite = suite;
    this.#secret = secret;
  }

  /** How many bytes a sealed record is longer than its plaintext: header, content type, tag. */
  get overheadBytes(): number {
    return OWN_HEADER_BYTES + 1 + AEAD_TAG_BYTES;
  }

  /** Keeps the secret only, until there is a record again. */
  rest(): void {
    this.#keys = null;
  }

  #wake(): RecordKeys {
    awake[nextAwake]?.rest();
    awake[nextAwake] = this;
    nextAwake = (nextAwake + 1) % MAX_AWAKE;
    return (this.#keys = recordKeys(this.#crypto, this.#suite, this.#secret));
  }

  seal(
    contentType: number,
    epoch: number,
    recordSequenceNumber: number,
    plaintext: Uint8Array,
  ): Uint8Array {
    const { aead, iv, mask } = this.#keys ?? this.#wake();
    const record = shortLivedBytes(this.overheadBytes + plaintext.length);
    record[0] = ownFirstByte(epoch);
    writeUint16(record, 1, recordSequenceNumber & 0xffff);
    writeUint16(record, 3, record.length - OWN_HEADER_BYTES);
    // RFC 8446 §5.2: TLSInnerPlaintext is the content, its type, and no padding here.
    const inner = record.subarray(OWN_HEADER_BYTES, record.length - AEAD_TAG_BYTES);
    inner.set(plaintext);
    inner[plaintext.length] = contentType;
    setNonce(iv, recordSequenceNumber);
    // RFC 9147 §4: additional data is the header before its sequence number is masked.
    scratchHeader.set(record.subarray(0, OWN_HEADER_BYTES));
    aead.seal(scratchNonce, scratchHeader, inner, record, OWN_HEADER_BYTES);
    const bits = mask.mask(record.subarray(OWN_HEADER_BYTES, OWN_HEADER_BYTES + MASK_SAMPLE_BYTES));
    record[1] = (record[1] ?? 0) ^ (bits[0] ?? 0);
    record[2] = (record[2] ?? 0) ^ (bits[1] ?? 0);
    return record;
  }

  /** Unmasks the number, asks the window, opens. The window is not moved. */
  open(record: UnifiedRecord, window: DtlsReplayWindow): Decoded<Opened13> {
    const { header, sealed, sequenceBytes } = record;
    const { aead, iv, mask } = this.#keys ?? this.#wake();
    const bits = mask.mask(sealed.subarray(0, MASK_SAMPLE_BYTES));
    const additionalData = scratchHeader.subarray(0, header.length);
    additionalData.set(header);
    let lowBits = 0;
    for (let i = 0; i < sequenceBytes; i++) {
      const byte = (header[1 + i] ?? 0) ^ (bits[i] ?? 0);
      additionalData[1 + i] = byte;
      lowBits = lowBits * 256 + byte;
    }
    const recordSequenceNumber = fullSequenceNumber(lowBits, sequenceBytes, window.highest + 1);
    if (!window.isFresh(recordSequenceNumber)) return dropped('dtls.record.replayed');
    setNonce(iv, recordSequenceNumber);
    const inner = aead.open(scratchNonce, additionalData, sealed);
    if (inner === null) return dropped('dtls.record.unauthentic');
    // RFC 8446 §5.4: the content type is the last byte that is not zero.
    let end = inner.length - 1;
    while (end >= 0 && inner[end] === 0) end -= 1;
    if (end < 0) return dropped('dtls.record.contentType');
    return decoded({
      contentType: inner[end] ?? 0,
      recordSequenceNumber,
      plaintext: inner.subarray(0, end),
    });
  }
}

/** RFC 8446 §5.3: the padded sequence number XORed with the IV; the epoch is no part of it. */
function setNonce(iv: Uint8Array, recordSequenceNumber: number): void {
  scratchNonce.fill(0, 0, 6);
  writeUint16(scratchNonce, 6, Math.floor(recordSequenceNumber / 2 ** 32));
  writeUint32(scratchNonce, 8, recordSequenceNumber >>> 0);
  for (let i = 0; i < NONCE_BYTES; i++) scratchNonce[i] = (scratchNonce[i] ?? 0) ^ (iv[i] ?? 0);
}
