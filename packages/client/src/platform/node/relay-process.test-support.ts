import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';

export interface RelayProcess {
  /** Its line for `relay.txt`. */
  readonly line: string;
  close(): Promise<void>;
}

/** A relay as operators run it, on loopback, with an identity of its own. */
export async function startRelayProcess(): Promise<RelayProcess> {
  const folder = await mkdtemp(join(tmpdir(), 'lumamesh-node-'));
  const main = join(import.meta.dirname, '../../../../relay/src/cli/main.ts');
  const port = 20_000 + Math.floor(Math.random() * 20_000);
  const env = {
    PATH: process.env['PATH'],
    PUBLIC_IP: '127.0.0.1',
    LISTEN_IP: '127.0.0.1',
    UDP_PORT: String(port),
    LOG_LEVEL: 'error',
  };
  const child = spawn(process.execPath, [main], {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const line = await new Promise<string>((resolve, reject) => {
    let output = '';
    child.stdout.on('data', (data: Buffer) => {
      output += data.toString();
      const found = /^luma1\.\S+$/m.exec(output);
      if (found !== null) resolve(found[0]);
    });
    child.once('exit', (code) => reject(new Error(`the relay ended with ${code}`)));
  });
  return {
    line,
    async close() {
      child.kill();
      if (child.exitCode === null) await once(child, 'exit');
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export interface Scene {
  /** The relay's line, once tests run. */
  readonly line: string;
  /** What is to be closed at the end. */
  readonly nets: { close(): void }[];
}

/** A relay for all tests of a file; it, and the nets that they push, end with them. */
export function useRelayProcess(): Scene {
  let relay: RelayProcess | null = null;
  const nets: { close(): void }[] = [];
  before(async () => {
    relay = await startRelayProcess();
  });
  after(async () => {
    for (const net of nets) net.close();
    await relay?.close();
  });
  return {
    nets,
    get line() {
      return relay?.line ?? '';
    },
  };
}
