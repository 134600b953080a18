import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type Instant, instant, later } from '@lumamesh/base';
import {
  REQUESTED_UDP,
  TURN_ATTRIBUTE,
  TURN_METHOD,
  TurnClient,
  type TurnReply,
  channelData,
  endpointOptions,
  mutations,
  randomDatagrams,
  testCrypto,
  truncations,
} from '@lumamesh/testkit';
import { Endpoint } from '../endpoint.ts';
import type { Remote } from '../five-tuple.ts';
import { nodeCrypto } from '../io/node-crypto.ts';
import type { SessionId } from '../session-table.ts';
import { checkMessageIntegrity } from '../stun/attributes/message-integrity.ts';
import type { TransportAddress } from '../stun/attributes/xor-mapped-address.ts';
import { ATTRIBUTE, StunBuilder, decodeStun, findAttribute } from '../stun/message.ts';
import type { TurnLimits } from './turn-limits.ts';

const LIMITS: TurnLimits = {
  bytesPerSecond: 1_000_000,
  bytesPerSecondOfPair: 1_000_000,
  bytesPerSecondOfSession: 1_000_000,
  bytesPerSecondOfRoom: 1_000_000,
  bytesPerSecondOfHost: 1_000_000,
  maxAllocations: 64,
  allocationsPerSession: 8,
};
const PAYLOAD = Uint8Array.from({ length: 1200 }, (_, i) => i & 0xff);
const NO_CREDENTIALS = { username: 'nobody', password: 'nothing' };

interface Sent {
  readonly remote: Remote;
  readonly data: Uint8Array;
}

/** An endpoint with TURN on, its clock, and those who talk to it. */
class Lab {
  readonly endpoint: Endpoint;
  now: Instant = instant(1000);
  #clients = 0;

  constructor(limits: Partial<TurnLimits> = {}, maxBandwidth?: number) {
    const turn = { ...LIMITS, ...limits };
    const bandwidth = maxBandwidth === undefined ? {} : { maxBandwidth };
    this.endpoint = new Endpoint(this.now, endpointOptions({ turn, ...bandwidth }));
  }

  get turn(): NonNullable<Endpoint['turn']> {
    assert.ok(this.endpoint.turn !== null);
    return this.endpoint.turn;
  }

  exchange(remote: Remote, datagram: Uint8Array): Sent[] {
    this.endpoint.handleDatagram(this.now, remote, datagram.slice());
    const sent: Sent[] = [];
    for (let output = this.endpoint.poll(); output !== null; output = this.endpoint.poll())
      if (output.type === 'transmit') sent.push({ remote: output.remote, data: output.data });
    return sent;
  }

  pass(ms: number): void {
    this.now = later(this.now, ms);
    this.endpoint.handleTimeout(this.now);
  }

  drops(reason: string): number {
    return this.endpoint.drops.get(reason);
  }

  /** Somebody with credentials for a room, who has allocated nothing so far. */
  visitor(session: number, room: string, address?: string): Visitor {
    this.#clients += 1;
    const credentials = this.turn.grant(session as SessionId, room);
    const remote = { address: address ?? `203.0.113.${session}`, port: 40_000 + this.#clients };
    return new Visitor(this, remote, new TurnClient(nodeCrypto, credentials));
  }

  /** The same with an allocation. */
  allocated(session: number, room: string, address?: string): Visitor {
    const visitor = this.visitor(session, room, address);
    visitor.allocate();
    return visitor;
  }

  /** Two with permissions for each other; bound channels where that is asked for. */
  pair(room: string, channel?: number): [Visitor, Visitor] {
    const [a, b] = [this.allocated(1, room), this.allocated(2, room)];
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const) {
      assert.equal(one.ask(one.client.permit(other.relayed)).code, null);
      if (channel !== undefined)
        assert.equal(one.ask(one.client.bind(channel, other.relayed)).code, null);
    }
    return [a, b];
  }
}

class Visitor {
  readonly lab: Lab;
  readonly remote: Remote;
  readonly client: TurnClient;
  relayed: TransportAddress = { address: '', port: 0 };

  constructor(lab: Lab, remote: Remote, client: TurnClient) {
    this.lab = lab;
    this.remote = remote;
    this.client = client;
  }

