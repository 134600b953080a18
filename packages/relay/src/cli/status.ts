import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { LumameshError } from '@lumamesh/base';
import { fetchStats } from '../io/check/fetch-stats.ts';
import { readConfig } from '../io/config/config.ts';
import { EXIT_FAILED, say, sourcesOf } from './context.ts';
import { type Sample, drawStatus } from './status-view.ts';

interface StatusFlags {
  readonly once?: true;
  readonly json?: true;
}

const DEFAULT_HEALTH = { host: '127.0.0.1', port: 7401 };
const INTERVAL_MS = 1000;
const HISTORY = 60;
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
    .option('--once', 'print it once, and end; the exit code is 1 when the relay is not well')
    .option('--json', 'what /statsz says, once')
    .action(async (flags: StatusFlags, command: Command) => {
      const listen = readConfig(sourcesOf(command)).healthListen ?? DEFAULT_HEALTH;
      if (flags.json !== true && flags.once !== true && process.stdout.isTTY) return watch(listen);
      const sample = await ask(listen);
      say(
        flags.json === true
          ? JSON.stringify(sample.stats, null, 2)
          : drawStatus([sample], DEFAULT_COLUMNS, process.stdout.isTTY).join('\n'),
      );
      // For those who ask by a program: HEALTHCHECK of a container, cron.
      if (sample.stats.health.length > 0) process.exitCode = EXIT_FAILED;
    });
}

async function watch(listen: typeof DEFAULT_HEALTH): Promise<void> {
  const samples: Sample[] = [await ask(listen)];
  const leave = (): void => {
    process.stdout.write(LEAVE);
    process.exit(0);
  };
  process.once('SIGINT', leave);
  process.once('SIGTERM', leave);
  process.stdout.write(ENTER);
  for (let note = ''; ;) {
    const lines = [
      ...drawStatus(samples, process.stdout.columns, true).slice(
        0,
        Math.max(1, process.stdout.rows - 2),
      ),
      note,
      'Ctrl+C ends the view',
    ];
    process.stdout.write(
      `${HOME}${lines.map((line) => line + CLEAR_LINE).join('\n')}${CLEAR_BELOW}`,
    );
    await sleep(INTERVAL_MS);
    try {
      samples.push(await ask(listen));
      if (samples.length > HISTORY) samples.shift();
      note = '';
    } catch (error) {
      // It may be restarting.
      note = (error as Error).message;
    }
  }
}

/** Throws `RELAY_NOT_RUNNING`. */
async function ask(listen: typeof DEFAULT_HEALTH): Promise<Sample> {
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
