import {
  type Decoded,
  decoded,
  dropped,
  readUint16,
  readUint32,
  writeUint16,
  writeUint32,
} from '@lumamesh/base';

/*
 * The STUN header (RFC 8489 §5):
 *
 *   0                   1                   2                   3
 *  |0 0|     STUN Message Type     |         Message Length        |
 *  |                         Magic Cookie                          |
 *  |                     Transaction ID (96 bits)                  |
 */
export const STUN_HEADER_BYTES = 20;
export const MAGIC_COOKIE = 0x2112a442;
export const TRANSACTION_ID_BYTES = 12;
/** More attributes than any ICE agent sends; a bound on what one datagram can make us look at. */
const MAX_ATTRIBUTES = 32;

export type MessageClass = 'request' | 'indication' | 'success' | 'error';
const CLASSES: readonly MessageClass[] = ['request', 'indication', 'success', 'error'];

export const METHOD_BINDING = 0x001;

/**
 * Attribute types (RFC 8489 §18.3, RFC 8445 §16.1, RFC 5780 and the IANA registry for what browsers
 * add).
 */
export const ATTRIBUTE = {
  username: 0x0006,
  messageIntegrity: 0x0008,
  errorCode: 0x0009,
  unknownAttributes: 0x000a,
  xorMappedAddress: 0x0020,
  priority: 0x0024,
  useCandidate: 0x0025,
  software: 0x8022,
  fingerprint: 0x8028,
  iceControlled: 0x8029,
  iceControlling: 0x802a,
} as const;

/**
 * One attribute as it stands in the message; `value` is a view without the padding. `offset` is
 * where its type begins.
 */
export interface RawAttribute {
  readonly type: number;
  readonly offset: number;
  readonly value: Uint8Array;
}

export interface StunMessage {
  readonly messageClass: MessageClass;
  readonly method: number;
  /** 12 bytes, a view into the datagram. */
  readonly transactionId: Uint8Array;
  /** In wire order, duplicates included: RFC 8489 §14 has the first one count. */
  readonly attributes: readonly RawAttribute[];
}

/** The transaction id of what looks like STUN, before anything of it was checked. */
export function stunTransactionId(datagram: Uint8Array): Uint8Array {
  return datagram.subarray(8, STUN_HEADER_BYTES);
}

/** Whether a datagram's first byte says STUN (RFC 7983 §7: 0..3). */
export function isStun(firstByte: number): boolean {
  return firstByte < 4;
}

/** Whether what looks like STUN has the method Binding: its type without the bits of the class. */
export function isBinding(datagram: Uint8Array): boolean {
  return datagram[1] !== undefined && (readUint16(datagram, 0) & 0x3eef) === METHOD_BINDING;
}

/**
 * Decodes the wire format of RFC 8489 §5 and §14, and nothing of its policy: no integrity, no
 * fingerprint, no required attributes.
 */
export function decodeStun(datagram: Uint8Array): Decoded<StunMessage> {
  if (datagram.length < STUN_HEADER_BYTES) return dropped('stun.truncated');
  const type = readUint16(datagram, 0);
  if ((type & 0xc000) !== 0) return dropped('stun.notStun');
  if (readUint32(datagram, 4) !== MAGIC_COOKIE) return dropped('stun.magicCookie');
  const length = readUint16(datagram, 2);
  if (length % 4 !== 0 || STUN_HEADER_BYTES + length !== datagram.length)
    return dropped('stun.length');
  // RFC 8489 §5: the class bits C1 and C0 stand at 8 and 4 of the type, the method's twelve bits
  // around them.
  const messageClass = CLASSES[((type >> 7) & 2) | ((type >> 4) & 1)] ?? 'request';
  const method = (type & 0xf) | ((type >> 1) & 0x70) | ((type >> 2) & 0xf80);

  const attributes: RawAttribute[] = [];
  let offset = STUN_HEADER_BYTES;
  while (offset < datagram.length) {
    if (attributes.length === MAX_ATTRIBUTES) return dropped('stun.tooManyAttributes');
    if (offset + 4 > datagram.length) return dropped('stun.attribute.truncated');
    const valueLength = readUint16(datagram, offset + 2);
    const end = offset + 4 + valueLength;
    if (end > datagram.length) return dropped('stun.attribute.truncated');
    attributes.push({
      type: readUint16(datagram, offset),
      offset,
      value: datagram.subarray(offset + 4, end),
    });
    // RFC 8489 §14: each attribute is padded to a multiple of 4; the padding may hold anything.
    offset = (end + 3) & ~3;
  }
  if (offset !== datagram.length) return dropped('stun.attribute.truncated');
  return decoded({
    messageClass,
    method,
    transactionId: datagram.subarray(8, STUN_HEADER_BYTES),
    attributes,
  });
}

/** The first attribute of a type, which is the one that counts (RFC 8489 §14). */
export function findAttribute(message: StunMessage, type: number): RawAttribute | null {
  for (const attribute of message.attributes) if (attribute.type === type) return attribute;
  return null;
}

/**
 * Builds one message, attribute by attribute. The header's length is kept current, as
 * MESSAGE-INTEGRITY and FINGERPRINT need it.
 */
export class StunBuilder {
  #bytes = new Uint8Array(192);
  #length = STUN_HEADER_BYTES;

  constructor(messageClass: MessageClass, method: number, transactionId: Uint8Array) {
    const c = CLASSES.indexOf(messageClass);
    const type =
      (method & 0xf) |
      ((method & 0x70) << 1) |
      ((method & 0xf80) << 2) |
      ((c & 2) << 7) |
      ((c & 1) << 4);
    writeUint16(this.#bytes, 0, type);
    writeUint32(this.#bytes, 4, MAGIC_COOKIE);
    this.#bytes.set(transactionId, 8);
  }

  attribute(type: number, value: Uint8Array): this {
    const at = this.#length;
    const next = (at + 4 + value.length + 3) & ~3;
    if (next > this.#bytes.length) {
      const grown = new Uint8Array(next * 2);
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    writeUint16(this.#bytes, at, type);
    writeUint16(this.#bytes, at + 2, value.length);
    this.#bytes.set(value, at + 4);
    this.#length = next;
    this.#setLength(next);
    return this;
  }

  /**
   * What was built so far, with the header's length raised by an attribute of `valueBytes` that is
   * yet to come (RFC 8489 §14.5, §14.7).
   */
  withLengthFor(valueBytes: number): Uint8Array {
    this.#setLength(this.#length + 4 + valueBytes);
    return this.#bytes.subarray(0, this.#length);
  }

  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }

  #setLength(end: number): void {
    writeUint16(this.#bytes, 2, end - STUN_HEADER_BYTES);
  }
}
