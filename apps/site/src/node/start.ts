import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { LumameshError } from '@lumamesh/base';
import { encodeRecordLine } from '@lumamesh/protocol';
import { type RelayConfig, RelayServer, makeLogger, readConfig } from '@lumamesh/relay';
import { serveSite } from './serve-site.ts';

/*
 * `npm start`: a relay and the demo page. The relay announces an address of this machine's own
 * interface, because Firefox never dials 127.0.0.1; the page is served on localhost, because
 * browsers give WebCrypto to secure origins only.
 */
const ROOT = join(import.meta.dirname, '../../../..');
const IDENTITY_FOLDER = join(ROOT, '.lumamesh/demo');
const DEFAULT_HTTP_PORT = 8080;

async function main(): Promise<void> {
  const ownAddress = findOwnAddress();
  const defaults = {
    PUBLIC_IP: ownAddress ?? '127.0.0.1',
    CERT_FILE: join(IDENTITY_FOLDER, 'server.crt'),
    KEY_FILE: join(IDENTITY_FOLDER, 'server.key'),
    NODE_KEY: join(IDENTITY_FOLDER, 'node.key'),
    MESH_FILE: join(IDENTITY_FOLDER, 'mesh-relays.txt'),
    LOG_LEVEL: 'warn',
  };
  const config = readConfig({
    environment: process.env,
    file: { path: 'npm start', values: defaults },
  });
  const relay = await startRelay(config, process.env['UDP_PORT'] === undefined);
  const site = await serveSite(
    relay.record,
    Number(process.env['HTTP_PORT'] ?? DEFAULT_HTTP_PORT),
    process.env['HTTP_PORT'] === undefined,
  );
  const { ip, port } = relay.record;
  const lines = [
    '',
    '  Lumamesh: a relay and a demo are up.',
    '',
    `  Open this in two windows:  http://localhost:${site.port}/`,
    `  Write and draw together:   http://localhost:${site.port}/together`,
    `  The relay listens on:      ${ip}:${port} (UDP)`,
    `  Its line for relay.txt:    ${encodeRecordLine(relay.record)}`,
    '',
  ];
  if (ip === '127.0.0.1')
    lines.push(
      '  This machine has no network address of its own: Chromium will work, Firefox will not (it never dials 127.0.0.1).',
      '',
    );
  process.stdout.write(`${lines.join('\n')}  Ctrl+C stops both.\n\n`);
  const stop = (): void => {
    void site.close();
    void relay.close();
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
}

/**
 * With the port left to us, another program on 3478 is no obstacle: any free port will do, since
 * the page carries the record.
 */
async function startRelay(config: RelayConfig, mayMove: boolean): Promise<RelayServer> {
  const log = await makeLogger(config);
  try {
    return await RelayServer.start(config, log);
  } catch (error) {
    if (!mayMove || !(error instanceof LumameshError) || error.code !== 'PORT_IN_USE') throw error;
    return RelayServer.start({ ...config, udpPort: 0 }, log);
  }
}

function findOwnAddress(): string | null {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? null;
}

try {
  await main();
} catch (error) {
  process.stderr.write(
    `${error instanceof LumameshError ? `${error.message} [${error.code}]` : error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
  process.exit(1);
}
