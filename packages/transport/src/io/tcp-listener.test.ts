import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type Socket, createConnection } from 'node:net';
import { after, describe, it } from 'node:test';
import {
  TEST_CHANNEL,
  TEST_ICE,
  TurnClient,
  channelData,
  clientOptions,
  patience,
  serverCertificate,
  until,
} from '@lumamesh/testkit';
import type { Remote } from '../five-tuple.ts';
import type { SessionId } from '../session-table.ts';
import { DEFAULT_SESSION_LIMITS } from '../session-types.ts';
import { Session } from '../session.ts';
import { StreamDeframer, type StreamKind, frameForStream } from '../tcp/stream-framing.ts';
import { monotonicNow } from './clock.ts';
import { nodeCrypto } from './node-crypto.ts';
import { queryStunOverTcp } from './stun-query-tcp.ts';
import { TcpListener, type TcpListenerOptions } from './tcp-listener.ts';
import { UdpEndpoint } from './udp-endpoint.ts';

const LIMITS = { maxSockets: 100, socketsPerHost: 100, socketsPerNetwork: 100 };
const TURN = {
  bytesPerSecond: 1e8,
  bytesPerSecondOfPair: 1e8,
  bytesPerSecondOfSession: 1e8,
  bytesPerSecondOfRoom: 1e8,
  bytesPerSecondOfHost: 1e8,
  maxAllocations: 100,
  allocationsPerSession: 10,
};
const open: { close(): unknown }[] = [];
after(async () => {
  await Promise.all(open.map(async (one) => one.close()));
});

async function echo(): Promise<UdpEndpoint> {
  const udp: UdpEndpoint = await UdpEndpoint.start({
    crypto: nodeCrypto,
    port: 0,
    address: '127.0.0.1',
    tcp: { port: 0, ...LIMITS },
    ice: TEST_ICE,
    certificate: serverCertificate,
    requestClientCertificate: false,
    negotiatedChannels: [TEST_CHANNEL],
    limits: { maxSessions: 10, cookieThreshold: 5, maxHalfOpen: 10 },
    sessionLimits: DEFAULT_SESSION_LIMITS,
    turn: TURN,
    onEvent: (sessionId, event) => {
      if (event.type === 'message') udp.send(sessionId, event.channelId, event.data);
    },
  });
  open.push(udp);
  return udp;
}

/** A listener alone, and what it has said. */
async function listen(options: Partial<TcpListenerOptions> = {}) {
  const drops: string[] = [];
  const heard: Remote[] = [];
  const listener = await TcpListener.start({
    port: 0,
    address: '127.0.0.1',
    limits: LIMITS,
    onDatagram: (remote) => heard.push(remote),
    isKnown: () => true,
    onEnd: () => undefined,
    onDrop: (reason) => drops.push(reason),
    ...options,
  });
  open.push(listener);
  return { listener, drops, heard };
}

class Client {
  readonly socket: Socket;
  readonly received: Uint8Array[] = [];
  readonly #kind: StreamKind;

  constructor(port: number, kind: StreamKind) {
    this.#kind = kind;
    this.socket = createConnection({ port, host: '127.0.0.1', noDelay: true });
    this.socket.on('error', () => undefined);
    const deframer = new StreamDeframer();
    this.socket.on('data', (chunk: Buffer) =>
      deframer.push(chunk, (frame) => this.received.push(new Uint8Array(frame))),
    );
    open.push({ close: () => this.socket.destroy() });
  }

