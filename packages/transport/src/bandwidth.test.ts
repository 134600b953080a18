import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Instant, instant, later } from '@lumamesh/base';
import {
  SessionHost,
  TEST_CHANNEL,
  clientOptions,
  connectedPair,
  endpointOptions,
  sessionPair,
  testCrypto,
} from '@lumamesh/testkit';
import { Bandwidth, DATAGRAM_HEADER_BYTES } from './bandwidth.ts';
import { Endpoint } from './endpoint.ts';
import { type Remote, fiveTupleKey } from './five-tuple.ts';
import type { SessionId } from './session-table.ts';
import { METHOD_BINDING, StunBuilder } from './stun/message.ts';

const RATE = 100_000;
const A: Remote = { address: '192.0.2.1', port: 1 };
const B: Remote = { address: '192.0.2.2', port: 1 };
const DATAGRAM = new Uint8Array(1000);
const COST = DATAGRAM.length + DATAGRAM_HEADER_BYTES;

/** Sends as much as is offered at each millisecond. @returns Datagrams by address. */
function saturate(
  bandwidth: Bandwidth,
  ms: number,
  offers: (now: Instant) => readonly Remote[],
): Map<string, number> {
  const sent = new Map<string, number>();
  const count = ({ address }: Remote): void => void sent.set(address, (sent.get(address) ?? 0) + 1);
  for (let now = instant(1); now <= ms; now = later(now, 1)) {
    for (let held = bandwidth.poll(now); held !== null; held = bandwidth.poll(now))
      count(held.remote);
    for (const remote of offers(now))
      if (bandwidth.offer(now, remote, DATAGRAM) === 'send') count(remote);
  }
  return sent;
}

function total(sent: ReadonlyMap<string, number>): number {
  return [...sent.values()].reduce((sum, n) => sum + n, 0);
}

/** Many clients of one endpoint, 20 ms away, in steps of a millisecond. */
class Crowd {
  now = instant(0);
  readonly endpoint: Endpoint;
  readonly opened = new Set<SessionId>();
  closed = 0;
  readonly guests: {
    readonly host: SessionHost;
    readonly remote: Remote;
    deadline: Instant | null;
  }[];
  #onTheWay: { readonly at: Instant; readonly act: () => void }[] = [];

  constructor(size: number, maxBandwidth: number) {
    this.endpoint = new Endpoint(this.now, endpointOptions({ maxBandwidth }));
    this.guests = Array.from({ length: size }, (_, i) => ({
      host: new SessionHost(
        this.now,
        clientOptions({ crypto: testCrypto(1000 + i), localUfrag: `guest${i}` }),
      ),
      remote: { address: `203.0.113.${i + 1}`, port: 40_000 },
      deadline: this.now,
    }));
  }

  run(isDone: () => boolean, ms: number): void {
    for (const end = later(this.now, ms); this.now < end && !isDone(); this.#step())
      this.now = later(this.now, 1);
  }

  #step(): void {
    const due = this.#onTheWay.filter(({ at }) => at <= this.now);
    this.#onTheWay = this.#onTheWay.filter(({ at }) => at > this.now);
    for (const { act } of due) act();
    const { deadline } = this.endpoint;
    if (deadline !== null && deadline <= this.now) this.endpoint.handleTimeout(this.now);
    this.#drainEndpoint();
    for (const guest of this.guests) {
      if (guest.deadline === null || guest.deadline > this.now) continue;
      guest.host.handleTimeout(this.now);
      this.#drainGuest(guest);
    }
  }

  #drainGuest(guest: Crowd['guests'][number]): void {
    guest.deadline = guest.host.drain(this.now, (data) =>
      this.#later(() => this.endpoint.handleDatagram(this.now, guest.remote, data)),
    );
  }

  #drainEndpoint(): void {
    for (let out = this.endpoint.poll(); out !== null; out = this.endpoint.poll()) {
      if (out.type === 'event') {
        if (out.event.type === 'connected') this.opened.add(out.sessionId);
        if (out.event.type === 'closed') this.closed += 1;
        continue;
      }
      const { remote, data } = out;
      const guest = this.guests.find((one) => one.remote.address === remote.address);
      if (guest === undefined) continue;
      this.#later(() => {
        guest.host.handleDatagram(this.now, data);
        this.#drainGuest(guest);
      });
    }
  }

  #later(act: () => void): void {
    this.#onTheWay.push({ at: later(this.now, 20), act });
  }
}

