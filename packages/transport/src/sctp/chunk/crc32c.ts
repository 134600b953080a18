/**
 * TABLES[k][b] is the CRC of byte b with k zeros behind it: four bytes are taken by four look-ups
 * that do not wait for each other ("slicing by four").
 */
const TABLES = Array.from({ length: 4 }, () => new Uint32Array(256));
const [T0, T1, T2, T3] = TABLES as [Uint32Array, Uint32Array, Uint32Array, Uint32Array];
for (let n = 0; n < 256; n++) {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
  T0[n] = c;
}
for (let k = 1; k < 4; k++) {
  const [before, table] = [TABLES[k - 1]!, TABLES[k]!];
  for (let n = 0; n < 256; n++) table[n] = T0[before[n]! & 0xff]! ^ (before[n]! >>> 8);
}

const CHECKSUM_OFFSET = 8;
const CHECKSUM_END = 12;

/**
 * CRC32c of an SCTP packet, its checksum field taken as zero (RFC 9260 §6.8, appendix A). The value
 * stands in the packet little-endian.
 */
export function packetChecksum(packet: Uint8Array): number {
  let c = 0xffffffff;
  const { length } = packet;
  // The indexes are in range: below the length, and a byte indexes 256 entries.
  for (let i = 0; i < CHECKSUM_OFFSET; i++) c = (c >>> 8) ^ T0[(c ^ packet[i]!) & 0xff]!;
  for (let i = CHECKSUM_OFFSET; i < CHECKSUM_END; i++) c = (c >>> 8) ^ T0[c & 0xff]!;
  let i = CHECKSUM_END;
  for (; i + 4 <= length; i += 4) {
    c ^= packet[i]! | (packet[i + 1]! << 8) | (packet[i + 2]! << 16) | (packet[i + 3]! << 24);
    c = T3[c & 0xff]! ^ T2[(c >>> 8) & 0xff]! ^ T1[(c >>> 16) & 0xff]! ^ T0[c >>> 24]!;
  }
  for (; i < length; i++) c = (c >>> 8) ^ T0[(c ^ packet[i]!) & 0xff]!;
  return (c ^ 0xffffffff) >>> 0;
}
