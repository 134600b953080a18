import type { Figures } from './cases.ts';
import type { PeerName } from './peers/peer-process.ts';

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** One figure, of each peer that was measured, and ours to theirs. */
export interface Line {
  readonly figure: string;
  readonly peers: Readonly<Partial<Record<PeerName, Spread>>>;
  /**
   * The median of our figure divided by theirs, round by round: both have seen the same machine.
   */
  readonly ratios: Readonly<Partial<Record<PeerName, Spread>>>;
}

export type Round = Readonly<Partial<Record<PeerName, Figures>>>;

export function spreadOf(values: readonly number[]): Spread | null {
  const sorted = values.filter((value) => Number.isFinite(value)).toSorted((a, b) => a - b);
  const [min] = sorted;
  const max = sorted.at(-1);
  if (min === undefined || max === undefined) return null;
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? min;
  const median = sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? min) + upper) / 2;
  return { median: rounded(median), min: rounded(min), max: rounded(max) };
}

/** Puts the rounds of one case together, figure by figure. */
export function linesOf(rounds: readonly Round[], ours: PeerName): Line[] {
  const names = [...new Set(rounds.flatMap((round) => Object.keys(round) as PeerName[]))];
  const figures = new Set(
    rounds.flatMap((round) => Object.values(round).flatMap((one) => Object.keys(one))),
  );
  return [...figures].map((figure) => {
    const of = (name: PeerName): number[] =>
      rounds.map((round) => round[name]?.[figure] ?? Number.NaN);
    const ratioTo = (name: PeerName): number[] => {
      const theirs = of(name);
      return of(ours).map((value, i) => value / (theirs[i] ?? Number.NaN));
    };
    const entries = (
      read: (name: PeerName) => number[],
      all: readonly PeerName[],
    ): Partial<Record<PeerName, Spread>> =>
      Object.fromEntries(
        all.flatMap((name) => {
          const spread = spreadOf(read(name));
          return spread === null ? [] : [[name, spread]];
        }),
      );
    return {
      figure,
      peers: entries(of, names),
      ratios: entries(
        ratioTo,
        names.filter((name) => name !== ours),
      ),
    };
  });
}

/** A table to be read, with a line for each figure. */
export function tableOf(
  lines: readonly Line[],
  names: readonly PeerName[],
  ours: PeerName,
): string {
  const others = names.filter((name) => name !== ours);
  const rows = [
    ['', ...names, ...others.map((name) => `ours / ${name}`)],
    ...lines.map(({ figure, peers, ratios }) => [
      figure,
      ...names.map((name) => shown(peers[name])),
      ...others.map((name) => shown(ratios[name])),
    ]),
  ];
  const widths = rows[0]?.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0))) ?? [];
  return rows.map((row) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')).join('\n');
}

function shown(spread: Spread | undefined): string {
  if (spread === undefined) return '–';
  const { median, min, max } = spread;
  return min === max ? String(median) : `${median} (${min}–${max})`;
}

function rounded(value: number): number {
  return Number(value.toPrecision(3));
}
