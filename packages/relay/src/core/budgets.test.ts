import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { instant, later } from '@lumamesh/base';
import { sourceOf } from '@lumamesh/transport';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { RelayCore, type RelayCoreLimits } from './relay-core.ts';
import { SignalShares } from './signal-shares.ts';

/* What one session, one address or one room may cost the others. */

const ROOM = 'R'.repeat(43);
const LIMITS: RelayCoreLimits = {
  maxSessions: 1000,
  maxSessionsPerHost: 64,
  maxSessionsPerNetwork: 256,
  maxRoomSize: 250,
  messagesPerSecond: 500,
  deliveriesPerSecond: 2000,
  bytesPerSecond: 2_000_000,
  dialBacksPerMinute: 30,
};

interface Frame {
  readonly action: string;
  readonly code?: string;
  readonly peer?: string;
  readonly presence?: string;
  readonly members?: readonly unknown[];
}

const id = (name: string): string => name.padEnd(22, '_');

/** A relay whose sessions read as much of what waits for them as the test says. */
class Relay {
  readonly core: RelayCore<string>;
  readonly heard = new Map<string, Frame[]>();
  readonly queued = new Map<string, number>();
  /** Sessions that do not read. */
  readonly stalled = new Set<string>();
  readonly closed: string[] = [];
  bytesOut = 0;
  framesOut = 0;
  now = instant(0);

  constructor(limits: Partial<RelayCoreLimits> = {}) {
    this.core = new RelayCore<string>(
      {
        ...LIMITS,
        ...limits,
        queuedBytes: (session) => this.queued.get(session) ?? 0,
        joinProofs: { challenge: () => 'c', verify: () => true },
        // `192.0.2.1 a` is session a of that address.
        sourceOf: (session) => sourceOf(session.split(' ')[0] ?? ''),
      },
      { nk: 'test' } as unknown as SignedRelayRecord,
    );
  }

  drain(): void {
    for (let output = this.core.poll(); output !== null; output = this.core.poll()) {
      if (output.type === 'close') this.closed.push(output.session);
      if (output.type !== 'send') continue;
      const { session, frame } = output;
      this.bytesOut += frame.length;
      this.framesOut += 1;
      if (this.stalled.has(session))
        this.queued.set(session, (this.queued.get(session) ?? 0) + frame.length);
      this.heard.set(session, [...(this.heard.get(session) ?? []), JSON.parse(frame) as Frame]);
    }
  }

  open(...sessions: string[]): this {
    for (const session of sessions) this.core.handleSessionOpen(session);
    this.drain();
    return this;
  }

  say(session: string, message: object): void {
    this.core.handleFrame(this.now, session, JSON.stringify(message));
    this.drain();
  }

  join(session: string, presence = 'x', peer = session.split(' ')[1] ?? ''): void {
    this.say(session, { action: 'join', room: ROOM, peer: id(peer), presence });
  }

  signal(session: string, to: string, bytes: number): void {
    this.say(session, { action: 'signal', room: ROOM, to: id(to), data: 'x'.repeat(bytes) });
  }

  wait(ms: number): void {
    const until = later(this.now, ms);
    for (;;) {
      const { deadline } = this.core;
      if (deadline === null || deadline > until) break;
      this.now = deadline;
      this.core.handleTimeout(deadline);
      this.drain();
    }
    this.now = until;
  }

  take(session: string): Frame[] {
    const frames = this.heard.get(session) ?? [];
    this.heard.delete(session);
    return frames;
  }
}

const attackers = (count: number, address = '192.0.2.1'): string[] =>
  Array.from({ length: count }, (_, i) => `${address} m${i}`);

