import {
  ByteReader,
  ByteWriter,
  EMPTY_BYTES,
  printable,
  utf8Decode,
  utf8Encode,
  writeUint16,
} from '@lumamesh/base';
import { CHUNK_HEADER_BYTES, CHUNK_TYPE, type Chunk } from './packet.ts';
import { type Parameter, readParameters, writeParameter } from './parameter.ts';

/** Error causes (RFC 9260 §3.3.10). */
export const ERROR_CAUSE = {
  invalidStreamIdentifier: 1,
  unrecognizedChunkType: 6,
  invalidMandatoryParameter: 7,
  userInitiatedAbort: 12,
  protocolViolation: 13,
} as const;

/** An ABORT with one cause and a text for the peer's log. */
export function encodeAbortChunk(cause: number, text: string): Chunk {
  const writer = new ByteWriter(64);
  writeParameter(writer, { type: cause, value: utf8Encode(text) });
  return { type: CHUNK_TYPE.abort, flags: 0, value: writer.finish() };
}

/** RFC 9260 §3.3.10.7: an ABORT for an INIT that cannot be accepted. */
export function invalidInitAbort(): Chunk {
  return encodeAbortChunk(ERROR_CAUSE.invalidMandatoryParameter, '');
}

/** An ERROR with one cause. */
export function encodeErrorChunk(cause: Parameter): Chunk {
  const writer = new ByteWriter(32);
  writeParameter(writer, cause);
  return { type: CHUNK_TYPE.error, flags: 0, value: writer.finish() };
}

/**
 * The cause that reports a chunk type nobody knows: the chunk's header is enough to tell which (RFC
 * 9260 §3.3.10.6).
 */
export function unrecognizedChunkCause(chunk: Chunk): Parameter {
  const header = Uint8Array.of(chunk.type, chunk.flags, 0, 0);
  writeUint16(header, 2, CHUNK_HEADER_BYTES + chunk.value.length);
  return { type: ERROR_CAUSE.unrecognizedChunkType, value: header };
}

/** RFC 9260 §3.3.10.1: the stream identifier, and two reserved bytes. */
export function invalidStreamCause(streamId: number): Parameter {
  const value = new Uint8Array(4);
  writeUint16(value, 0, streamId);
  return { type: ERROR_CAUSE.invalidStreamIdentifier, value };
}

/** A short text about the first cause of an ABORT or ERROR chunk, for a log. */
export function describeCauses(chunk: Chunk): string {
  const [first] = readParameters(new ByteReader(chunk.value)) ?? [];
  if (first === undefined) return 'no cause';
  const isText =
    first.type === ERROR_CAUSE.userInitiatedAbort || first.type === ERROR_CAUSE.protocolViolation;
  const text = isText ? utf8Decode(first.value.subarray(0, 80)) : null;
  return text === null || text === ''
    ? `cause ${first.type}`
    : `cause ${first.type}: ${printable(text)}`;
}

/** A chunk that is its header only. */
export function emptyChunk(type: number): Chunk {
  return { type, flags: 0, value: EMPTY_BYTES };
}
