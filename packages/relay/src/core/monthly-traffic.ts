/** What was sent and received in a calendar month of UTC, such as `2026-11`. */
export interface MonthCount {
  readonly month: string;
  readonly bytes: number;
}

/** With so much of the month's traffic used the relay rests: what is left is for what comes all the same. */
export const RESTING_SHARE = 0.95;
const MONTH = /^\d{4}-(0[1-9]|1[0-2])$/;

export function monthOf(nowUnixMs: number): string {
  return new Date(nowUnixMs).toISOString().slice(0, 7);
}

/** @returns What a file of {@link encodeMonthCount} says, or `null` for anything else. */
export function decodeMonthCount(text: string): MonthCount | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const { month, bytes } = value as Partial<Record<keyof MonthCount, unknown>>;
  if (typeof month !== 'string' || !MONTH.test(month)) return null;
  if (typeof bytes !== 'number' || !Number.isSafeInteger(bytes) || bytes < 0) return null;
  return { month, bytes };
}

export function encodeMonthCount({ month, bytes }: MonthCount): string {
  return `${JSON.stringify({ month, bytes })}\n`;
}

/**
 * Counts the traffic of calendar months, over restarts, with clocks that may be wrong: a machine
 * without a battery begins in a year long gone, which must not give it a new month.
 */
export class MonthlyTraffic {
  readonly #madeUnixMs: number;
  #count: MonthCount;
  #total = 0;

  /**
   * @param saved what was counted before this process, where that is known
   * @param madeUnixMs the day of the build: a clock that says less is wrong
   */
  constructor(nowUnixMs: number, saved: MonthCount | null, madeUnixMs: number) {
    this.#madeUnixMs = madeUnixMs;
    this.#count = saved ?? { month: monthOf(Math.max(nowUnixMs, madeUnixMs)), bytes: 0 };
  }

  get count(): MonthCount {
    return this.#count;
  }

  /** @param total bytes since the process was started */
  handleTotal(nowUnixMs: number, total: number): void {
    const bytes = Math.max(0, total - this.#total);
    this.#total = total;
    let { month, bytes: before } = this.#count;
    if (nowUnixMs >= this.#madeUnixMs) {
      const now = monthOf(nowUnixMs);
      if (now > month) before = 0;
      // An earlier one: the clock was ahead. What was counted stays counted.
      month = now;
    }
    this.#count = { month, bytes: before + bytes };
  }

  /** Whether it is time to rest. @param maxBytes of a month; `undefined`: no bound */
  isUsed(maxBytes: number | undefined): boolean {
    return maxBytes !== undefined && this.#count.bytes >= maxBytes * RESTING_SHARE;
  }
}
