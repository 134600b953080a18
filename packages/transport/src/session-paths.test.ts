import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Instant, concatBytes, later } from '@lumamesh/base';
import {
  SessionHost,
  type VirtualNetwork,
  clientOptions,
  connectedPair,
  testCrypto,
} from '@lumamesh/testkit';
import { ControllingAgent } from './ice/controlling-agent.ts';
import type { EndpointLimits } from './session-admission.ts';
import type { Remote } from './five-tuple.ts';

const HERE: Remote = { address: '192.0.2.77', port: 40_000 };
const THERE: Remote = { address: '198.51.100.9', port: 51_000 };
const UFRAG = 'roam';

/** A client that has a session, and the address that its datagrams seem to come from. */
class Lab {
  readonly net: VirtualNetwork;
  readonly server: ReturnType<typeof connectedPair>['server'];
  readonly client: SessionHost;
  /** Where the endpoint sent to. */
  readonly sentTo: Remote[] = [];
  readonly #bytes = new Map<number, number>();

  constructor(limits?: EndpointLimits) {
    const pair = connectedPair({
      link: { latencyMs: 20 },
      client: { localUfrag: UFRAG },
      ...(limits === undefined ? {} : { endpoint: { limits } }),
    });
    ({ net: this.net, server: this.server, client: this.client } = pair);
    this.server.drain = (now: Instant, send: (data: Uint8Array) => void): Instant | null => {
      const { endpoint } = this.server;
      for (let output = endpoint.poll(); output !== null; output = endpoint.poll()) {
        if (output.type === 'event')
          this.server.events.push({ sessionId: output.sessionId, event: output.event, at: now });
        else {
          this.sentTo.push(output.remote);
          this.#bytes.set(output.remote.port, this.bytesTo(output.remote) + output.data.length);
          // The network delivers to the client only what is sent to where it is.
          if (output.remote.port === this.server.remote.port) send(output.data);
        }
      }
      return endpoint.deadline;
    };
    this.check();
  }

  get where(): Remote | null {
    const [first] = this.server.events;
    assert.ok(first !== undefined);
    return this.server.endpoint.remoteOf(first.sessionId);
  }

  /** A connectivity check from where the client is now. */
  check(remote: Remote = this.server.remote, ufrag = UFRAG, relayUfrag = 'luma'): void {
    const agent = new ControllingAgent(this.net.now, testCrypto(9), ufrag, {
      ufrag: relayUfrag,
      password: '0123456789abcdef0123456789abcdef',
    });
    const output = agent.poll();
    assert.ok(output?.type === 'transmit');
    this.server.endpoint.handleDatagram(this.net.now, remote, output.data);
    this.net.touch(this.server);
  }

  /** What the endpoint has to say now. */
  poll(): void {
    this.server.drain(this.net.now, () => undefined);
  }

  /** Another client, as far as it gets at once. */
  newcomer(remote: Remote, localUfrag = 'test'): SessionHost {
    const { endpoint } = this.server;
    const options = clientOptions({ crypto: testCrypto(77), localUfrag });
    const host = new SessionHost(this.net.now, options);
    for (let round = 0; round < 40; round++) {
      host.drain(this.net.now, (data) => endpoint.handleDatagram(this.net.now, remote, data));
      for (let output = endpoint.poll(); output !== null; output = endpoint.poll())
        if (output.type === 'transmit' && output.remote.port === remote.port)
          host.handleDatagram(this.net.now, output.data);
    }
    return host;
  }

  bytesTo(remote: Remote): number {
    return this.#bytes.get(remote.port) ?? 0;
  }

  say(text: string): void {
    assert.ok(this.client.session.send(this.net.now, 0, text));
    this.net.touch(this.client);
  }

  /** One record of the client, which does not reach the endpoint by itself. */
  record(text: string): Uint8Array {
    this.client.session.send(this.net.now, 0, text);
    for (;;) {
      const output = this.client.session.poll();
      assert.ok(output !== null);
      if (output.type === 'transmit') return output.data;
    }
  }

  hears(text: string): boolean {
    return this.net.runUntil(() => this.server.messages().includes(text), 5000);
  }
}

