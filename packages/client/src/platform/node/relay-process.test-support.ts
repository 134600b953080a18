import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { RelayProcess } from '@lumamesh/testkit';

export interface RunningRelay {
  /** Its line for `relay.txt`. */
  readonly line: string;
  /** Where its files are. */
  readonly folder: string;
  /** Has it read its settings again. */
  reload(): void;
  close(): Promise<void>;
}

/** A relay as operators run it, on loopback, with an identity of its own. */
export async function startRelayProcess(
  settings: Readonly<Record<string, string>> = {},
  prepare: (folder: string) => Promise<void> = async () => undefined,
): Promise<RunningRelay> {
  const folder = await mkdtemp(join(tmpdir(), 'lumamesh-node-'));
  const port = 20_000 + Math.floor(Math.random() * 12_000);
  const environment = {
    PUBLIC_IP: '127.0.0.1',
    LISTEN_IP: '127.0.0.1',
    UDP_PORT: String(port),
    LOG_LEVEL: 'error',
    ...settings,
  };
  await prepare(folder);
  const relay = new RelayProcess({ cwd: folder, environment });
  await relay.ready();
  return {
    line: relay.line,
    folder,
    reload: () => void relay.child.kill('SIGHUP'),
    async close() {
      await relay.end();
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
export function useRelayProcess(settings: Readonly<Record<string, string>> = {}): Scene {
  let relay: RunningRelay | null = null;
  const nets: { close(): void }[] = [];
  before(async () => {
    relay = await startRelayProcess(settings);
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