  /** Sends a request and reads the one reply. */
  ask(datagram: Uint8Array): TurnReply {
    const [reply, ...more] = this.lab.exchange(this.remote, datagram);
    assert.ok(reply !== undefined && more.length === 0);
    assert.deepEqual(reply.remote, this.remote);
    const read = this.client.read(reply.data);
    assert.ok(read !== null);
    return read;
  }

  challenge(): void {
    assert.equal(this.ask(this.client.allocate()).code, 401);
  }

  allocate(): TurnReply {
    this.challenge();
    const reply = this.ask(this.client.allocate());
    assert.equal(reply.code, null);
    assert.ok(reply.relayed !== null);
    this.relayed = reply.relayed;
    return reply;
  }

  /** Sends what is no request. */
  emit(datagram: Uint8Array): Sent[] {
    return this.lab.exchange(this.remote, datagram);
  }
}

/** The payload of ChannelData or of a Data indication, and whose it is. */
function received(sent: Sent | undefined): { data: Uint8Array; channel: number | null } {
  assert.ok(sent !== undefined);
  const [first = 0, second = 0] = sent.data;
  if (first >= 64) return { data: sent.data.slice(4), channel: (first << 8) | second };
  const message = decodeStun(sent.data);
  assert.ok(message.ok && message.value.messageClass === 'indication');
  const value = findAttribute(message.value, TURN_ATTRIBUTE.data)?.value;
  assert.ok(value !== undefined);
  return { data: value.slice(), channel: null };
}

