import type { HealthStats } from '../relay-stats.ts';

interface Sample {
  readonly value: number;
  readonly labels?: Readonly<Record<string, string>>;
}

/** A figure of `/metrics`, and where it comes from. */
export interface Metric {
  readonly kind: 'counter' | 'gauge';
  readonly help: string;
  readonly labels?: readonly string[];
  readonly read: (stats: HealthStats) => readonly Sample[];
}

export const one =
  (read: (stats: HealthStats) => number) =>
  (stats: HealthStats): readonly Sample[] => [{ value: read(stats) }];
export const byLabel =
  (label: string, read: (stats: HealthStats) => Readonly<Record<string, number>>) =>
  (stats: HealthStats): readonly Sample[] =>
    Object.entries(read(stats)).map(([name, value]) => ({ value, labels: { [label]: name } }));
