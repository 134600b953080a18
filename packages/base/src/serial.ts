/**
 * Serial number arithmetic (RFC 1982): TSNs, SSNs and RE-CONFIG sequence numbers wrap, so `<` and
 * `.sort()` are wrong for them. All values are unsigned; 32-bit ones are kept in `>>> 0` form.
 */

/** `a + n` modulo 2^32 (RFC 1982 §3.1). */
export function serial32Add(a: number, n: number): number {
  return (a + n) >>> 0;
}

/** The signed distance `a - b`, in -2^31 … 2^31-1. */
export function serial32Diff(a: number, b: number): number {
  return (a - b) | 0;
}

/** `a < b` (RFC 1982 §3.2). */
export function serial32Lt(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

/** `a <= b` (RFC 1982 §3.2). */
export function serial32Lte(a: number, b: number): boolean {
  return ((a - b) | 0) <= 0;
}

/** `a + n` modulo 2^16. */
export function serial16Add(a: number, n: number): number {
  return (a + n) & 0xffff;
}

/** The signed distance `a - b`, in -2^15 … 2^15-1. */
export function serial16Diff(a: number, b: number): number {
  return ((a - b) << 16) >> 16;
}

/** `a < b` for 16-bit serials. */
export function serial16Lt(a: number, b: number): boolean {
  return serial16Diff(a, b) < 0;
}