describe('presence', () => {
  it('of members that change it all the time fills no queue and closes nobody: a victim that reads hears the latest', () => {
    const relay = new Relay();
    const victim = '203.0.113.1 victim';
    const members = attackers(8);
    relay.open(victim, ...members);
    relay.join(victim);
    for (const session of members) relay.join(session);
    relay.stalled.add(victim);
    for (let round = 0; round < 60; round++)
      for (const session of members) relay.join(session, `${round}`.padStart(2048, 'p'));
    assert.ok((relay.queued.get(victim) ?? 0) < 200_000, `${relay.queued.get(victim)}`);
    assert.deepEqual(relay.closed, []);
    relay.take(victim);
    relay.stalled.delete(victim);
    relay.queued.clear();
    relay.wait(1000);
    const last = relay.take(victim).filter(({ action }) => action === 'peer-joined');
    assert.equal(last.length, 8, 'once for each');
    for (const { presence } of last) assert.equal(Number(presence?.replace(/^p+/, '')), 59);
  });

  it('that is the same again is told to nobody, and no list comes for who is in the room', () => {
    const relay = new Relay().open('203.0.113.1 a', '203.0.113.2 b');
    relay.join('203.0.113.1 a');
    relay.join('203.0.113.2 b');
    const before = relay.framesOut;
    for (let i = 0; i < 50; i++) relay.join('203.0.113.2 b');
    assert.equal(relay.framesOut, before);
    relay.join('203.0.113.2 b', 'new');
    assert.deepEqual(relay.take('203.0.113.1 a').at(-1)?.presence, 'new');
    assert.equal(relay.take('203.0.113.2 b').filter(({ action }) => action === 'joined').length, 1);
  });

  it('is told to a room no faster than ten times a second behind a burst, and the last one is', () => {
    const relay = new Relay({ deliveriesPerSecond: 1e6 }).open('203.0.113.1 a');
    relay.join('203.0.113.1 a');
    const members = attackers(40);
    relay.open(...members);
    for (const session of members) relay.join(session);
    relay.take('203.0.113.1 a');
    for (let round = 0; round < 20; round++)
      for (const session of members) relay.join(session, `${round}`);
    const atOnce = relay.take('203.0.113.1 a').length;
    assert.ok(atOnce <= 60, `${atOnce} at once`);
    relay.wait(1000);
    const rest = relay.take('203.0.113.1 a');
    assert.equal(rest.length, 40);
    assert.ok(rest.every(({ presence }) => presence === '19'));
  });

  it('is told a little at a time, so that signals are never held up by it for long', () => {
    const relay = new Relay({ deliveriesPerSecond: 1e6 });
    const members = attackers(60);
    relay.open(...members, '203.0.113.1 a');
    relay.join('203.0.113.1 a');
    for (const session of members) relay.join(session);
    relay.wait(1000);
    let most = 0;
    for (let round = 0; round < 20; round++) {
      for (const session of members) relay.join(session, `${round}`.padStart(2048, 'p'));
      for (let tick = 0; tick < 10; tick++) {
        const before = relay.bytesOut;
        relay.wait(20);
        most = Math.max(most, relay.bytesOut - before);
      }
    }
    assert.ok(most <= 400_000, `${most} bytes in 20 ms`);
    relay.wait(5000);
    const last = relay.take('203.0.113.1 a').findLast(({ peer }) => peer === id('m7'));
    assert.equal(last?.presence?.replace(/^p+/, ''), '19');
  });

  it('of who came and went while a session did not read is not told to it at all', () => {
    const relay = new Relay().open('203.0.113.1 a', '192.0.2.1 m0', '192.0.2.2 m1');
    relay.join('203.0.113.1 a');
    relay.join('192.0.2.2 m1');
    relay.take('203.0.113.1 a');
    relay.queued.set('203.0.113.1 a', 1e6);
    relay.join('192.0.2.1 m0');
    relay.core.handleSessionClosed('192.0.2.1 m0');
    relay.core.handleSessionClosed('192.0.2.2 m1');
    relay.drain();
    relay.wait(1000);
    assert.deepEqual(relay.take('203.0.113.1 a'), []);
    relay.queued.clear();
    relay.wait(1000);
    assert.deepEqual(
      relay.take('203.0.113.1 a').map(({ action, peer }) => `${action} ${peer}`),
      [`peer-left ${id('m1')}`],
    );
    assert.equal(relay.core.deadline, null);
  });

  it('comes behind the list, however slowly that is read', () => {
    const relay = new Relay({ deliveriesPerSecond: 1e6 });
    const members = Array.from({ length: 240 }, (_, i) => `198.51.${i}.1 m${i}`);
    relay.open(...members, '203.0.113.1 a');
    for (const session of members) {
      relay.join(session, 'p'.repeat(2048));
      relay.wait(500);
    }
    relay.stalled.add('203.0.113.1 a');
    relay.join('203.0.113.1 a');
    relay.core.handleSessionClosed('198.51.239.1 m239');
    relay.drain();
    for (let i = 0; i < 20; i++) {
      relay.queued.clear();
      relay.wait(300);
    }
    const frames = relay.take('203.0.113.1 a').filter(({ action }) => action !== 'welcome');
    const listed = frames.flatMap(({ members: page = [] }) => page).length;
    assert.ok(listed === 240 && frames.at(-1)?.action === 'peer-left', `${listed}`);
  });
});

