/* What happened in a page, for the test that drives it to read. */
export interface LogEntry {
  readonly event: string;
  readonly at: number;
  readonly value?: unknown;
}

export const log: LogEntry[] = [];

export function note(event: string, value?: unknown): void {
  log.push({ event, at: Date.now(), ...(value === undefined ? {} : { value }) });
}
