import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { type Instant, instant, later } from '@lumamesh/base';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { seededRandom } from '@lumamesh/testkit';
import { RoomNetwork } from './room-network.ts';
import type { RoomNetworkOutput } from './room-routes.ts';

const ROOM = 'room'.padEnd(43, '_');
const ADA = 'ada'.padEnd(22, '_');
const BOB = 'bob'.padEnd(22, '_');
const HOMES = ['home1', 'home2', 'home3'];

/** A relay whose three homes are others, which name `other`, to which there is no link. */
class Bench {
  readonly network: RoomNetwork;
  readonly outputs: RoomNetworkOutput[] = [];
  now: Instant = instant(0);

  constructor() {
    this.network = new RoomNetwork({
      nk: 'own',
      maxRemoteMembers: 250,
      maxRemoteBytes: 1_000_000,
      hash: (algorithm, data) => createHash(algorithm).update(data).digest(),
      random: seededRandom(1),
      isLinked: (nk) => HOMES.includes(nk),
      prefixOf: (nk) => nk,
    });
    const records = HOMES.map((nk, i) => ({ nk, ip: `20.0.${i}.1`, meshPort: 1 }));
    this.network.setRelays(this.now, records as unknown as SignedRelayRecord[]);
    const member = { room: ROOM, peer: ADA, presence: 'ada', network: '20.0.9.0/24' };
    this.network.handleLocalRooms(this.now, { ...member, type: 'localPresent' });
    this.drain();
    for (const home of HOMES)
      this.network.handleHintFrame(this.now, home, {
        ...{ type: 'reporters', room: ROOM },
        ...{ add: ['other'], remove: [] },
      });
    this.drain();
  }

  run(ms: number): void {
    for (const end = later(this.now, ms); this.now < end; this.now = later(this.now, 250)) {
      this.network.handleTimeout(this.now);
      this.drain();
    }
  }

  drain(): void {
    for (let output = this.network.poll(); output !== null; output = this.network.poll())
      this.outputs.push(output);
  }

  answer(by: string): void {
    const members = [{ peer: BOB, presence: 'bob' }];
    const frame = { type: 'present', room: ROOM, members, all: true } as const;
    this.network.handleRoomFrame(this.now, 'other', frame, by);
    this.drain();
  }

  /** Who was asked to forward what so far. */
  forwards(type: string): (readonly string[])[] {
    return this.outputs.flatMap((output) =>
      output.type === 'forward' && output.frame.type === type ? [output.by] : [],
    );
  }
}

describe('a relay that is reached by way of homes', () => {
  it('is sent signals by two of them, and by all in turn', () => {
    const bench = new Bench();
    bench.answer('home1');
    const signal = { room: ROOM, from: ADA, to: BOB, data: 'sealed' };
    for (let i = 0; i < 6; i++)
      bench.network.handleLocalRooms(bench.now, { ...signal, type: 'localSignal' });
    bench.drain();
    const ways = bench.forwards('signal');
    assert.ok(ways.length === 6 && ways.every((by) => new Set(by).size === 2));
    assert.deepEqual(new Set(ways.flat()), new Set(HOMES));
  });

  it('is asked by another one when no answer comes, until one does', () => {
    const bench = new Bench();
    const [[first] = []] = bench.forwards('present');
    assert.ok(first !== undefined);
    bench.run(4500);
    const [, [second] = []] = bench.forwards('present');
    assert.ok(second !== undefined && second !== first);
    bench.answer(second);
    const asked = bench.forwards('present').length;
    bench.run(5000);
    assert.equal(bench.forwards('present').length, asked);
    assert.ok(bench.network.has(ROOM, BOB));
    // And signals do not go by the silent one alone.
    const signal = { type: 'localSignal', room: ROOM, from: ADA, to: BOB, data: 'x' } as const;
    bench.network.handleLocalRooms(bench.now, signal);
    bench.drain();
    assert.ok(bench.forwards('signal')[0]?.includes(first) === false);
  });
});

describe('a member whom relays of many networks show as another', () => {
  it('is heard when it signals, and is sent its share of what is answered', () => {
    const bench = new Bench();
    const liars = ['evil0', 'evil1', 'evil2', 'evil3', 'evil4'];
    for (const nk of [...liars, 'late']) {
      const members = [{ peer: BOB, presence: nk === 'late' ? 'bob' : `rubbish of ${nk}` }];
      const frame = { type: 'present', room: ROOM, members, all: true } as const;
      bench.network.handleRoomFrame(bench.now, nk, frame, 'home1');
    }
    assert.ok(!bench.network.presencesOf(ROOM, BOB).includes('bob'), 'it is crowded out');
    const heard = { type: 'signal', room: ROOM, from: BOB, to: ADA, data: 'sealed' } as const;
    bench.network.handleRoomFrame(bench.now, 'late', heard, 'home1');
    bench.drain();
    assert.ok(bench.outputs.some(({ type }) => type === 'remoteSignal'));
    const answer = { type: 'localSignal', room: ROOM, from: ADA, to: BOB, data: 'sealed' } as const;
    for (let i = 0; i < 6; i++) bench.network.handleLocalRooms(bench.now, answer);
    bench.drain();
    const sentTo = bench.outputs.flatMap((output) =>
      output.type === 'forward' && output.frame.type === 'signal' ? [output.to] : [],
    );
    assert.equal(sentTo.length, 18);
    assert.equal(sentTo.filter((nk) => nk === 'late').length, 3);
  });
});
