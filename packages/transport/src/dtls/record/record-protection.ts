import {
  AEAD_TAG_BYTES,
  type Aead,
  writeUint16,
  writeUint32,
  shortLivedBytes,
} from '@lumamesh/base';
import type { CipherSuite } from '../cipher-suite.ts';
import { type DtlsRecord, RECORD_HEADER_BYTES, VERSION_DTLS_1_2 } from './record.ts';

const AAD_BYTES = 13;
const NONCE_BYTES = 12;

// Written and consumed within one call each; a call cannot be interrupted by another.
const scratchNonce = new Uint8Array(NONCE_BYTES);
const scratchAad = new Uint8Array(AAD_BYTES);

/**
 * Seals or opens the records of one direction of one epoch (RFC 5246 §6.2.3.3, RFC 5288 §3, RFC
 * 7905 §2). It keeps no sequence number.
 */
export class RecordProtection {
  readonly #aead: Aead;
  readonly #suite: CipherSuite;
  readonly #fixedIv: Uint8Array;

  constructor(suite: CipherSuite, aead: Aead, fixedIv: Uint8Array) {
    this.#suite = suite;
    this.#aead = aead;
    this.#fixedIv = fixedIv;
  }

  /** How many bytes a sealed record is longer than its plaintext. */
  get overheadBytes(): number {
    return RECORD_HEADER_BYTES + this.#suite.explicitNonceBytes + AEAD_TAG_BYTES;
  }

  seal(
    contentType: number,
    epoch: number,
    recordSequenceNumber: number,
    plaintext: Uint8Array,
  ): Uint8Array {
    const explicit = this.#suite.explicitNonceBytes;
    const record = shortLivedBytes(this.overheadBytes + plaintext.length);
    record[0] = contentType;
    writeUint16(record, 1, VERSION_DTLS_1_2);
    writeSequence(record, 3, epoch, recordSequenceNumber);
    writeUint16(record, 11, record.length - RECORD_HEADER_BYTES);
    // RFC 5288 §3: the explicit nonce must be unique under the key; epoch and sequence number are.
    if (explicit === 8) writeSequence(record, RECORD_HEADER_BYTES, epoch, recordSequenceNumber);
    this.#setNonce(
      record.subarray(RECORD_HEADER_BYTES, RECORD_HEADER_BYTES + explicit),
      epoch,
      recordSequenceNumber,
    );
    setAad(contentType, epoch, recordSequenceNumber, plaintext.length);
    this.#aead.seal(scratchNonce, scratchAad, plaintext, record, RECORD_HEADER_BYTES + explicit);
    return record;
  }

  /** The plaintext of a record, or `null` when it does not authenticate. */
  open(record: DtlsRecord): Uint8Array | null {
    const explicit = this.#suite.explicitNonceBytes;
    const plaintextBytes = record.fragment.length - explicit - AEAD_TAG_BYTES;
    if (plaintextBytes < 0 || record.version !== VERSION_DTLS_1_2) return null;
    this.#setNonce(
      record.fragment.subarray(0, explicit),
      record.epoch,
      record.recordSequenceNumber,
    );
    setAad(record.contentType, record.epoch, record.recordSequenceNumber, plaintextBytes);
    return this.#aead.open(scratchNonce, scratchAad, record.fragment.subarray(explicit));
  }

  #setNonce(explicitNonce: Uint8Array, epoch: number, recordSequenceNumber: number): void {
    scratchNonce.set(this.#fixedIv);
    if (explicitNonce.length > 0) {
      scratchNonce.set(explicitNonce, 4);
      return;
    }
    // RFC 7905 §2: the padded 64-bit sequence number (in DTLS: epoch and sequence number) XORed
    // with the IV.
    writeSequence(scratchSequence, 0, epoch, recordSequenceNumber);
    for (let i = 0; i < 8; i++)
      scratchNonce[4 + i] = (scratchNonce[4 + i] ?? 0) ^ (scratchSequence[i] ?? 0);
  }
}

const scratchSequence = new Uint8Array(8);

/**
 * RFC 5246 §6.2.3.3: seq_num + type + version + length of the plaintext; in DTLS seq_num is epoch
 * and sequence number (RFC 6347 §4.1.2.1).
 */
function setAad(
  contentType: number,
  epoch: number,
  recordSequenceNumber: number,
  plaintextBytes: number,
): void {
  writeSequence(scratchAad, 0, epoch, recordSequenceNumber);
  scratchAad[8] = contentType;
  writeUint16(scratchAad, 9, VERSION_DTLS_1_2);
  writeUint16(scratchAad, 11, plaintextBytes);
}

function writeSequence(
  bytes: Uint8Array,
  offset: number,
  epoch: number,
  recordSequenceNumber: number,
): void {
  writeUint16(bytes, offset, epoch);
  writeUint16(bytes, offset + 2, Math.floor(recordSequenceNumber / 2 ** 32));
  writeUint32(bytes, offset + 4, recordSequenceNumber >>> 0);
}
