import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ByteReader, type Instant, instant, later } from '@lumamesh/base';
import { type Source, sourceOf } from './source.ts';
import {
  SessionHost,
  TEST_CHANNEL,
  TEST_ICE,
  clientOptions,
  endpointOptions,
  testCrypto,
} from '@lumamesh/testkit';
import { encodeClientHello } from './dtls/message/client-hello.ts';
import { EXTENSION } from './dtls/message/extensions.ts';
import {
  HANDSHAKE_TYPE,
  encodeHandshakeFragment,
  readHandshakeFragment,
} from './dtls/message/handshake-header.ts';
import { decodeHelloVerifyRequest } from './dtls/message/hello-verify-request.ts';
import { CONTENT_TYPE, decodeRecord, encodePlaintextRecord } from './dtls/record/record.ts';
import { Endpoint } from './endpoint.ts';
import type { Remote } from './five-tuple.ts';
import { HalfOpenPool } from './half-open-pool.ts';
import { HeldLedger } from './held-ledger.ts';
import { ControllingAgent } from './ice/controlling-agent.ts';
import type { EndpointLimits } from './session-admission.ts';
import type { SessionId } from './session-table.ts';
import { DEFAULT_SOURCE_LIMITS } from './source-limits.ts';
import { METHOD_BINDING, StunBuilder } from './stun/message.ts';

/* What somebody with real addresses, or forged ones, can take from others: nothing of theirs. */

const NO_BYTES: Uint8Array = new Uint8Array(0);
const LIMITS: EndpointLimits = { maxSessions: 100, cookieThreshold: 20, maxHalfOpen: 40 };

function hello(n: number, cookie = NO_BYTES, messageSeq = 0, padding = 0): Uint8Array {
  const random = new Uint8Array(32);
  new DataView(random.buffer).setUint32(0, n);
  const body = encodeClientHello({
    version: 0xfefd,
    random,
    sessionId: NO_BYTES,
    cookie,
    cipherSuites: [0xc02b],
    compressionMethods: Uint8Array.of(0),
    extensions: new Map([
      [EXTENSION.extendedMasterSecret, NO_BYTES],
      [EXTENSION.supportedGroups, Uint8Array.of(0, 2, 0, 29)],
      [EXTENSION.signatureAlgorithms, Uint8Array.of(0, 2, 4, 3)],
      [EXTENSION.padding, new Uint8Array(padding)],
    ]),
  });
  const type = HANDSHAKE_TYPE.clientHello;
  const fragment = encodeHandshakeFragment(type, body.length, messageSeq, 0, body);
  return encodePlaintextRecord(CONTENT_TYPE.handshake, 0, messageSeq, fragment, 0xfeff);
}

function cookieIn(datagram: Uint8Array | undefined): Uint8Array | null {
  const record = decodeRecord(datagram ?? NO_BYTES, 0);
  if (!record.ok) return null;
  const { type, fragment } = readHandshakeFragment(new ByteReader(record.value.fragment));
  const cookie = decodeHelloVerifyRequest(fragment);
  return type === HANDSHAKE_TYPE.helloVerifyRequest && cookie.ok ? cookie.value : null;
}

/** A browser, and where it is. */
interface Guest {
  readonly host: SessionHost;
  readonly remote: Remote;
  deadline: Instant | null;
  isGone: boolean;
}

/** An endpoint, guests in front of it, and whoever sends to it from wherever he wants to. */
class Field {
  now = instant(0);
  readonly endpoint: Endpoint;
  readonly guests: Guest[] = [];
  readonly opened: SessionId[] = [];

  constructor(limits: Partial<EndpointLimits> = {}) {
    this.endpoint = new Endpoint(this.now, endpointOptions({ limits: { ...LIMITS, ...limits } }));
  }

  /** Sends a datagram; what comes back for that port is for the sender. */
  send(remote: Remote, datagram: Uint8Array): Uint8Array[] {
    this.endpoint.handleDatagram(this.now, remote, datagram);
    return this.drain().filter(({ length }) => length > 0);
  }

