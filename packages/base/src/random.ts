/** Returns `length` bytes from a cryptographic source (in tests: from a seeded one). */
export type RandomBytes = (length: number) => Uint8Array;

/** An unsigned 32-bit integer, never zero (SCTP tags must not be, RFC 9260 §5.3.1). */
export function randomNonZeroUint32(randomBytes: RandomBytes): number {
  for (;;) {
    const b = randomBytes(4);
    const value =
      (((b[0] ?? 0) << 24) | ((b[1] ?? 0) << 16) | ((b[2] ?? 0) << 8) | (b[3] ?? 0)) >>> 0;
    if (value !== 0) return value;
  }
}
