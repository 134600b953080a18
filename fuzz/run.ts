import { type AeadName, type Instant, fromHex, instant, later, toBase64Url } from '@lumamesh/base';
import {
  RECORD_LINE_PREFIX,
  decodeRecordLine,
  encodeRecordLine,
  parseClientMessage,
  parseRelayMessage,
} from '@lumamesh/protocol';
import {
  browserFlights,
  connectedPair,
  endpointOptions,
  mutations,
  randomDatagrams,
  seededRandom,
} from '@lumamesh/testkit';
import { VirtualMesh } from '@lumamesh/testkit/mesh';
import { Endpoint } from '@lumamesh/transport';
import { chooseIoPath, nodeCrypto } from '@lumamesh/transport/io';
import { areAlike } from '@lumamesh/transport/internal/io/native/self-test';
import { STRUCTURED_VALUES } from '../packages/client/src/features/structured-codec.ts';
import { Delivery, type DeliveryHost } from '../packages/client/src/peer/delivery.ts';
import type { Frame, FrameSink } from '../packages/client/src/peer/peer-frame.ts';
import { loadRelays } from '../packages/client/src/features/discovery/relay-cache.ts';
import { RelayBook } from '../packages/client/src/net/relay-book.ts';
import { parsePeerSignal } from '../packages/client/src/peer/signal.ts';

/*
 * `npm run fuzz -- [seconds] [seed]`: the attackers of the tests, for as long as wanted. Every
 * round has a seed, printed when something throws; the same seed gives the same round. Ordinary
 * tests run the same targets with a fixed budget.
 */
const seconds = Number(process.argv[2] ?? 60);
let seed = Number(process.argv[3] ?? 1);

type Target = (seed: number) => void;

/** Damaged first flights and noise against an endpoint that has sessions. */
function endpointTarget(round: number): void {
  const endpoint = new Endpoint(
    instant(0),
    endpointOptions({ ice: { ufrag: 'luma', password: 'lumalumalumalumalumaluma' } }),
  );
  const random = seededRandom(round);
  const remote = { address: '198.51.100.1', port: 1 + Math.floor(random() * 60_000) };
  let now: Instant = instant(0);
  const feed = (datagram: Uint8Array): void => {
    now = later(now, random() * 20);
    endpoint.handleTimeout(now);
    endpoint.handleDatagram(now, remote, datagram);
    while (endpoint.poll() !== null);
  };
  for (const flight of Object.values(browserFlights())) {
    for (const hex of [...flight.stunBindingRequests, ...flight.clientHelloDatagrams]) {
      const bytes = fromHex(hex) ?? new Uint8Array(0);
      feed(bytes);
      for (const mutated of mutations(bytes, 200, round)) feed(mutated);
    }
  }
  for (const datagram of randomDatagrams(500, round)) feed(datagram);
}

/** Damage behind the encryption: an authenticated peer whose stack has gone mad. */
function insideTarget(round: number): void {
  const pair = connectedPair({ link: { latencyMs: 1 } });
  const random = seededRandom(round);
  const values = Array.from({ length: 20 }, (_, i) =>
    new Uint8Array(Math.floor(random() * 5000)).fill(i),
  );
  for (const value of values) pair.client.session.send(pair.net.now, 0, value);
  pair.net.touch(pair.client);
  pair.net.run(200);
  for (const { data } of pair.net.sent.slice(-10)) {
    for (const mutated of mutations(data, 50, round)) {
      pair.server.handleDatagram(pair.net.now, mutated);
      pair.client.handleDatagram(pair.net.now, mutated);
    }
  }
  pair.net.run(5000);
}

/** What is read as text: frames of both sides, records, what a page remembers, signals. */
function textTarget(round: number): void {
  const key = 'A'.repeat(43);
  const record = {
    fingerprint: `AA${':AA'.repeat(31)}`,
    ip: '203.0.113.1',
    port: 3478,
    ufrag: 'luma',
    pwd: 'x'.repeat(22),
    nk: key,
    sequence: 1,
    expires: 2,
    signature: 'A'.repeat(86),
  };
  const texts = [
    { action: 'join', room: 'r'.repeat(43), peer: 'p'.repeat(22), presence: 'x' },
    {
      action: 'joined',
      room: 'r'.repeat(43),
      members: [{ peer: 'p'.repeat(22), presence: 'x' }],
      homes: [record],
    },
    record,
    [[encodeRecordLine(record), 7]],
    {
      attempt: 'a',
      description: { type: 'offer', sdp: 'v=0' },
      candidates: [{ candidate: 'candidate:1', sdpMid: '0', sdpMLineIndex: 0 }],
    },
  ];
  for (const original of texts) {
    for (const mutated of mutations(
      new TextEncoder().encode(JSON.stringify(original)),
      100,
      round,
    )) {
      const text = new TextDecoder().decode(mutated);
      parseClientMessage(text);
      parseRelayMessage(text);
      const line = `${RECORD_LINE_PREFIX}${toBase64Url(mutated)}`;
      const read = decodeRecordLine(line);
      if (read.ok && encodeRecordLine(read.value) !== line)
        throw new Error('a record with two lines');
      loadRelays(new RelayBook(seededRandom(round)), text, 0);
      try {
        parsePeerSignal(JSON.parse(text));
      } catch (error) {
        if (!(error instanceof SyntaxError)) throw error;
      }
    }
  }
}