  /** Passes on what the endpoint says; answers what is for nobody here. */
  drain(): Uint8Array[] {
    const others: Uint8Array[] = [];
    for (let out = this.endpoint.poll(); out !== null; out = this.endpoint.poll()) {
      if (out.type === 'event') {
        if (out.event.type === 'connected') this.opened.push(out.sessionId);
        continue;
      }
      const { remote, data } = out;
      const guest = this.guests.find((one) => one.remote.port === remote.port);
      if (guest === undefined) others.push(data);
      else if (!guest.isGone) guest.host.handleDatagram(this.now, data);
    }
    return others;
  }

  runUntil(isDone: () => boolean, ms: number): boolean {
    for (let waited = 0; waited <= ms; waited += 5) {
      this.now = later(this.now, 5);
      this.endpoint.handleTimeout(this.now);
      this.drain();
      for (const guest of this.guests.filter(({ isGone }) => !isGone)) {
        if (guest.deadline !== null && guest.deadline <= this.now)
          guest.host.handleTimeout(this.now);
        guest.deadline = guest.host.drain(this.now, (data) =>
          this.endpoint.handleDatagram(this.now, guest.remote, data),
        );
      }
      this.drain();
      if (isDone()) return true;
    }
    return false;
  }

  /** A ClientHello with a cookie, and nothing behind it. @returns Whether it began a handshake. */
  stub(address: string, n: number): boolean {
    const remote = { address, port: 1024 + n };
    const cookie = cookieIn(this.send(remote, hello(n))[0]);
    return cookie !== null && this.send(remote, hello(n, cookie, 1)).length > 0;
  }

  check(remote: Remote, seed: number): Uint8Array[] {
    const agent = new ControllingAgent(instant(0), testCrypto(seed), `frag${seed}`, TEST_ICE);
    const output = agent.poll();
    assert.ok(output?.type === 'transmit');
    return this.send(remote, output.data);
  }

  /** An honest browser. */
  client(address: string): Guest {
    const n = this.guests.length;
    const host = new SessionHost(
      this.now,
      clientOptions({ crypto: testCrypto(1000 + n), localUfrag: `honest${n}` }),
    );
    const guest = {
      host,
      remote: { address, port: 40_000 + n },
      deadline: this.now,
      isGone: false,
    };
    this.guests.push(guest);
    return guest;
  }

  /** Whether a newcomer gets in within a second; if not, it goes away. */
  letsIn(address: string): boolean {
    const guest = this.client(address);
    const isIn = this.runUntil(() => guest.host.has('connected'), 1500);
    guest.isGone = !isIn;
    return isIn;
  }

  drops(reason: string): number {
    return this.endpoint.drops.get(reason);
  }
}