describe('a bounded bandwidth', () => {
  it('is what is sent in the long run, behind one burst', () => {
    const sent = total(saturate(new Bandwidth(instant(0), RATE), 10_000, () => [A]));
    const expected = (RATE + 10 * RATE) / COST;
    assert.ok(Math.abs(sent - expected) <= 2, `${sent} of ${expected}`);
  });

  it('is shared by turns, whoever offers more', () => {
    const sent = saturate(new Bandwidth(instant(0), RATE), 10_000, (now) =>
      now > 2000 ? [...Array.from({ length: 20 }, () => A), ...(now % 20 === 0 ? [B] : [])] : [],
    );
    // B offers as much as half of it is: 50 datagrams a second; it gets them all.
    assert.ok((sent.get(B.address) ?? 0) > 370, JSON.stringify([...sent]));
  });

  it('is shared between networks: sessions without number of one have four parts of it', () => {
    const bandwidth = new Bandwidth(instant(0), RATE);
    const hogs = Array.from({ length: 64 }, (_, i) => ({
      address: '198.51.100.1',
      port: 1000 + i,
    }));
    const sent = saturate(bandwidth, 10_000, (now) =>
      // A session offers nothing while something of it waits.
      [...hogs, A].filter((remote) => now > 0 && !bandwidth.holds(fiveTupleKey(remote))),
    );
    const own = sent.get(A.address) ?? 0;
    assert.ok(own > total(sent) / 6, JSON.stringify([...sent]));
    assert.ok(own < total(sent) / 4, JSON.stringify([...sent]));
  });

  it('keeps half of itself from those who only send', () => {
    const bandwidth = new Bandwidth(instant(0), RATE);
    const sent = total(
      saturate(bandwidth, 10_000, (now) => {
        for (let i = 0; i < 100; i++) bandwidth.handleReceived(now, 1200);
        return [A];
      }),
    );
    const expected = (RATE * 10) / 2 / COST;
    assert.ok(sent >= expected && sent < expected * 1.2, `${sent} of ${expected}`);
  });

  it('ends for forwarding first, then for newcomers, and for sessions when it is used up', () => {
    const bandwidth = new Bandwidth(instant(0), RATE);
    const now = instant(0);
    const seen: string[] = [];
    const note = (what: string, isOver: boolean): void => {
      if (isOver && !seen.includes(what)) seen.push(what);
    };
    for (let i = 0; i < 150; i++) {
      note('forwarding', !bandwidth.takeForwarded(now, 0));
      note('newcomers', !bandwidth.admitsNewcomers(now));
      note('sessions', bandwidth.offer(now, A, DATAGRAM) !== 'send');
    }
    assert.deepEqual(seen, ['forwarding', 'newcomers', 'sessions']);
    assert.equal(bandwidth.admitsNewcomers(later(now, 1000)), true);
  });

  it('lets a bounded part wait, and says when the next one may leave', () => {
    const bandwidth = new Bandwidth(instant(0), RATE);
    const now = instant(0);
    let dropped = 0;
    for (let i = 0; i < 100_000; i++) {
      const remote = { address: `2001:db8::${i.toString(16)}`, port: 1 };
      if (bandwidth.offer(now, remote, DATAGRAM) === 'drop') dropped += 1;
    }
    assert.ok(dropped > 80_000);
    assert.ok(bandwidth.waitingBytes <= 16 * 2 ** 20, `${bandwidth.waitingBytes} bytes`);
    for (let i = 0; i < 100; i++) bandwidth.offer(now, A, DATAGRAM);
    assert.ok(bandwidth.waitingBytes <= 16 * 2 ** 20, `${bandwidth.waitingBytes} bytes`);
    const next = bandwidth.deadline;
    assert.ok(next !== null && next > now);
    assert.equal(bandwidth.poll(now), null);
    assert.notEqual(bandwidth.poll(next), null);
    // Everything leaves, and nothing is left to be counted.
    for (let at = later(next, 1); bandwidth.deadline !== null; at = later(at, 1))
      while (bandwidth.poll(at) !== null);
    assert.equal(bandwidth.waitingBytes, 0);
  });

  it('never owes more than a second, whatever could not wait', () => {
    const bandwidth = new Bandwidth(instant(0), RATE);
    for (let i = 0; i < 10_000; i++) bandwidth.spend(instant(0), 1000);
    assert.equal(bandwidth.offer(instant(990), A, DATAGRAM), 'waits');
    assert.notEqual(bandwidth.poll(instant(1010)), null);
  });
});