describe('a session whose peer goes on from elsewhere', () => {
  it('goes with it, without a handshake, and answers there', () => {
    const lab = new Lab();
    lab.server.remote = THERE;
    lab.check();
    lab.say('here I am');
    assert.ok(lab.hears('here I am'));
    assert.deepEqual(lab.where, THERE);
    const { server, net, client } = lab;
    const [first] = server.events;
    assert.ok(first !== undefined);
    net.run(1000);
    server.endpoint.send(net.now, first.sessionId, 0, 'x'.repeat(50_000));
    net.touch(server);
    assert.ok(net.runUntil(() => client.messages().some(({ length }) => length === 50_000), 5000));
    assert.equal(server.endpoint.counts.sessions, 1);
    assert.equal(server.endpoint.drops.get('endpoint.pathUnproven'), 0);
    net.run(20_000);
    assert.ok(!server.has('closed') && !client.has('closed'));
  });

  it('is sent there at once what was lost where it was, however long it was away', () => {
    const lab = new Lab();
    const { server, net, client } = lab;
    const [first] = server.events;
    assert.ok(first !== undefined);
    lab.server.remote = THERE;
    const text = 'y'.repeat(4000);
    for (let i = 0; i < 3; i++) server.endpoint.send(net.now, first.sessionId, 0, text);
    net.touch(server);
    // Retransmissions are seconds apart by now.
    net.run(9000);
    assert.ok(!client.messages().includes(text));
    lab.check();
    const at = net.now;
    lab.say('1');
    assert.ok(
      net.runUntil(() => client.messages().filter((one) => one === text).length === 3, 5000),
    );
    // A round trip to ask, and those of slow start; one takes 40 ms.
    assert.ok(net.now - at <= 500, `after ${net.now - at} ms`);
    assert.equal(server.endpoint.drops.get('endpoint.pathUnproven'), 0);
  });

  it('goes on from elsewhere when its connection has ended, whose five-tuple is free', () => {
    const lab = new Lab();
    const { server, net } = lab;
    server.endpoint.handleDisconnected(net.now, HERE);
    assert.ok(lab.newcomer(HERE).has('connected'));
    assert.equal(server.endpoint.counts.sessions, 2);
    server.remote = THERE;
    lab.check();
    lab.say('still here');
    assert.ok(lab.hears('still here'));
    net.run(4000);
    assert.deepEqual(lab.where, THERE);
    assert.equal(server.endpoint.drops.get('endpoint.pathUnproven'), 0);
  });

  it('is checked from, and found again, whatever ufrags somebody checks with who forges its five-tuple', () => {
    const lab = new Lab();
    const { server, net } = lab;
    const answers = (): number => lab.sentTo.length;
    let answered = 0;
    for (let second = 0; second < 20; second++) {
      for (let i = 0; i < 50; i++) lab.check(HERE, `forged${i % 2}`);
      net.run(1);
      const before = answers();
      lab.check();
      net.run(1);
      answered += Number(answers() > before);
      lab.check(HERE, 'forged');
      net.run(1000);
    }
    assert.ok(server.endpoint.drops.get('endpoint.stunBudget') > 500);
    assert.equal(answered, 20);
    server.remote = THERE;
    lab.check();
    lab.say('here I am');
    assert.ok(lab.hears('here I am'));
    assert.deepEqual(lab.where, THERE);
  });

  it('is found by the ufrag of an ICE restart as well', () => {
    const lab = new Lab();
    for (const ufrag of ['restarted', 'again']) {
      lab.check(HERE, ufrag);
      lab.server.remote = { ...THERE, port: lab.server.remote.port + 1 };
      lab.check(lab.server.remote, ufrag);
      lab.say(ufrag);
      assert.ok(lab.hears(ufrag));
      assert.equal(lab.where?.port, lab.server.remote.port);
      lab.net.run(2000);
      lab.server.remote = HERE;
      lab.check();
      lab.say(`${ufrag} and back`);
      assert.ok(lab.hears(`${ufrag} and back`));
    }
    assert.equal(lab.server.endpoint.counts.sessions, 1);
  });

  it('goes with it after an ICE restart, which names the ufrag that it had, again and again', () => {
    const lab = new Lab();
    let before = UFRAG;
    for (const [i, ufrag] of ['restart1', 'restart2', 'restart3'].entries()) {
      lab.server.remote = { ...THERE, port: 51_000 + i };
      lab.check(lab.server.remote, ufrag, `luma/${before}`);
      lab.say(ufrag);
      assert.ok(lab.hears(ufrag));
      assert.deepEqual(lab.where, lab.server.remote);
      lab.check(lab.server.remote, ufrag, `luma/${before}`);
      before = ufrag;
      lab.net.run(5000);
    }
    assert.equal(lab.server.endpoint.counts.sessions, 1);
  });

  it('is none for a restart that names a ufrag which nobody has', () => {
    const lab = new Lab();
    const { endpoint } = lab.server;
    lab.sentTo.length = 0;
    lab.check(THERE, 'restart', 'luma/nobody');
    lab.net.run(1000);
    assert.equal(endpoint.counts.sessions, 1);
    assert.equal(endpoint.drops.get('endpoint.unknownSession'), 1);
    assert.ok(!lab.sentTo.some(({ port }) => port === THERE.port));
  });

  it('moves again and again, and back', () => {
    const lab = new Lab();
    for (let i = 0; i < 12; i++) {
      lab.server.remote = i % 3 === 2 ? HERE : { ...THERE, port: 51_000 + (i % 3) };
      lab.check();
      lab.say(`move ${i}`);
      assert.ok(lab.hears(`move ${i}`), `${i}`);
      assert.equal(lab.where?.port, lab.server.remote.port);
      lab.net.run(2000);
    }
  });

  it('sends three times what came there at most, until it was answered there, and goes back', () => {
    const lab = new Lab();
    const { server, net } = lab;
    const [first] = server.events;
    assert.ok(first !== undefined);
    lab.check(THERE);
    const record = lab.record('stolen and sent from elsewhere');
    lab.sentTo.length = 0;
    server.endpoint.handleDatagram(net.now, THERE, record);
    server.endpoint.send(net.now, first.sessionId, 0, 'x'.repeat(60_000));
    let bytes = 0;
    const { endpoint } = server;
    const drain = (): void => {
      for (let output = endpoint.poll(); output !== null; output = endpoint.poll())
        if (output.type === 'transmit' && output.remote.port === THERE.port)
          bytes += output.data.length;
    };
    drain();
    assert.deepEqual(lab.where, THERE);
    for (let ms = 0; ms < 2900; ms += 100) {
      endpoint.handleTimeout(later(net.now, ms));
      drain();
    }
    assert.ok(bytes > 0 && bytes <= 3 * record.length, `${bytes}`);
    endpoint.handleTimeout(later(net.now, 3000));
    assert.deepEqual(lab.where, HERE);
    assert.equal(endpoint.drops.get('endpoint.pathUnproven'), 1);
  });

  it('is sent three times what came there at most, while another session has its old place', () => {
    const lab = new Lab();
    const { server, net } = lab;
    const [first] = server.events;
    assert.ok(first !== undefined);
    lab.check(THERE);
    const record = lab.record('from the address of somebody who knows nothing of it');
    server.endpoint.handleDatagram(net.now, THERE, record);
    net.touch(server);
    // Who forges addresses begins another session where the first one would go back to.
    lab.check(HERE, 'another');
    const checkBytes = 200;
    net.run(4000);
    for (let i = 0; i < 5; i++)
      server.endpoint.send(net.now, first.sessionId, 0, 'x'.repeat(20_000));
    net.touch(server);
    net.run(10_000);
    assert.deepEqual(lab.where, THERE);
    assert.ok(lab.bytesTo(THERE) <= 3 * (record.length + checkBytes), `${lab.bytesTo(THERE)}`);
    assert.ok(server.endpoint.drops.get('endpoint.pathLimit') > 0);
  });

  it('takes no place of a source before it is known to be there', () => {
    const sources = {
      sessionsPerHost: 1,
      sessionsPerNetwork: 1,
      halfOpenPerHost: 10,
      handshakesPerSecond: 100,
      stunPerSecond: 1000,
    };
    const lab = new Lab({ maxSessions: 5, cookieThreshold: 5, maxHalfOpen: 5, sources });
    const { server, net } = lab;
    lab.check(THERE);
    server.endpoint.handleDatagram(net.now, THERE, lab.record('forged'));
    assert.deepEqual(lab.where, THERE);
    assert.ok(lab.newcomer({ ...THERE, port: 999 }).has('connected'));
    const [first] = server.events;
    assert.ok(first !== undefined);
    assert.equal(server.endpoint.sourceOf(first.sessionId).host, HERE.address);
  });

  it('is counted where it is, once it has answered there', () => {
    const lab = new Lab();
    const [first] = lab.server.events;
    assert.ok(first !== undefined);
    lab.server.remote = THERE;
    lab.check();
    lab.say('here I am');
    assert.ok(lab.hears('here I am'));
    lab.net.run(1000);
    assert.equal(lab.server.endpoint.sourceOf(first.sessionId).host, THERE.address);
  });

  it('is where it was proven to be, for whoever dials it back or writes it down, until it has answered', () => {
    const lab = new Lab();
    const { server, net } = lab;
    const [first] = server.events;
    assert.ok(first !== undefined);
    const proven = (): Remote | null => server.endpoint.provenRemoteOf(first.sessionId);
    assert.deepEqual(proven(), HERE);
    lab.check(THERE);
    server.endpoint.handleDatagram(net.now, THERE, lab.record('forged'));
    assert.deepEqual(lab.where, THERE);
    assert.deepEqual(proven(), HERE);
    net.run(4000);
    assert.deepEqual(proven(), HERE);
    lab.server.remote = THERE;
    lab.check();
    lab.say('here I am');
    net.run(1000);
    assert.deepEqual(proven(), THERE);
  });

  it('is heard at once, whatever stands behind its record in a datagram from elsewhere', () => {
    const lab = new Lab();
    const { server, net } = lab;
    lab.check(THERE);
    for (let i = 0; i < 5; i++) {
      const datagram = concatBytes([lab.record(`record ${i}`), Uint8Array.of(22)]);
      server.endpoint.handleDatagram(net.now, THERE, datagram);
    }
    lab.poll();
    assert.ok(server.messages().includes('record 4'), 'it waits for the next timer');
    assert.deepEqual(lab.where, HERE, 'only a datagram of records moves a session');
  });

  it('goes on from where another session has checked, as if for itself, once it checks again', () => {
    const lab = new Lab();
    const { net } = lab;
    const other = lab.newcomer({ address: '203.0.113.5', port: 6000 }, 'other');
    assert.ok(other.has('connected'));
    lab.server.remote = THERE;
    lab.check();
    lab.check(THERE, 'other');
    lab.say('first');
    net.run(50);
    assert.deepEqual(lab.where, HERE);
    lab.check();
    lab.say('second');
    assert.ok(lab.hears('second'));
    assert.deepEqual(lab.where, THERE);
  });

  it('is not known to be there by what its peer answers from elsewhere', () => {
    const lab = new Lab();
    const { server, net, client } = lab;
    const { endpoint } = server;
    lab.check(THERE);
    lab.check(HERE);
    // Somebody between them moves it back and forth until it may not move any more.
    for (let i = 0; i < 9; i++)
      endpoint.handleDatagram(net.now, i % 2 === 0 ? THERE : HERE, lab.record(`${i}`));
    endpoint.handleDatagram(net.now, THERE, lab.record('last'));
    assert.deepEqual(lab.where, HERE);
    assert.ok(endpoint.drops.get('endpoint.moveBudget') > 0);
    net.run(1000);
    endpoint.handleDatagram(net.now, THERE, lab.record('stays'));
    assert.deepEqual(lab.where, THERE);
    // What is sent there is carried to the peer, and its answer comes from where the peer is.
    for (let i = 0; i < 10; i++) {
      endpoint.handleTimeout(later(net.now, 10 * i));
      for (let output = endpoint.poll(); output !== null; output = endpoint.poll())
        if (output.type === 'transmit') client.session.handleDatagram(net.now, output.data);
      for (let output = client.session.poll(); output !== null; output = client.session.poll())
        if (output.type === 'transmit') endpoint.handleDatagram(net.now, HERE, output.data);
    }
    assert.deepEqual(lab.where, THERE);
    endpoint.handleTimeout(later(net.now, 3100));
    assert.deepEqual(lab.where, HERE);
  });

  it('is not moved by records that are copied, damaged, or come without a check of its ufrag', () => {
    const lab = new Lab();
    const { server, net } = lab;
    const record = lab.record('mine');
    server.endpoint.handleDatagram(net.now, THERE, record);
    assert.equal(server.endpoint.drops.get('endpoint.unknownSession'), 1);
    lab.check(THERE, 'otherufrag');
    assert.deepEqual(lab.where, HERE);
    lab.check({ ...THERE, port: 52_000 });
    const damaged = record.slice();
    damaged[damaged.length - 1] = (damaged.at(-1) ?? 0) ^ 1;
    server.endpoint.handleDatagram(net.now, { ...THERE, port: 52_000 }, damaged);
    assert.deepEqual(lab.where, HERE);
    server.endpoint.handleDatagram(net.now, HERE, record);
    server.endpoint.handleDatagram(net.now, { ...THERE, port: 52_000 }, record);
    assert.deepEqual(lab.where, HERE, 'a record counts once');
  });

  it('does not go where its source has no place for it', () => {
    const sources = {
      sessionsPerHost: 1,
      sessionsPerNetwork: 1,
      halfOpenPerHost: 10,
      handshakesPerSecond: 100,
      stunPerSecond: 1000,
    };
    const lab = new Lab({ maxSessions: 5, cookieThreshold: 5, maxHalfOpen: 5, sources });
    const { server, net } = lab;
    assert.ok(lab.newcomer({ ...THERE, port: 999 }).has('connected'));
    lab.check(THERE);
    server.endpoint.handleDatagram(net.now, THERE, lab.record('move'));
    assert.deepEqual(lab.where, HERE);
    assert.equal(server.endpoint.drops.get('endpoint.addressFull'), 1);
  });
});