describe('strangers', () => {
  it('with cookies from one address keep nobody else out, however many they send', () => {
    const field = new Field();
    for (let round = 0; round < 5; round++) {
      for (let i = 0; i < 200; i++) field.stub('192.0.2.1', round * 200 + i);
      assert.ok(field.endpoint.counts.halfOpen <= DEFAULT_SOURCE_LIMITS.halfOpenPerHost);
      assert.ok(field.letsIn('203.0.113.1'), 'a newcomer of another address');
    }
    assert.ok(field.drops('endpoint.handshakeBudget') > 100);
    assert.ok(field.drops('endpoint.challengeBudget') > 100);
    assert.ok(field.drops('endpoint.evicted') > 0);
  });

  it('of a whole network push out each other, and not a newcomer who is half-way', () => {
    const field = new Field();
    for (let i = 0; i < 1000; i++) field.stub(`192.0.2.${i % 250}`, i);
    assert.ok(field.stub('203.0.113.1', 5000));
    const before = field.endpoint.counts.halfOpen;
    for (let i = 0; i < 1000; i++) field.stub(`192.0.2.${i % 250}`, 10_000 + i);
    assert.equal(field.endpoint.counts.halfOpen, before);
    assert.ok(field.letsIn('198.51.100.1'));
    // The one half-way still has its session: its ClientHello is no news.
    assert.equal(field.drops('endpoint.unknownSession'), 0);
    field.send({ address: '203.0.113.1', port: 6024 }, Uint8Array.of(22, 254, 253, 0, 0));
    assert.equal(field.drops('endpoint.unknownSession'), 0);
  });

  it('who replay a cookie get as many handshakes as their address may begin', () => {
    const field = new Field();
    const remote = { address: '192.0.2.1', port: 1024 };
    const cookie = cookieIn(field.send(remote, hello(1))[0]);
    assert.ok(cookie !== null);
    let handshakes = 0;
    for (let i = 0; i < 2000; i++) {
      const begun = field.send(remote, hello(1, cookie, 1)).length > 0;
      if (begun) handshakes += 1;
      field.endpoint.closeAll(field.now);
      field.drain();
    }
    assert.equal(handshakes, DEFAULT_SOURCE_LIMITS.sessionsPerHost);
  });

  it('who ask for cookies or STUN from one address take none of the budget of others', () => {
    const field = new Field();
    const attacker = { address: '192.0.2.1', port: 1 };
    for (let i = 0; i < 20_000; i++) field.send(attacker, hello(i));
    assert.ok(field.drops('endpoint.challengeBudget') > 19_000);
    const plain = new StunBuilder('request', METHOD_BINDING, new Uint8Array(12)).finish();
    let answered = 0;
    for (let i = 0; i < 20_000; i++) answered += field.send(attacker, plain).length;
    assert.equal(answered, 4000);
    assert.equal(field.check(attacker, 1).length, 0, 'his checks are no better');
    assert.equal(field.check({ address: '203.0.113.7', port: 1 }, 2).length, 1);
    assert.equal(field.send({ address: '203.0.113.7', port: 1 }, plain).length, 1);
    const own = Uint8Array.from({ length: 12 }, (_, i) => i);
    const question = new StunBuilder('request', METHOD_BINDING, own).finish();
    assert.equal(field.send(attacker, question).length, 0);
    field.endpoint.expectQuestion(own);
    assert.equal(field.send(attacker, question).length, 1, 'the program itself is answered');
    assert.ok(field.letsIn('203.0.113.1'));
  });

  it('who forge an address take nothing of what comes from it over TCP', () => {
    const field = new Field();
    const plain = new StunBuilder('request', METHOD_BINDING, new Uint8Array(12)).finish();
    const forged: Remote = { address: '203.0.113.7', port: 1 };
    const connection: Remote = { ...forged, transport: 'tcp' };
    for (let i = 0; i < 10_000; i++) {
      field.send(forged, plain);
      field.send(forged, hello(i));
    }
    assert.equal(field.send(forged, plain).length, 0);
    assert.equal(field.send(forged, hello(1)).length, 0);
    assert.equal(field.send(connection, plain).length, 1);
    assert.equal(field.send(connection, hello(1)).length, 1);
    let answered = 0;
    for (let i = 0; i < 10_000; i++) answered += field.send(connection, plain).length;
    assert.equal(answered, 3999, 'it has a bound of its own');
  });

  it('have as many sessions of an address and of a network as these may have; a session that ends makes room', () => {
    const sources = { ...DEFAULT_SOURCE_LIMITS, sessionsPerHost: 3, sessionsPerNetwork: 5 };
    const field = new Field({ sources });
    const clients = Array.from({ length: 3 }, () => field.client('192.0.2.1'));
    assert.ok(field.runUntil(() => clients.every(({ host }) => host.has('connected')), 1000));
    assert.ok(!field.letsIn('192.0.2.1'));
    assert.ok(field.drops('endpoint.addressFull') > 0);
    assert.ok(field.letsIn('192.0.2.2') && field.letsIn('192.0.2.3'));
    assert.ok(!field.letsIn('192.0.2.4'));
    assert.ok(field.drops('endpoint.networkFull') > 0);
    assert.ok(field.letsIn('203.0.113.1'));
    const [first] = clients;
    first?.host.session.close(field.now);
    field.runUntil(() => false, 100);
    assert.ok(field.letsIn('192.0.2.1'));
  });

  it('who forge the address of another and begin a handshake there do not keep him out', () => {
    const field = new Field();
    const victim = field.client('203.0.113.1');
    const { remote } = victim;
    victim.isGone = true;
    field.check(remote, 99);
    field.endpoint.handleDatagram(field.now, remote, hello(1, NO_BYTES, 0, 600));
    field.drain();
    victim.isGone = false;
    assert.ok(
      field.runUntil(() => victim.host.has('connected'), 3000),
      victim.host.drops.join(),
    );
    assert.equal(field.drops('endpoint.replaced'), 1);
    for (let i = 0; i < 500; i++) {
      field.check({ address: '203.0.113.1', port: 1000 + i }, i);
      field.send({ address: '203.0.113.1', port: 1000 + i }, hello(i, NO_BYTES, 0, 600));
    }
    assert.ok(field.letsIn('203.0.113.1'), 'forged handshakes use up nothing of the owner');
  });
});

