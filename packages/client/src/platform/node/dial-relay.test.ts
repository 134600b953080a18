import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { after, before, describe, it } from 'node:test';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { RelayProcess, pause, until } from '@lumamesh/testkit';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RelayChannel } from '../relay-channel.ts';
import { dialRelay } from './dial-relay.ts';

/* By which ways a Node program reaches a relay that has several. */

const folder = mkdtempSync(join(tmpdir(), 'lumamesh-dial-'));
/** Nobody answers there (RFC 5737). */
const NOWHERE = '192.0.2.1';
const TCP_AFTER_MS = 300;
const NEVER_MS = 1_000_000;

describe('a Node program on its way to a relay', () => {
  let relay: RelayProcess;
  let record: SignedRelayRecord;
  const channels: RelayChannel[] = [];
  /** A UDP port that takes everything and answers nothing. */
  const silent = createSocket('udp4');

  before(async () => {
    silent.bind(0, '127.0.0.1');
    await once(silent, 'listening');
    relay = new RelayProcess({
      cwd: folder,
      environment: {
        PUBLIC_IP: '127.0.0.1',
        UDP_PORT: String(await freePort()),
        TCP_PORT: String(await freePort()),
        LOG_LEVEL: 'error',
      },
    });
    record = await relay.ready();
  });
  after(async () => {
    for (const channel of channels) channel.close();
    silent.close();
    await relay.end();
    rmSync(folder, { recursive: true, force: true });
  });

  function dial(
    changes: Partial<SignedRelayRecord>,
    addresses: readonly string[],
    tcpAfterMs = TCP_AFTER_MS,
  ): string[] {
    const told: string[] = [];
    const channel = dialRelay(
      { ...record, ...changes },
      addresses,
      {
        open: (isTcp) => told.push(isTcp ? 'open tcp' : 'open udp'),
        frame: (text) => told.push((JSON.parse(text) as { readonly action: string }).action),
        closed: (code) => told.push(code),
      },
      tcpAfterMs,
    );
    channels.push(channel);
    return told;
  }

  const toldAll = async (told: readonly string[], wanted: readonly string[]): Promise<void> => {
    await until(
      () => told.length >= wanted.length,
      () => told.join(', '),
    );
    assert.deepEqual([...told].toSorted(), [...wanted].toSorted());
  };

  it('goes by UDP where that is answered', async () => {
    await toldAll(dial({}, ['127.0.0.1'], NEVER_MS), ['open udp', 'welcome']);
  });

  it('goes by TCP where UDP finds nobody', async () => {
    const { port } = silent.address();
    await toldAll(dial({ port }, ['127.0.0.1']), ['open tcp', 'welcome']);
  });

  it('goes to the next address without waiting for the first', async () => {
    await toldAll(dial({}, [NOWHERE, '::1'], NEVER_MS), ['open udp', 'welcome']);
  });

  it('tells once that no way leads there, or that somebody else is there', async () => {
    const { tcpPort: _, ...udpOnly } = record;
    const forged = { ...udpOnly, fingerprint: record.fingerprint.replace(/^../, '00') };
    await toldAll(dial(forged, ['127.0.0.1', '::1']), ['RELAY_FORGED']);
    const port = await freePort();
    const told = dial({ port, tcpPort: port }, ['::1']);
    // TCP is refused at once; UDP may still be answered.
    await pause(3 * TCP_AFTER_MS);
    assert.deepEqual(told, []);
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}
