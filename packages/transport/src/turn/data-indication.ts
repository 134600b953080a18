import { writeUint16, writeUint32 } from '@lumamesh/base';
import { MAGIC_COOKIE, STUN_HEADER_BYTES, TRANSACTION_ID_BYTES } from '../stun/message.ts';
import { TURN_ATTRIBUTE } from './turn-codes.ts';

/** RFC 8489 §5: the class bits of an indication (0b01) around the method Data. */
const DATA_INDICATION = 0x0017;
const XOR_IPV4_BYTES = 8;
/** Header, XOR-PEER-ADDRESS with its header, and the header of DATA: what precedes the payload. */
export const DATA_INDICATION_HEADER_BYTES = STUN_HEADER_BYTES + 4 + XOR_IPV4_BYTES + 4;

/**
 * A Data indication (RFC 8656 §11.7) with a payload that stands in `datagram`. Where there are
 * {@link DATA_INDICATION_HEADER_BYTES} before it and the padding behind it, as in a Send indication
 * of the same shape, it is made in the same memory.
 *
 * @param xorPeer the value of XOR-PEER-ADDRESS, 8 bytes
 */
export function rewriteAsDataIndication(
  datagram: Uint8Array,
  offset: number,
  length: number,
  xorPeer: Uint8Array,
  transactionId: Uint8Array,
): Uint8Array {
  const padded = (length + 3) & ~3;
  const start = offset - DATA_INDICATION_HEADER_BYTES;
  let out: Uint8Array;
  if (start >= 0 && offset + padded <= datagram.length) {
    out = datagram.subarray(start, offset + padded);
  } else {
    out = new Uint8Array(DATA_INDICATION_HEADER_BYTES + padded);
    out.set(datagram.subarray(offset, offset + length), DATA_INDICATION_HEADER_BYTES);
  }
  writeUint16(out, 0, DATA_INDICATION);
  writeUint16(out, 2, out.length - STUN_HEADER_BYTES);
  writeUint32(out, 4, MAGIC_COOKIE);
  out.set(transactionId, 8);
  let at = 8 + TRANSACTION_ID_BYTES;
  writeUint16(out, at, TURN_ATTRIBUTE.xorPeerAddress);
  writeUint16(out, at + 2, XOR_IPV4_BYTES);
  out.set(xorPeer, at + 4);
  at += 4 + XOR_IPV4_BYTES;
  writeUint16(out, at, TURN_ATTRIBUTE.data);
  writeUint16(out, at + 2, length);
  return out;
}