describe('joins', () => {
  it('of one address cost the others a bounded amount, and newcomers of others still get in', () => {
    const relay = new Relay();
    const honest = Array.from({ length: 150 }, (_, i) => `198.51.${i}.1 h${i}`);
    relay.open(...honest);
    for (const session of honest) relay.join(session);
    const members = attackers(60);
    relay.open(...members);
    const before = relay.bytesOut;
    for (let round = 0; round < 30; round++)
      for (const session of members) {
        relay.join(session, 'x', `${session.split(' ')[1]}r${round}`);
        relay.say(session, { action: 'leave', room: ROOM });
      }
    // The list and a frame for each member, of 20 000 that are told.
    assert.ok(relay.bytesOut - before < 6e6, `${relay.bytesOut - before} bytes`);
    assert.ok(relay.core.drops.get('relay.RATE_LIMITED') > 1000);
    relay.open('203.0.113.1 a');
    relay.join('203.0.113.1 a');
    relay.wait(500);
    assert.ok(relay.take('203.0.113.1 a').some(({ action }) => action === 'joined'));
  });

  it('of a school behind one address all succeed at once', () => {
    const relay = new Relay();
    const pupils = attackers(60);
    relay.open(...pupils);
    for (const session of pupils) relay.join(session, 'p'.repeat(300));
    assert.equal(relay.core.counts.members, 60);
    for (const session of pupils)
      assert.ok(!relay.take(session).some(({ action }) => action === 'error'));
  });

  it('beyond the sessions of an address or a network are told RELAY_FULL', () => {
    const relay = new Relay({ maxSessionsPerHost: 2, maxSessionsPerNetwork: 3 });
    relay.open(...attackers(3), '192.0.2.2 a', '192.0.2.3 b', '203.0.113.1 c');
    assert.deepEqual(relay.closed, ['192.0.2.1 m2', '192.0.2.3 b']);
    for (const session of relay.closed)
      assert.equal(relay.take(session).at(-1)?.code, 'RELAY_FULL');
    relay.core.handleSessionClosed('192.0.2.1 m0');
    relay.open('192.0.2.3 b');
    assert.equal(relay.take('192.0.2.3 b').at(-1)?.action, 'welcome');
  });
});

