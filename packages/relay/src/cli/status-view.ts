import { styleText } from 'node:util';
import type { HealthStats } from '../io/relay-stats.ts';
import { EXPIRES_SOON_DAYS, daysLeft } from '../io/record-expiry.ts';
import { formatBytes, formatDuration, formatRate, sparkline } from './figures.ts';

/** What the view is drawn from: the last answers of `/statsz`, the newest last. */
export interface Sample {
  readonly atMs: number;
  readonly stats: HealthStats;
}

/** The relay itself writes these colours; they take no room. */
const COLOUR_OR_CHARACTER = new RegExp(`${String.fromCodePoint(27)}\\[[0-9;]*m|.`, 'gu');
const MAX_DROPS = 12;
const LABEL_WIDTH = 10;

/**
 * The screen of `lumamesh-relay status`, line by line; rates are those between the last two
 * samples.
 */
export function drawStatus(
  samples: readonly Sample[],
  columns: number,
  hasColor: boolean,
  nowUnixMs = Date.now(),
): string[] {
  const last = samples.at(-1);
  if (last === undefined) return ['waiting for the first answer …'];
  const { stats } = last;
  const paint = painter(hasColor);
  const label = (text: string): string => paint('gray', text.padEnd(LABEL_WIDTH));
  const rate = (read: (stats: HealthStats) => number): string => formatRate(rateOf(samples, read));
  const history = (read: (stats: HealthStats) => number): string =>
    sparkline(samples.map((sample) => read(sample.stats)));
  const { sessions, rooms, traffic, memory, eventLoop, mesh, turn, tcp, bandwidth, monthly } =
    stats;
  const health =
    stats.health.length === 0
      ? paint('green', 'well')
      : paint('red', `not well: ${stats.health.join(', ')}`);
  const lines = [
    `${paint('bold', 'lumamesh-relay')} ${stats.version} (${stats.commit})  up ${formatDuration(stats.uptimeSeconds)}  ${health}`,
    paint('gray', stats.nodeId),
    ...operatorLines(stats, label),
    '',
    `${label('sessions')}${sessions.established} of ${sessions.max}, ${sessions.halfOpen} coming  ${paint(
      'cyan',
      history((one) => one.sessions.established),
    )}`,
    `${label('outside')}${outsideText(stats.outside, paint)}`,
    `${label('record')}${recordText(stats.record, nowUnixMs, paint)}`,
    ...accessLines(samples, stats, label),
    `${label('rooms')}${rooms.rooms}, ${rooms.members} members; ${rate((one) => one.joins)} joins/s`,
    `${label('signals')}${rate((one) => one.signals)}/s, ${stats.signals} in all  ${paint('cyan', sparkline(differences(samples, (one) => one.signals)))}`,
    `${label('errors')}${rate((one) => one.errors)}/s, ${stats.errors} in all`,
    `${label('UDP in')}${formatBytes(rateOf(samples, (one) => one.traffic.bytesIn))}/s, ${rate((one) => one.traffic.datagramsIn)} datagrams/s, ${formatBytes(traffic.bytesIn)} in all`,
    `${label('UDP out')}${formatBytes(rateOf(samples, (one) => one.traffic.bytesOut))}/s, ${rate((one) => one.traffic.datagramsOut)} datagrams/s, ${formatBytes(traffic.bytesOut)} in all`,
    `${label('process')}${formatBytes(memory.rssBytes)} resident; event loop held up ${eventLoop.p99Ms} ms (p99), ${eventLoop.maxMs} ms at most`,
  ];
  if (bandwidth !== undefined)
    lines.push(
      `${label('bandwidth')}${formatBytes(rateOf(samples, (one) => one.traffic.bytesIn + one.traffic.bytesOut))}/s of ${formatBytes(bandwidth.bytesPerSecond)}/s; ${formatBytes(bandwidth.waitingBytes)} wait`,
    );
  if (monthly !== undefined)
    lines.push(
      `${label('month')}${formatBytes(monthly.bytes)} of ${formatBytes(monthly.max)} in ${monthly.month}${monthly.isResting ? paint('red', '; USED: THE RELAY RESTS UNTIL THE MONTH TURNS') : ''}`,
    );
  if (tcp !== undefined) lines.push(`${label('TCP')}${tcp.sockets} connections`);
  if (turn !== undefined)
    lines.push(
      `${label('TURN')}${formatBytes(rateOf(samples, (one) => one.turn?.forwardedBytes ?? 0))}/s of ${formatBytes(turn.bytesPerSecond)}/s forwarded, ${formatBytes(turn.forwardedBytes)} in all; ${turn.allocations} allocations`,
    );
  if (mesh !== undefined) {
    const { links, records, homes } = mesh;
    lines.push(
      `${label('mesh')}${links.outbound} links out, ${links.inbound} in, ${links.accepted} have reached us; ${records.alive} relays alive, ${records.suspect} suspect`,
      `${label('')}home of ${homes.roomsHeld} rooms; signals ${mesh.signals.in} in, ${mesh.signals.out} out; ${mesh.bans} banned${mesh.identityConflicts > 0 ? paint('red', '; ANOTHER RELAY RUNS WITH OUR KEY') : ''}`,
    );
  }
  lines.push('', ...drawDrops(samples, { ...stats.drops, ...mesh?.drops }, paint));
  return lines.map((text) => clip(text, columns));
}

