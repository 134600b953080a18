import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type Socket, connect } from 'node:net';
import { describe, it } from 'node:test';
import { endpointOptions, pause, testIo, until } from '@lumamesh/testkit';
import { UdpEndpoint, monotonicNow } from '@lumamesh/transport/io';
import { silentLogger } from '../log.ts';
import { sampleStats } from '../relay-stats.test-support.ts';
import type { RelayServer } from '../relay-server.ts';
import type { HealthMonitor } from './health-monitor.ts';
import { HealthServer } from './health-server.ts';
import { checkSelf } from './self-check.ts';

/** A bare Binding request. */
const QUESTION = Uint8Array.of(0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, ...new Uint8Array(12));

async function startUdp(): Promise<UdpEndpoint> {
  return UdpEndpoint.start({
    native: testIo.udp,
    ...endpointOptions({ crypto: testIo.crypto }),
    port: 0,
    address: '127.0.0.1',
    onEvent: () => undefined,
  });
}

/** @param nodeId makes the figures as long as is wanted */
async function startHealth(nodeId = 'test'): Promise<HealthServer> {
  const relay = {
    identity: { nk: 'test' },
    outside: sampleStats().outside,
    stats: () => ({ ...sampleStats(), nodeId }),
  };
  const monitor = { reasons: [], eventLoop: { p50Ms: 0, p99Ms: 0, maxMs: 0 } };
  return HealthServer.start(
    relay as unknown as RelayServer,
    monitor as unknown as HealthMonitor,
    { host: '127.0.0.1', port: 0 },
    silentLogger,
  );
}

describe('health under fire', () => {
  it("a flood of STUN from the relay's own address takes nothing of what its own check needs", async () => {
    const udp = await startUdp();
    const stranger = { address: '127.0.0.1', port: 9 };
    for (let i = 0; i < 20_000; i++)
      udp.endpoint.handleDatagram(monotonicNow(), stranger, QUESTION);
    assert.ok(udp.endpoint.drops.get('endpoint.stunBudget') > 10_000);
    const { port } = udp.socket;
    assert.equal(await checkSelf(udp, { address: '127.0.0.1', port }, 10_000), 'answered');
    await udp.close();
  });

  it('a check that is lost among thousands of datagrams says nothing; one that is lost in silence does', async () => {
    const udp = await startUdp();
    const nobody = { address: '127.0.0.1', port: 9 };
    assert.equal(await checkSelf(udp, nobody, 200), 'unanswered');
    const check = checkSelf(udp, nobody, 200);
    udp.traffic.datagramsIn += 10_000;
    assert.equal(await check, 'drowned');
    await udp.close();
  });

  it('connections on which nobody asks keep no watcher out', async () => {
    const server = await startHealth();
    const { port } = server;
    const slow: Socket[] = [];
    let closed = 0;
    for (let i = 0; i < 100; i++) {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.once('close', () => (closed += 1));
      await once(socket, 'connect');
      socket.write('GET /healthz HTTP/1.1\r\n');
      slow.push(socket);
      if (i % 20 !== 0) continue;
      const response = await fetch(`http://127.0.0.1:${port}/healthz`);
      assert.equal(response.status, 200);
    }
    await until(() => closed >= 84, 'those beyond the bound are still there');
    for (const socket of slow) socket.destroy();
    server.close();
  });

  it('connections on which nobody reads the answer keep no watcher out', async () => {
    // More than the kernel takes.
    const server = await startHealth('x'.repeat(8 * 1024 * 1024));
    const { port } = server;
    const deaf: Socket[] = [];
    for (let i = 0; i < 16; i++) {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => undefined);
      await once(socket, 'connect');
      socket.pause();
      socket.write('GET /statsz HTTP/1.1\r\nHost: localhost\r\n\r\n');
      deaf.push(socket);
    }
    await pause(200);
    for (let i = 0; i < 3; i++) {
      const response = await fetch(`http://127.0.0.1:${port}/healthz`);
      assert.equal(response.status, 200);
      await response.text();
    }
    for (const socket of deaf) socket.destroy();
    server.close();
  });
});
