import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Instant, instant, later } from '@lumamesh/base';
import { ACCESS_PROOF_LENGTH, type SignedRelayRecord } from '@lumamesh/protocol';
import { sourceOf } from '@lumamesh/transport';
import { type AccessTokens, EVERYBODY } from './access-gate.ts';
import { RelayCore } from './relay-core.ts';

const ROOM = 'R'.repeat(43);
const RECORD = { nk: 'test', access: 'token' } as unknown as SignedRelayRecord;

interface Frame {
  readonly action: string;
  readonly code?: string;
  readonly [field: string]: unknown;
}

/** Stands for what only the token makes of a challenge. */
function proofOf(token: string, challenge: string): string {
  return `${token}-${challenge}`.padEnd(ACCESS_PROOF_LENGTH, '_');
}

function tokensOf(...names: readonly string[]): AccessTokens {
  return {
    count: names.length,
    has: (name) => names.includes(name),
    verify: (challenge, proof) => names.find((name) => proofOf(name, challenge) === proof) ?? null,
    isWithin: (other) => names.every((name) => other.has(name)),
  };
}

/** A relay in virtual time, and the addresses from which sessions come. */
class Bench {
  readonly core: RelayCore<string>;
  readonly heard: (readonly [session: string, frame: Frame])[] = [];
  readonly closed: string[] = [];
  readonly addresses = new Map<string, string>();
  now: Instant = instant(0);
  #challenges = 0;

  constructor(access: AccessTokens, maxSessions = 500) {
    this.core = new RelayCore<string>(
      {
        maxSessions,
        maxSessionsPerHost: 500,
        maxSessionsPerNetwork: 500,
        maxRoomSize: 5,
        messagesPerSecond: 100,
        deliveriesPerSecond: 2000,
        bytesPerSecond: 2_000_000,
        dialBacksPerMinute: 30,
        access,
        sourceOf: (session) => sourceOf(this.addresses.get(session) ?? '203.0.113.1'),
        queuedBytes: () => 0,
        joinProofs: {
          challenge: () => `challenge${(this.#challenges += 1)}`,
          verify: () => true,
        },
      },
      RECORD,
    );
  }

  /** Opens a session. @returns What its proof answers. */
  open(session: string, address = '203.0.113.1'): string {
    this.addresses.set(session, address);
    this.core.handleTimeout(this.now);
    this.core.handleSessionOpen(session);
    const welcome = this.drain().find(([to, { action }]) => to === session && action === 'welcome');
    return String(welcome?.[1]['challenge']);
  }

  /** @returns What the session hears: codes of errors, and actions. */
  say(session: string, message: object): string[] {
    this.core.handleFrame(this.now, session, JSON.stringify(message));
    return this.heardBy(session);
  }

  heardBy(session: string): string[] {
    return this.drain()
      .filter(([to]) => to === session)
      .map(([, { action, code }]) => code ?? action);
  }

  pass(ms: number): void {
    this.now = later(this.now, ms);
    this.core.handleTimeout(this.now);
  }

  drain(): (readonly [session: string, frame: Frame])[] {
    const from = this.heard.length;
    for (let output = this.core.poll(); output !== null; output = this.core.poll())
      if (output.type === 'send')
        this.heard.push([output.session, JSON.parse(output.frame) as Frame]);
      else if (output.type === 'close') this.closed.push(`${output.session} ${output.reason}`);
    return this.heard.slice(from);
  }
}

const join = { action: 'join', room: ROOM, peer: 'P'.repeat(16) };
const access = (proof: string): object => ({ action: 'access', proof });

