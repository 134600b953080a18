/** The clock and the timers. */
export interface Clock {
  readonly now: () => number;
  /** Returns a function that cancels it. */
  readonly setTimer: (ms: number, run: () => void) => () => void;
}
