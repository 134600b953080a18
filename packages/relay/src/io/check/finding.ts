/** One thing that `check` or `doctor` looked at. */
export interface Finding {
  readonly name: string;
  readonly verdict: 'ok' | 'warn' | 'fail' | 'skip';
  /** What was found, in one line. */
  readonly detail: string;
  readonly ms?: number;
  /** What to do about it. */
  readonly mend?: string;
}