describe('TURN allocations', () => {
  it('are made after a 401 of 48 bytes, at random addresses of 198.18.0.0/15', () => {
    const lab = new Lab();
    const visitor = lab.visitor(1, 'room');
    const request = visitor.client.allocate();
    const [challenge] = lab.exchange(visitor.remote, request);
    assert.equal(challenge?.data.length, 48);
    assert.ok(challenge.data.length <= 3 * request.length);
    const reply = visitor.allocate();
    assert.match(visitor.relayed.address, /^198\.1[89]\.\d+\.\d+$/);
    assert.deepEqual(reply.mapped, visitor.remote);
    assert.equal(reply.lifetime, 600);
    assert.notEqual(lab.allocated(2, 'room').relayed.address, visitor.relayed.address);
    assert.equal(lab.turn.counts.allocations, 2);
  });

  it('are answered again with the same address when a request is repeated', () => {
    const lab = new Lab();
    const visitor = lab.allocated(1, 'room');
    lab.pass(100);
    assert.deepEqual(visitor.ask(visitor.client.allocate()).relayed, visitor.relayed);
    lab.pass(10_000);
    assert.equal(visitor.ask(visitor.client.allocate()).code, 437);
  });

  it('are signed by who knows the password', () => {
    const lab = new Lab();
    const visitor = lab.visitor(1, 'room');
    visitor.challenge();
    const [sent] = lab.exchange(visitor.remote, visitor.client.allocate());
    assert.ok(sent !== undefined);
    const message = decodeStun(sent.data);
    assert.ok(message.ok);
    const { username, password } = lab.turn.grant(1 as SessionId, 'room');
    const key = nodeCrypto.hash('md5', new TextEncoder().encode(`${username}:luma:${password}`));
    assert.equal(checkMessageIntegrity(sent.data, message.value, nodeCrypto, key), 'valid');
  });

  it('end when they are not refreshed, when zero is asked for, and with their credentials', () => {
    const lab = new Lab();
    const visitor = lab.allocated(1, 'room');
    lab.pass(500_000);
    assert.equal(visitor.ask(visitor.client.refresh(600)).lifetime, 600);
    lab.pass(599_000);
    assert.equal(lab.turn.counts.allocations, 1);
    lab.pass(1000);
    assert.equal(lab.turn.counts.allocations, 0);
    assert.equal(visitor.ask(visitor.client.refresh(600)).code, 437);

    const second = lab.allocated(2, 'room');
    assert.equal(second.ask(second.client.refresh(0)).lifetime, 0);
    assert.equal(lab.turn.counts.allocations, 0);

    const third = lab.allocated(3, 'room');
    lab.turn.revoke(lab.now, 3 as SessionId, 'room');
    lab.pass(59_000);
    assert.equal(third.ask(third.client.refresh(600)).code, null);
    lab.pass(1000);
    assert.equal(lab.turn.counts.allocations, 0);
    assert.equal(third.ask(third.client.refresh(600)).code, 401);
  });

  it('stay when the session comes back within the minute', () => {
    const lab = new Lab();
    lab.allocated(1, 'room');
    lab.turn.revoke(lab.now, 1 as SessionId, 'room');
    lab.pass(30_000);
    lab.turn.grant(1 as SessionId, 'room');
    lab.pass(60_000);
    assert.equal(lab.turn.counts.allocations, 1);
  });

  it('refuse what RFC 8656 refuses', () => {
    const lab = new Lab();
    const visitor = lab.visitor(1, 'room');
    visitor.challenge();
    const { client } = visitor;
    const ask = (method: number, ...attributes: (readonly [number, Uint8Array])[]): number | null =>
      visitor.ask(client.request(method, attributes)).code;
    const { allocate, createPermission, channelBind } = TURN_METHOD;
    assert.equal(ask(allocate), 400);
    assert.equal(
      ask(allocate, [TURN_ATTRIBUTE.requestedTransport, Uint8Array.of(6, 0, 0, 0)]),
      442,
    );
    const ipv6: readonly [number, Uint8Array] = [
      TURN_ATTRIBUTE.requestedAddressFamily,
      Uint8Array.of(2, 0, 0, 0),
    ];
    assert.equal(ask(allocate, REQUESTED_UDP, ipv6), 440);
    assert.equal(ask(allocate, REQUESTED_UDP, [TURN_ATTRIBUTE.evenPort, Uint8Array.of(128)]), 508);
    assert.equal(ask(allocate, REQUESTED_UDP, [0x7f01, Uint8Array.of(1)]), 420);
    assert.equal(ask(createPermission), 437);
    assert.equal(ask(allocate, REQUESTED_UDP), null);
    assert.equal(ask(createPermission), 400);
    assert.equal(ask(channelBind), 400);
    assert.equal(ask(TURN_METHOD.refresh, ipv6), 443);
    // Another's credentials on the five-tuple of an allocation.
    const other = new TurnClient(nodeCrypto, lab.turn.grant(9 as SessionId, 'room'));
    const stranger = new Visitor(lab, visitor.remote, other);
    stranger.challenge();
    assert.equal(stranger.ask(other.refresh(600)).code, 441);
    assert.equal(stranger.ask(other.allocate()).code, 437);
  });

  it('need credentials that are right, and a nonce of their own five-tuple', () => {
    const lab = new Lab();
    const unknown = new Visitor(
      lab,
      { address: '203.0.113.9', port: 9 },
      new TurnClient(nodeCrypto, NO_CREDENTIALS),
    );
    unknown.challenge();
    unknown.challenge();
    const { username } = lab.turn.grant(1 as SessionId, 'room');
    const guessing = new Visitor(
      lab,
      unknown.remote,
      new TurnClient(nodeCrypto, { username, password: 'wrong' }),
    );
    guessing.challenge();
    guessing.challenge();
    const visitor = lab.visitor(1, 'room');
    visitor.challenge();
    const elsewhere = new Visitor(lab, { ...visitor.remote, port: 1 }, visitor.client);
    assert.equal(elsewhere.ask(visitor.client.allocate()).code, 438);
    assert.equal(elsewhere.ask(visitor.client.allocate()).code, null, 'the 438 has a good one');
  });

  it('accept a nonce for half an hour, then give another', () => {
    const lab = new Lab();
    const visitor = lab.visitor(1, 'room');
    visitor.challenge();
    lab.pass(30 * 60_000);
    visitor.ask(visitor.client.allocate());
    lab.pass(5 * 60_000);
    assert.equal(visitor.ask(visitor.client.refresh(600)).code, null);
    lab.pass(60 * 60_000);
    assert.equal(visitor.ask(visitor.client.refresh(600)).code, 438);
    assert.equal(visitor.ask(visitor.client.refresh(600)).code, 437);
  });

  it('are refreshed whatever requests come from who forges their five-tuple', () => {
    const lab = new Lab();
    const visitor = lab.allocated(1, 'room');
    const forged = new TurnClient(nodeCrypto, NO_CREDENTIALS).refresh(0);
    // Longer than a nonce lasts.
    for (let minute = 0; minute < 120; minute++) {
      for (let i = 0; i < 800; i++) lab.exchange(visitor.remote, forged);
      const reply = visitor.ask(visitor.client.refresh(600));
      if (reply.code === 438) assert.equal(visitor.ask(visitor.client.refresh(600)).code, null);
      else assert.equal(reply.code, null);
      lab.pass(60_000);
    }
    assert.ok(lab.drops('turn.requestBudget') > 1000);
    assert.ok(lab.drops('turn.refused.438') > 0);
  });

  it('are bounded by session, source and in all; the idle ones of the greediest go first', () => {
    const lab = new Lab();
    for (let i = 0; i < LIMITS.allocationsPerSession; i++) lab.allocated(1, `room${i}`);
    const ninth = lab.visitor(1, 'room');
    ninth.challenge();
    assert.equal(ninth.ask(ninth.client.allocate()).code, 486);
    // An eighth of all is what one address may have.
    const sameAddress = lab.visitor(2, 'room', '203.0.113.1');
    sameAddress.challenge();
    assert.equal(sameAddress.ask(sameAddress.client.allocate()).code, 486);
    for (let i = 1; i < 8; i++)
      for (let j = 0; j < LIMITS.allocationsPerSession; j++)
        lab.allocated(10 * i + (j >> 3), `r${i}`, `198.51.${100 + i}.${1 + (j >> 3)}`);
    assert.equal(lab.turn.counts.allocations, LIMITS.maxAllocations);
    lab.allocated(200, 'room', '192.0.2.1');
    assert.equal(lab.turn.counts.allocations, LIMITS.maxAllocations);
    assert.equal(lab.drops('turn.evicted'), 1);
  });

  it('keep nothing of those before them, when each had a permission for the last one', () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const usedBytes = (): number => {
      collect();
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    };
    const lab = new Lab();
    let last = lab.allocated(1, 'room');
    const replace = (rounds: number): void => {
      for (let i = 0; i < rounds; i++) {
        lab.pass(100);
        const next = lab.allocated(1, 'room');
        assert.equal(next.ask(next.client.permit(last.relayed)).code, null);
        assert.equal(last.ask(last.client.refresh(0)).lifetime, 0);
        last = next;
      }
    };
    replace(1000);
    const before = usedBytes();
    replace(3000);
    const perRound = (usedBytes() - before) / 3000;
    assert.ok(perRound < 400, `${Math.round(perRound)} bytes of each are kept`);
  });
});