describe('a private relay', () => {
  it('does nothing for who has not shown a token, and everything from then on', () => {
    const bench = new Bench(tokensOf('alice', 'bob'));
    const challenge = bench.open('a');
    const denied: readonly object[] = [
      join,
      { action: 'leave', room: ROOM },
      { action: 'signal', room: ROOM, to: join.peer, data: 'x' },
      { action: 'nodes' },
    ];
    for (const frame of denied) assert.deepEqual(bench.say('a', frame), ['RELAY_PRIVATE']);
    assert.deepEqual(bench.core.counts, { sessions: 1, rooms: 0, members: 0 });
    assert.deepEqual(bench.say('a', { action: 'ping' }), ['pong']);
    assert.deepEqual(bench.core.access, { tokens: 2, waiting: 1 });
    // Proof and join are sent together: no answer is waited for.
    assert.deepEqual(bench.say('a', access(proofOf('bob', challenge))), []);
    assert.deepEqual(bench.say('a', join), ['joined']);
    assert.deepEqual(bench.say('a', { action: 'nodes' }), ['nodes']);
    assert.equal(bench.core.access.waiting, 0);
    bench.pass(60_000);
    assert.deepEqual([bench.drain(), bench.closed], [[], []]);
  });

  it('that is full puts out one of a crowd of strangers for a newcomer, and nobody with a token', () => {
    const bench = new Bench(tokensOf('alice'), 10);
    const challenge = bench.open('friend', '203.0.113.1');
    bench.say('friend', access(proofOf('alice', challenge)));
    for (let i = 0; i < 9; i++) bench.open(`stranger${i}`, '198.51.100.1');
    const late = bench.open('late', '203.0.113.2');
    assert.deepEqual(bench.closed, ['stranger0 RELAY_PRIVATE']);
    // More of the crowd push out each other.
    for (let i = 9; i < 30; i++) bench.open(`stranger${i}`, '198.51.100.1');
    assert.deepEqual(bench.say('late', access(proofOf('alice', late))), []);
    assert.deepEqual(bench.say('late', join), ['joined']);
    assert.equal(bench.core.counts.sessions, 10);
    assert.ok(bench.closed.every((line) => line.startsWith('stranger')));
    // Who has shown a token gives way to nobody.
    for (let i = 0; i < 8; i++) {
      const shown = bench.open(`member${i}`, `203.0.113.${10 + i}`);
      bench.say(`member${i}`, access(proofOf('alice', shown)));
    }
    bench.closed.length = 0;
    bench.open('eleventh', '192.0.2.1');
    assert.deepEqual(bench.closed, ['eleventh RELAY_FULL']);
  });

  it('ends a session for one wrong proof, another session’s included', () => {
    const bench = new Bench(tokensOf('alice'));
    const [ofA] = [bench.open('a'), bench.open('b')];
    assert.deepEqual(bench.say('b', access(proofOf('alice', ofA))), ['ACCESS_DENIED']);
    // What comes after it comes to nobody.
    assert.deepEqual(bench.say('b', join), []);
    assert.deepEqual(bench.closed, ['b ACCESS_DENIED']);
    assert.deepEqual(bench.say('a', access(proofOf('alice', ofA))), []);
    assert.deepEqual(bench.say('a', join), ['joined']);
    assert.equal(bench.core.counters.accessDenied, 1);
  });

  it('looks at no proof of an address that guesses, not even the right one, for a while', () => {
    const bench = new Bench(tokensOf('alice'));
    let guesses = 0;
    const attempt = (token: string, address: string): string[] => {
      const session = `s${(guesses += 1)}`;
      return bench.say(session, access(proofOf(token, bench.open(session, address))));
    };
    for (let i = 0; i < 20; i++)
      assert.deepEqual(attempt(`guess${i}`, '203.0.113.1'), ['ACCESS_DENIED']);
    assert.deepEqual(attempt('alice', '203.0.113.1'), ['ACCESS_DENIED']);
    assert.match(String(bench.heard.at(-1)?.[1]['message']), /too many wrong tokens/);
    // Others are let in; and so is this one when a guess is forgotten.
    assert.deepEqual(attempt('alice', '203.0.113.2'), []);
    bench.pass(11_000);
    assert.deepEqual(attempt('alice', '203.0.113.1'), []);
    // A whole network of guessers has four times as many, and no more.
    let looked = 0;
    for (let i = 0; i < 300; i++) {
      attempt(`guess${i}`, `198.51.100.${i % 250}`);
      if (/does not know/.test(String(bench.heard.at(-1)?.[1]['message']))) looked += 1;
    }
    assert.equal(looked, 80);
  });

  it('counts right proofs to nobody: a school behind one address comes in at once', () => {
    const bench = new Bench(tokensOf('school'));
    for (let i = 0; i < 200; i++)
      assert.deepEqual(bench.say(`s${i}`, access(proofOf('school', bench.open(`s${i}`)))), []);
    assert.equal(bench.core.counts.sessions, 200);
  });

  it('does not take pages for guessers whose token was taken back: the new one opens from their address', () => {
    const bench = new Bench(tokensOf('old', 'teacher'));
    let sessions = 0;
    const attempt = (token: string): unknown => {
      const session = `s${(sessions += 1)}`;
      bench.say(session, access(proofOf(token, bench.open(session))));
      return bench.heard.at(-1)?.[1]['message'];
    };
    // Also when settings are read again for something else meanwhile.
    for (const names of [['new', 'teacher'], ['new', 'teacher'], ['new']])
      bench.core.setAccess(tokensOf(...names));
    for (let i = 0; i < 300; i++) assert.equal(attempt('old'), 'your token holds no longer');
    assert.equal(attempt('teacher'), 'your token holds no longer');
    assert.ok(bench.closed.every((closed) => closed.endsWith(' RELAY_PRIVATE')));
    assert.equal(attempt('guess'), 'this relay does not know your token');
    attempt('new');
    assert.deepEqual(bench.say(`s${sessions}`, join), ['joined']);
    // What is given again holds again, and is forgotten to be of before.
    bench.core.setAccess(tokensOf('new', 'old', 'teacher'));
    attempt('old');
    assert.deepEqual(bench.say(`s${sessions}`, { ...join, peer: 'o'.repeat(16) }), ['joined']);
  });

  it('gives its place back when no token is shown in time', () => {
    const bench = new Bench(tokensOf('alice'));
    bench.open('silent');
    bench.pass(5000);
    bench.open('later');
    assert.equal(bench.core.deadline, 10_000);
    bench.pass(5000);
    assert.deepEqual(bench.heardBy('silent'), ['RELAY_PRIVATE']);
    assert.deepEqual(bench.closed, ['silent RELAY_PRIVATE']);
    bench.pass(5000);
    bench.drain();
    assert.deepEqual([bench.core.counts.sessions, bench.core.deadline], [0, null]);
  });

  it('is told of other tokens while it runs: those that are gone end their sessions', () => {
    const bench = new Bench(tokensOf('alice', 'bob'));
    for (const name of ['alice', 'bob']) {
      bench.say(name, access(proofOf(name, bench.open(name))));
      bench.say(name, { ...join, peer: name.padEnd(16, '_') });
    }
    bench.core.setAccess(tokensOf('bob', 'carol'));
    bench.drain();
    assert.deepEqual(bench.closed, ['alice RELAY_PRIVATE']);
    assert.ok(bench.heard.some(([to, { action }]) => to === 'bob' && action === 'peer-left'));
    assert.deepEqual(bench.say('carol', access(proofOf('carol', bench.open('carol')))), []);
    // Open to all: nobody has to go. Private again: who has shown nothing has time to.
    bench.core.setAccess(EVERYBODY);
    bench.open('dave');
    assert.deepEqual(bench.say('dave', join), ['joined']);
    bench.core.setAccess(tokensOf('bob'));
    bench.drain();
    assert.deepEqual(bench.closed.slice(1), ['carol RELAY_PRIVATE']);
    bench.pass(10_000);
    bench.drain();
    assert.deepEqual(bench.closed.slice(2), ['dave RELAY_PRIVATE']);
    // An empty list lets nobody in.
    bench.core.setAccess(tokensOf());
    bench.drain();
    assert.equal(bench.core.counts.sessions, 0);
  });

  it('passes over a proof that nobody asked for', () => {
    const bench = new Bench(EVERYBODY);
    assert.deepEqual(bench.say('a', access(proofOf('x', bench.open('a')))), []);
    assert.deepEqual(bench.say('a', join), ['joined']);
    assert.equal(bench.core.deadline, null);
  });
});