  send(datagram: Uint8Array): void {
    this.socket.write(frameForStream(this.#kind, datagram));
  }

  async next(): Promise<Uint8Array> {
    await until(() => this.received.length > 0, 'nothing came', 3000);
    return this.received.shift() ?? new Uint8Array(0);
  }
}

/** A binding request that an ICE agent would send. */
function check(): Uint8Array {
  const session = Session.client(monotonicNow(), clientOptions(), () => undefined);
  const output = session.poll();
  assert.ok(output?.type === 'transmit');
  return output.data;
}

describe('an endpoint over TCP', () => {
  it('has whole sessions: ICE, DTLS and messages, framed by RFC 4571', async () => {
    const udp = await echo();
    const client = new Client(udp.tcp?.port ?? 0, 'ice');
    const session = Session.client(
      monotonicNow(),
      clientOptions({ crypto: nodeCrypto }),
      () => undefined,
    );
    const messages: unknown[] = [];
    const isDone = (): boolean => {
      for (const datagram of client.received.splice(0))
        session.handleDatagram(monotonicNow(), datagram);
      session.handleTimeout(monotonicNow());
      for (let output = session.poll(); output !== null; output = session.poll()) {
        if (output.type === 'transmit') client.send(output.data);
        if (output.type === 'channelOpen') session.send(monotonicNow(), 0, 'x'.repeat(50_000));
        if (output.type === 'message') messages.push(output.data);
      }
      return messages.length > 0;
    };
    await until(isDone, 'no message came back', 5000);
    assert.equal(messages[0], 'x'.repeat(50_000));
    assert.equal(udp.endpoint.counts.sessions, 1);
    assert.equal(udp.tcp?.sockets, 1);
  });

  it('tells who asks where it sees him', async () => {
    const udp = await echo();
    const answer = await queryStunOverTcp(
      { address: '127.0.0.1', port: udp.tcp?.port ?? 0 },
      patience(3000),
    );
    assert.equal(answer?.mappedAddress.address, '127.0.0.1');
  });

  it('forwards by TURN, from TCP to TCP, with padding', async () => {
    const udp = await echo();
    const turn = udp.endpoint.turn;
    assert.ok(turn !== null);
    const ends = await Promise.all(
      [1, 2].map(async (n) => {
        const socket = new Client(udp.tcp?.port ?? 0, 'turn');
        const client = new TurnClient(nodeCrypto, turn.grant(n as SessionId, 'room'));
        socket.send(client.allocate());
        assert.equal(client.read(await socket.next())?.code, 401);
        socket.send(client.allocate());
        const relayed = client.read(await socket.next())?.relayed;
        assert.ok(relayed !== null && relayed !== undefined);
        return { socket, client, relayed };
      }),
    );
    const [a, b] = ends;
    assert.ok(a !== undefined && b !== undefined);
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const) {
      one.socket.send(one.client.bind(0x4000, other.relayed));
      assert.equal(one.client.read(await one.socket.next())?.code, null);
    }
    for (let length = 0; length < 6; length++) {
      a.socket.send(channelData(0x4000, new Uint8Array(length).fill(length)));
      assert.deepEqual(
        await b.socket.next(),
        channelData(0x4000, new Uint8Array(length).fill(length)),
      );
    }
  });
});

describe('TCP connections', () => {
  it('that say nothing are ended, later those of strangers, and never those of friends', async () => {
    let known = 0;
    const { listener, drops } = await listen({
      isKnown: ({ port }) => port === known,
      silenceMs: 400,
      strangerMs: 1200,
    });
    const clients = [1, 2, 3].map(() => new Client(listener.port, 'ice'));
    await Promise.all(clients.map(async ({ socket }) => once(socket, 'connect')));
    const [silent, stranger, friend] = clients;
    assert.ok(silent !== undefined && stranger !== undefined && friend !== undefined);
    known = friend.socket.localPort ?? 0;
    stranger.send(check());
    friend.send(check());
    // One byte of a frame is none.
    silent.socket.write(Uint8Array.of(0));
    await until(() => silent.socket.destroyed, 'who says nothing is still there', 2000);
    assert.ok(!stranger.socket.destroyed);
    await until(() => stranger.socket.destroyed, 'the stranger is still there', 4000);
    assert.deepEqual(drops, ['tcp.silent', 'tcp.stranger']);
    assert.ok(!friend.socket.destroyed);
    assert.equal(listener.sockets, 1);
  });

  it('that are not of ours are ended at once', async () => {
    const { listener, drops, heard } = await listen();
    const client = new Client(listener.port, 'ice');
    client.socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await until(() => client.socket.destroyed, 'still there', 2000);
    assert.deepEqual([drops, heard], [['tcp.unknownProtocol'], []]);
  });

  it('are bounded by address, and free their places', async () => {
    const { listener, drops } = await listen({
      limits: { maxSockets: 9, socketsPerHost: 3, socketsPerNetwork: 9 },
    });
    const clients = Array.from({ length: 5 }, () => new Client(listener.port, 'ice'));
    await until(() => drops.length === 2, 'not refused', 2000);
    assert.deepEqual(drops, ['tcp.addressFull', 'tcp.addressFull']);
    assert.equal(listener.sockets, 3);
    for (const { socket } of clients) socket.destroy();
    await until(() => listener.sockets === 0, 'places are still taken', 2000);
  });

  it('of strangers who crowd a network make room for others, those of friends do not', async () => {
    const friends = new Set<number>();
    const { listener, drops } = await listen({
      address: '0.0.0.0',
      limits: { maxSockets: 4, socketsPerHost: 4, socketsPerNetwork: 4 },
      isKnown: ({ port }) => friends.has(port),
    });
    const connect = async (localAddress: string): Promise<Socket> => {
      const socket = createConnection({ port: listener.port, host: '127.0.0.1', localAddress });
      socket.on('error', () => undefined);
      open.push({ close: () => socket.destroy() });
      await once(socket, 'connect');
      return socket;
    };
    const crowd: Socket[] = [];
    for (let i = 1; i <= 3; i++) crowd.push(await connect(`127.1.0.${i}`));
    const [friend, oldest] = crowd;
    friends.add(friend?.localPort ?? 0);
    const other = await connect('127.2.0.1');
    await until(() => listener.sockets === 4, 'not all are there', 2000);
    const newcomer = await connect('127.3.0.1');
    await until(() => oldest?.destroyed === true, 'nobody made room', 2000);
    assert.ok(friend?.destroyed === false && !other.destroyed && !newcomer.destroyed);
    assert.deepEqual(drops, ['tcp.evicted']);
    for (const { localPort } of [...crowd, other, newcomer]) friends.add(localPort ?? 0);
    await once(await connect('127.4.0.1'), 'close');
    assert.deepEqual(drops, ['tcp.evicted', 'tcp.full']);
  });

  it('of slow readers hold 256 KB, and lose the rest', async () => {
    const { listener, drops, heard } = await listen();
    const client = new Client(listener.port, 'ice');
    client.send(check());
    await until(() => heard.length === 1, 'not heard', 2000);
    const [remote] = heard;
    assert.ok(remote !== undefined && remote.transport === 'tcp');
    client.socket.pause();
    const datagram = new Uint8Array(1200);
    let taken = 0;
    // The kernel holds some megabytes as well.
    for (let i = 0; i < 20_000 && drops.length === 0; i++) {
      taken += Number(listener.send(remote, datagram));
      if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(drops[0], 'tcp.slowReader');
    assert.ok(taken > 0);
    client.socket.destroy();
    await until(() => listener.sockets === 0, 'still there', 2000);
    assert.equal(listener.send(remote, datagram), false);
  });

  it('of slow readers are counted at their cost: of small datagrams they hold fewer', async () => {
    const { listener, drops, heard } = await listen();
    const client = new Client(listener.port, 'turn');
    client.send(new TurnClient(nodeCrypto, { username: '', password: '' }).allocate());
    await until(() => heard.length === 1, 'not heard', 2000);
    const [remote] = heard;
    assert.ok(remote !== undefined);
    client.socket.pause();
    const small = channelData(0x4000, new Uint8Array(1));
    while (listener.waitingBytes === 0) {
      listener.send(remote, new Uint8Array(4096));
      await new Promise((resolve) => setImmediate(resolve));
    }
    let taken = 0;
    while (drops.length === 0) taken += Number(listener.send(remote, small));
    assert.ok(taken > 400 && taken <= 512, `${taken}`);
    client.socket.destroy();
    await until(() => listener.waitingBytes === 0, 'still counted', 2000);
  });

  it('that are opened anew from where one was just reset have their place, and are ended', async () => {
    const COUNT = 80;
    const { listener, drops } = await listen({ silenceMs: 1000 });
    const connectAll = async (ports: readonly number[]): Promise<Socket[]> => {
      const sockets = ports.map((localPort) =>
        createConnection({ port: listener.port, host: '127.0.0.1', localPort }),
      );
      for (const socket of sockets) {
        socket.on('error', () => undefined);
        open.push({ close: () => socket.destroy() });
      }
      await Promise.all(sockets.map(async (socket) => once(socket, 'connect')));
      return sockets;
    };
    const first = await connectAll(Array.from({ length: COUNT }, () => 0));
    await until(() => listener.sockets === COUNT, 'not all are there', 3000);
    const ports = first.map(({ localPort }) => localPort ?? 0);
    // Without a turn of the event loop in between: the listener sees both at once.
    for (const socket of first) socket.resetAndDestroy();
    const again = await connectAll(ports);
    await until(
      () => listener.sockets === COUNT,
      () => `${listener.sockets} are known`,
      3000,
    );
    await until(() => again.every(({ destroyed }) => destroyed), 'some are never ended', 6000);
    assert.equal(drops.length, COUNT);
    assert.equal(listener.sockets, 0);
  });

  it('take allocations and unfinished handshakes with them', async () => {
    const udp = await echo();
    const port = udp.tcp?.port ?? 0;
    const turn = udp.endpoint.turn;
    assert.ok(turn !== null);
    const visitor = new Client(port, 'turn');
    const client = new TurnClient(nodeCrypto, turn.grant(1 as SessionId, 'room'));
    visitor.send(client.allocate());
    assert.equal(client.read(await visitor.next())?.code, 401);
    visitor.send(client.allocate());
    assert.equal(client.read(await visitor.next())?.code, null);
    const stranger = new Client(port, 'ice');
    stranger.send(check());
    await stranger.next();
    assert.equal(turn.counts.allocations, 1);
    assert.equal(udp.endpoint.counts.halfOpen, 1);
    visitor.socket.destroy();
    stranger.socket.resetAndDestroy();
    await until(
      () => turn.counts.allocations === 0 && udp.endpoint.counts.sessions === 0,
      'kept for nobody',
      3000,
    );
  });

  it('end with the endpoint, which leaves no timer behind', async () => {
    const timers = (): number =>
      process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    const udp = await echo();
    const turn = udp.endpoint.turn;
    assert.ok(turn !== null);
    // It outlives the connections, for ten minutes.
    const socket = createSocket('udp4');
    const client = new TurnClient(nodeCrypto, turn.grant(1 as SessionId, 'room'));
    for (const code of [401, null]) {
      socket.send(client.allocate(), udp.socket.port, '127.0.0.1');
      const [reply] = (await once(socket, 'message')) as [Uint8Array];
      assert.equal(client.read(reply)?.code, code);
    }
    socket.close();
    const { socket: connection } = new Client(udp.tcp?.port ?? 0, 'ice');
    await until(() => udp.tcp?.sockets === 1, 'not connected', 2000);
    await udp.close();
    connection.destroy();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(timers(), before);
  });

  it('have a port of their own, or say why not', async () => {
    const { listener } = await listen();
    await assert.rejects(listen({ port: listener.port }), { code: 'PORT_IN_USE' });
  });
});
