import { type Instant, fromHex, instant, later } from '@lumamesh/base';
import {
  browserFlights,
  clientCertificate,
  connectedPair,
  endpointOptions,
  serverCertificate,
  serverFingerprint,
  testCrypto,
} from '@lumamesh/testkit';
import { Endpoint, sourceOf } from '@lumamesh/transport';
import { DtlsConnection } from '../../packages/transport/src/dtls/dtls-connection.ts';
import {
  type AssociationHost,
  LIMITS,
  firstTsnOf,
  inject,
  up,
} from '../../packages/transport/src/sctp/association-harness.test-support.ts';
import { encodeDataChunk } from '../../packages/transport/src/sctp/chunk/data-chunk.ts';
import { encodeForwardTsnChunk } from '../../packages/transport/src/sctp/chunk/forward-tsn-chunk.ts';
import { CHUNK_TYPE, type Chunk } from '../../packages/transport/src/sctp/chunk/packet.ts';
import { encodeReConfigChunk } from '../../packages/transport/src/sctp/chunk/re-config-chunk.ts';
import { encodeSackChunk } from '../../packages/transport/src/sctp/chunk/sack-chunk.ts';
import { RelayCore } from '../../packages/relay/src/core/relay-core.ts';
import { Script, type Target } from '../target.ts';
import { PEER, RECORD, ROOM } from './texts.ts';

/*
 * Machines with state: an input is a list of what happens to one, in order. What must hold whatever
 * happens: nothing throws, a drain ends, a timer that was handled is not due again at once, bounds of
 * memory and of amplification.
 */
const MAX_STEPS = 100;
const MAX_OUTPUTS = 20_000;
/** What a session holds at most, as docs/limits.md has it, and a message that goes beyond it. */
const MAX_HELD_BYTES = LIMITS.maxBufferedBytes + 4 * LIMITS.receiveWindowBytes + 1_000_000;

interface Drained {
  readonly deadline: Instant | null;
  poll(): unknown;
}

/** Drains a machine; returns what it sends. */
function drain(machine: Drained): { readonly type: string; readonly data?: unknown }[] {
  const outputs: { readonly type: string; readonly data?: unknown }[] = [];
  for (let output = machine.poll(); output !== null; output = machine.poll()) {
    outputs.push(output as { readonly type: string });
    if (outputs.length > MAX_OUTPUTS) throw new Error('a drain without end');
  }
  return outputs;
}