describe('a full room', () => {
  /** Members of so many networks, each with so many of one address, at a relay that takes that many. */
  const filled = (networks: number, each: number, limits: Partial<RelayCoreLimits> = {}): Relay => {
    const relay = new Relay({ deliveriesPerSecond: 1_000_000, ...limits });
    for (let n = 0; n < networks; n++)
      for (let i = 0; i < each; i++) {
        const session = `198.51.${n}.1 n${n}-${i}`;
        relay.open(session);
        relay.join(session);
      }
    return relay;
  };
  const isIn = (relay: Relay, session: string): boolean =>
    relay.take(session).some(({ action }) => action === 'joined');

  it('that a few networks fill has a place for each newcomer of another one, and nobody else makes room', () => {
    const relay = new Relay({ deliveriesPerSecond: 1_000_000 });
    const honest = Array.from({ length: 20 }, (_, i) => `203.0.${i}.1 h${i}`);
    relay.open(...honest);
    for (const session of honest) relay.join(session);
    const squatters = Array.from({ length: 320 }, (_, i) => `198.51.${i % 5}.1 s${i}`);
    relay.open(...squatters);
    for (const session of squatters) relay.join(session);
    assert.equal(relay.core.counts.members, 250);
    relay.wait(10_000);
    for (const session of honest) relay.take(session);
    for (let i = 0; i < 100; i++) {
      const newcomer = `192.0.${i}.1 new${i}`;
      relay.open(newcomer);
      relay.join(newcomer);
      relay.wait(100);
      assert.ok(isIn(relay, newcomer), `the ${i}th newcomer is not in`);
      // Whoever was put out comes again, and takes nobody's place.
      for (const session of squatters.slice(i, i + 10)) relay.join(session);
    }
    assert.equal(relay.core.counts.members, 250);
    const left = new Set(
      relay
        .take(honest[0] ?? '')
        .flatMap(({ action, peer }) => (action === 'peer-left' ? peer : [])),
    );
    assert.ok(left.size > 0);
    for (const peer of left) assert.match(peer ?? '', /^s/);
    const told = squatters.flatMap((session) => relay.take(session));
    assert.ok(told.some(({ code }) => code === 'ROOM_FULL'));
    assert.equal(relay.closed.length, 0);
  });

  it('tells a newcomer the members at once, however many of one network want to be told as well', () => {
    const relay = new Relay({ deliveriesPerSecond: 1_000_000 });
    const crowd = Array.from({ length: 200 }, (_, i) => `198.51.100.${1 + (i >> 6)} c${i}`);
    relay.open(...crowd, '192.0.2.1 new');
    const presence = 'x'.repeat(1000);
    for (const session of crowd) relay.join(session, presence);
    relay.join('192.0.2.1 new');
    relay.wait(300);
    assert.ok(isIn(relay, '192.0.2.1 new'), 'it waits behind the crowd');
  });

  it('whose places many networks share is full for everybody', () => {
    const relay = filled(25, 10);
    for (const session of ['192.0.2.1 late', '198.51.3.1 more']) {
      relay.open(session);
      relay.join(session);
      assert.ok(relay.take(session).some(({ code }) => code === 'ROOM_FULL'));
    }
    assert.equal(relay.core.counts.members, 250);
  });

  it('is looked through for those of one address no more often than it may cost the others', () => {
    const relay = filled(25, 10);
    relay.core.setLimits(LIMITS);
    const knocking = attackers(60);
    relay.open(...knocking);
    for (let round = 0; round < 30; round++) for (const session of knocking) relay.join(session);
    const answers = knocking.flatMap((session) => relay.take(session).map(({ code }) => code));
    const looked = answers.filter((code) => code === 'ROOM_FULL').length;
    // 250 members cost 31 of 20 000.
    assert.ok(looked > 100 && looked <= 641, `${looked} of ${answers.length}`);
    assert.ok(answers.includes('RATE_LIMITED'));
    // Nobody else waits for that.
    relay.open('203.0.113.1 late');
    relay.join('203.0.113.1 late');
    assert.equal(relay.take('203.0.113.1 late').at(-1)?.code, 'ROOM_FULL');
  });

  it('of a small relay puts out no pair behind one address', () => {
    const relay = filled(3, 3, { maxRoomSize: 9 });
    relay.open('192.0.2.1 late');
    relay.join('192.0.2.1 late');
    assert.ok(relay.take('192.0.2.1 late').some(({ code }) => code === 'ROOM_FULL'));
  });

  it('puts out who has not proven its id before who has, and the newest of the fullest address first', () => {
    const relay = new Relay({ maxRoomSize: 20, deliveriesPerSecond: 1_000_000 });
    const proof = { key: `B${'A'.repeat(86)}`, signature: 'A'.repeat(86) };
    const crowd = Array.from(
      { length: 20 },
      (_, i) => `198.51.100.${i < 12 ? 1 : 2} ${i % 3 === 0 ? 'proven' : 'claimed'}${i}`,
    );
    relay.open('203.0.113.1 eve', ...crowd.slice(1));
    relay.join('203.0.113.1 eve');
    for (const session of crowd.slice(1)) {
      const [, peer = ''] = session.split(' ');
      const isProven = peer.startsWith('proven');
      relay.say(session, {
        action: 'join',
        room: ROOM,
        peer: id(peer),
        presence: 'x',
        ...(isProven ? { proof } : {}),
      });
    }
    relay.take('203.0.113.1 eve');
    for (let i = 0; i < 3; i++) {
      relay.open(`192.0.${i}.1 new${i}`);
      relay.join(`192.0.${i}.1 new${i}`);
    }
    const left = relay
      .take('203.0.113.1 eve')
      .flatMap(({ action, peer }) => (action === 'peer-left' ? [peer] : []));
    assert.deepEqual(left, [id('claimed11'), id('claimed10'), id('claimed8')]);
    // What it sends before it hears of that is no mistake.
    for (let i = 0; i < 100; i++) relay.signal(crowd[8] ?? '', 'eve', 10);
    assert.deepEqual(relay.closed, []);
  });
});

describe('what a session leaves with the relay', () => {
  it('is bounded over all of its rooms, and free again when it leaves', () => {
    const relay = new Relay().open('192.0.2.1 a');
    const join = (i: number, length = 2048): string | undefined => {
      relay.take('192.0.2.1 a');
      const room = `${i}`.padEnd(43, 'r');
      const presence = 'p'.repeat(length);
      relay.say('192.0.2.1 a', { action: 'join', room, peer: id('a'), presence });
      return relay.take('192.0.2.1 a').at(-1)?.code;
    };
    for (let i = 0; i < 32; i++) assert.equal(join(i), undefined);
    assert.equal(join(32), 'TOO_MANY_ROOMS');
    assert.equal(join(0, 1000), undefined, 'less may always be said');
    assert.equal(join(32, 1000), undefined);
    relay.core.handleSessionClosed('192.0.2.1 a');
    relay.open('192.0.2.1 a');
    for (let i = 0; i < 32; i++) assert.equal(join(i), undefined);
  });

  it('takes no nodes away from others: questions of one address have a share', () => {
    const relay = new Relay().open(...attackers(20), '203.0.113.1 a');
    for (let round = 0; round < 40; round++)
      for (const session of attackers(20)) relay.say(session, { action: 'nodes' });
    relay.say('203.0.113.1 a', { action: 'nodes' });
    assert.equal(relay.take('203.0.113.1 a').at(-1)?.action, 'nodes');
  });
});

