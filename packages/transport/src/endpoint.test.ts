import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Instant, fromHex, instant, later } from '@lumamesh/base';
import {
  EndpointHost,
  SessionHost,
  TEST_CHANNEL,
  TEST_ICE,
  VirtualNetwork,
  browserFlights,
  clientOptions,
  endpointOptions,
  mutations,
  randomDatagrams,
  testCrypto,
} from '@lumamesh/testkit';
import { ControllingAgent } from './ice/controlling-agent.ts';
import { Endpoint } from './endpoint.ts';
import type { EndpointLimits } from './session-admission.ts';
import type { Remote } from './five-tuple.ts';

const LIMITS: EndpointLimits = { maxSessions: 20, cookieThreshold: 5, maxHalfOpen: 10 };

function remote(n: number): Remote {
  return { address: `198.51.100.${n % 250}`, port: 1024 + n };
}

/** A valid connectivity check from nowhere in particular. */
function check(seed: number, password = TEST_ICE.password): Uint8Array {
  const agent = new ControllingAgent(instant(0), testCrypto(seed), `frag${seed}`, {
    ufrag: TEST_ICE.ufrag,
    password,
  });
  const output = agent.poll();
  assert.ok(output?.type === 'transmit');
  return output.data;
}

/** Everything the endpoint has to say now; answers the datagrams. */
function drain(endpoint: Endpoint): { readonly remote: Remote; readonly data: Uint8Array }[] {
  const sent: { readonly remote: Remote; readonly data: Uint8Array }[] = [];
  for (let output = endpoint.poll(); output !== null; output = endpoint.poll())
    if (output.type === 'transmit') sent.push(output);
  return sent;
}

/** A client that connects over the virtual network to an endpoint that is shared with attackers. */
function connectTo(server: EndpointHost, net: VirtualNetwork, seed: number): SessionHost {
  const client = new SessionHost(
    net.now,
    clientOptions({ crypto: testCrypto(seed), localUfrag: `honest${seed}` }),
  );
  server.remote = { address: '203.0.113.1', port: 5000 + seed };
  net.link(client, server, { latencyMs: 5 });
  return client;
}