describe('TURN forwards', () => {
  it('by channels, in the memory that it came in', () => {
    const lab = new Lab();
    const [a, b] = lab.pair('room', 0x4001);
    const datagram = channelData(0x4001, PAYLOAD);
    lab.endpoint.handleDatagram(lab.now, a.remote, datagram);
    const output = lab.endpoint.poll();
    assert.ok(output?.type === 'transmit');
    assert.deepEqual(output.remote, b.remote);
    assert.equal(output.data.buffer, datagram.buffer);
    assert.deepEqual(received({ remote: output.remote, data: output.data }), {
      data: PAYLOAD,
      channel: 0x4001,
    });
    assert.equal(lab.turn.counts.forwardedBytes, PAYLOAD.length);
  });

  it('from indications to indications, and from each to channels and back', () => {
    const lab = new Lab();
    const [a, b] = lab.pair('room');
    for (let length = 0; length < 9; length++) {
      const data = PAYLOAD.slice(0, length);
      const [sent] = a.emit(a.client.send(b.relayed, data));
      assert.deepEqual(sent?.remote, b.remote);
      assert.deepEqual(received(sent), { data, channel: null });
      const message = decodeStun(sent.data);
      assert.ok(message.ok);
      assert.equal(message.value.method, TURN_METHOD.data);
      assert.deepEqual(b.client.read(sent.data)?.message.attributes.length, 2);
    }
    assert.equal(b.ask(b.client.bind(0x4fff, a.relayed)).code, null);
    for (let length = 0; length < 9; length++) {
      const data = PAYLOAD.slice(0, length);
      assert.deepEqual(received(a.emit(a.client.send(b.relayed, data))[0]), {
        data,
        channel: 0x4fff,
      });
      assert.deepEqual(received(b.emit(channelData(0x4fff, data))[0]), { data, channel: null });
    }
  });

  it('only to whom has permitted it, for as long as that holds', () => {
    const lab = new Lab();
    const [a, b] = [lab.allocated(1, 'room'), lab.allocated(2, 'room')];
    assert.equal(a.ask(a.client.permit(b.relayed)).code, null);
    assert.equal(a.emit(a.client.send(b.relayed, PAYLOAD)).length, 0);
    assert.equal(lab.drops('turn.noPermission'), 1);
    assert.equal(b.emit(b.client.send(a.relayed, PAYLOAD)).length, 0);
    assert.equal(lab.drops('turn.send.noPermission'), 1);
    assert.equal(b.ask(b.client.permit(a.relayed)).code, null);
    assert.equal(a.emit(a.client.send(b.relayed, PAYLOAD)).length, 1);
    lab.pass(299_000);
    assert.equal(a.emit(a.client.send(b.relayed, PAYLOAD)).length, 1);
    lab.pass(1000);
    assert.equal(a.emit(a.client.send(b.relayed, PAYLOAD)).length, 0);
  });

  it('nothing to another room, another address, or itself: 403', () => {
    const lab = new Lab();
    const a = lab.allocated(1, 'room');
    const foreign = lab.allocated(2, 'other room');
    for (const peer of [
      foreign.relayed,
      foreign.remote,
      a.relayed,
      { address: '127.0.0.1', port: 53 },
      { address: '192.0.2.1', port: 3478 },
      { address: '198.18.0.1', port: 3478 },
    ]) {
      assert.equal(a.ask(a.client.permit(peer)).code, 403, peer.address);
      assert.equal(a.ask(a.client.bind(0x4000, peer)).code, 403, peer.address);
      assert.equal(a.emit(a.client.send(peer, PAYLOAD)).length, 0);
    }
    assert.equal(a.ask(a.client.permit({ address: '2001:db8::1', port: 1 })).code, 443);
    // All or none.
    const friend = lab.allocated(3, 'room');
    assert.equal(a.ask(a.client.permit(friend.relayed, foreign.relayed)).code, 403);
    friend.ask(friend.client.permit(a.relayed));
    assert.equal(a.emit(a.client.send(friend.relayed, PAYLOAD)).length, 0);
  });

  it('by channels that are bound as RFC 8656 says', () => {
    const lab = new Lab();
    const [a, b] = lab.pair('room', 0x4000);
    const c = lab.allocated(3, 'room');
    assert.equal(a.ask(a.client.bind(0x4000, b.relayed)).code, null, 'refreshed');
    assert.equal(a.ask(a.client.bind(0x4000, c.relayed)).code, 400, 'another peer');
    assert.equal(a.ask(a.client.bind(0x4001, b.relayed)).code, 400, 'another number');
    for (const number of [0x3fff, 0x5000, 0x7fff])
      assert.equal(a.ask(a.client.bind(number, c.relayed)).code, 400);
    assert.equal(a.ask(a.client.bind(0x4001, { ...c.relayed, port: 1 })).code, 403);
    assert.equal(a.emit(channelData(0x4002, PAYLOAD)).length, 0);
    lab.pass(200_000);
    for (const visitor of [a, b, c]) visitor.ask(visitor.client.refresh(600));
    lab.pass(399_000);
    assert.equal(b.ask(b.client.permit(a.relayed)).code, null);
    assert.equal(a.emit(channelData(0x4000, PAYLOAD)).length, 1);
    lab.pass(1000);
    assert.equal(a.emit(channelData(0x4000, PAYLOAD)).length, 0);
    assert.equal(a.ask(a.client.bind(0x4000, c.relayed)).code, null, 'free again');
  });

  it('nothing from who has no allocation, or to one that is gone', () => {
    const lab = new Lab();
    const [a, b] = lab.pair('room', 0x4000);
    const elsewhere = new Visitor(lab, { ...a.remote, port: 7 }, a.client);
    assert.equal(elsewhere.emit(channelData(0x4000, PAYLOAD)).length, 0);
    assert.equal(elsewhere.emit(a.client.send(b.relayed, PAYLOAD)).length, 0);
    b.ask(b.client.refresh(0));
    assert.equal(a.emit(channelData(0x4000, PAYLOAD)).length, 0);
    // Whoever has its address next is another peer.
    assert.equal(a.ask(a.client.permit(b.relayed)).code, 403);
  });

  it('at most 64 peers of an allocation, those that are gone not counted', () => {
    const lab = new Lab({ maxAllocations: 1000 });
    const a = lab.allocated(1, 'room');
    const others = Array.from({ length: 65 }, (_, i) =>
      lab.allocated(2 + i, 'room', `198.51.${i}.1`),
    );
    const [first, ...rest] = others;
    assert.ok(first !== undefined);
    for (const other of others.slice(0, 64))
      assert.equal(a.ask(a.client.permit(other.relayed)).code, null);
    lab.pass(20_000);
    const last = rest.at(-1);
    assert.ok(last !== undefined);
    assert.equal(a.ask(a.client.permit(last.relayed)).code, 508);
    first.ask(first.client.refresh(0));
    assert.equal(a.ask(a.client.permit(last.relayed)).code, null);
  });
});

