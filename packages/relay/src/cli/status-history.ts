import type { HealthStats } from '../io/relay-stats.ts';
import { formatBytes, formatDuration, formatRate, sparkline } from './figures.ts';
import type { Sample } from './status-view.ts';

/** What is remembered of an answer of `/statsz`; most of it are sums since the relay's start. */
export interface Point {
  readonly atMs: number;
  readonly uptimeSeconds: number;
  readonly sessions: number;
  readonly joins: number;
  readonly signals: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly dropped: number;
  readonly rssBytes: number;
  readonly delayMs: number;
}

/** An hour, asked every second. */
const MAX_POINTS = 3600;
const LABEL_WIDTH = 10;
/** `now 123.4 MB/s  most 123.4 MB/s` and what parts it from the graph. */
const FIGURES_WIDTH = 34;
const MIN_GRAPH = 10;
/** What a column of a graph may stand for, in seconds. */
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300];

/** A value at each point, or between it and the one before. */
interface Series {
  readonly name: string;
  readonly read: (point: Point) => number;
  readonly isRate: boolean;
  readonly format: (value: number) => string;
}

const whole = (value: number): string => String(Math.round(value));
const perSecond = (format: (value: number) => string) => (value: number) => `${format(value)}/s`;
const rate = perSecond(formatRate);
const traffic = perSecond(formatBytes);

const SERIES: readonly Series[] = [
  { name: 'sessions', read: ({ sessions }) => sessions, isRate: false, format: whole },
  { name: 'joins', read: ({ joins }) => joins, isRate: true, format: rate },
  { name: 'signals', read: ({ signals }) => signals, isRate: true, format: rate },
  { name: 'UDP in', read: ({ bytesIn }) => bytesIn, isRate: true, format: traffic },
  { name: 'UDP out', read: ({ bytesOut }) => bytesOut, isRate: true, format: traffic },
  { name: 'dropped', read: ({ dropped }) => dropped, isRate: true, format: rate },
  { name: 'memory', read: ({ rssBytes }) => rssBytes, isRate: false, format: formatBytes },
  {
    name: 'held up',
    read: ({ delayMs }) => delayMs,
    isRate: false,
    format: (ms) => `${formatRate(ms)} ms`,
  },
];

export function pointOf({ stats, atMs }: Sample): Point {
  const { sessions, joins, signals, traffic: bytes, memory, eventLoop, uptimeSeconds } = stats;
  return {
    atMs,
    uptimeSeconds,
    sessions: sessions.established,
    joins,
    signals,
    bytesIn: bytes.bytesIn,
    bytesOut: bytes.bytesOut,
    dropped: sum(stats.drops) + sum(stats.mesh?.drops ?? {}),
    rssBytes: memory.rssBytes,
    delayMs: eventLoop.p99Ms,
  };
}

/** What was seen of a relay, the newest last. */
export class History {
  readonly #points: Point[] = [];

  get points(): readonly Point[] {
    return this.#points;
  }

  add(sample: Sample): void {
    this.#points.push(pointOf(sample));
    if (this.#points.length > MAX_POINTS) this.#points.shift();
  }
}

/**
 * A graph for each series, as wide as `columns` lets it: the highest value of so many seconds is a
 * column, and a blank one where the relay did not answer.
 */
export function drawHistory(
  points: readonly Point[],
  columns: number,
  paint: (style: 'gray' | 'cyan', text: string) => string,
): readonly string[] {
  const last = points.at(-1);
  if (last === undefined) return [];
  const width = Math.max(MIN_GRAPH, columns - LABEL_WIDTH - FIGURES_WIDTH);
  const seconds = (last.atMs - (points[0]?.atMs ?? last.atMs)) / 1000;
  const step = STEPS.find((one) => one * width >= seconds) ?? Math.ceil(seconds / width);
  const count = Math.min(width, Math.max(1, Math.ceil(seconds / step)));
  const span = formatDuration(Math.max(1, Math.round(Math.min(seconds, count * step))));
  return [
    paint('gray', `the last ${span}; a column is ${step} s, and shows the most`),
    ...SERIES.map((series) => {
      const values = valuesOf(points, series);
      const graph: (number | null)[] = Array.from({ length: count }, () => null);
      for (const { atMs, value } of values) {
        const at = count - 1 - Math.floor((last.atMs - atMs) / (step * 1000));
        if (at >= 0) graph[at] = Math.max(graph[at] ?? 0, value);
      }
      const now = values.at(-1)?.value ?? 0;
      const most = Math.max(...graph.map((value) => value ?? 0));
      const figures = `now ${series.format(now)}`.padEnd(FIGURES_WIDTH / 2 - 1);
      return `${paint('gray', series.name.padEnd(LABEL_WIDTH))}${paint('cyan', sparkline(graph).padStart(width))}  ${figures} most ${series.format(most)}`;
    }),
  ];
}

const ROW: readonly (readonly [name: string, width: number, series: string])[] = [
  ['sessions', 9, 'sessions'],
  ['joins/s', 8, 'joins'],
  ['signals/s', 10, 'signals'],
  ['in/s', 10, 'UDP in'],
  ['out/s', 10, 'UDP out'],
  ['dropped/s', 10, 'dropped'],
  ['memory', 10, 'memory'],
  ['held up', 10, 'held up'],
];
const TIME_WIDTH = 8;

/** What stands above {@link plainRow}. */
export function plainHeader(): string {
  return `${'time'.padEnd(TIME_WIDTH)}${ROW.map(([name, width]) => name.padStart(width)).join('')}  health`;
}

/** The newest point as a line of a table, for what is no terminal. */
export function plainRow(
  points: readonly Point[],
  at: Date,
  health: HealthStats['health'],
): string {
  const cells = ROW.map(([, width, name]) => {
    const series = SERIES.find((one) => one.name === name);
    if (series === undefined) return '';
    const value = valuesOf(points.slice(-2), series).at(-1)?.value ?? 0;
    return series.format(value).replace(/\/s$/, '').replace(' ', '').padStart(width);
  });
  const time = at.toISOString().slice(11, 19);
  return `${time}${cells.join('')}  ${health.length === 0 ? 'well' : health.join(',')}`;
}

function valuesOf(
  points: readonly Point[],
  { read, isRate }: Series,
): readonly { readonly atMs: number; readonly value: number }[] {
  if (!isRate) return points.map((point) => ({ atMs: point.atMs, value: read(point) }));
  return points.slice(1).map((point, i) => {
    const before = points[i] ?? point;
    const seconds = (point.atMs - before.atMs) / 1000;
    // A relay that was restarted counts from zero again.
    const since = point.uptimeSeconds < before.uptimeSeconds ? 0 : read(before);
    const value = seconds > 0 ? Math.max(0, (read(point) - since) / seconds) : 0;
    return { atMs: point.atMs, value };
  });
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((all, one) => all + one, 0);
}
