import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monotonicNow } from '@lumamesh/transport/io';

/*
 * `npm run bench:start -- [rounds]`: how long a relay takes until it serves (its record is
 * printed), with an identity that is there, and what memory it holds five seconds later, as the
 * binary, the bundle and from its sources, by turns. Medians, as JSON. Linux only: memory is read
 * from /proc.
 */
const ROOT = join(import.meta.dirname, '..');
const BINARY = join(ROOT, 'dist/relay/lumamesh-relay');
const FORMS: Readonly<Record<string, readonly [string, ...string[]]>> = {
  binary: [BINARY],
  bundle: [process.execPath, `${BINARY}.mjs`],
  sources: [process.execPath, join(ROOT, 'packages/relay/src/cli/main.ts')],
};
const SETTLE_MS = 5000;
const PORT = 30_478;

interface Sample {
  readonly readyMs: number;
  readonly residentMb: number;
  /** Not shared with any other process, and not backed by a file: what one more relay costs. */
  readonly privateMb: number;
}

async function measure(
  [program, ...parameters]: readonly [string, ...string[]],
  cwd: string,
): Promise<Sample> {
  const env = {
    PUBLIC_IP: '127.0.0.1',
    LISTEN_IP: '127.0.0.1',
    UDP_PORT: String(PORT),
    LOG_LEVEL: 'error',
    MALLOC_ARENA_MAX: '1',
  };
  const startedAt = monotonicNow();
  const child = spawn(program, parameters, { cwd, env, stdio: ['ignore', 'pipe', 'inherit'] });
  await lineOf(child);
  const readyMs = monotonicNow() - startedAt;
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  const memory = readFileSync(`/proc/${child.pid}/smaps_rollup`, 'utf8');
  const kilobytes = (name: string): number =>
    Number(new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(memory)?.[1] ?? Number.NaN);
  child.kill();
  await once(child, 'exit');
  return {
    readyMs,
    residentMb: kilobytes('Rss') / 1024,
    privateMb: kilobytes('Private_Dirty') / 1024,
  };
}

async function lineOf(child: ChildProcess): Promise<void> {
  let output = '';
  for await (const data of child.stdout ?? []) {
    output += String(data);
    if (/^luma1\..*\n/m.test(output)) return;
  }
  throw new Error('the relay ended before it was ready');
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return Math.round((sorted[Math.floor(sorted.length / 2)] ?? Number.NaN) * 10) / 10;
}

if (!existsSync(BINARY))
  execFileSync('npm', ['run', 'build:binary'], {
    cwd: ROOT,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
const rounds = Number(process.argv[2] ?? 5);
const folder = await mkdtemp(join(tmpdir(), 'lumamesh-start-'));
const samples = new Map<string, Sample[]>(Object.keys(FORMS).map((name) => [name, []]));
// The first of all makes the identity.
await measure(FORMS['sources'] ?? [''], folder);
for (let round = 0; round < rounds; round++)
  for (const [name, command] of Object.entries(FORMS))
    samples.get(name)?.push(await measure(command, folder));
await rm(folder, { recursive: true });
const result = Object.fromEntries(
  [...samples].map(([name, list]) => [
    name,
    {
      readyMs: median(list.map(({ readyMs }) => readyMs)),
      readyMsRange: [
        Math.min(...list.map(({ readyMs }) => readyMs)),
        Math.max(...list.map(({ readyMs }) => readyMs)),
      ].map(Math.round),
      residentMb: median(list.map(({ residentMb }) => residentMb)),
      privateMb: median(list.map(({ privateMb }) => privateMb)),
    },
  ]),
);
process.stdout.write(`${JSON.stringify({ rounds, ...result }, null, 2)}\n`);