describe('an endpoint of a bounded bandwidth', () => {
  it('sends everything more slowly, and ends no session', () => {
    const rate = 50_000;
    const { net, server, client, sessionId } = connectedPair({ endpoint: { maxBandwidth: rate } });
    const message = 'x'.repeat(50_000);
    for (let i = 0; i < 16; i++)
      assert.ok(server.endpoint.send(net.now, sessionId, TEST_CHANNEL.id, message));
    const startedAt = net.now;
    net.touch(server);
    assert.ok(
      net.runUntil(() => client.messages().length === 16, 60_000),
      `${client.messages().length} came; ${JSON.stringify(server.endpoint.drops.snapshot())}`,
    );
    const seconds = (net.now - startedAt) / 1000;
    // 800 KB with 64 KB of burst; SACKs and what is sent twice count as well.
    assert.ok(seconds > 14 && seconds < 30, `${seconds} s`);
    assert.ok(!server.has('closed') && !client.has('closed'));
  });

  it('ends none of many sessions that all want more than their part', () => {
    const crowd = new Crowd(40, 50_000);
    crowd.run(() => crowd.opened.size === 40, 60_000);
    assert.equal(crowd.opened.size, 40);
    // 4 MB, which take 80 s and more: longer than what is sent may be without an acknowledgement.
    for (const sessionId of crowd.opened)
      for (let i = 0; i < 10; i++)
        crowd.endpoint.send(crowd.now, sessionId, TEST_CHANNEL.id, 'x'.repeat(10_000));
    const received = (): number[] => crowd.guests.map(({ host }) => host.messages().length);
    const startedAt = crowd.now;
    crowd.run(() => received().every((count) => count === 10), 300_000);
    const drops = JSON.stringify(crowd.endpoint.drops.snapshot());
    assert.equal(crowd.closed, 0, `${received().join()} ${drops}`);
    assert.deepEqual(
      received(),
      Array.from({ length: 40 }, () => 10),
      drops,
    );
    const seconds = (crowd.now - startedAt) / 1000;
    assert.ok(seconds > 75 && seconds < 240, `${seconds} s, ${drops}`);
  });

  it('takes no newcomer while it is used up, keeps its session, and takes them later', () => {
    const { net, server, client } = connectedPair({ endpoint: { maxBandwidth: 20_000 } });
    server.endpoint.bandwidth?.spend(net.now, 1_000_000);
    const stranger: Remote = { address: '203.0.113.9', port: 9 };
    const question = new StunBuilder('request', METHOD_BINDING, new Uint8Array(12)).finish();
    const answers = (): number => {
      server.endpoint.handleDatagram(net.now, stranger, question);
      let count = 0;
      for (let out = server.endpoint.poll(); out !== null; out = server.endpoint.poll())
        if (out.type === 'transmit' && out.remote.address === stranger.address) count += 1;
      return count;
    };
    assert.equal(answers(), 0);
    assert.equal(server.endpoint.drops.snapshot()['endpoint.bandwidth'], 1);
    net.run(10_000);
    assert.equal(answers(), 1);
    assert.ok(!server.has('closed') && !client.has('closed'));
  });
});

describe('an endpoint that rests', () => {
  it('answers nobody but the sessions that there are, until it goes on', () => {
    const { net, server, client, sessionId } = connectedPair();
    server.endpoint.setResting(true);
    const late = new SessionHost(net.now, clientOptions({ localUfrag: 'late' }));
    const say = (): number => {
      let answers = 0;
      late.drain(net.now, (data) =>
        server.endpoint.handleDatagram(net.now, { address: '203.0.113.9', port: 9 }, data),
      );
      for (let out = server.endpoint.poll(); out !== null; out = server.endpoint.poll())
        if (out.type === 'transmit' && out.remote.port === 9) answers += 1;
      return answers;
    };
    assert.equal(say(), 0);
    assert.equal(server.endpoint.drops.snapshot()['endpoint.resting'], 1);
    assert.ok(server.endpoint.send(net.now, sessionId, TEST_CHANNEL.id, 'still here'));
    net.touch(server);
    assert.ok(net.runUntil(() => client.messages().includes('still here'), 1000));
    server.endpoint.setResting(false);
    net.run(1000);
    late.handleTimeout(net.now);
    assert.equal(say(), 1);
  });

  it('is not met by a browser that comes', () => {
    const pair = sessionPair();
    pair.server.endpoint.setResting(true);
    assert.ok(!pair.net.runUntil(() => pair.client.has('connected'), 5000));
    assert.equal(pair.server.endpoint.counts.sessions, 0);
  });
});