const association: Target = {
  name: 'sctp-association',
  maxBytes: 600,
  seeds: () => [
    Uint8Array.of(0, 1, 3, 4, 5, 0, 0, 3, 1, 2, 3, 1, 10),
    Uint8Array.of(2, 0, 4, 0, 1, 3, 2, 1, 5, 0, 1, 1, 4, 1),
    Uint8Array.of(5, 1, 200, 1, 255, 6, 3, 4, 130, 0, 3, 1, 2, 3),
  ],
  run: (input) => {
    const script = new Script(input);
    const made = up({ latencyMs: 10 });
    const { net, a, b } = made;
    const [theirs, ours] = [firstTsnOf(made, a), firstTsnOf(made, b)];
    for (let step = 0; step < MAX_STEPS && !script.isOver; step++) {
      const near = (base: number): number => (base + script.byte() - 16) >>> 0;
      const give = (chunk: Chunk): void => inject(made, b, [chunk]);
      switch (script.pick(8)) {
        case 0: {
          const flags = script.byte();
          give(
            encodeDataChunk({
              tsn: near(theirs),
              streamId: script.pick(70),
              ssn: script.byte(),
              ppid: 50 + script.pick(8),
              isBegin: (flags & 1) !== 0,
              isEnd: (flags & 2) !== 0,
              isUnordered: (flags & 4) !== 0,
              isImmediate: (flags & 8) !== 0,
              data: new Uint8Array(1 + script.byte() * 4),
            }),
          );
          break;
        }
        case 1: {
          let end = 0;
          const gapAckBlocks = Array.from({ length: script.pick(6) }, () => {
            const start = end + 1 + script.pick(20);
            end = start + script.pick(20);
            return { start, end };
          });
          const cumulativeTsnAck = near(ours);
          const aRwnd = script.byte() * 600;
          give(encodeSackChunk({ cumulativeTsnAck, aRwnd, gapAckBlocks, duplicateTsns: [] }));
          break;
        }
        case 2:
          give(
            encodeForwardTsnChunk({
              newCumulativeTsn: near(theirs),
              skipped: Array.from({ length: script.pick(8) }, () => ({
                streamId: script.pick(70),
                ssn: script.byte(),
              })),
            }),
          );
          break;
        case 3: {
          const type = Object.values(CHUNK_TYPE)[script.pick(Object.keys(CHUNK_TYPE).length)] ?? 0;
          give({ type, flags: script.byte(), value: script.bytes() });
          break;
        }
        case 4:
          give({ type: script.byte(), flags: script.byte(), value: script.bytes() });
          break;
        case 5:
          made.send(b, 'x'.repeat(1 + script.byte() * 300), {
            streamId: script.pick(64),
            isUnordered: script.pick(2) === 1,
          });
          break;
        case 6:
          give(
            encodeReConfigChunk([
              {
                type: 'outgoingReset',
                requestSequence: near(theirs),
                responseSequence: near(ours),
                lastTsn: near(theirs),
                streamIds: Array.from({ length: script.pick(5) }, () => script.pick(70)),
              },
            ]),
          );
          break;
        default:
          net.run(script.byte() * script.byte());
      }
      checkAssociation(b, net.now);
    }
    net.run(10_000);
    checkAssociation(b, net.now);
  },
};

function checkAssociation(host: AssociationHost, now: Instant): void {
  const { association: machine } = host;
  if (machine.held.bytes > MAX_HELD_BYTES) throw new Error(`${machine.held.bytes} bytes are held`);
  if (machine.deadline !== null && machine.deadline < now - 1)
    throw new Error(`a timer was due ${now - machine.deadline} ms ago`);
}

/** A handshake with somebody between who changes, repeats, loses and makes up. */
const handshake: Target = {
  name: 'dtls-handshake',
  maxBytes: 400,
  seeds: () => [new Uint8Array(16), Uint8Array.of(0, 1, 0, 0, 5, 0, 0, 2, 1, 4), Uint8Array.of(64)],
  run: (input) => {
    const script = new Script(input);
    let now = instant(0);
    const server = DtlsConnection.server({
      crypto: testCrypto(5),
      certificate: serverCertificate,
      requestClientCertificate: script.pick(2) === 1,
      maxDatagramBytes: 1200,
    });
    server.markAddressProven(0);
    const client = DtlsConnection.client(now, {
      crypto: testCrypto(6),
      remoteFingerprint: serverFingerprint,
      certificate: clientCertificate,
      maxDatagramBytes: 1200,
    });
    const waiting: (readonly [DtlsConnection, Uint8Array])[] = [];
    const collect = (): void => {
      for (const [from, to] of [
        [client, server],
        [server, client],
      ] as const)
        for (const { type, data } of drain(from))
          if (type === 'transmit') waiting.push([to, (data as Uint8Array).slice()]);
    };
    collect();
    for (let step = 0; step < MAX_STEPS; step++) {
      const [to, data] = waiting.shift() ?? [server, new Uint8Array(0)];
      switch (script.pick(8)) {
        case 1:
          data[script.uint16() % Math.max(1, data.length)] = script.byte();
          to.handleDatagram(now, data);
          break;
        case 2:
          to.handleDatagram(now, data.slice());
          to.handleDatagram(now, data);
          break;
        case 3:
          break;
        case 4:
          waiting.push([to, data]);
          break;
        case 5:
          now = later(now, script.byte() * 50);
          for (const connection of [client, server])
            if (connection.deadline !== null && connection.deadline <= now)
              connection.handleTimeout(now);
          to.handleDatagram(now, data);
          break;
        case 6: {
          // A record in the clear of any kind.
          const body = script.bytes();
          const head = [20 + script.pick(7), 254, 253, 0, script.pick(2), 0, 0, 0, 0, 0, 99];
          (script.pick(2) === 0 ? server : client).handleDatagram(
            now,
            Uint8Array.from([...head, body.length >> 8, body.length & 255, ...body]),
          );
          waiting.unshift([to, data]);
          break;
        }
        case 7:
          (script.pick(2) === 0 ? server : client).handleDatagram(now, script.bytes());
          waiting.unshift([to, data]);
          break;
        default:
          to.handleDatagram(now, data);
      }
      collect();
      if (waiting.length > 500) throw new Error('answers without end');
      if (waiting.length === 0 && script.isOver) break;
    }
  },
};

