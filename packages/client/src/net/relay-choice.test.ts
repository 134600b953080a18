import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Instant, instant } from '@lumamesh/base';
import { HOMES_PER_ROOM, Rendezvous, type SignedRelayRecord } from '@lumamesh/protocol';
import { seededRandom } from '@lumamesh/testkit';
import { FEELER_INTERVAL_MS } from '../features/discovery/discovery.ts';
import { findFeeler, takeRelay } from '../features/discovery/relay-intake.ts';
import { RoomHomes } from '../features/discovery/room-homes.ts';
import { RelayBook } from './relay-book.ts';
import { MAX_LINKS, RelayChoice } from './relay-choice.ts';
import { relayRecord } from './relay-record.test-support.ts';

const NOW_S = 1_800_000_000;

const relay = (i: number, mesh: string | undefined = 'AAECAwQFBgcICQoLDA0ODw'): SignedRelayRecord =>
  relayRecord(i, {
    expires: NOW_S + 1000,
    ...(mesh === undefined ? {} : { mesh, meshPort: 7402 }),
  });

interface Relay {
  /** How long it takes to answer, in ms; `null`: it never does. */
  answersMs: number | null;
}

/**
 * A page and its relays in virtual time: dialled relays answer or time out, and open ones can be
 * lost.
 */
class World {
  readonly book = new RelayBook(seededRandom(3));
  readonly choice = new RelayChoice(this.book, seededRandom(4));
  readonly relays = new Map<string, Relay>();
  readonly links = new Map<string, { openAt: number; failAt: number; isOpen: boolean }>();
  readonly dialled: { nk: string; at: number }[] = [];
  readonly homes = new RoomHomes(this.book);
  readonly rooms = new Set<string>();
  now = 0;
  #feelerAt = FEELER_INTERVAL_MS;

  constructor() {
    this.choice.wanted = () => this.homes._of(this.rooms);
  }

  join(roomId: string, homes: readonly string[], announcer = relay(1).nk): void {
    this.rooms.add(roomId);
    this.homes._name(roomId, homes, announcer);
  }

  add(i: number, answersMs: number | null, mesh?: string | null): string {
    const record = relay(i, mesh === null ? undefined : mesh);
    this.book.setSeeds(record.nk, [record]);
    this.relays.set(record.nk, { answersMs });
    return record.nk;
  }

  get open(): string[] {
    return [...this.links].filter(([, link]) => link.isOpen).map(([nk]) => nk);
  }

  lose(nk: string): void {
    this.links.delete(nk);
    this.choice._handleLost(nk, 'lost', this.instant);
  }

  get instant(): Instant {
    return instant(this.now);
  }

  run(ms: number): void {
    for (const end = this.now + ms; this.now < end; this.now += 50) {
      for (const [nk, link] of this.links) {
        if (!link.isOpen && this.now >= link.openAt) {
          link.isOpen = true;
          this.choice._handleOpened(nk, false, this.instant);
        } else if (!link.isOpen && this.now >= link.failAt) this.lose(nk);
      }
      if (this.now >= this.#feelerAt) {
        this.#feelerAt += FEELER_INTERVAL_MS;
        this.choice.feeler = findFeeler(this.book, this.instant, this.choice.mayEnter);
      }
      for (const action of this.choice._plan(this.instant)) {
        if (action.type === 'hangUp') this.links.delete(action.nk);
        else {
          const { nk } = action.relay;
          const answersMs = this.relays.get(nk)?.answersMs ?? null;
          this.dialled.push({ nk, at: this.now });
          this.links.set(nk, {
            openAt: answersMs === null ? Number.POSITIVE_INFINITY : this.now + answersMs,
            failAt: this.now + 10_000,
            isOpen: false,
          });
        }
      }
      assert.ok(this.links.size <= MAX_LINKS);
    }
  }
}

