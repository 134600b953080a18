import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RelayProcess, connectToRelay, until } from '@lumamesh/testkit';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import type { UdpClient } from '@lumamesh/transport/io';

/** Starts the program with this environment, and no other, and these arguments. */
export type StartRun = (
  environment?: Readonly<Record<string, string>>,
  ...parameters: string[]
) => RelayProcess;

/** Runs a test in a folder of its own; all that it started ends with it. */
export async function inFolder(
  test: (folder: string, run: StartRun) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'lumamesh-cli-'));
  const runs: RelayProcess[] = [];
  try {
    await test(folder, (environment = {}, ...parameters) => {
      const run = new RelayProcess({ cwd: folder, environment, parameters });
      runs.push(run);
      return run;
    });
  } finally {
    await Promise.all(runs.map((run) => run.end('SIGKILL')));
    await rm(folder, { recursive: true, force: true });
  }
}

/** A command that ends by itself: its exit code and what it printed. */
export async function finished(
  run: RelayProcess,
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
  const code = await run.exitCode();
  return { code, stdout: run.stdout, stderr: run.stderr };
}

/** The exit code and the output of a command that says what it found as JSON. */
export async function readJson(
  run: RelayProcess,
): Promise<{ readonly code: number | null; readonly value: unknown }> {
  const { code, stdout, stderr } = await finished(run);
  assert.ok(stdout.startsWith('[') || stdout.startsWith('{'), stderr);
  return { code, value: JSON.parse(stdout) };
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
