import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { until } from './waiting.ts';

const MAIN = join(import.meta.dirname, '../../relay/src/cli/main.ts');
/** A relay prints its record as JSON and as a line, each with its end, once it serves. */
const LINES_WHEN_READY = 3;
const READY_LIMIT_MS = 60_000;

/** The relay's program from its sources; RELAY_PROGRAM (tests/binary) or RELAY_MAIN (benchmarks) name another. */
export function relayCommand(): readonly [string, ...string[]] {
  const program = process.env['RELAY_PROGRAM'];
  return program === undefined ? [process.execPath, process.env['RELAY_MAIN'] ?? MAIN] : [program];
}

/** What the program needs of this environment, and no setting but the path that tests run on. */
function bareEnvironment(): Record<string, string> {
  const environment: Record<string, string> = { PATH: process.env['PATH'] ?? '' };
  for (const name of ['NODE_COMPILE_CACHE', 'NATIVE_IO']) {
    const value = process.env[name];
    if (value !== undefined) environment[name] = value;
  }
  return environment;
}

export interface RelayProcessOptions {
  /** The program; by default {@link relayCommand}. */
  readonly command?: readonly string[];
  /** What stands before the program, such as what enters a namespace. */
  readonly prefix?: readonly string[];
  readonly parameters?: readonly string[];
  /** The settings. Nothing of this process's environment but what the program needs to start is added. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** The relay's program as a process of its own. */
export class RelayProcess {
  readonly child: ChildProcess;
  stdout = '';
  stderr = '';

  constructor({
    command = relayCommand(),
    prefix = [],
    parameters = [],
    environment = {},
    cwd,
  }: RelayProcessOptions) {
    const [program = '', ...rest] = [...prefix, ...command, ...parameters];
    this.child = spawn(program, rest, {
      env: { ...bareEnvironment(), ...environment },
      ...(cwd === undefined ? {} : { cwd }),
    });
    this.child.stdout?.on('data', (data: Buffer) => (this.stdout += data.toString()));
    this.child.stderr?.on('data', (data: Buffer) => (this.stderr += data.toString()));
    this.child.on('error', (error) => (this.stderr += error.message));
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** What it printed first, once it serves. */
  get record(): SignedRelayRecord {
    return JSON.parse(this.stdout.split('\n')[0] ?? '') as SignedRelayRecord;
  }

  /** The second line: its record for `relay.txt`. */
  get line(): string {
    return this.stdout.split('\n')[1] ?? '';
  }

  /** Waits until it serves; returns its record. Fails with what it printed when it ends instead. */
  async ready(): Promise<SignedRelayRecord> {
    const isReady = (): boolean => this.stdout.split('\n').length >= LINES_WHEN_READY;
    const said = (): string => `the relay is not up: ${this.stdout}\n${this.stderr}`;
    await until(() => isReady() || this.hasEnded, said, READY_LIMIT_MS);
    assert.ok(!this.hasEnded, said());
    return this.record;
  }

  /** The exit code, once all is read that it has printed. */
  async exitCode(): Promise<number | null> {
    if (!this.hasEnded || this.child.stdout?.closed === false) await once(this.child, 'close');
    return this.child.exitCode;
  }

  /** Ends it: as an operator does, or as a power cut would. */
  async end(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<number | null> {
    if (!this.hasEnded) {
      this.child.kill(signal);
      await once(this.child, 'exit');
    }
    return this.child.exitCode;
  }
}
