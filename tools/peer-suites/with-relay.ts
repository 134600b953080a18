import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RelayProcess } from '@lumamesh/testkit';
import { findTestAddress } from '@lumamesh/testkit/browsers';

/*
 * `node with-relay.ts PROGRAM …`: runs a program while there is a relay, whose line stands in
 * LUMAMESH_RELAY; ends as the program does.
 */
const folder = mkdtempSync(join(tmpdir(), 'lumamesh-peer-relay-'));
const file = (name: string): string => join(folder, name);
const relay = new RelayProcess({
  environment: {
    PUBLIC_IP: findTestAddress() ?? '127.0.0.1',
    UDP_PORT: String(await freePort()),
    CERT_FILE: file('server.crt'),
    KEY_FILE: file('server.key'),
    NODE_KEY: file('node.key'),
  },
});
try {
  await relay.ready();
  const [program = '', ...parameters] = process.argv.slice(2);
  const child = spawn(program, parameters, {
    stdio: 'inherit',
    env: { ...process.env, LUMAMESH_RELAY: relay.line },
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  process.exitCode = code ?? 1;
} finally {
  relay.child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
}

async function freePort(): Promise<number> {
  const socket = createSocket('udp4').bind();
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  return port;
}