describe('a pool of half-open sessions', () => {
  it('names the oldest of the most crowded address in the most crowded network', () => {
    const pool = new HalfOpenPool<{ readonly source: ReturnType<typeof sourceOf> }>();
    const add = (address: string): { readonly source: ReturnType<typeof sourceOf> } => {
      const entry = { source: sourceOf(address) };
      pool.add(entry);
      return entry;
    };
    add('203.0.113.1');
    add('203.0.113.1');
    add('192.0.2.1');
    const oldest = add('192.0.2.2');
    add('192.0.2.2');
    const source = sourceOf('198.51.100.1');
    assert.equal(pool.inTheWay(source, 6, 3), null);
    assert.equal(pool.inTheWay(source, 5, 3), oldest);
    assert.equal(pool.inTheWay(sourceOf('192.0.2.2'), 100, 2), oldest, 'its own place is taken');
    pool.delete(oldest);
    pool.delete(oldest);
    assert.equal(pool.size, 4);
  });
});

interface Held {
  readonly source: Source;
  heldBytes: number;
}

describe('what all sessions hold together', () => {
  const addTo = (ledger: HeldLedger<Held>, address: string, bytes: number): Held => {
    const entry = { source: sourceOf(address), heldBytes: 0 };
    ledger.update(entry, bytes);
    return entry;
  };

  it('is bounded: the greediest session of the greediest address goes, and nobody who holds little', () => {
    const ledger = new HeldLedger<Held>(1e6);
    const add = (address: string, bytes: number): Held => addTo(ledger, address, bytes);
    const slow = add('203.0.113.1', 200_000);
    const hogs = Array.from({ length: 12 }, (_, i) => add('192.0.2.1', 60_000 + i));
    assert.ok(!ledger.isExceeded);
    assert.ok(!ledger.allows(slow), 'scarce');
    const little = add('203.0.113.2', 100);
    assert.ok(ledger.allows(little));
    ledger.update(slow, 300_000);
    assert.ok(ledger.isExceeded);
    assert.equal(ledger.greediest([slow, little, ...hogs]), hogs.at(-1));
  });

  it('costs no school its sessions where somebody holds more by many addresses of his network', () => {
    const ledger = new HeldLedger<Held>(1e6);
    const school = Array.from({ length: 10 }, () => addTo(ledger, '203.0.113.1', 20_000));
    const hogs = Array.from({ length: 20 }, (_, i) =>
      addTo(ledger, `2001:db8:0:1${i.toString(16).padStart(2, '0')}::1`, 45_000 + i),
    );
    assert.ok(ledger.isExceeded);
    assert.equal(ledger.greediest([...school, ...hogs]), hogs.at(-1));
  });

  it('is bounded in an endpoint, whose honest sessions stay', () => {
    const field = new Field({ maxHeldBytes: 400_000 });
    assert.ok(field.letsIn('203.0.113.1'));
    const [honest] = field.guests;
    for (let i = 0; i < 5; i++) {
      assert.ok(field.letsIn('192.0.2.1'));
      const hog = field.guests.at(-1);
      const id = field.opened.at(-1);
      assert.ok(hog !== undefined && id !== undefined);
      hog.isGone = true;
      for (let sent = 0; sent < 150; sent++)
        field.endpoint.send(field.now, id, TEST_CHANNEL.id, 'x'.repeat(1000));
      field.runUntil(() => false, 50);
      assert.ok(field.endpoint.heldBytes <= 400_000);
    }
    assert.ok(field.drops('endpoint.shed') > 0);
    assert.equal(honest?.host.has('closed'), false);
  });
});