describe('the choice of relays', () => {
  it('dials with a small stagger, holds the two that answer first, and lets the others go', () => {
    const world = new World();
    for (let i = 1; i <= 6; i++) world.add(i, i <= 2 ? 60 : 5000);
    world.run(3000);
    assert.equal(world.open.length, 2);
    assert.equal(world.links.size, 2, 'slower ones were let go');
    assert.ok(world.dialled.length <= 6);
    for (const [i, { at }] of world.dialled.entries())
      assert.ok(i === 0 || at - (world.dialled[i - 1]?.at ?? 0) >= 150);
  });

  it('is not held up by dead ones: behind nine of them the tenth and eleventh are found within ten seconds', () => {
    const world = new World();
    for (let i = 1; i <= 11; i++) world.add(i, i <= 9 ? null : 80);
    world.run(10_000);
    assert.equal(world.open.length, 2);
  });

  it('begins with those that were reached before, the fastest first', () => {
    const world = new World();
    for (let i = 1; i <= 5; i++) world.add(i, 100);
    for (const [i, connectMs] of [
      [4, 30],
      [2, 20],
    ] as const)
      Object.assign(world.book.get(relay(i).nk) ?? {}, { isProven: true, connectMs });
    world.run(1000);
    assert.deepEqual(
      world.dialled.slice(0, 2).map(({ nk }) => nk),
      [relay(2).nk, relay(4).nk],
    );
  });

  it('replaces a relay that is lost within two seconds, and dials the lost one again ever more rarely', () => {
    const world = new World();
    const [a] = [world.add(1, 50), world.add(2, 50), world.add(3, 50)];
    world.run(2000);
    const lost = world.open.find((nk) => nk === a) ?? world.open[0] ?? '';
    Object.assign(world.relays.get(lost) ?? {}, { answersMs: null });
    world.lose(lost);
    world.run(2000);
    assert.equal(world.open.length, 2);
    const alone = new World();
    const dead = alone.add(1, null);
    alone.run(600_000);
    const times = alone.dialled.filter(({ nk }) => nk === dead).map(({ at }) => at);
    assert.ok(times.length > 8 && times.length < 25, `${times.length} attempts in ten minutes`);
    assert.ok((times.at(-1) ?? 0) - (times.at(-2) ?? 0) > 30_000);
  });

  it('tries at once what failed before when the machine wakes up', () => {
    const world = new World();
    const nk = world.add(1, null);
    world.run(300_000);
    Object.assign(world.relays.get(nk) ?? {}, { answersMs: 50 });
    world.lose(nk);
    world.choice._wake();
    world.run(500);
    assert.deepEqual(world.open, [nk]);
  });

  it('dials a relay again at once whose link was interrupted, but not one whose links end all the time', () => {
    const world = new World();
    const nk = world.add(1, 50);
    const interrupt = (): void => {
      world.links.delete(nk);
      world.choice._handleLost(nk, 'interrupted', world.instant);
    };
    world.run(6000);
    interrupt();
    world.run(300);
    assert.deepEqual([world.open, world.dialled.length], [[nk], 2]);
    interrupt();
    world.run(300);
    assert.deepEqual([world.open, world.dialled.length], [[], 2], 'back-off');
    world.run(1500);
    assert.deepEqual(world.open, [nk]);
  });

  it('looks every few seconds whether there is a network again, and asks a relay that is silent ever more rarely', () => {
    for (const [kind, atLeast, atMost] of [
      ['offline', 75, 200],
      ['lost', 1, 15],
    ] as const) {
      const world = new World();
      const nk = world.add(1, null);
      for (let i = 0; i < 6000; i++) {
        world.run(50);
        if (world.links.delete(nk)) world.choice._handleLost(nk, kind, world.instant);
      }
      const dials = world.dialled.length;
      assert.ok(dials >= atLeast && dials <= atMost, `${kind}: ${dials} in 300 s`);
    }
  });

  it('never dials again what was forged', () => {
    const world = new World();
    const nk = world.add(1, null);
    world.run(100);
    world.links.delete(nk);
    world.choice._handleLost(nk, 'final', world.instant);
    world.choice._wake();
    world.run(100_000);
    assert.equal(world.dialled.length, 1);
  });

  it('joins the same homes of a room from any page that has the same list, mesh or not', () => {
    const room = 'r'.repeat(43);
    for (const mesh of [undefined, null]) {
      const homes = new Set<string>();
      for (const order of [
        [1, 2, 3, 4, 5, 6, 7, 8],
        [8, 3, 5, 1, 7, 2, 6, 4],
      ]) {
        const world = new World();
        for (const i of order) world.add(i, 20 * i, mesh);
        world.join(room, []);
        world.run(2000);
        const expected = new Rendezvous([...world.book.entries].map(({ record }) => record))
          .rank(room, HOMES_PER_ROOM)
          .map(({ nk }) => nk);
        assert.ok(
          expected.every((nk) => world.open.includes(nk)),
          'the homes are held',
        );
        world.run(60_000);
        assert.deepEqual(new Set(world.open), new Set(expected), 'and others are let go in time');
        for (const nk of expected) homes.add(nk);
      }
      assert.equal(homes.size, HOMES_PER_ROOM);
    }
  });

  it('passes over a home that is dead, as every other page does', () => {
    const room = 'r'.repeat(43);
    const world = new World();
    for (let i = 1; i <= 8; i++) world.add(i, 20, null);
    const ranked = new Rendezvous([...world.book.entries].map(({ record }) => record))
      .rank(room, 4)
      .map(({ nk }) => nk);
    Object.assign(world.relays.get(ranked[0] ?? '') ?? {}, { answersMs: null });
    world.join(room, []);
    world.run(60_000);
    assert.ok(
      ranked.slice(1).every((nk) => world.open.includes(nk)),
      'the next in order takes its place',
    );
  });

  it('joins homes that a relay names, and gives up those that do not answer', () => {
    const world = new World();
    for (let i = 1; i <= 10; i++) world.add(i, i === 9 ? null : 30);
    world.run(1000);
    world.join('r'.repeat(43), [relay(8).nk, relay(9).nk, relay(10).nk]);
    world.run(5000);
    assert.ok(world.open.includes(relay(8).nk) && world.open.includes(relay(10).nk));
    world.run(120_000);
    const lateDials = world.dialled.filter(({ nk, at }) => nk === relay(9).nk && at > 60_000);
    assert.equal(lateDials.length, 0);
    world.rooms.delete('r'.repeat(43));
    world.run(60_000);
    assert.equal(world.open.length, 2);
  });

  it('holds two of its own list whatever another relay says: neither homes nor records of one that lies take their places', () => {
    const world = new World();
    const [honest, liar] = [world.add(1, 120), world.add(2, 5)];
    world.run(2000);
    // It tells of thirty relays that are its own, all faster, and names them as homes of all rooms.
    const hostile = Array.from({ length: 30 }, (_, i) => relay(100 + i));
    for (const record of hostile) {
      takeRelay(world.book, record, liar, NOW_S);
      world.relays.set(record.nk, { answersMs: 1 });
    }
    for (let room = 0; room < 10; room++)
      world.join(
        String(room).repeat(43),
        hostile.slice(3 * room, 3 * room + 3).map(({ nk }) => nk),
        liar,
      );
    world.run(300_000);
    assert.ok(world.open.includes(honest), 'the other one of its own is held');
    const hostileOpen = world.open.filter((nk) => hostile.some((record) => record.nk === nk));
    assert.ok(hostileOpen.length <= HOMES_PER_ROOM, `${hostileOpen.length} of the liar's are held`);
    // It is lost, and back after a while: its place was kept.
    world.lose(honest);
    world.run(60_000);
    assert.ok(world.open.includes(honest));
  });

  it('holds homes that several relays name before those that one alone does', () => {
    const world = new World();
    for (let i = 1; i <= 12; i++) world.add(i, 30);
    const named = [10, 11, 12].map((i) => relay(i).nk);
    for (let room = 0; room < 5; room++) {
      world.join(`${room}`.repeat(43), [`x${room}`, `y${room}`, `z${room}`], relay(1).nk);
      world.join(`${room}`.repeat(43), named, relay(2).nk);
      world.join(`${room}`.repeat(43), named, relay(3).nk);
    }
    world.run(60_000);
    assert.ok(named.every((nk) => world.open.includes(nk)));
  });

  it('lives on what it reached in earlier visits where its own list is dead', () => {
    const world = new World();
    world.add(1, null);
    for (const i of [2, 3]) {
      world.relays.set(relay(i).nk, { answersMs: 50 });
      Object.assign(world.book.add(relay(i), false), { isAnchor: true, isProven: true });
    }
    world.run(5000);
    assert.equal(world.open.length, 2);
  });

  it('tries now and then whether what it has heard of is there, one at a time, while all is well', () => {
    const world = new World();
    world.add(1, 20);
    world.add(2, 20);
    for (let i = 20; i < 30; i++) {
      takeRelay(world.book, relay(i), relay(1).nk, NOW_S);
      world.relays.set(relay(i).nk, { answersMs: i < 25 ? 30 : null });
    }
    world.run(3_600_000);
    assert.equal(world.open.length, 2);
    for (let i = 20; i < 30; i++)
      assert.equal(world.book.get(relay(i).nk)?.isProven, i < 25, String(i));
    assert.ok(world.dialled.length < 60, `${world.dialled.length} attempts in an hour`);
  });
});
