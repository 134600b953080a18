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
import { packetChecksum } from './crc32c.ts';

/*
 * The SCTP common header (RFC 9260 §3.1): source port, destination port, verification tag,
 * checksum; then chunks (§3.2): type, flags, length (header included, padding not), value, padding
 * to four bytes.
 */
export const PACKET_HEADER_BYTES = 12;
export const CHUNK_HEADER_BYTES = 4;
/** More chunks than a packet of 1 200 bytes can usefully hold. */
const MAX_CHUNKS = 128;

export const CHUNK_TYPE = {
  data: 0,
  init: 1,
  initAck: 2,
  sack: 3,
  heartbeat: 4,
  heartbeatAck: 5,
  abort: 6,
  shutdown: 7,
  shutdownAck: 8,
  error: 9,
  cookieEcho: 10,
  cookieAck: 11,
  shutdownComplete: 14,
  reConfig: 130,
  forwardTsn: 192,
} as const;

export interface Chunk {
  readonly type: number;
  readonly flags: number;
  /** A view without header and padding. */
  readonly value: Uint8Array;
}

export interface Packet {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly verificationTag: number;
  readonly chunks: readonly Chunk[];
}

export function decodePacket(bytes: Uint8Array): Decoded<Packet> {
  if (bytes.length < PACKET_HEADER_BYTES + CHUNK_HEADER_BYTES) return dropped('sctp.truncated');
  const checksum = readUint32(bytes, 8);
  if (reverseBytes(packetChecksum(bytes)) !== checksum) return dropped('sctp.checksum');
  const chunks: Chunk[] = [];
  for (let offset = PACKET_HEADER_BYTES; offset < bytes.length;) {
    if (chunks.length === MAX_CHUNKS) return dropped('sctp.tooManyChunks');
    if (offset + CHUNK_HEADER_BYTES > bytes.length) return dropped('sctp.chunk.truncated');
    const length = readUint16(bytes, offset + 2);
    // A length below the header's own would never get past this chunk.
    if (length < CHUNK_HEADER_BYTES || offset + length > bytes.length)
      return dropped('sctp.chunk.length');
    chunks.push({
      type: bytes[offset] ?? 0,
      flags: bytes[offset + 1] ?? 0,
      value: bytes.subarray(offset + CHUNK_HEADER_BYTES, offset + length),
    });
    offset += (length + 3) & ~3;
  }
  return decoded({
    sourcePort: readUint16(bytes, 0),
    destinationPort: readUint16(bytes, 2),
    verificationTag: readUint32(bytes, 4),
    chunks,
  });
}

/** Collects chunks of one packet of at most `maxPacketBytes`. */
export class PacketBuilder {
  readonly #maxPacketBytes: number;
  readonly #chunks: Chunk[] = [];
  #bytes = PACKET_HEADER_BYTES;

  constructor(maxPacketBytes: number) {
    this.#maxPacketBytes = maxPacketBytes;
  }

  get isEmpty(): boolean {
    return this.#chunks.length === 0;
  }

  /** Bytes that a further chunk's value may have. */
  get remainingBytes(): number {
    return this.#maxPacketBytes - this.#bytes - CHUNK_HEADER_BYTES;
  }

  add(chunk: Chunk): void {
    this.#chunks.push(chunk);
    this.#bytes += (CHUNK_HEADER_BYTES + chunk.value.length + 3) & ~3;
  }

  finish(sourcePort: number, destinationPort: number, verificationTag: number): Uint8Array {
    const packet = shortLivedBytes(this.#bytes);
    writeUint16(packet, 0, sourcePort);
    writeUint16(packet, 2, destinationPort);
    writeUint32(packet, 4, verificationTag);
    let offset = PACKET_HEADER_BYTES;
    for (const chunk of this.#chunks) {
      packet[offset] = chunk.type;
      packet[offset + 1] = chunk.flags;
      writeUint16(packet, offset + 2, CHUNK_HEADER_BYTES + chunk.value.length);
      packet.set(chunk.value, offset + CHUNK_HEADER_BYTES);
      offset += (CHUNK_HEADER_BYTES + chunk.value.length + 3) & ~3;
    }
    writeUint32(packet, 8, reverseBytes(packetChecksum(packet)));
    return packet;
  }
}

function reverseBytes(value: number): number {
  return (
    ((value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0
  );
}
