import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Interface, createInterface } from 'node:readline';
import { buildGo } from '@lumamesh/testkit';
import type { Command, Target } from '../load-generator.ts';
import { cpuMs } from '../process-usage.ts';
import type { Answer } from './answer-parent.ts';

/** What is measured: ours by both paths, and what others would run. */
export type PeerName =
  | 'lumamesh'
  | 'lumamesh without native I/O'
  | 'lumamesh by X25519'
  | 'lumamesh by DTLS 1.2'
  | 'pion'
  | 'ws over TLS';

export interface Usage {
  readonly cpuMs: number;
  readonly rssBytes: number;
  readonly loopDelayP99Ms: number;
}

export interface LoadResult {
  /** Cores that the generator used: near one, it is the bottleneck. */
  readonly generatorLoad: number;
}

let pionProgram: string | null = null;

/** A peer in a process of its own, and a generator of load in another. */
export class PeerProcess {
  readonly startMs: number;
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  readonly #generator: ChildProcess;
  readonly #folder: string;
  /** What forced collections took: it counts for nobody. */
  #gcMs = 0;

  private constructor(
    child: ChildProcess,
    lines: Interface,
    generator: ChildProcess,
    folder: string,
    startMs: number,
  ) {
    this.#child = child;
    this.#lines = lines;
    this.#generator = generator;
    this.#folder = folder;
    this.startMs = startMs;
  }

  static async start(name: PeerName, maxSessions: number): Promise<PeerProcess> {
    const folder = mkdtempSync(join(tmpdir(), 'lumamesh-bench-'));
    const [program, parameters] = commandOf(name);
    const startedAt = performance.now();
    const child = spawn(program, parameters, {
      env: { ...process.env, ...settings(folder, name, maxSessions) },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: child.stdout });
    const died = once(child, 'exit').then(() => {
      throw new Error(`${name} ended before it served`);
    });
    const [target] = (await Promise.race([once(lines, 'line'), died])) as [string];
    // From here on it ends when it is told to.
    died.catch(() => undefined);
    const startMs = performance.now() - startedAt;
    JSON.parse(target) as Target;
    const generator = fork(join(import.meta.dirname, '../load-generator.ts'), [target]);
    await once(generator, 'message');
    return new PeerProcess(child, lines, generator, folder, startMs);
  }

  /** CPU so far by the operating system, memory as a collection leaves it. */
  async usage(): Promise<Usage> {
    const pid = this.#child.pid ?? 0;
    const ownMs = cpuMs(pid) - this.#gcMs;
    const answered = once(this.#lines, 'line');
    this.#child.stdin?.write('\n');
    const [line] = (await answered) as [string];
    const { gcMs, loopDelayP99Ms } = JSON.parse(line) as Answer;
    this.#gcMs += gcMs;
    const [, residentPages = '0'] = readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ');
    return {
      cpuMs: ownMs,
      rssBytes: Number(residentPages) * 4096,
      loopDelayP99Ms: loopDelayP99Ms ?? NaN,
    };
  }

  async load<T>(command: Command): Promise<T & LoadResult> {
    const answered = once(this.#generator, 'message');
    this.#generator.send(command);
    const [result] = (await answered) as [T & LoadResult];
    return result;
  }

  async stop(): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#generator.kill();
    this.#child.stdin?.end();
    await ended;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function commandOf(name: PeerName): readonly [string, readonly string[]] {
  if (name === 'pion') {
    pionProgram ??= buildGo(
      join(import.meta.dirname, 'pion/main.go'),
      mkdtempSync(join(tmpdir(), 'lumamesh-bench-go-')),
    );
    return [pionProgram, []];
  }
  const script = name === 'ws over TLS' ? 'ws.ts' : 'lumamesh.ts';
  const flags = ['--expose-gc', '--max-semi-space-size=4'];
  return [process.execPath, [...flags, join(import.meta.dirname, script)]];
}

/** All of the load comes from one address: nothing of it may be refused for that. */
function settings(folder: string, name: PeerName, maxSessions: number): Record<string, string> {
  const many = '100000000';
  return {
    NATIVE_IO: name === 'lumamesh without native I/O' ? 'off' : 'auto',
    KEY_EXCHANGE: name === 'lumamesh by X25519' ? 'x25519' : 'hybrid',
    DTLS_MAX_VERSION: name === 'lumamesh by DTLS 1.2' ? '1.2' : '1.3',
    CERT_FILE: join(folder, 'server.crt'),
    KEY_FILE: join(folder, 'server.key'),
    NODE_KEY: join(folder, 'node.key'),
    UDP_PORT: process.env['BENCH_PORT'] ?? '20478',
    MAX_SESSIONS: String(maxSessions),
    MAX_SESSIONS_PER_ADDRESS: String(maxSessions),
    MAX_SESSIONS_PER_NETWORK: String(maxSessions),
    MAX_MESSAGES_PER_SECOND: '1000000',
    MAX_HALF_OPEN: '100000',
    MAX_HANDSHAKES_PER_SECOND: '1000000',
    MAX_STUN_PER_SECOND: '1000000',
    MAX_DELIVERIES_PER_SECOND: '1000000',
    MAX_BYTES_PER_SECOND: many,
    MAX_HELD_MB: '1024',
  };
}
