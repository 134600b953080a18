/**
 * A point on a monotonic clock, in milliseconds. Only differences mean anything; the shell that
 * owns the clock makes them.
 */
export type Instant = number & { readonly __unit: 'ms, monotonic' };

/** Names a number of milliseconds as an {@link Instant}. */
export function instant(milliseconds: number): Instant {
  return milliseconds as Instant;
}

/** `at` plus `milliseconds`. */
export function later(at: Instant, milliseconds: number): Instant {
  return (at + milliseconds) as Instant;
}

/** The earlier of two deadlines, where `null` means "never". */
export function earlier(a: Instant | null, b: Instant | null): Instant | null {
  if (a === null) return b;
  if (b === null) return a;
  return a < b ? a : b;
}
