import assert from 'node:assert/strict';
import { until } from '../waiting.ts';

/** What a page with the harness of the browser tests has written down. */
export interface LogEntry {
  readonly event: string;
  /** ms since 1970, by the clock of the page */
  readonly at: number;
  readonly value?: unknown;
}

interface Logging {
  readonly name: string;
  log(): Promise<readonly LogEntry[]>;
}

/** Waits until a page's log has an entry of this kind (and value); fails with the whole log and the page's errors otherwise. */
export async function waitForEntry(
  tab: Logging,
  { event, value }: { readonly event: string; readonly value: unknown },
  limitMs: number,
  errorsOf: () => Promise<readonly string[]>,
): Promise<LogEntry> {
  const wanted = JSON.stringify(value);
  let entries: readonly LogEntry[] = [];
  let found: LogEntry | undefined;
  await until(
    async () => {
      entries = await tab.log();
      found = entries.find(
        (entry) =>
          entry.event === event && (value === undefined || JSON.stringify(entry.value) === wanted),
      );
      return found !== undefined;
    },
    async () =>
      `${tab.name}: no ${event} ${wanted ?? ''} in ${JSON.stringify(entries)}; errors: ${(await errorsOf()).join('; ')}`,
    limitMs,
  );
  assert.ok(found !== undefined);
  return found;
}
