import { readUint32, writeUint32 } from '@lumamesh/base';
import { CHUNK_TYPE, type Chunk } from './packet.ts';

/** A SHUTDOWN (RFC 9260 §3.3.8): the cumulative TSN that its sender has received. */
export function encodeShutdownChunk(cumulativeTsnAck: number): Chunk {
  const value = new Uint8Array(4);
  writeUint32(value, 0, cumulativeTsnAck);
  return { type: CHUNK_TYPE.shutdown, flags: 0, value };
}

/** The cumulative TSN of a SHUTDOWN, or `null` when it is malformed. */
export function decodeShutdownChunk(chunk: Chunk): number | null {
  return chunk.value.length === 4 ? readUint32(chunk.value, 0) : null;
}
