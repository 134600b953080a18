import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BuildOptions, build } from 'esbuild';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { RelayServer, readConfig, silentLogger } from '@lumamesh/relay';
import {
  type BrowserName,
  type StrictPage,
  findBrowser,
  findTestAddress,
  serveStrictPage,
} from '@lumamesh/testkit/browsers';
import { fromPacked } from './packed.ts';

export const BROWSERS: readonly BrowserName[] = ['chromium', 'firefox'];

/**
 * A harness of page/ as one script.
 * @param library where it has the library from: it is as published unless something else is said
 */
export async function bundleHarness(
  file: string,
  library: BuildOptions = { plugins: [fromPacked()] },
): Promise<string> {
  const result = await build({
    entryPoints: [join(import.meta.dirname, `page/${file}`)],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    ...library,
  });
  return result.outputFiles?.[0]?.text ?? '';
}

export async function serveHarness(
  file = 'harness.ts',
  policy?: string,
  host?: string,
): Promise<StrictPage> {
  return serveStrictPage(await bundleHarness(file), policy, host);
}

export interface TestRelay {
  readonly record: SignedRelayRecord;
  readonly server: RelayServer;
  /** Ends the relay and starts it again on the same port with the same identity. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

/** A relay on the test address, with an identity of its own. */
export async function startRelay(environment: Record<string, string> = {}): Promise<TestRelay> {
  const address = findTestAddress();
  assert.ok(address !== null, 'this host has no address but loopback');
  const folder = await mkdtemp(join(tmpdir(), 'lumamesh-browser-'));
  const inFolder = (file: string): string => join(folder, file);
  const files = {
    CERT_FILE: inFolder('server.crt'),
    KEY_FILE: inFolder('server.key'),
    NODE_KEY: inFolder('node.key'),
    MESH_FILE: inFolder('mesh-relays.txt'),
  };
  const config = {
    ...readConfig({ environment: { PUBLIC_IP: address, ...files, ...environment } }),
    udpPort: Number(environment['UDP_PORT'] ?? 0),
  };
  let server = await RelayServer.start(config, silentLogger);
  return {
    record: server.record,
    get server() {
      return server;
    },
    async restart() {
      await server.close();
      server = await RelayServer.start({ ...config, udpPort: server.record.port }, silentLogger);
    },
    async close() {
      await server.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Why browser tests cannot run here, or `null`. */
export function whySkipped(): string | null {
  const missing = BROWSERS.filter((name) => findBrowser(name) === null);
  if (missing.length > 0)
    return `${missing.join(' and ')} not installed (Debian: apt-get install chromium firefox-esr)`;
  return findTestAddress() === null
    ? 'this host has no address but loopback, which Firefox does not dial'
    : null;
}