describe('signals', () => {
  it('of many who fill the queue of a victim leave a place for one who sends little', () => {
    const relay = new Relay();
    const victim = '203.0.113.1 victim';
    const friend = '203.0.113.2 friend';
    const senders = Array.from({ length: 10 }, (_, i) => `192.0.${i}.1 m${i}`);
    relay.open(victim, friend, ...senders);
    for (const session of [victim, friend, ...senders]) relay.join(session);
    relay.stalled.add(victim);
    for (let round = 0; round < 20; round++)
      for (const session of senders) relay.signal(session, 'victim', 8000);
    assert.ok((relay.queued.get(victim) ?? 0) <= 262_144);
    relay.take(victim);
    relay.signal(friend, 'victim', 3000);
    assert.equal(relay.take(victim).at(-1)?.action, 'signal', 'the friend is heard');
    assert.equal(relay.take(senders[0] ?? '').at(-1)?.code, 'PEER_BUSY', 'who is refused is told');
    assert.deepEqual(relay.closed, []);
  });

  it('that other relays bring leave a place too, however many members they have made up', () => {
    const relay = new Relay();
    const [victim, friend] = ['203.0.113.1 victim', '203.0.113.2 friend'];
    relay.open(victim, friend);
    for (const session of [victim, friend]) relay.join(session);
    relay.stalled.add(victim);
    const bring = (from: string, evil: string): number => {
      const before = relay.queued.get(victim) ?? 0;
      const signal = { room: ROOM, from: id(from), to: id('victim'), data: 'x'.repeat(8000) };
      relay.core.handleRemoteRooms({ type: 'remoteSignal', relay: evil, ...signal });
      relay.drain();
      return (relay.queued.get(victim) ?? 0) - before;
    };
    for (let i = 0; i < 500; i++) bring(`ghost${i}`, 'evil');
    assert.ok((relay.queued.get(victim) ?? 0) < 180_000, `${relay.queued.get(victim)}`);
    assert.ok(bring('bob', 'honest') > 0, 'another relay is heard');
    relay.take(victim);
    relay.signal(friend, 'victim', 8000);
    assert.equal(relay.take(victim).at(-1)?.action, 'signal', 'and so is who is here');
  });

  it('of many sessions of one address have one share', () => {
    const shares = new SignalShares<string>();
    let queued = 40_000;
    for (let i = 0; i < 100; i++) if (shares.take('v', 'one', 8000, queued)) queued += 8000;
    assert.ok(queued < 40_000 + 131_072, `${queued}`);
    assert.ok(shares.take('v', 'another', 30_000, queued));
    assert.ok(shares.take('v', 'one', 8000, 33_000), 'what has arrived is forgotten');
  });

  it('that are small are counted at what they cost in the queue, not by their bytes', () => {
    const shares = new SignalShares<string>();
    let queued = 40_000;
    let taken = 0;
    for (let i = 0; i < 10_000; i++) {
      if (!shares.take('v', 'one', 120, queued)) continue;
      taken += 1;
      queued += 120 + 512;
    }
    assert.ok(taken > 100 && queued < 40_000 + 131_072, `${taken} taken, ${queued} wait`);
    assert.ok(shares.take('v', 'another', 1000, queued), 'who sends little has a place');
  });

  it('of one address are taken as fast as its bytes allow; the sessions stay', () => {
    const relay = new Relay({ bytesPerSecond: 10_000 });
    relay.open('192.0.2.1 a', '192.0.2.1 b', '203.0.113.1 c', '203.0.113.2 d');
    for (const session of ['192.0.2.1 a', '192.0.2.1 b', '203.0.113.1 c', '203.0.113.2 d'])
      relay.join(session);
    for (let i = 0; i < 100; i++) relay.signal('192.0.2.1 a', 'd', 5000);
    assert.equal(relay.core.counters.signals, 19);
    relay.take('192.0.2.1 b');
    relay.signal('192.0.2.1 b', 'd', 5000);
    assert.equal(relay.take('192.0.2.1 b').at(-1)?.code, 'RATE_LIMITED');
    relay.signal('203.0.113.1 c', 'd', 5000);
    assert.equal(relay.core.counters.signals, 20);
    assert.deepEqual(relay.closed, []);
  });
});
