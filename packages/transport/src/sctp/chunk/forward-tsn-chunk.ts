import { ByteReader, ByteWriter, type Decoded, decoded, dropped } from '@lumamesh/base';
import { CHUNK_TYPE, type Chunk } from './packet.ts';

/** RFC 3758 §3.2. */
export interface ForwardTsnChunk {
  readonly newCumulativeTsn: number;
  /** For each stream with skipped ordered messages, the largest skipped SSN. */
  readonly skipped: readonly { readonly streamId: number; readonly ssn: number }[];
}

export function decodeForwardTsnChunk(chunk: Chunk): Decoded<ForwardTsnChunk> {
  const reader = new ByteReader(chunk.value);
  const newCumulativeTsn = reader.uint32();
  if (!reader.ok || reader.remaining % 4 !== 0) return dropped('sctp.forwardTsn.length');
  const skipped: { streamId: number; ssn: number }[] = [];
  while (reader.remaining > 0) skipped.push({ streamId: reader.uint16(), ssn: reader.uint16() });
  return decoded({ newCumulativeTsn, skipped });
}

export function encodeForwardTsnChunk(forward: ForwardTsnChunk): Chunk {
  const writer = new ByteWriter(4 + 4 * forward.skipped.length).uint32(forward.newCumulativeTsn);
  for (const { streamId, ssn } of forward.skipped) writer.uint16(streamId).uint16(ssn);
  return { type: CHUNK_TYPE.forwardTsn, flags: 0, value: writer.finish() };
}
