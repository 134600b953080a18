import { ByteReader, ByteWriter, type Decoded, decoded, dropped } from '@lumamesh/base';
import { CHUNK_TYPE, type Chunk } from './packet.ts';

/** Offsets from the cumulative TSN, both inclusive (RFC 9260 §3.3.4). */
export interface GapAckBlock {
  readonly start: number;
  readonly end: number;
}

export interface SackChunk {
  readonly cumulativeTsnAck: number;
  readonly aRwnd: number;
  /** Ascending and disjoint: the decoder drops a SACK whose blocks are not. */
  readonly gapAckBlocks: readonly GapAckBlock[];
  readonly duplicateTsns: readonly number[];
}

const SACK_FIELDS_BYTES = 12;

export function decodeSackChunk(chunk: Chunk): Decoded<SackChunk> {
  const reader = new ByteReader(chunk.value);
  const cumulativeTsnAck = reader.uint32();
  const aRwnd = reader.uint32();
  const blocks = reader.uint16();
  const duplicates = reader.uint16();
  if (!reader.ok || chunk.value.length !== SACK_FIELDS_BYTES + 4 * (blocks + duplicates))
    return dropped('sctp.sack.length');
  const gapAckBlocks: GapAckBlock[] = [];
  let previousEnd = 0;
  for (let i = 0; i < blocks; i++) {
    const start = reader.uint16();
    const end = reader.uint16();
    // Disorder and overlap have no meaning, and would make the walk over what is outstanding
    // quadratic.
    if (start <= previousEnd || end < start) return dropped('sctp.sack.gapAckBlock');
    previousEnd = end;
    gapAckBlocks.push({ start, end });
  }
  const duplicateTsns: number[] = [];
  for (let i = 0; i < duplicates; i++) duplicateTsns.push(reader.uint32());
  return decoded({ cumulativeTsnAck, aRwnd, gapAckBlocks, duplicateTsns });
}

export function encodeSackChunk(sack: SackChunk): Chunk {
  const writer = new ByteWriter(
    SACK_FIELDS_BYTES + 4 * (sack.gapAckBlocks.length + sack.duplicateTsns.length),
  )
    .uint32(sack.cumulativeTsnAck)
    .uint32(sack.aRwnd)
    .uint16(sack.gapAckBlocks.length)
    .uint16(sack.duplicateTsns.length);
  for (const block of sack.gapAckBlocks) writer.uint16(block.start).uint16(block.end);
  for (const tsn of sack.duplicateTsns) writer.uint32(tsn);
  return { type: CHUNK_TYPE.sack, flags: 0, value: writer.finish() };
}
