const TABLE = new Uint32Array(256);
for (let n = 0; n < 256; n++) {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
  TABLE[n] = c;
}

/**
 * CRC-32 as in ITU V.42 / IEEE 802.3 of `bytes[0..end)`: what FINGERPRINT is made of (RFC 8489
 * §14.7).
 */
export function crc32(bytes: Uint8Array, end: number): number {
  let c = 0xffffffff;
  // Both indexes are in range: i < end <= length, and a byte indexes 256 entries.
  for (let i = 0; i < end; i++) c = (c >>> 8) ^ TABLE[(c ^ bytes[i]!) & 0xff]!;
  return (c ^ 0xffffffff) >>> 0;
}