/** First datagrams of browsers, and what becomes of them, from several addresses. */
const FIRST_DATAGRAMS = Object.values(browserFlights()).flatMap((flight) =>
  [...flight.stunBindingRequests, ...flight.clientHelloDatagrams].map(
    (hex) => fromHex(hex) ?? new Uint8Array(0),
  ),
);

const endpoint: Target = {
  name: 'endpoint',
  maxBytes: 500,
  seeds: () => [
    Uint8Array.from(FIRST_DATAGRAMS.flatMap((_, i) => [0, 0, i])),
    Uint8Array.of(1, 0, 1, 3, 0, 20, 2, 1, 3, 22, 254, 253, 3, 9),
  ],
  run: (input) => {
    const script = new Script(input);
    let now = instant(0);
    const machine = new Endpoint(
      now,
      endpointOptions({ ice: { ufrag: 'luma', password: 'lumalumalumalumalumaluma' } }),
    );
    /** Bytes from and to each address, none of which ever proves itself. */
    const [came, went] = [new Map<string, number>(), new Map<string, number>()];
    const count = (map: Map<string, number>, key: string, bytes: number): void =>
      void map.set(key, (map.get(key) ?? 0) + bytes);
    for (let step = 0; step < MAX_STEPS && !script.isOver; step++) {
      const what = script.pick(4);
      const from = script.pick(6);
      const remote = { address: `198.51.${from >> 1}.${from}`, port: 4000 + (from & 1) };
      let datagram =
        FIRST_DATAGRAMS[script.pick(FIRST_DATAGRAMS.length)]?.slice() ?? script.bytes();
      if (what === 1) datagram[script.uint16() % datagram.length] = script.byte();
      if (what === 2) datagram = script.bytes();
      if (what === 3) now = later(now, script.byte() * 20);
      count(came, remote.address, datagram.length);
      machine.handleTimeout(now);
      machine.handleDatagram(now, remote, datagram);
      for (let output = machine.poll(); output !== null; output = machine.poll())
        if (output.type === 'transmit') count(went, output.remote.address, output.data.length);
    }
    for (const [address, bytes] of went)
      if (bytes > 3 * (came.get(address) ?? 0))
        throw new Error(`${bytes} bytes for ${came.get(address)} of an address without proof`);
  },
};

/** Damage behind the encryption: an authenticated peer whose stack has gone mad. */
const inside: Target = {
  name: 'session',
  maxBytes: 300,
  seeds: () => [new Uint8Array(20), Uint8Array.of(1, 0, 9, 2, 5, 3, 0, 0, 1)],
  run: (input) => {
    const script = new Script(input);
    const pair = connectedPair({ link: { latencyMs: 1 } });
    for (let step = 0; step < 30 && !script.isOver; step++) {
      const kind = script.pick(4);
      if (kind === 0)
        pair.client.session.send(pair.net.now, script.pick(3), new Uint8Array(script.byte() * 40));
      else if (kind === 1) pair.client.session.send(pair.net.now, 0, 'x'.repeat(script.byte()));
      else if (kind === 2) pair.net.run(script.byte() * 20);
      else {
        const { length } = pair.net.sent;
        const data = pair.net.sent[length - 1 - script.pick(Math.min(20, length))]?.data.slice();
        if (data === undefined) continue;
        data[script.uint16() % Math.max(1, data.length)] = script.byte();
        pair.server.handleDatagram(pair.net.now, data);
        pair.client.handleDatagram(pair.net.now, data);
      }
      pair.net.touch(pair.client);
      pair.net.touch(pair.server);
    }
    pair.net.run(3000);
  },
};

