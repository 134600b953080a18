import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import type { Command, Target } from './load-generator.ts';
import type { Usage } from './usage.ts';

/*
 * `npm run bench`: CPU per session set-up, memory per idle session, time to joined in a burst, and
 * CPU per relayed signal. The relay runs in a process of its own and is measured by its own user
 * and system time; the load comes from another. A plain signaling server on `ws` over TLS goes
 * through the same. `npm run bench -- 3` repeats everything three times.
 */
const SESSIONS = 1000;
const WARM_SESSIONS = 200;
const SIGNAL_BYTES = 300;

/** What is measured, in turn: ours, and what a page author would write instead. */
const PROGRAMS: Readonly<Record<string, string>> = {
  lumamesh: 'relay-process.ts',
  wsOverTls: 'ws-process.ts',
};

interface Bench {
  usage(): Promise<Usage>;
  load<T>(command: Command): Promise<T>;
  close(): void;
}

async function reply<T>(child: ChildProcess, message?: object | string): Promise<T> {
  const answer = once(child, 'message');
  if (message !== undefined) child.send(message);
  const [value] = (await answer) as [T];
  return value;
}

async function start(program: string): Promise<Bench> {
  const folder = mkdtempSync(join(tmpdir(), 'lumamesh-bench-'));
  const env = {
    ...process.env,
    CERT_FILE: join(folder, 'server.crt'),
    KEY_FILE: join(folder, 'server.key'),
    NODE_KEY: join(folder, 'node.key'),
    UDP_PORT: process.env['BENCH_PORT'] ?? '34780',
    MAX_SESSIONS: String(SESSIONS + WARM_SESSIONS + 100),
    MAX_MESSAGES_PER_SECOND: '1000000',
    // All of them come from this machine.
    MAX_SESSIONS_PER_ADDRESS: String(SESSIONS + WARM_SESSIONS),
    MAX_SESSIONS_PER_NETWORK: String(SESSIONS + WARM_SESSIONS),
    MAX_HALF_OPEN: String(8 * SESSIONS),
    MAX_HANDSHAKES_PER_SECOND: '1000000',
    MAX_STUN_PER_SECOND: '1000000',
    MAX_BYTES_PER_SECOND: '999999999',
  };
  const relay = fork(join(import.meta.dirname, program), {
    env,
    execArgv: ['--expose-gc', '--max-semi-space-size=4'],
  });
  const target = await reply<Target>(relay);
  const generator = fork(join(import.meta.dirname, 'load-generator.ts'), [JSON.stringify(target)]);
  await reply(generator);
  return {
    usage: () => reply<Usage>(relay, 'usage'),
    load: <T>(command: Command) => reply<T>(generator, command),
    close() {
      generator.send({ type: 'quit' } satisfies Command);
      relay.send('quit');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const workMs = ({ userMs, systemMs, forcedGcMs }: Usage): number => userMs + systemMs - forcedGcMs;
const cpuMs = (before: Usage, after: Usage): number => workMs(after) - workMs(before);
const round = (value: number, digits = 3): number => Number(value.toFixed(digits));

interface ConnectResult {
  readonly connected: number;
  readonly failed: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

interface SignalResult {
  readonly sent: number;
  readonly received: number;
  readonly elapsedMs: number;
}

async function measure(program: string): Promise<Record<string, unknown>> {
  const bench = await start(program);
  try {
    await bench.load({ type: 'connect', sessions: WARM_SESSIONS, concurrency: 20 });
    const beforeSetup = await bench.usage();
    const setup = await bench.load<ConnectResult>({
      type: 'connect',
      sessions: SESSIONS,
      concurrency: 50,
    });
    const afterSetup = await bench.usage();
    const setupResult = {
      sessions: setup.connected,
      failed: setup.failed,
      cpuMsPerSession: round(cpuMs(beforeSetup, afterSetup) / setup.connected),
      residentKbPerIdleSession: round(
        (afterSetup.rssBytes - beforeSetup.rssBytes) / setup.connected / 1024,
        1,
      ),
      heapKbPerIdleSession: round(
        (afterSetup.heapBytes - beforeSetup.heapBytes) / setup.connected / 1024,
        1,
      ),
    };
    const paced = await measureSignals(bench, {
      type: 'signal',
      durationMs: 5000,
      bytes: SIGNAL_BYTES,
      perSecond: 1000,
      pairs: 100,
    });
    const saturated = await measureSignals(bench, {
      type: 'signal',
      durationMs: 5000,
      bytes: SIGNAL_BYTES,
      pairs: 20,
      outstanding: 8,
    });
    return {
      setup: setupResult,
      signalPaced1000PerSecond: paced,
      signalSaturated20Pairs8Outstanding: saturated,
    };
  } finally {
    bench.close();
  }
}

async function measureSignals(bench: Bench, command: Command): Promise<object> {
  const before = await bench.usage();
  const result = await bench.load<SignalResult>(command);
  const after = await bench.usage();
  return {
    messages: result.received,
    perSecond: Math.round((result.received / result.elapsedMs) * 1000),
    cpuMicrosecondsPerSignal: round((cpuMs(before, after) * 1000) / result.received, 1),
  };
}

/** A thousand browsers at once, against a relay that has just started. */
async function measureBurst(program: string): Promise<Record<string, unknown>> {
  const bench = await start(program);
  try {
    const burst = await bench.load<ConnectResult>({
      type: 'connect',
      sessions: SESSIONS,
      concurrency: SESSIONS,
    });
    return {
      connected: burst.connected,
      failed: burst.failed,
      p50Ms: round(burst.p50Ms, 0),
      p99Ms: round(burst.p99Ms, 0),
    };
  } finally {
    bench.close();
  }
}

function commit(): string {
  try {
    const dirty =
      execFileSync('git', ['status', '--porcelain'], { encoding: 'utf8' }) === ''
        ? ''
        : ' with changes';
    return (
      execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim() + dirty
    );
  } catch {
    return 'unknown';
  }
}

const machine = {
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  memoryGb: round(totalmem() / 2 ** 30, 0),
  node: process.version,
};
for (let i = 0; i < Number(process.argv[2] ?? 1); i++) {
  const result: Record<string, unknown> = { commit: commit(), machine };
  // By turns, so that both see the same machine.
  for (const [name, program] of Object.entries(PROGRAMS))
    result[name] = { ...(await measure(program)), burst1000: await measureBurst(program) };
  process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
}