/** Colours a text, or does not. */
export function painter(hasColor: boolean) {
  return (style: Parameters<typeof styleText>[0], text: string): string =>
    hasColor ? styleText(style, text, { validateStream: false }) : text;
}

/** What its operator calls it, and how to reach him: as others see it in the record. */
function operatorLines(
  { record: { nickname, contact } }: HealthStats,
  label: (text: string) => string,
): string[] {
  if (nickname === undefined && contact === undefined) return [];
  return [
    `${label('operator')}${[nickname, contact].filter((text) => text !== undefined).join(' · ')}`,
  ];
}

function recordText(
  { expires, published }: HealthStats['record'],
  nowUnixMs: number,
  paint: (style: 'red', text: string) => string,
): string {
  const own = `valid for ${daysLeft(expires, nowUnixMs)} days, signed anew every day`;
  if (published === null) return `${own}; not in the public list of this version`;
  const left = daysLeft(published, nowUnixMs);
  const line =
    left < 0
      ? 'ITS LINE IN THE PUBLIC LIST HAS EXPIRED: publish the output of encode'
      : `its line in the public list for ${left} days`;
  return `${own}; ${left < EXPIRES_SOON_DAYS ? paint('red', line) : line}`;
}

function accessLines(
  samples: readonly Sample[],
  { access }: HealthStats,
  label: (text: string) => string,
): string[] {
  if (access === undefined) return [];
  const { tokens, waiting, denied } = access;
  const rate = formatRate(rateOf(samples, (one) => one.access?.denied ?? 0));
  return [
    `${label('access')}private: ${tokens} tokens; ${waiting} sessions have shown none yet; ${rate} wrong ones/s, ${denied} in all`,
  ];
}

function outsideText(
  { verdict, by, ageSeconds, elsewhere, helpers }: HealthStats['outside'],
  paint: (style: 'green' | 'red', text: string) => string,
): string {
  const ago = ageSeconds === null ? '' : `, ${formatDuration(ageSeconds)} ago`;
  if (verdict === 'reached')
    return `${paint('green', 'reachable')}: ${by === 'session' ? 'somebody came in' : 'a relay dialled back'}${ago}`;
  if (verdict === 'unreached')
    return `${paint('red', 'NOT REACHABLE')}: relays that were asked found nobody${ago}`;
  if (elsewhere !== null) return `not known: others see this machine at ${elsewhere}`;
  return helpers === 0
    ? 'not known yet: no relay to ask, and nobody has come in'
    : `not known yet: ${helpers} relays to ask`;
}

function drawDrops(
  samples: readonly Sample[],
  drops: Readonly<Record<string, number>>,
  paint: (style: 'gray', text: string) => string,
): string[] {
  const entries = Object.entries(drops)
    .map(([reason, count]) => ({
      reason,
      count,
      perSecond: rateOf(samples, ({ drops: own, mesh }) => own[reason] ?? mesh?.drops[reason] ?? 0),
    }))
    .toSorted((a, b) => b.perSecond - a.perSecond || b.count - a.count);
  if (entries.length === 0) return [paint('gray', 'nothing was dropped')];
  const shown = entries.slice(0, MAX_DROPS);
  const width = Math.max(...shown.map(({ reason }) => reason.length));
  return [
    paint('gray', 'dropped, by reason (docs/operations.md)'),
    ...shown.map(
      ({ reason, count, perSecond }) =>
        `  ${reason.padEnd(width)}  ${formatRate(perSecond).padStart(8)}/s  ${String(count).padStart(10)}`,
    ),
    ...(entries.length > MAX_DROPS
      ? [paint('gray', `  and ${entries.length - MAX_DROPS} more kinds`)]
      : []),
  ];
}

function rateOf(samples: readonly Sample[], read: (stats: HealthStats) => number): number {
  const [before, last] = samples.slice(-2);
  if (before === undefined || last === undefined) return 0;
  // A relay that was restarted counts from zero again.
  return Math.max(0, (read(last.stats) - read(before.stats)) / ((last.atMs - before.atMs) / 1000));
}

function differences(samples: readonly Sample[], read: (stats: HealthStats) => number): number[] {
  return samples.slice(1).map((_, i) => rateOf(samples.slice(i, i + 2), read));
}

/** Cuts a line to the width of the terminal; escape sequences take no room. */
export function clip(text: string, columns: number): string {
  let width = 0;
  return text.replaceAll(COLOUR_OR_CHARACTER, (part) =>
    part.startsWith('\u001B') || ++width <= columns ? part : '',
  );
}