const PEERS = [PEER, 'q'.repeat(22), 'z'.repeat(22)];
const ROOMS = [ROOM, 's'.repeat(43), 't'.repeat(16)];

/** Sessions of a relay that join, leave, signal and vanish. */
const relay: Target = {
  name: 'relay-core',
  maxBytes: 600,
  seeds: () => [
    Uint8Array.of(0, 0, 0, 1, 2, 0, 0, 0, 9, 2, 1, 0, 1, 9, 4, 0, 0, 1, 3, 0, 0, 1, 0),
    Uint8Array.of(0, 3, 2, 3, 1, 1, 255, 5, 3, 6, 200, 2, 3, 1, 1, 20),
  ],
  run: (input) => {
    const script = new Script(input);
    let now = instant(0);
    const core = new RelayCore<number>(
      {
        maxSessions: 100,
        maxSessionsPerHost: 6,
        maxSessionsPerNetwork: 12,
        maxRoomSize: 4,
        messagesPerSecond: 50,
        deliveriesPerSecond: 100,
        bytesPerSecond: 10_000,
        dialBacksPerMinute: 30,
        sourceOf: (session) => sourceOf(`198.51.100.${session % 5}`),
        queuedBytes: (session) => (session % 3) * 100_000,
        joinProofs: { challenge: () => 'c', verify: (_peer, { key }) => key.startsWith('A') },
      },
      RECORD,
    );
    const drainCore = (): void => {
      for (const output of drain(core))
        if (output.type === 'close')
          core.handleSessionClosed((output as never as { session: number }).session);
    };
    for (let step = 0; step < MAX_STEPS && !script.isOver; step++) {
      const what = script.pick(8);
      const session = script.pick(8);
      const say = (frame: object): void => core.handleFrame(now, session, JSON.stringify(frame));
      const room = ROOMS[script.pick(3)];
      if (what === 0) core.handleSessionOpen(session);
      else if (what === 1) core.handleSessionClosed(session);
      else if (what === 2 || what === 7) {
        const proof = {
          key: (what === 7 ? 'A' : 'B').padEnd(87, 'A'),
          signature: 'A'.repeat(86),
        };
        const presence = 'x'.repeat(script.byte() * 8);
        say({
          action: 'join',
          room,
          peer: PEERS[script.pick(3)],
          presence,
          ...(script.pick(2) === 0 ? {} : { proof }),
        });
      } else if (what === 3) say({ action: 'leave', room });
      else if (what === 4)
        say({ action: 'signal', room, to: PEERS[script.pick(3)], data: 'x'.repeat(script.byte()) });
      else if (what === 6 && script.pick(2) === 0) {
        if (script.pick(2) === 0) say({ action: 'dial-back', record: RECORD });
        else core.handleDialledBack(session, { result: 'unreached', address: '203.0.113.1' });
      } else if (what === 5) core.handleFrame(now, session, String.fromCharCode(...script.bytes()));
      else now = later(now, script.byte() * 10);
      core.handleTimeout(now);
      drainCore();
    }
    for (let session = 0; session < 8; session++) core.handleSessionClosed(session);
    for (let i = 0; i < 20 && core.deadline !== null; i++) {
      now = later(now, 1000);
      core.handleTimeout(now);
      drainCore();
    }
    const { sessions, rooms, members } = core.counts;
    if (sessions + rooms + members > 0 || core.deadline !== null)
      throw new Error(`something stays: ${JSON.stringify(core.counts)}, ${core.deadline}`);
  },
};

export const MACHINES: readonly Target[] = [association, handshake, endpoint, inside, relay];
