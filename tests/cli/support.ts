import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectToRelay } from '@lumamesh/testkit';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import type { UdpClient } from '@lumamesh/transport/io';

const MAIN = join(import.meta.dirname, '../../packages/relay/src/cli/main.ts');
const PATIENCE_MS = 30_000;

export interface Run {
  readonly child: ChildProcess;
  stdout: string;
  stderr: string;
}

/** Starts the program with this environment, and no other, and these arguments. */
export type StartRun = (
  environment?: Readonly<Record<string, string>>,
  ...parameters: string[]
) => Run;

/** The relay's program: its sources, or what RELAY_PROGRAM names (tests/binary). */
export function relayCommand(): readonly [string, ...string[]] {
  const program = process.env['RELAY_PROGRAM'];
  return program === undefined ? [process.execPath, MAIN] : [program];
}

/** Runs a test in a folder of its own; all that it started ends with it. */
export async function inFolder(
  test: (folder: string, run: StartRun) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'lumamesh-cli-'));
  const runs: Run[] = [];
  const [program, ...first] = relayCommand();
  try {
    await test(folder, (environment = {}, ...parameters) => {
      const child = spawn(program, [...first, ...parameters], {
        cwd: folder,
        env: { PATH: process.env['PATH'] ?? '', ...environment },
      });
      const run: Run = { child, stdout: '', stderr: '' };
      child.stdout.on('data', (data: Buffer) => (run.stdout += data.toString()));
      child.stderr.on('data', (data: Buffer) => (run.stderr += data.toString()));
      runs.push(run);
      return run;
    });
  } finally {
    for (const { child } of runs) if (child.exitCode === null) child.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  }
}

export async function exitCode({ child }: Run): Promise<number | null> {
  // With all it has printed.
  if (child.exitCode === null || child.stdout?.closed === false) await once(child, 'close');
  return child.exitCode;
}

/** A command that ends by itself: its exit code and what it printed. */
export async function finished(
  run: Run,
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
  const code = await exitCode(run);
  return { code, stdout: run.stdout, stderr: run.stderr };
}

/** The exit code and the output of a command that says what it found as JSON. */
export async function readJson(
  run: Run,
): Promise<{ readonly code: number | null; readonly value: unknown }> {
  const { code, stdout, stderr } = await finished(run);
  assert.ok(stdout.startsWith('[') || stdout.startsWith('{'), stderr);
  return { code, value: JSON.parse(stdout) };
}

/** The record of a relay, once it runs. */
export async function started(run: Run): Promise<SignedRelayRecord> {
  await until(
    () => run.stdout.split('\n').length >= 3 || run.child.exitCode !== null,
    () => `${run.stdout}\n${run.stderr}`,
  );
  assert.equal(run.child.exitCode, null, run.stderr);
  return JSON.parse(run.stdout.split('\n')[0] ?? '') as SignedRelayRecord;
}

export async function until(isDone: () => boolean, what: string | (() => string)): Promise<void> {
  const endsAt = Date.now() + PATIENCE_MS;
  while (!isDone()) {
    assert.ok(Date.now() < endsAt, typeof what === 'string' ? what : what());
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export async function freePort(): Promise<number> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}

/** A client of the record, once the relay has said its first word, which it hands over with all others. It goes nowhere by itself. */
export async function stubbornClient(
  record: SignedRelayRecord,
): Promise<{ readonly heard: readonly string[]; readonly client: UdpClient }> {
  const heard: string[] = [];
  let fault: string | null = null;
  const client = await connectToRelay(record, (event) => {
    if (event.type === 'message') heard.push(String(event.data));
    if (event.type === 'closed') fault = `${event.reason} ${event.detail}`;
  });
  await until(() => heard.length > 0 || fault !== null, 'no first frame');
  assert.ok(heard.length > 0, fault ?? '');
  return { heard, client };
}

/** What a client of the record hears first from the relay. */
export async function firstFrame(record: SignedRelayRecord): Promise<string> {
  const { heard, client } = await stubbornClient(record);
  await client.close();
  return heard[0] ?? '';
}
