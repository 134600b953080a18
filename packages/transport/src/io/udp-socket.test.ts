import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LumameshError } from '@lumamesh/base';
import { TEST_CHANNEL, clientOptions, endpointOptions, until } from '@lumamesh/testkit';
import { UdpClient } from './udp-client.ts';
import { UdpEndpoint } from './udp-endpoint.ts';
import { hasSendCapacity } from './datagram-path.ts';
import type { Remote } from '../five-tuple.ts';
import { type IoPath, chooseIoPath } from './io-path.ts';
import { type BoundSocket, RECEIVE_BUFFER_BYTES, bindUdpSocket } from './udp-socket.ts';

const PATHS = [chooseIoPath('off'), chooseIoPath('auto')].filter(
  ({ name }, i) => i === 0 || name === 'native',
);
const IGNORE = { onDatagram: () => undefined, onSendError: () => undefined };

describe('the queue of a socket', () => {
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
});

for (const io of PATHS)
  describe(`the UDP shell, ${io.name}`, () => {
    it('reports a destination that cannot be sent to instead of throwing', async () => {
      const errors: string[] = [];
      const socket = await bindUdpSocket({
        ...IGNORE,
        port: 0,
        native: io.udp,
        onSendError: (error) => errors.push(error.code ?? ''),
      });
      socket.send({ address: '127.0.0.1', port: 0 }, new Uint8Array(1));
      socket.send({ address: 'not an address', port: 9 }, new Uint8Array(1));
      socket.flush();
      await until(() => errors.length === 2, 'both are reported');
      await socket.close();
    });

    it('says which port is taken', async () => {
      const first = await bindUdpSocket({ ...IGNORE, native: io.udp, port: 0 });
      const error: unknown = await bindUdpSocket({
        ...IGNORE,
        native: io.udp,
        port: first.port,
      }).then(
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
        ...endpointOptions({ crypto: io.crypto }),
        native: io.udp,
        port: 0,
        onEvent: (sessionId, event) => {
          if (event.type === 'message') udp.send(sessionId, event.channelId, event.data);
        },
      });
      const addresses = udp.socket.isDualStack
        ? ['127.0.0.1', '::1', '0:0:0:0:0:0:0:1']
        : ['127.0.0.1'];
      for (const address of addresses)
        assert.equal(await echoFrom(io, { address, port: udp.socket.port }), `over ${address}`);
      await udp.close();
    });

    it(
      'answers from the address that was asked, where there are several',
      { skip: process.platform === 'linux' ? false : 'one loopback address only' },
      async () => {
        const udp: UdpEndpoint = await UdpEndpoint.start({
          ...endpointOptions({ crypto: io.crypto }),
          native: io.udp,
          port: 0,
          // One that is no address of this machine does no harm.
          ownAddresses: ['127.0.0.1', '127.0.0.2', '192.0.2.77'],
          onEvent: (sessionId, event) => {
            if (event.type === 'message') udp.send(sessionId, event.channelId, event.data);
          },
        });
        const { port } = udp.socket;
        for (const address of ['127.0.0.2', '127.0.0.1'])
          assert.equal(await echoFrom(io, { address, port }), `over ${address}`);
        // Nobody else gets the port, shared as it is between these.
        for (const isShared of [false, true])
          await assert.rejects(
            bindUdpSocket({ ...IGNORE, native: io.udp, port, isShared }),
            (error) => error instanceof LumameshError && error.code === 'PORT_IN_USE',
          );
        await udp.close();
      },
    );

    it('carries datagrams of every length, many at once, in order', async () => {
      const came: Uint8Array[] = [];
      const [a, b] = await twoSockets(io, (data) => came.push(data));
      // Around one batch of the native path, and longer than it has room for.
      const lengths = [
        ...Array.from({ length: 200 }, (_, i) => i * 7),
        1536,
        1537,
        4000,
        20_000,
        9,
      ];
      for (const [i, length] of lengths.entries())
        assert.ok(a.send(to(b), new Uint8Array(length).fill(i)));
      a.flush();
      await until(() => came.length === lengths.length, 'all have come');
      // What is too long for the fast path is cut off there, so that an endpoint drops it.
      for (const [i, data] of came.entries()) {
        assert.ok(data.length === lengths[i] || (data.length > 4096 && (lengths[i] ?? 0) > 4096));
        assert.ok(data.every((byte) => byte === (i & 0xff)));
      }
      await Promise.all([a.close(), b.close()]);
    });

    it('gives each datagram bytes of its own', async () => {
      const came: Uint8Array[] = [];
      const [a, b] = await twoSockets(io, (data) => came.push(data));
      for (let round = 0; round < 3; round++) {
        for (let i = 0; i < 100; i++) a.send(to(b), new Uint8Array(100).fill(round * 100 + i));
        a.flush();
        await until(() => came.length === (round + 1) * 100, 'all have come');
      }
      for (const [i, data] of came.entries()) assert.ok(data.every((byte) => byte === (i & 0xff)));
      await Promise.all([a.close(), b.close()]);
    });

    it('loses nothing when a socket closes while it receives, and sends nothing afterwards', async () => {
      let received = 0;
      const [a, b]: readonly [BoundSocket, BoundSocket] = await twoSockets(io, () => {
        received += 1;
        if (received === 3) void b.close();
      });
      for (let i = 0; i < 60; i++) a.send(to(b), new Uint8Array(10));
      a.flush();
      await until(() => received >= 3, 'three have come');
      await a.close();
      await new Promise((resolve) => setTimeout(resolve, 20));
      assert.equal(received, 3);
      // Its descriptor may be another's by now.
      a.flush();
      b.flush();
    });

    it('reports what the kernel refuses, and sends the rest', async () => {
      const errors: (string | undefined)[] = [];
      const came: number[] = [];
      const [a, b] = await twoSockets(
        io,
        (data) => came.push(data[0] ?? -1),
        (error) => errors.push(error.code),
      );
      a.send(to(b), Uint8Array.of(1));
      // Broadcasts need a permission that these sockets do not ask for.
      a.send({ address: '255.255.255.255', port: 9 }, Uint8Array.of(2));
      a.send(to(b), Uint8Array.of(3));
      a.send(to(b), new Uint8Array(70_000));
      a.send(to(b), Uint8Array.of(4));
      a.flush();
      await until(() => came.length === 3 && errors.length === 2, 'three came, two did not');
      assert.deepEqual(came, [1, 3, 4]);
      assert.deepEqual(new Set(errors), new Set(['EACCES', 'EMSGSIZE']));
      await Promise.all([a.close(), b.close()]);
    });

    it('has a large receive buffer, whichever way it is bound', async () => {
      const socket = await bindUdpSocket({ ...IGNORE, native: io.udp, port: 0 });
      assert.ok(socket.receiveBufferBytes > 0 && socket.receiveBufferBytes <= RECEIVE_BUFFER_BYTES);
      await socket.close();
    });
  });

const to = (socket: BoundSocket): Remote => ({ address: '127.0.0.1', port: socket.port });

async function twoSockets(
  io: IoPath,
  onDatagram: (data: Uint8Array) => void,
  onSendError: (error: NodeJS.ErrnoException) => void = () => undefined,
): Promise<readonly [BoundSocket, BoundSocket]> {
  const options = { native: io.udp, port: 0, onSendError };
  return [
    await bindUdpSocket({ ...options, onDatagram: () => undefined }),
    await bindUdpSocket({ ...options, onDatagram: (_remote, data) => onDatagram(data) }),
  ];
}

/** What an endpoint sends back to a client. */
async function echoFrom(io: IoPath, remote: Remote): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let client: UdpClient | null = null;
    UdpClient.connect({
      ...clientOptions({ crypto: io.crypto }),
      remote,
      onEvent: (event) => {
        if (event.type === 'connected') client?.send(TEST_CHANNEL.id, `over ${remote.address}`);
        if (event.type === 'closed')
          reject(new Error(`${remote.address}: ${event.reason} ${event.detail}`));
        if (event.type !== 'message') return;
        resolve(event.data);
        void client?.close();
      },
    }).then((made) => (client = made), reject);
  });
}
