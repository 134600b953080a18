import type { SignedRelayRecord } from '@lumamesh/protocol';
import type { DialResult, ListedRelay } from './relay-list.ts';

/** Relays that did not answer, by node key: since when (Unix time in s), and how often in a row. */
export type ListHistory = Readonly<
  Record<string, { readonly since: number; readonly failures: number }>
>;

export interface CaredList {
  /** The list without those that are gone; everything else in it stays as it is. */
  readonly text: string;
  readonly history: ListHistory;
  /** One line for each relay that was taken out. */
  readonly removed: readonly string[];
  /** One line for each that its operator should renew, or look at. */
  readonly reminders: readonly string[];
  /** So many did not answer that it is this machine which is cut off: nothing was counted. */
  readonly isCutOff: boolean;
}

/** A week of silence, looked at often enough: a relay may be moved, or its operator away. */
const GONE_SECONDS = 7 * 86_400;
const GONE_FAILURES = 5;
const REMIND_DAYS = 30;
const DAY_SECONDS = 86_400;
/** Of fewer relays than this, all may well be down. */
const CUT_OFF_FROM = 3;
const MAX_HISTORY = 4096;

/**
 * Takes out of a list those whose records have expired, and those that have not answered for a
 * week. Pure; what strangers wrote is not repeated but for addresses and keys, which have no
 * characters that anything obeys.
 */
export function careForList(
  text: string,
  relays: readonly ListedRelay[],
  results: ReadonlyMap<string, DialResult>,
  before: ListHistory,
  nowSeconds: number,
): CaredList {
  const dead = relays.filter(({ record: { nk } }) => results.get(nk) === 'dead');
  const isCutOff = relays.length >= CUT_OFF_FROM && dead.length * 2 > relays.length;
  const history = isCutOff ? before : remember(relays, results, before, nowSeconds);
  const [removed, reminders]: [string[], string[]] = [[], []];
  const gone = new Set<number>();
  for (const { line, record } of relays) {
    const silent = history[record.nk];
    if (record.expires <= nowSeconds) {
      gone.add(line);
      removed.push(`${nameOf(record)}: its record has expired`);
    } else if (!isCutOff && silent !== undefined && isGone(silent, nowSeconds)) {
      gone.add(line);
      removed.push(
        `${nameOf(record)}: it has not answered for ${daysSince(silent, nowSeconds)} days`,
      );
    } else {
      const days = Math.floor((record.expires - nowSeconds) / DAY_SECONDS);
      if (days < REMIND_DAYS)
        reminders.push(`${nameOf(record)}: its record expires in ${days} days`);
      if (silent !== undefined)
        reminders.push(`${nameOf(record)}: it did not answer, ${silent.failures} times in a row`);
    }
  }
  const lines = text.split('\n').filter((_, i) => !gone.has(i + 1));
  return { text: lines.join('\n'), history, removed, reminders, isCutOff };
}

/** Reads what was kept; what is malformed is forgotten. */
export function readHistory(text: string): ListHistory {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return {};
  }
  if (typeof json !== 'object' || json === null) return {};
  const entries = Object.entries(json as Record<string, unknown>).flatMap(([nk, value]) => {
    const { since, failures } = (value ?? {}) as Record<string, unknown>;
    return Number.isSafeInteger(since) && Number.isSafeInteger(failures)
      ? [[nk, { since: Number(since), failures: Number(failures) }] as const]
      : [];
  });
  return Object.fromEntries(entries.slice(0, MAX_HISTORY));
}

function remember(
  relays: readonly ListedRelay[],
  results: ReadonlyMap<string, DialResult>,
  before: ListHistory,
  nowSeconds: number,
): ListHistory {
  const entries = relays.flatMap(({ record: { nk } }) => {
    const known = Object.hasOwn(before, nk) ? before[nk] : undefined;
    const result = results.get(nk) ?? 'unknown';
    if (result === 'dead')
      return [
        [nk, { since: known?.since ?? nowSeconds, failures: (known?.failures ?? 0) + 1 }] as const,
      ];
    return result === 'unknown' && known !== undefined ? [[nk, known] as const] : [];
  });
  return Object.fromEntries(entries);
}

function isGone(
  { since, failures }: { readonly since: number; readonly failures: number },
  nowSeconds: number,
): boolean {
  return failures >= GONE_FAILURES && nowSeconds - since >= GONE_SECONDS;
}

function daysSince({ since }: { readonly since: number }, nowSeconds: number): number {
  return Math.floor((nowSeconds - since) / DAY_SECONDS);
}

function nameOf({ ip, port, nk }: SignedRelayRecord): string {
  return `${ip}, port ${port} (${nk})`;
}
