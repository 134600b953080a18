import assert from 'node:assert/strict';
import { it } from 'node:test';
import {
  RebindingNat,
  TEST_CHANNEL,
  TEST_ICE,
  clientOptions,
  serverCertificate,
  until,
} from '@lumamesh/testkit';
import type { SessionId } from '../session-table.ts';
import { DEFAULT_SESSION_LIMITS } from '../session-types.ts';
import { nodeCrypto } from './node-crypto.ts';
import { UdpClient } from './udp-client.ts';
import { UdpEndpoint } from './udp-endpoint.ts';

/** A client checks every 4 to 6 s, and is heard again behind the next check. */
const CHECK_MS = 6000;

it('a session outlives that the NAT before it gives it another port, twice', async () => {
  let session: SessionId | null = null;
  const ended: string[] = [];
  const udp: UdpEndpoint = await UdpEndpoint.start({
    crypto: nodeCrypto,
    port: 0,
    address: '127.0.0.1',
    ice: TEST_ICE,
    certificate: serverCertificate,
    requestClientCertificate: false,
    negotiatedChannels: [TEST_CHANNEL],
    limits: { maxSessions: 10, cookieThreshold: 5, maxHalfOpen: 10 },
    sessionLimits: DEFAULT_SESSION_LIMITS,
    onEvent: (sessionId, event) => {
      session ??= sessionId;
      if (event.type === 'message') udp.send(sessionId, event.channelId, event.data);
      if (event.type === 'closed') ended.push(event.reason);
    },
  });
  const nat = await RebindingNat.start({ address: '127.0.0.1', port: udp.socket.port });
  const heard: unknown[] = [];
  const client = await UdpClient.connect({
    ...clientOptions({ crypto: nodeCrypto }),
    remote: { address: '127.0.0.1', port: nat.port },
    onEvent: (event) => {
      if (event.type === 'channelOpen') client.send(0, 'first');
      if (event.type === 'message') heard.push(event.data);
    },
  });
  const portOf = (): number | undefined =>
    session === null ? undefined : udp.endpoint.remoteOf(session)?.port;
  try {
    await until(() => heard.length === 1, 'not connected', 5000);
    const ports = [portOf()];
    for (const text of ['second', 'third']) {
      nat.rebind();
      client.send(0, text);
      await until(() => heard.at(-1) === text, `${text} did not come back`, 3 * CHECK_MS);
      ports.push(portOf());
    }
    assert.deepEqual(heard, ['first', 'second', 'third']);
    assert.equal(new Set(ports).size, 3);
    assert.equal(udp.endpoint.counts.sessions, 1);
    assert.deepEqual(ended, []);
  } finally {
    await client.close();
    nat.close();
    await udp.close();
  }
});