/** Frames of a peer that has gone mad. */
function peerTarget(round: number): void {
  const random = seededRandom(round);
  const sent: (readonly [Frame, number])[] = [];
  const sink: FrameSink = {
    isOpen: true,
    queuedBytes: () => 0,
    send: (frame, lane) => void sent.push([frame, lane]),
  };
  const make = (): Delivery => new Delivery(PEER_HOST);
  const [sender, receiver] = [make(), make()];
  sender._setSink(sink);
  for (const [tag, value] of [
    ['', { a: 1 }],
    ['action x', 'y'.repeat(30_000)],
    ['request 1 z', new Uint8Array(70_000)],
    ['', new Map([[1n, new Date()]])],
    ['', { $: [undefined, new Float64Array(9)] }],
  ] as const)
    void sender._send(tag, value, {}, false);
  for (let i = 0; i < 300; i++) {
    const [frame = '', lane = 0] = sent[Math.floor(random() * sent.length)] ?? [];
    const isText = typeof frame === 'string';
    const bytes = isText ? new TextEncoder().encode(frame.slice(0, 200)) : frame.slice(0, 200);
    const [damaged = bytes] = random() < 0.5 ? mutations(bytes, 1, round + i) : [bytes];
    const data = isText ? new TextDecoder().decode(damaged) : damaged.slice().buffer;
    receiver._handleFrame(sink, random() < 0.1 ? Math.floor(random() * 6) : lane, data);
    STRUCTURED_VALUES.decode(damaged.slice());
  }
}

const PEER_HOST: DeliveryHost = {
  platform: {
    crypto,
    now: () => instant(0),
    setTimer: () => () => undefined,
  },
  onListenerError: (error) => {
    throw error;
  },
  _codec: STRUCTURED_VALUES,
  _isAdmitted: () => true,
  _deliver: () => undefined,
  _handleProgress: () => undefined,
  _handleReset: () => undefined,
};

/**
 * A relay of a small mesh that says and does what comes into its head; rooms and links must come
 * out whole.
 */
function meshTarget(round: number): void {
  const random = seededRandom(round);
  const pick = (below: number): number => Math.floor(random() * below);
  const mesh = new VirtualMesh(round);
  for (let i = 0; i < 4; i++) mesh.add(`r${i}`, { peers: i === 0 ? [] : ['r0'] });
  mesh.run(3000);
  mesh.join('r1', 'ada', 'tea');
  mesh.join('r2', 'bob', 'tea');
  const room = 'tea'.padEnd(43, '_');
  const { nk } = mesh.relay('r1');
  const texts = [
    { type: 'hints', rooms: [room] },
    { type: 'withdraw', rooms: [room] },
    { type: 'reporters', room, add: [nk], remove: [] },
    {
      type: 'present',
      room,
      members: [{ peer: 'x'.repeat(22), presence: 'y' }],
      all: true,
      ask: true,
    },
    { type: 'absent', room, peers: ['x'.repeat(22)] },
    { type: 'check', room, digest: '0'.repeat(16) },
    { type: 'summary', bits: 0, digests: ['0'.repeat(16)] },
    { type: 'have', bits: 4, buckets: [1, 2], ids: [] },
    { type: 'suspect', relays: [nk] },
    { type: 'ready' },
    {
      type: 'forwardRequest',
      to: nk,
      counter: round,
      text: JSON.stringify({ type: 'absent', room, peers: [] }),
      signature: 'A'.repeat(86),
    },
  ].map((frame) => JSON.stringify(frame));
  for (let i = 0; i < 200; i++) {
    const text = texts[pick(texts.length)] ?? '';
    const [damaged = new Uint8Array(0)] =
      pick(3) === 0
        ? mutations(new TextEncoder().encode(text), 1, round + i)
        : [new TextEncoder().encode(text)];
    mesh.injectFrame('r3', `r${pick(3)}`, new TextDecoder().decode(damaged));
    if (pick(20) === 0) mesh.run(pick(2000));
  }
  mesh.kill('r3');
  if (
    !mesh.runUntil(
      () =>
        mesh.seen('r1', 'ada', 'tea').join() === 'bob' &&
        mesh.seen('r2', 'bob', 'tea').join() === 'ada',
      400_000,
    )
  ) {
    throw new Error(
      `after the attack ada sees ${mesh.seen('r1', 'ada', 'tea').join() || 'nobody'}, and bob ${mesh.seen('r2', 'bob', 'tea').join() || 'nobody'}`,
    );
  }
}

/** Native code against node:crypto: the same bytes, and the same refusals. */
function nativeTarget(round: number): void {
  const { crypto: native } = chooseIoPath('auto');
  const random = seededRandom(round);
  for (const [algorithm, keyBytes] of AEADS) {
    const key = Uint8Array.from({ length: keyBytes }, () => Math.floor(random() * 256));
    for (let i = 0; i < 50; i++) {
      const length = Math.floor(random() ** 4 * 20_000);
      if (!areAlike(native, nodeCrypto, algorithm, key, length))
        throw new Error(`${algorithm} differs from node:crypto at ${length} bytes`);
    }
  }
}

const AEADS: readonly (readonly [AeadName, number])[] = [
  ['aes-128-gcm', 16],
  ['aes-256-gcm', 32],
  ['chacha20-poly1305', 32],
];

const targets: Readonly<Record<string, Target>> = {
  endpoint: endpointTarget,
  inside: insideTarget,
  text: textTarget,
  peer: peerTarget,
  mesh: meshTarget,
  ...(chooseIoPath('auto').name === 'native' ? { native: nativeTarget } : {}),
};
const endsAt = performance.now() + seconds * 1000;
let rounds = 0;
for (; performance.now() < endsAt; seed++, rounds++) {
  for (const [name, target] of Object.entries(targets)) {
    try {
      target(seed);
    } catch (error) {
      process.stderr.write(
        `target ${name}, seed ${seed}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
      );
      process.exit(1);
    }
  }
}
process.stdout.write(
  `${rounds} rounds of ${Object.keys(targets).join(', ')}: nothing was thrown; the next seed is ${seed}\n`,
);