describe('an endpoint', () => {
  it('makes a session on the first valid check, and none on anything else', () => {
    const endpoint = new Endpoint(instant(0), endpointOptions());
    endpoint.handleDatagram(instant(0), remote(1), check(1, 'ffffffffffffffffffffffffffffffff'));
    assert.equal(drain(endpoint).length, 0);
    assert.deepEqual(endpoint.counts, { sessions: 0, halfOpen: 0 });
    endpoint.handleDatagram(instant(0), remote(1), check(1));
    assert.equal(drain(endpoint).length, 1);
    assert.deepEqual(endpoint.counts, { sessions: 1, halfOpen: 1 });
    assert.deepEqual(endpoint.drops.snapshot(), { 'ice.integrity.mismatch': 1 });
  });

  it('answers checks without keeping anything once half-open sessions pass the threshold', () => {
    const endpoint = new Endpoint(instant(0), endpointOptions({ limits: LIMITS }));
    for (let i = 0; i < 1000; i++) endpoint.handleDatagram(instant(0), remote(i), check(i));
    assert.equal(drain(endpoint).length, 1000);
    assert.deepEqual(endpoint.counts, {
      sessions: LIMITS.cookieThreshold,
      halfOpen: LIMITS.cookieThreshold,
    });
  });

  it('lets an honest client in by cookie while the threshold is passed', () => {
    const net = new VirtualNetwork();
    const server = new EndpointHost(net.now, endpointOptions({ limits: LIMITS }));
    for (let i = 0; i < 50; i++) server.endpoint.handleDatagram(net.now, remote(i), check(i));
    const client = connectTo(server, net, 1);
    assert.ok(
      net.runUntil(() => client.has('connected'), 3000),
      client.drops.join(),
    );
    assert.equal(server.events.filter(({ event }) => event.type === 'secure').length, 1);
    const hellos = net.sent.filter(
      ({ from, data }) => from === client && data[0] === 22 && data[13] === 1,
    );
    assert.equal(
      hellos.length,
      4,
      'one ClientHello without cookie, one with it, in two datagrams each',
    );
  });

  it('forgets half-open sessions that go nowhere', () => {
    const endpoint = new Endpoint(instant(0), endpointOptions({ limits: LIMITS }));
    for (let i = 0; i < 5; i++) endpoint.handleDatagram(instant(0), remote(i), check(i));
    let now = instant(0);
    while (now < 60_000) {
      drain(endpoint);
      if (endpoint.deadline === null) break;
      now = endpoint.deadline;
      endpoint.handleTimeout(now);
    }
    assert.deepEqual(endpoint.counts, { sessions: 0, halfOpen: 0 });
    endpoint.handleDatagram(later(now, 1), remote(1), check(1));
    assert.equal(endpoint.counts.sessions, 1);
  });

  it('keeps to its limit of sessions, and has room again when one ends', () => {
    const net = new VirtualNetwork();
    const server = new EndpointHost(
      net.now,
      endpointOptions({ limits: { maxSessions: 1, cookieThreshold: 10, maxHalfOpen: 10 } }),
    );
    const first = connectTo(server, net, 1);
    assert.ok(net.runUntil(() => server.has('connected') && first.has('connected'), 3000));
    server.endpoint.handleDatagram(net.now, remote(9), check(9));
    assert.equal(server.endpoint.drops.get('endpoint.full'), 1);
    first.session.close(net.now);
    net.touch(first);
    net.run(100);
    server.endpoint.handleDatagram(net.now, remote(9), check(9));
    assert.equal(server.endpoint.counts.sessions, 1);
  });

  it('is kept alive by authenticated records only: checks can be forged', () => {
    const net = new VirtualNetwork();
    const server = new EndpointHost(net.now, endpointOptions());
    const client = connectTo(server, net, 1);
    assert.ok(net.runUntil(() => client.has('connected'), 3000));
    client.handleTimeout = () => undefined;
    client.drain = () => null;
    for (let second = 0; second < 40; second++) {
      server.endpoint.handleDatagram(net.now, server.remote, check(1));
      net.touch(server);
      net.run(1000);
    }
    assert.ok(server.has('closed'));
  });

  it('says goodbye to everybody at once, and shrugs at sessions that are gone', () => {
    const net = new VirtualNetwork();
    const server = new EndpointHost(net.now, endpointOptions());
    const client = connectTo(server, net, 1);
    assert.ok(net.runUntil(() => client.has('connected'), 3000));
    server.endpoint.handleDatagram(net.now, remote(2), check(2));
    assert.equal(server.endpoint.counts.sessions, 2);
    server.endpoint.closeAll(net.now);
    net.touch(server);
    assert.deepEqual(server.endpoint.counts, { sessions: 0, halfOpen: 0 });
    net.run(100);
    assert.ok(client.has('closed'));
    const gone = server.events[0]?.sessionId;
    assert.ok(gone !== undefined);
    assert.ok(!server.endpoint.send(net.now, gone, 0, 'x'));
    server.endpoint.closeGracefully(net.now, gone);
    server.endpoint.close(net.now, gone);
  });

  it('is not filled by strangers: unproven sessions take no place of proven ones', () => {
    const net = new VirtualNetwork();
    const server = new EndpointHost(
      net.now,
      endpointOptions({ limits: { maxSessions: 2, cookieThreshold: 5, maxHalfOpen: 2 } }),
    );
    for (let i = 0; i < 100; i++) server.endpoint.handleDatagram(net.now, remote(i), check(i));
    assert.equal(server.endpoint.counts.halfOpen, 5);
    const client = connectTo(server, net, 1);
    assert.ok(
      net.runUntil(() => client.has('connected'), 3000),
      client.drops.join(),
    );
  });

  it('bounds how many handshakes a second begin without a cookie, though each fails at once', () => {
    const endpoint = new Endpoint(instant(0), endpointOptions({ limits: LIMITS }));
    for (let i = 0; i < 200; i++) {
      endpoint.handleDatagram(instant(0), remote(i), check(i));
      endpoint.close(instant(0), (i + 1) as never);
      drain(endpoint);
    }
    endpoint.handleDatagram(instant(0), remote(999), check(999));
    assert.equal(endpoint.counts.sessions, 0, 'the burst is used up');
    endpoint.handleDatagram(instant(1000), remote(999), check(999));
    assert.equal(endpoint.counts.sessions, 1);
  });
});

