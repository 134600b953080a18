/* How the figures of a relay are written for people. */

const BARS = '▁▂▃▄▅▆▇█';
const UNITS = ['B', 'KB', 'MB', 'GB', 'TB'];

/**
 * One character for each value, the highest as a whole block; a blank for one that is not known.
 * Empty where there is nothing but zeros.
 */
export function sparkline(values: readonly (number | null)[]): string {
  const top = Math.max(...values.map((value) => value ?? 0), 0);
  if (top === 0) return '';
  const bar = (value: number): string =>
    BARS[Math.min(BARS.length - 1, Math.floor((value / top) * (BARS.length - 1)))] ?? '';
  return values.map((value) => (value === null ? ' ' : bar(value))).join('');
}

/** A rate with one digit behind the point where that tells something. */
export function formatRate(perSecond: number): string {
  return perSecond >= 100 ? String(Math.round(perSecond)) : String(Math.round(perSecond * 10) / 10);
}

export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  for (; value >= 1000 && unit < UNITS.length - 1; unit++) value /= 1000;
  return `${value >= 100 || unit === 0 ? Math.round(value) : Math.round(value * 10) / 10} ${UNITS[unit]}`;
}

export function formatDuration(seconds: number): string {
  const [days, hours, minutes] = [
    Math.floor(seconds / 86_400),
    Math.floor(seconds / 3600) % 24,
    Math.floor(seconds / 60) % 60,
  ];
  if (days > 0) return `${days} d ${hours} h`;
  return hours > 0 ? `${hours} h ${minutes} min` : `${minutes} min ${seconds % 60} s`;
}
