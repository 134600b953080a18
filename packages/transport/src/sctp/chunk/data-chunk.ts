import {
  type Decoded,
  decoded,
  dropped,
  readUint16,
  readUint32,
  writeUint16,
  writeUint32,
  shortLivedBytes,
} from '@lumamesh/base';
import { CHUNK_TYPE, type Chunk } from './packet.ts';

/** The fields of a DATA chunk before its user data (RFC 9260 §3.3.1). */
export const DATA_FIELDS_BYTES = 12;

const FLAG_END = 1;
const FLAG_BEGIN = 2;
const FLAG_UNORDERED = 4;
/** RFC 7053: the sender wants its SACK at once. */
const FLAG_IMMEDIATE = 8;

export interface DataChunk {
  readonly tsn: number;
  readonly streamId: number;
  readonly ssn: number;
  readonly ppid: number;
  readonly isBegin: boolean;
  readonly isEnd: boolean;
  readonly isUnordered: boolean;
  readonly isImmediate: boolean;
  readonly data: Uint8Array;
}

export function decodeDataChunk(chunk: Chunk): Decoded<DataChunk> {
  const { value, flags } = chunk;
  // RFC 9260 §6.2: a DATA chunk without user data is an error; every data channel message has at
  // least one byte (RFC 8831 §6.6).
  if (value.length <= DATA_FIELDS_BYTES) return dropped('sctp.data.empty');
  return decoded({
    tsn: readUint32(value, 0),
    streamId: readUint16(value, 4),
    ssn: readUint16(value, 6),
    ppid: readUint32(value, 8),
    isBegin: (flags & FLAG_BEGIN) !== 0,
    isEnd: (flags & FLAG_END) !== 0,
    isUnordered: (flags & FLAG_UNORDERED) !== 0,
    isImmediate: (flags & FLAG_IMMEDIATE) !== 0,
    data: value.subarray(DATA_FIELDS_BYTES),
  });
}

export function encodeDataChunk(data: DataChunk): Chunk {
  const value = shortLivedBytes(DATA_FIELDS_BYTES + data.data.length);
  writeUint32(value, 0, data.tsn);
  writeUint16(value, 4, data.streamId);
  writeUint16(value, 6, data.ssn);
  writeUint32(value, 8, data.ppid);
  value.set(data.data, DATA_FIELDS_BYTES);
  const flags =
    (data.isEnd ? FLAG_END : 0) |
    (data.isBegin ? FLAG_BEGIN : 0) |
    (data.isUnordered ? FLAG_UNORDERED : 0) |
    (data.isImmediate ? FLAG_IMMEDIATE : 0);
  return { type: CHUNK_TYPE.data, flags, value };
}