describe('a whole endpoint under fire', () => {
  it('takes random datagrams and mutations of real first flights: no throw, no session, no more sent than allowed', () => {
    const endpoint = new Endpoint(
      instant(0),
      endpointOptions({
        limits: LIMITS,
        ice: { ufrag: 'luma', password: 'lumalumalumalumalumaluma' },
      }),
    );
    const flights = Object.values(browserFlights()).flatMap((flight) => [
      ...flight.stunBindingRequests,
      ...flight.clientHelloDatagrams,
    ]);
    let now = instant(0);
    let received = 0;
    let sent = 0;
    const feed = (from: Remote, datagram: Uint8Array): void => {
      received += datagram.length;
      now = later(now, 1);
      endpoint.handleTimeout(now);
      endpoint.handleDatagram(now, from, datagram);
      for (const { data } of drain(endpoint)) sent += data.length;
    };
    for (const datagram of randomDatagrams(20_000, 1)) feed(remote(datagram.length), datagram);
    for (const [i, hex] of flights.entries()) {
      const bytes = fromHex(hex);
      assert.ok(bytes !== null);
      // First the true one, so that sessions exist that the damaged ones can hit.
      feed(remote(i), bytes);
      for (const mutated of mutations(bytes, 1500, i)) feed(remote(i), mutated);
    }
    assert.ok(sent <= 3 * received);
    assert.ok(endpoint.counts.sessions <= LIMITS.maxSessions);
    assert.ok(Object.keys(endpoint.drops.snapshot()).length > 10);
  });

  it('takes mutations of every datagram of a whole conversation, in both roles', () => {
    const record = (): { readonly up: Uint8Array[]; readonly down: Uint8Array[] } => {
      const net = new VirtualNetwork();
      const server = new EndpointHost(net.now, endpointOptions());
      const client = connectTo(server, net, 1);
      server.onEvent = (sessionId, event) => {
        if (event.type === 'message')
          server.endpoint.send(net.now, sessionId, TEST_CHANNEL.id, event.data);
      };
      client.onEvent = (event) => {
        if (event.type === 'connected')
          client.session.send(net.now, TEST_CHANNEL.id, 'x'.repeat(3000));
      };
      net.run(3000);
      const of = (from: object): Uint8Array[] =>
        net.sent.filter((datagram) => datagram.from === from).map(({ data }) => data);
      return { up: of(client), down: of(server) };
    };
    const { up, down } = record();
    assert.ok(up.length > 8 && down.length > 8);
    const net = new VirtualNetwork();
    const server = new EndpointHost(net.now, endpointOptions());
    const client = connectTo(server, net, 2);
    const at = (i: number): Instant => later(net.now, i);
    for (const [i, datagram] of up.entries())
      for (const mutated of mutations(datagram, 200, i))
        server.endpoint.handleDatagram(at(0), server.remote, mutated);
    for (const [i, datagram] of down.entries())
      for (const mutated of mutations(datagram, 200, i))
        client.session.handleDatagram(at(0), mutated);
    net.touch(server);
    net.touch(client);
  });
});
