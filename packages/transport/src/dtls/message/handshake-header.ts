import { type ByteReader, ByteWriter } from '@lumamesh/base';

/*
 * The DTLS handshake header (RFC 6347 §4.2.2):
 *
 *   HandshakeType msg_type; uint24 length; uint16 message_seq; uint24 fragment_offset; uint24 fragment_length;
 */
export const HANDSHAKE_HEADER_BYTES = 12;

export const HANDSHAKE_TYPE = {
  helloRequest: 0,
  clientHello: 1,
  serverHello: 2,
  helloVerifyRequest: 3,
  newSessionTicket: 4,
  encryptedExtensions: 8,
  certificate: 11,
  serverKeyExchange: 12,
  certificateRequest: 13,
  serverHelloDone: 14,
  certificateVerify: 15,
  clientKeyExchange: 16,
  finished: 20,
  keyUpdate: 24,
  messageHash: 254,
} as const;

export interface HandshakeFragment {
  readonly type: number;
  /** Of the whole message body, in bytes. */
  readonly length: number;
  readonly messageSeq: number;
  readonly fragmentOffset: number;
  readonly fragment: Uint8Array;
}

/**
 * A whole message. `bytes` is its unfragmented form with header, as it enters the transcript (RFC
 * 6347 §4.2.6).
 */
export interface HandshakeMessage {
  readonly type: number;
  readonly messageSeq: number;
  readonly body: Uint8Array;
  readonly bytes: Uint8Array;
  /** Whose keys it comes under: 0 for none. */
  readonly epoch: number;
}

/** Reads one fragment; `reader.ok` is false afterwards when it was malformed. */
export function readHandshakeFragment(reader: ByteReader): HandshakeFragment {
  const type = reader.uint8();
  const length = reader.uint24();
  const messageSeq = reader.uint16();
  const fragmentOffset = reader.uint24();
  const fragment = reader.bytes(reader.uint24());
  if (fragmentOffset + fragment.length > length) reader.ok = false;
  return { type, length, messageSeq, fragmentOffset, fragment };
}

/** One fragment with its header. */
export function encodeHandshakeFragment(
  type: number,
  length: number,
  messageSeq: number,
  fragmentOffset: number,
  fragment: Uint8Array,
): Uint8Array {
  return new ByteWriter(HANDSHAKE_HEADER_BYTES + fragment.length)
    .uint8(type)
    .uint24(length)
    .uint16(messageSeq)
    .uint24(fragmentOffset)
    .uint24(fragment.length)
    .bytes(fragment)
    .finish();
}

/** A whole message in its unfragmented form. */
export function handshakeMessage(
  type: number,
  messageSeq: number,
  body: Uint8Array,
  epoch = 0,
): HandshakeMessage {
  const bytes = encodeHandshakeFragment(type, body.length, messageSeq, 0, body);
  return { type, messageSeq, body: bytes.subarray(HANDSHAKE_HEADER_BYTES), bytes, epoch };
}
