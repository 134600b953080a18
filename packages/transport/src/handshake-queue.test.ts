import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  SessionHost,
  TEST_CHANNEL,
  clientOptions,
  connectedPair,
  testCrypto,
} from '@lumamesh/testkit';
import type { EndpointOutput } from './endpoint-types.ts';
import { HandshakeQueue } from './handshake-queue.ts';
import type { Slot } from './session-table.ts';
import { sourceOf } from './source.ts';

function slotAt(address: string): Slot {
  return { source: sourceOf(address) } as Slot;
}

describe('what waits for handshakes', () => {
  it('goes on in turn by networks, each from the oldest to the newest, as it came', () => {
    const queue = new HandshakeQueue();
    const [crowd, other] = [slotAt('192.0.2.1'), slotAt('192.0.2.2')];
    const newcomer = slotAt('203.0.113.1');
    const numbered = (n: number): Uint8Array => new Uint8Array(20).fill(n);
    const datagram = numbered(1);
    queue.add(crowd, datagram);
    datagram[0] = 99;
    queue.add(crowd, numbered(2));
    queue.add(other, numbered(3));
    queue.add(newcomer, numbered(4));
    assert.ok(queue.holds(crowd) && queue.holds(newcomer));
    const order = [];
    for (let next = queue.take(); next !== null; next = queue.take()) order.push(next.datagram[0]);
    assert.deepEqual(order, [1, 4, 2, 3]);
    assert.ok(queue.isEmpty && !queue.holds(crowd));
  });

  it('is eight datagrams of a session, and a share of the room for each network', () => {
    const queue = new HandshakeQueue();
    const one = slotAt('192.0.2.1');
    for (let i = 0; i < 8; i++) assert.equal(queue.add(one, new Uint8Array(100 + i)), null);
    assert.equal(queue.add(one, new Uint8Array(99)), 'full');
    const crowd = (network: number): number => {
      let taken = 0;
      while (queue.add(slotAt(`198.51.${network}.${taken % 250}`), new Uint8Array(1400)) === null)
        taken++;
      return taken;
    };
    const first = crowd(1);
    assert.ok(first > 600 && first < 1300, `${first}`);
    let total = first;
    for (let network = 2; network < 250; network++) total += crowd(network);
    assert.ok(total * 1656 <= 8 * 2 ** 20, `${total}`);
    assert.equal(crowd(1), 0);
    assert.equal(queue.add(slotAt('203.0.113.1'), new Uint8Array(1400)), null, 'of another one');
    while (queue.take() !== null);
    assert.ok(queue.isEmpty && queue.add(one, new Uint8Array(1400)) === null);
  });

  it('is not what waits already: a record that is sent again has another number only', () => {
    const queue = new HandshakeQueue();
    const one = slotAt('192.0.2.1');
    const record = (number: number, body: number): Uint8Array => {
      const bytes = new Uint8Array(100).fill(body, 13);
      bytes[10] = number;
      return bytes;
    };
    assert.equal(queue.add(one, record(0, 7)), null);
    assert.equal(queue.add(one, record(1, 7)), 'repeated');
    assert.equal(queue.add(one, record(1, 8)), null);
    assert.equal(queue.add(slotAt('192.0.2.1'), record(0, 7)), null, 'of another session');
    queue.take();
    assert.equal(queue.add(one, record(2, 7)), null, 'once it was taken');
  });
});

describe('an endpoint with handshakes that wait', () => {
  it('serves who is in before them, and loses none of them', () => {
    const { net, server, client, sessionId } = connectedPair();
    const { endpoint } = server;
    const flights = new Map<number, number>();
    const heard: unknown[] = [];
    const take = (output: EndpointOutput): void => {
      if (output.type === 'event') {
        if (output.event.type === 'message') heard.push(output.event.data);
        return;
      }
      const { port } = output.remote;
      const isHandshake = output.data[0] === 22;
      if (isHandshake) flights.set(port, (flights.get(port) ?? 0) + 1);
      else strangers.get(port)?.handleDatagram(net.now, output.data);
    };
    const pollOpen = (): void => {
      for (let output = endpoint.poll(false); output !== null; output = endpoint.poll(false))
        take(output);
    };
    const strangers = new Map<number, SessionHost>();
    for (let i = 0; i < 20; i++)
      strangers.set(
        1000 + i,
        new SessionHost(
          net.now,
          clientOptions({ crypto: testCrypto(50 + i), localUfrag: `stranger${i}` }),
        ),
      );
    // Their checks, and their ClientHellos.
    for (let round = 0; round < 3; round++)
      for (const [port, host] of strangers) {
        const remote = { address: `198.51.100.${port - 999}`, port };
        host.drain(net.now, (data) => endpoint.handleDatagram(net.now, remote, data));
        pollOpen();
      }
    assert.ok(endpoint.hasHandshakes);
    assert.equal(flights.size, 0);
    client.session.send(net.now, TEST_CHANNEL.id, 'first');
    client.drain(net.now, (data) => server.handleDatagram(net.now, data));
    pollOpen();
    assert.deepEqual(heard, ['first']);
    assert.ok(endpoint.send(net.now, sessionId, TEST_CHANNEL.id, 'reply'));
    pollOpen();
    assert.equal(flights.size, 0, 'nobody who waits was served meanwhile');
    let steps = 0;
    for (; endpoint.takeHandshake(net.now); steps++) pollOpen();
    assert.ok(steps >= 20 && !endpoint.hasHandshakes);
    assert.equal(flights.size, 20);
    assert.equal(endpoint.drops.get('endpoint.handshakes.full'), 0);
  });

  it('forgets what came for a session that is gone', () => {
    const { net, server } = connectedPair();
    const { endpoint } = server;
    const stranger = new SessionHost(net.now, clientOptions({ crypto: testCrypto(50) }));
    const remote = { address: '198.51.100.1', port: 1000 };
    for (let round = 0; round < 3; round++) {
      stranger.drain(net.now, (data) => endpoint.handleDatagram(net.now, remote, data));
      for (let output = endpoint.poll(false); output !== null; output = endpoint.poll(false))
        if (output.type === 'transmit' && output.remote.port === 1000)
          stranger.handleDatagram(net.now, output.data);
    }
    assert.ok(endpoint.hasHandshakes);
    endpoint.closeAll(net.now);
    while (endpoint.poll(false) !== null);
    assert.ok(endpoint.takeHandshake(net.now));
    assert.equal(endpoint.poll(), null);
    assert.ok(!endpoint.takeHandshake(net.now));
  });
});
