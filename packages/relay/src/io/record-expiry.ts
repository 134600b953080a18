const DAY_MS = 86_400_000;

/** Who publishes a line by hand needs so long to publish another. */
export const EXPIRES_SOON_DAYS = 30;

/** Whole days until a record or a list expires; negative once it has. */
export function daysLeft(expiresUnixSeconds: number, nowUnixMs: number): number {
  return Math.floor((expiresUnixSeconds * 1000 - nowUnixMs) / DAY_MS);
}