describe('what TURN forwards', () => {
  /** How many of `count` datagrams go through in a second of virtual time. */
  function passed(lab: Lab, visitor: Visitor, count: number): number {
    let sent = 0;
    for (let i = 0; i < count; i++) {
      lab.pass(1000 / count);
      sent += visitor.emit(channelData(0x4000, PAYLOAD)).length;
    }
    return sent;
  }

  for (const [name, limits] of [
    ['pair', { bytesPerSecondOfPair: 200_000 }],
    ['session', { bytesPerSecondOfSession: 200_000 }],
    ['source', { bytesPerSecondOfHost: 200_000 }],
    ['room', { bytesPerSecondOfRoom: 200_000 }],
    ['all', { bytesPerSecond: 200_000 }],
  ] as const)
    it(`is limited by ${name}`, () => {
      const lab = new Lab(limits);
      const [a] = lab.pair('room', 0x4000);
      passed(lab, a, 1000);
      const inTheLongRun = passed(lab, a, 1000);
      assert.ok(Math.abs(inTheLongRun - 200_000 / 1248) < 5, `${inTheLongRun}`);
      assert.ok(lab.drops(`turn.rate.${name}`) > 0);
    });

  it('leaves half of a bounded bandwidth to others, and goes on when there is some again', () => {
    const lab = new Lab({}, 200_000);
    const [a] = lab.pair('room', 0x4000);
    const forwarded = (): number => lab.exchange(a.remote, channelData(0x4000, PAYLOAD)).length;
    let passed = 0;
    for (let i = 0; i < 500; i++) passed += forwarded();
    assert.ok(passed > 30 && passed < 50, `${passed}`);
    assert.ok(lab.drops('turn.rate.bandwidth') > 300);
    // Its allocation is served all the same.
    assert.equal(a.ask(a.client.refresh(600)).code, null);
    lab.pass(1000);
    assert.equal(forwarded(), 1);
  });

  it('is shared fairly: who sends little loses nothing to who floods', () => {
    const lab = new Lab({ bytesPerSecond: 400_000 });
    const [greedy] = lab.pair('room', 0x4000);
    const [modest, friend] = [lab.allocated(11, 'r'), lab.allocated(12, 'r')];
    modest.ask(modest.client.bind(0x4000, friend.relayed));
    friend.ask(friend.client.bind(0x4000, modest.relayed));
    const sent = { greedy: 0, modest: 0 };
    for (let i = 0; i < 5000; i++) {
      lab.pass(1);
      sent.greedy += greedy.emit(channelData(0x4000, PAYLOAD)).length;
      if (i % 10 === 0) sent.modest += modest.emit(channelData(0x4000, PAYLOAD)).length;
    }
    assert.equal(sent.modest, 500);
    assert.ok(sent.greedy * 1248 < 5 * 400_000 - 500 * 1248 + 400_000);
    assert.ok(sent.greedy > 500);
  });

  it('is shared fairly: many addresses of one network have a few parts of it', () => {
    const lab = new Lab({ bytesPerSecond: 400_000, maxAllocations: 1000 });
    const sink = lab.allocated(50, 'hogs', '198.51.100.1');
    const hogs = Array.from({ length: 20 }, (_, i) => {
      const hog = lab.allocated(100 + i, 'hogs', `2001:db8:0:1${10 + i}::1`);
      hog.ask(hog.client.bind(0x4000, sink.relayed));
      sink.ask(sink.client.permit(hog.relayed));
      return hog;
    });
    const [modest, friend] = [lab.allocated(11, 'r'), lab.allocated(12, 'r')];
    modest.ask(modest.client.bind(0x4000, friend.relayed));
    friend.ask(friend.client.bind(0x4000, modest.relayed));
    const sent = { hogs: 0, modest: 0 };
    for (let i = 0; i < 3000; i++) {
      lab.pass(1);
      for (const hog of hogs) sent.hogs += hog.emit(channelData(0x4000, PAYLOAD)).length;
      if (i % 20 === 0) sent.modest += modest.emit(channelData(0x4000, PAYLOAD)).length;
    }
    assert.equal(sent.modest, 150);
    assert.ok(sent.hogs > 300);
  });
});

