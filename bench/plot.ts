import type { Line } from './report.ts';
import type { PeerName } from './peers/peer-process.ts';

const WIDTH = 760;
const LABEL_WIDTH = 250;
const BAR_HEIGHT = 12;
const GAP = 12;
const COLOURS: Readonly<Partial<Record<PeerName, string>>> = {
  pion: '#3b6fb6',
  'ws over TLS': '#c0702a',
  'lumamesh without native I/O': '#8a8a8a',
};

/**
 * Ours divided by theirs, as bars with their spread, one group a figure; the line is where both
 * cost the same.
 */
export function plotOf(lines: readonly Line[], title: string): string {
  const shown = lines.filter(({ ratios }) => Object.keys(ratios).length > 0);
  const values = shown.flatMap(({ ratios }) => Object.values(ratios).map(({ max }) => max));
  const scale = Math.max(1.2, Math.min(8, ...[Math.max(1, ...values)]));
  const x = (ratio: number): number =>
    LABEL_WIDTH + (Math.min(ratio, scale) / scale) * (WIDTH - LABEL_WIDTH - 60);
  let y = 40;
  const parts: string[] = [];
  for (const { figure, ratios } of shown) {
    const entries = Object.entries(ratios) as [
      PeerName,
      { median: number; min: number; max: number },
    ][];
    parts.push(text(LABEL_WIDTH - 8, y + BAR_HEIGHT, figure, 'end'));
    for (const [name, { median, min, max }] of entries) {
      const middle = y + BAR_HEIGHT / 2;
      parts.push(
        `<rect x="${LABEL_WIDTH}" y="${y}" width="${(x(median) - LABEL_WIDTH).toFixed(1)}" height="${BAR_HEIGHT - 2}" fill="${COLOURS[name] ?? '#555'}"/>`,
        `<path d="M${x(min).toFixed(1)} ${middle}H${x(max).toFixed(1)}" stroke="#000"/>`,
        text(x(Math.max(median, max)) + 6, y + BAR_HEIGHT - 2, `${median}`, 'start'),
      );
      y += BAR_HEIGHT;
    }
    y += GAP;
  }
  const legend = Object.entries(COLOURS)
    .map(
      ([name, colour], i) =>
        `<rect x="${LABEL_WIDTH + i * 170}" y="${y}" width="10" height="10" fill="${colour}"/>${text(LABEL_WIDTH + i * 170 + 15, y + 9, `ours / ${name}`, 'start')}`,
    )
    .join('');
  const same = `<path d="M${x(1).toFixed(1)} 30V${y - GAP / 2}" stroke="#000" stroke-dasharray="3 3"/>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y + 24}" font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="#fff"/>${text(LABEL_WIDTH, 18, title, 'start')}${parts.join('')}${same}${legend}</svg>\n`;
}

function text(x: number, y: number, content: string, anchor: 'start' | 'end'): string {
  return `<text x="${x.toFixed(1)}" y="${y}" text-anchor="${anchor}">${content.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</text>`;
}
