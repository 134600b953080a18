import { until } from '@lumamesh/testkit';
import type { LogEntry, NatTab } from '@lumamesh/testkit/browsers';

const LIMIT_MS = 45_000;
let meetings = 0;

/** What became of two browsers, alone in a room. Times, in ms, run from the moment in which the second one had joined. */
export interface Meeting {
  /** The path by which they talk, `direct` or `relayed`; or the codes that both were told. */
  readonly outcome: string;
  /** Until both were open; `null` where they were not. */
  readonly openMs: number | null;
  /** Until both had been told why not; `null` where they had no need. */
  readonly toldMs: number | null;
  /** What each was told, in words. */
  readonly said: readonly string[];
}

interface Side {
  readonly tab: NatTab;
  readonly nick: string;
  readonly otherNick: string;
}

/**
 * Lets two tabs meet in a room of their own, and part again. Fails when after the limit they neither talk nor both know why not.
 * @param during what they do where they have met, with their names
 */
export async function meet(
  relays: readonly unknown[],
  first: NatTab,
  second: NatTab,
  during?: (firstNick: string, secondNick: string) => Promise<void>,
): Promise<Meeting> {
  const number = (meetings += 1);
  const [a, b] = [`Ada ${number}`, `Bob ${number}`];
  const sides: readonly Side[] = [
    { tab: first, nick: a, otherNick: b },
    { tab: second, nick: b, otherNick: a },
  ];
  const since = Date.now();
  const logOf = async ({ tab }: Side): Promise<readonly LogEntry[]> =>
    (await tab.log()).filter(({ at }) => at >= since);
  let logs: readonly (readonly LogEntry[])[] = [];
  const hasAll = async (isThere: (log: readonly LogEntry[], side: Side) => boolean) => {
    logs = await Promise.all(sides.map(logOf));
    return logs.every((log, i) => isThere(log, sides[i] as Side));
  };
  try {
    for (const side of sides) {
      await side.tab.call('join', relays, `room ${number}`, side.nick, '');
      await until(
        async () =>
          (await logOf(side)).some(({ event }) => event === 'joined' || event === 'error'),
        async () => `not joined: ${JSON.stringify(await logOf(side))}`,
        LIMIT_MS,
      );
    }
    await until(
      async () => (await hasAll(isOpen)) || (await hasAll(isTold)),
      () => `neither connected nor told why: ${JSON.stringify(logs)}`,
      LIMIT_MS,
    );
    const meeting = judge(logs, sides, since);
    if (meeting.openMs !== null) await during?.(a, b);
    return meeting;
  } finally {
    for (const { tab } of sides) await tab.call('close');
  }
}

function isOpen(log: readonly LogEntry[], { otherNick }: Side): boolean {
  return openOf(log, otherNick) !== undefined && pathOf(log) !== undefined;
}

function openOf(log: readonly LogEntry[], otherNick: string): LogEntry | undefined {
  return log.find(({ event, value }) => event === 'open' && value === otherNick);
}

function pathOf(log: readonly LogEntry[]): unknown {
  const path = log.findLast(({ event }) => event === 'path')?.value;
  return path === 'none' ? undefined : path;
}

function isTold(log: readonly LogEntry[]): boolean {
  return log.some(({ event }) => event === 'error');
}

function judge(
  logs: readonly (readonly LogEntry[])[],
  sides: readonly Side[],
  since: number,
): Meeting {
  const joinedAt = logs[1]?.find(({ event }) => event === 'joined')?.at ?? since;
  const after = (entries: readonly (LogEntry | undefined)[]): number =>
    Math.max(...entries.map((entry) => entry?.at ?? 0)) - joinedAt;
  const together = (all: readonly unknown[]): string => [...new Set(all)].join(' and ');
  const faults = logs.map((log) => log.find(({ event }) => event === 'error'));
  if (logs.every((log, i) => isOpen(log, sides[i] as Side)))
    return {
      outcome: together(logs.map(pathOf)),
      openMs: after(logs.map((log, i) => openOf(log, sides[i]?.otherNick ?? ''))),
      toldMs: null,
      said: [],
    };
  return {
    outcome: together(faults.map((fault) => fault?.value)),
    openMs: null,
    toldMs: after(faults),
    said: logs.map((log) => String(log.find(({ event }) => event === 'sentence')?.value)),
  };
}
