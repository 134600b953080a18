import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LumameshError } from '@lumamesh/base';
import { TEST_CHANNEL, clientOptions, endpointOptions } from '@lumamesh/testkit';
import { nodeCrypto } from './node-crypto.ts';
import { UdpClient } from './udp-client.ts';
import { UdpEndpoint } from './udp-endpoint.ts';
import { bindUdpSocket, hasSendCapacity } from './udp-socket.ts';

const IGNORE = { onDatagram: () => undefined, onSendError: () => undefined };

describe('the UDP shell', () => {
  it('reports a destination that cannot be sent to instead of throwing', async () => {
    const errors: string[] = [];
    const socket = await bindUdpSocket({
      ...IGNORE,
      port: 0,
      onSendError: (error) => errors.push(error.code ?? ''),
    });
    socket.send({ address: '127.0.0.1', port: 0 }, new Uint8Array(1));
    socket.send({ address: 'not an address', port: 9 }, new Uint8Array(1));
    await new Promise((resolve) => setTimeout(resolve, 50));
    await socket.close();
    assert.equal(errors.length, 2);
  });

  it('keeps a few megabytes for a kernel that takes no more, and drops the rest', () => {
    const queue = { bytes: 0, count: 0 };
    const socket = {
      getSendQueueSize: () => queue.bytes,
      getSendQueueCount: () => queue.count,
    };
    for (let i = 0; i < 100_000; i++) {
      const bytes = i % 2 === 0 ? 1200 : 40;
      if (!hasSendCapacity(socket, bytes)) continue;
      queue.bytes += bytes;
      queue.count += 1;
    }
    assert.ok(queue.bytes > 1e6 && queue.bytes <= 2 * 1024 * 1024);
    assert.ok(queue.count <= 4096);
    queue.bytes = 0;
    assert.ok(hasSendCapacity(socket, 1200), 'an empty queue takes everything');
    assert.ok(hasSendCapacity({}, 1200), 'a runtime that does not tell');
  });

  it('says which port is taken', async () => {
    const first = await bindUdpSocket({ ...IGNORE, port: 0 });
    const error: unknown = await bindUdpSocket({ ...IGNORE, port: first.port }).then(
      () => null,
      (reason: unknown) => reason,
    );
    assert.ok(
      error instanceof LumameshError &&
        error.code === 'PORT_IN_USE' &&
        error.message.includes(String(first.port)),
    );
    await first.close();
  });

  it('serves IPv4 and IPv6 by one socket', async () => {
    const udp: UdpEndpoint = await UdpEndpoint.start({
      ...endpointOptions({ crypto: nodeCrypto }),
      port: 0,
      onEvent: (sessionId, event) => {
        if (event.type === 'message') udp.send(sessionId, event.channelId, event.data);
      },
    });
    const addresses = udp.socket.isDualStack
      ? ['127.0.0.1', '::1', '0:0:0:0:0:0:0:1']
      : ['127.0.0.1'];
    for (const address of addresses) {
      const echo = await new Promise((resolve, reject) => {
        let client: UdpClient | null = null;
        const options = {
          ...clientOptions({ crypto: nodeCrypto }),
          remote: { address, port: udp.socket.port },
        };
        UdpClient.connect({
          ...options,
          onEvent: (event) => {
            if (event.type === 'connected') client?.send(TEST_CHANNEL.id, `over ${address}`);
            if (event.type === 'closed')
              reject(new Error(`${address}: ${event.reason} ${event.detail}`));
            if (event.type !== 'message') return;
            resolve(event.data);
            void client?.close();
          },
        }).then((made) => (client = made), reject);
      });
      assert.equal(echo, `over ${address}`);
    }
    await udp.close();
  });
});