describe('what strangers send to a TURN server', () => {
  it('throws nothing, and makes it send to nobody but who sent it', () => {
    const lab = new Lab();
    const [a, b] = lab.pair('room', 0x4000);
    const seeds = [
      a.client.allocate(),
      a.client.refresh(600),
      a.client.permit(b.relayed),
      a.client.bind(0x4000, b.relayed),
      a.client.send(b.relayed, PAYLOAD.slice(0, 40)),
      channelData(0x4000, PAYLOAD.slice(0, 40)),
    ];
    const stranger = { address: '192.0.2.200', port: 5 };
    let n = 0;
    for (const seed of seeds)
      for (const datagram of [...truncations(seed), ...mutations(seed, 500, (n += 1))]) {
        for (const { remote, data } of lab.exchange(stranger, datagram)) {
          assert.deepEqual(remote, stranger);
          assert.ok(data.length <= 3 * datagram.length);
        }
        for (const { remote } of lab.exchange(a.remote, datagram))
          assert.ok([a.remote.port, b.remote.port].includes(remote.port));
        lab.pass(50);
      }
    for (const datagram of randomDatagrams(2000, 3))
      for (const { remote } of lab.exchange(stranger, datagram)) assert.deepEqual(remote, stranger);
  });

  it('is answered by silence beyond the budget of their address', () => {
    const lab = new Lab();
    let answered = 0;
    for (let port = 1; port <= 10_000; port++)
      answered += lab.exchange(
        { address: '192.0.2.7', port },
        new TurnClient(testCrypto(port), NO_CREDENTIALS).allocate(),
      ).length;
    assert.equal(answered, 1000);
  });

  it('is answered by silence where TURN is off, as all that is not Binding is', () => {
    const endpoint = new Endpoint(instant(0), endpointOptions());
    const remote = { address: '192.0.2.7', port: 9 };
    const client = new TurnClient(nodeCrypto, NO_CREDENTIALS);
    for (const datagram of [client.allocate(), client.refresh(1), channelData(0x4000, PAYLOAD)]) {
      endpoint.handleDatagram(instant(0), remote, datagram);
      assert.equal(endpoint.poll(), null);
    }
    assert.deepEqual(endpoint.drops.snapshot(), {
      'endpoint.unknownProtocol': 1,
      'stun.method': 2,
    });
  });

  it('behind MESSAGE-INTEGRITY counts for nothing', () => {
    const lab = new Lab();
    const [a, b] = lab.pair('room');
    const c = lab.allocated(3, 'room');
    const signed = a.client.permit(b.relayed);
    const message = decodeStun(signed);
    assert.ok(message.ok);
    const builder = new StunBuilder('request', message.value.method, message.value.transactionId);
    for (const { type, value } of message.value.attributes) builder.attribute(type, value);
    const named = decodeStun(a.client.permit(c.relayed));
    assert.ok(named.ok);
    const peer = findAttribute(named.value, TURN_ATTRIBUTE.xorPeerAddress);
    assert.ok(peer !== null);
    builder.attribute(TURN_ATTRIBUTE.xorPeerAddress, peer.value);
    assert.equal(a.ask(builder.finish()).code, null);
    assert.ok(findAttribute(message.value, ATTRIBUTE.messageIntegrity) !== null);
    c.ask(c.client.permit(a.relayed));
    assert.equal(c.emit(c.client.send(a.relayed, PAYLOAD)).length, 0, 'a has not permitted it');
  });
});
