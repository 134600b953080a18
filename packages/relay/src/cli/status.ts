import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { LumameshError } from '@lumamesh/base';
import { fetchStats } from '../io/check/fetch-stats.ts';
import { readConfig } from '../io/config/config.ts';
import { EXIT_FAILED, say, sourcesOf } from './context.ts';
import { History, drawHistory, plainHeader, plainRow } from './status-history.ts';
import { type Sample, clip, drawStatus, painter } from './status-view.ts';

interface StatusFlags {
  readonly once?: true;
  readonly json?: true;
  readonly watch?: true;
  readonly interval?: string;
  readonly count?: string;
}

type Listen = typeof DEFAULT_HEALTH;

/** How a relay is watched: how often it is asked, and how many times. */
interface Watch {
  readonly listen: Listen;
  readonly intervalMs: number;
  readonly count: number;
  readonly hasHistory: boolean;
}

const DEFAULT_HEALTH = { host: '127.0.0.1', port: 7401 };
const MAX_INTERVAL_S = 3600;
/** Of these the view shows rates, and a short history of its own. */
const SAMPLES = 60;
const DEFAULT_COLUMNS = 100;
/** ESC [ H: to the top left; ESC [ J: clear what is below; ESC [ K: clear the rest of a line. */
const HOME = '\u001B[H';
const CLEAR_BELOW = '\u001B[J';
const CLEAR_LINE = '\u001B[K';
/**
 * The alternate screen: what stood there before comes back at the end. The cursor is hidden
 * meanwhile.
 */
const ENTER = '\u001B[?1049h\u001B[?25l';
const LEAVE = '\u001B[?25h\u001B[?1049l';

/** `status`: a live view of a relay on this machine; once, where nobody watches. */
export function addStatusCommand(program: Command): void {
  program
    .command('status')
    .description(
      'live view of a running relay: sessions, rooms, rates, drops, mesh (asks HEALTH_LISTEN, else 127.0.0.1:7401)',
    )
    .option('--watch', 'with graphs over time; a line each time where there is no terminal')
    .option('--interval <seconds>', 'how often the relay is asked', '1')
    .option('--count <n>', 'how many times, until the view ends')
    .option('--once', 'print it once, and end; the exit code is 1 when the relay is not well')
    .option('--json', 'what /statsz says, once')
    .action(async (flags: StatusFlags, command: Command) => {
      const listen = readConfig(sourcesOf(command)).healthListen ?? DEFAULT_HEALTH;
      const hasTerminal = process.stdout.isTTY;
      const isOnce = flags.json === true || flags.once === true;
      const watch = { ...readWatch(flags), listen };
      if (!isOnce && hasTerminal) return show(watch);
      if (!isOnce && watch.hasHistory) return print(watch);
      const sample = await ask(listen);
      say(
        flags.json === true
          ? JSON.stringify(sample.stats, null, 2)
          : drawStatus([sample], DEFAULT_COLUMNS, hasTerminal).join('\n'),
      );
      // For those who ask by a program: HEALTHCHECK of a container, cron.
      if (sample.stats.health.length > 0) process.exitCode = EXIT_FAILED;
    });
}

/** Throws `BAD_ARGUMENT`. */
function readWatch({ watch, interval = '1', count }: StatusFlags): Omit<Watch, 'listen'> {
  const seconds = Number(interval);
  if (!(seconds >= 0.1 && seconds <= MAX_INTERVAL_S))
    throw new LumameshError('BAD_ARGUMENT', `--interval is 0.1 to ${MAX_INTERVAL_S} seconds`);
  const times = count === undefined ? Infinity : Number(count);
  if (!(times >= 1)) throw new LumameshError('BAD_ARGUMENT', '--count is a number above 0');
  return { intervalMs: seconds * 1000, count: times, hasHistory: watch === true };
}

/** On a terminal: a screen that is drawn anew. */
async function show({ listen, intervalMs, count, hasHistory }: Watch): Promise<void> {
  const history = new History();
  const samples: Sample[] = [];
  const take = async (): Promise<void> => {
    const sample = await ask(listen);
    history.add(sample);
    samples.push(sample);
    if (samples.length > SAMPLES) samples.shift();
  };
  await take();
  const leave = (): void => {
    process.stdout.write(LEAVE);
    process.exit(0);
  };
  process.once('SIGINT', leave);
  process.once('SIGTERM', leave);
  process.stdout.write(ENTER);
  let note = '';
  for (let i = 1; ; i++) {
    const { columns, rows } = process.stdout;
    const status = drawStatus(samples, columns, true);
    const graphs = hasHistory ? [...drawHistory(history.points, columns, painter(true)), ''] : [];
    const lines = [
      // What was asked for stands where there is place for it.
      ...[...status.slice(0, 1), ...graphs, ...status.slice(1)]
        .map((line) => clip(line, columns))
        .slice(0, Math.max(1, rows - 2)),
      note,
      'Ctrl+C ends the view',
    ];
    process.stdout.write(
      `${HOME}${lines.map((line) => line + CLEAR_LINE).join('\n')}${CLEAR_BELOW}`,
    );
    if (i >= count) break;
    await sleep(intervalMs);
    try {
      await take();
      note = '';
    } catch (error) {
      // It may be restarting.
      note = (error as Error).message;
    }
  }
  process.stdout.write(LEAVE);
}

/** Elsewhere: a line each time, as vmstat has it. */
async function print({ listen, intervalMs, count }: Watch): Promise<void> {
  const history = new History();
  // Rates are between two answers.
  history.add(await ask(listen));
  say(plainHeader());
  for (let i = 0; i < count; i++) {
    await sleep(intervalMs);
    try {
      const sample = await ask(listen);
      history.add(sample);
      say(plainRow(history.points, new Date(), sample.stats.health));
    } catch (error) {
      say(`${new Date().toISOString().slice(11, 19)}  ${(error as Error).message}`);
    }
  }
}

/** Throws `RELAY_NOT_RUNNING`. */
async function ask(listen: Listen): Promise<Sample> {
  try {
    return { stats: await fetchStats(listen), atMs: performance.now() };
  } catch (error) {
    const { message, cause } = error as Error;
    const why = cause instanceof Error ? cause.message : message;
    throw new LumameshError(
      'RELAY_NOT_RUNNING',
      `no relay answers at ${listen.host}:${listen.port} (${why}): is one running with this HEALTH_LISTEN?`,
      {
        cause: error,
      },
    );
  }
}
