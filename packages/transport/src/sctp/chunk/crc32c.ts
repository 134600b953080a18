const TABLE = new Uint32Array(256);
for (let n = 0; n < 256; n++) {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
  TABLE[n] = c;
}

const CHECKSUM_OFFSET = 8;
const CHECKSUM_END = 12;

/**
 * CRC32c of an SCTP packet, its checksum field taken as zero (RFC 9260 §6.8, appendix A). The value
 * stands in the packet little-endian.
 */
export function packetChecksum(packet: Uint8Array): number {
  let c = 0xffffffff;
  // The indexes are in range: i < length, and a byte indexes 256 entries.
  for (let i = 0; i < CHECKSUM_OFFSET; i++) c = (c >>> 8) ^ TABLE[(c ^ packet[i]!) & 0xff]!;
  for (let i = CHECKSUM_OFFSET; i < CHECKSUM_END; i++) c = (c >>> 8) ^ TABLE[c & 0xff]!;
  for (let i = CHECKSUM_END; i < packet.length; i++)
    c = (c >>> 8) ^ TABLE[(c ^ packet[i]!) & 0xff]!;
  return (c ^ 0xffffffff) >>> 0;
}
