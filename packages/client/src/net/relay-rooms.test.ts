import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TokenBucket, instant } from '@lumamesh/base';
import { type ClientMessage, LIMITS } from '@lumamesh/protocol';
import { RelayRooms } from './relay-rooms.ts';

const idOf = (name: string): string => name.padEnd(20, '-');

/** A relay that counts as the real one does, and a page that wants rooms, in virtual time. */
class World {
  readonly rooms: RelayRooms;
  readonly bucket = new TokenBucket(LIMITS.joinsPerSecond, LIMITS.joinsBurst);
  readonly there = new Set<string>();
  readonly refused: string[] = [];
  wanted: string[] = [];
  presence = '';
  /** What was said in joins, in its order. */
  readonly said: string[] = [];
  /** Those whose keys are not there yet. */
  readonly unready = new Set<string>();
  strikes = 0;
  joins = 0;
  isDown = false;
  maxRooms: number;
  now = 0;

  constructor(limits?: ConstructorParameters<typeof RelayRooms>[0], maxRooms = 48) {
    this.rooms = new RelayRooms(limits);
    this.maxRooms = maxRooms;
  }

  sync(): void {
    this.rooms._sync(
      this.wanted.map((name) => {
        const room = idOf(name);
        const { presence } = this;
        const message = { action: 'join', room, peer: idOf('me'), presence } as const;
        return { roomId: room, _joinMessage: this.unready.has(name) ? null : message };
      }),
      instant(this.now),
      (message) => this.#handle(message),
      ({ roomId }) => this.refused.push(roomId),
    );
  }

  pass(ms: number): void {
    for (let i = 0; i < ms; i += 1000) {
      this.now += Math.min(1000, ms);
      this.sync();
    }
  }

  #handle(message: ClientMessage): boolean {
    if (this.isDown) return false;
    if (message.action === 'leave') this.there.delete(message.room);
    if (message.action !== 'join') return true;
    const { room } = message;
    this.joins += 1;
    this.said.push(message.presence);
    if (!this.bucket.take(instant(this.now))) {
      this.strikes += 1;
      this.refuse(room, 'RATE_LIMITED');
    } else if (this.there.size >= this.maxRooms) this.refuse(room, 'TOO_MANY_ROOMS');
    else {
      this.there.add(room);
      this.rooms._handleJoined(room);
    }
    return true;
  }

  /** The answer comes later. */
  refuse(room: string, code: string): void {
    const at = instant(this.now);
    queueMicrotask(() => this.rooms._handleRefused(room, code, at));
  }
}

const settle = async (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `room${i}`);

describe('the rooms of a page at a relay', () => {
  it('are told at once as many as the relay takes, and no further ones until a place is free', async () => {
    const world = new World();
    world.wanted = names(100);
    world.sync();
    assert.equal(world.there.size, 48);
    assert.equal(world.refused.length, 52);
    await settle();
    world.pass(60_000);
    assert.equal(world.joins, 48, 'what cannot succeed is not tried');
    // Who has waited longest is next.
    world.wanted = world.wanted.slice(10);
    world.pass(2000);
    assert.deepEqual(
      [...world.there].slice(-10),
      world.wanted.slice(38, 48).map((name) => idOf(name)),
    );
    assert.equal(world.strikes, 0);
  });

  it('keep a place for who came first, whosever keys are there first', () => {
    const world = new World();
    world.wanted = names(50);
    world.unready.add('room6').add('room49');
    world.sync();
    assert.deepEqual(world.refused, [idOf('room48')]);
    world.unready.clear();
    world.sync();
    assert.deepEqual(world.refused.slice(1), [idOf('room48'), idOf('room49')]);
    assert.ok(world.there.has(idOf('room6')));
  });

  it('are those wanted in the end: what was left before its turn is never joined', () => {
    const world = new World();
    for (let i = 0; i < 400; i++) {
      world.now += 50;
      world.wanted = [`room${i}`];
      world.sync();
    }
    assert.equal(world.strikes, 0);
    assert.ok(world.joins < 400);
    world.pass(2000);
    assert.deepEqual([...world.there], [idOf('room399')]);
    world.wanted = [];
    world.sync();
    assert.deepEqual([...world.there], []);
  });

  it('never go faster than an old relay allows that does not say what that is', async () => {
    const world = new World({ maxRoomsPerSession: 32 }, 32);
    for (let i = 0; i < 3000; i++) {
      world.now += 20;
      world.wanted = names(64).slice(i % 32, (i % 32) + 32);
      world.sync();
      if (i % 100 === 0) await settle();
    }
    assert.ok(world.strikes === 0, `${world.strikes} strikes`);
  });

  it('that were refused are asked for again, ever later; each room by itself', async () => {
    const world = new World(undefined, 64);
    world.wanted = ['full', 'other'];
    world.sync();
    const joinsAt: number[] = [];
    for (const code of ['ROOM_FULL', 'PEER_ID_IN_USE', 'RATE_LIMITED', 'ROOM_FULL']) {
      world.there.delete(idOf('full'));
      world.refuse(idOf('full'), code);
      await settle();
      const { joins } = world;
      while (world.joins === joins) world.pass(1000);
      joinsAt.push(world.now);
    }
    assert.deepEqual(joinsAt, [3000, 6000, 9000, 12_000], 'a success begins anew');
    assert.equal(world.joins, 6);
    world.maxRooms = 1;
    for (let i = 0; i < 6; i++) {
      world.there.delete(idOf('full'));
      world.rooms._handleRefused(idOf('full'), 'ROOM_FULL', instant(world.now));
      world.pass(15_000);
      await settle();
    }
    // It is full of rooms as it turned out: no more is tried until one is left.
    const { joins } = world;
    world.pass(120_000);
    assert.equal(world.joins, joins);
    world.wanted = ['full'];
    world.pass(16_000);
    assert.deepEqual([...world.there], [idOf('full')]);
  });

  it('are told what is new of the page: the latest, as fast as the relay takes it', async () => {
    const world = new World();
    world.wanted = ['a'];
    for (let i = 0; i < 2000; i++) {
      world.presence = `p${i}`;
      world.now += 50;
      world.sync();
      await settle();
    }
    assert.equal(world.strikes, 0);
    assert.ok(world.said.length > 100 && world.said.length < 160, `${world.said.length} joins`);
    world.pass(2000);
    assert.equal(world.said.at(-1), 'p1999');
    const { joins } = world;
    world.pass(60_000);
    assert.equal(world.joins, joins, 'what is known is not said again');
  });

  it('stay joined when what is new is refused, which is said again later', async () => {
    const world = new World();
    world.wanted = ['a', 'b'];
    world.sync();
    for (const code of ['RATE_LIMITED', 'TOO_MANY_ROOMS']) {
      world.presence = code;
      world.sync();
      const { joins } = world;
      world.rooms._handleRefused(idOf('a'), code, instant(world.now));
      assert.ok(world.rooms._has(idOf('a')), 'signals still go by this relay');
      world.pass(2000);
      assert.equal(world.joins, joins);
      world.pass(60_000);
      assert.equal(world.joins, joins + 1);
    }
    world.wanted.push('c');
    world.sync();
    assert.ok(world.there.has(idOf('c')), 'and there is a place for another');
  });

  it('are told when the relay can be told, and not what it can never take', async () => {
    const world = new World();
    world.isDown = true;
    world.wanted = ['a', 'b'];
    world.sync();
    assert.equal(world.rooms._has(idOf('a')), false);
    world.isDown = false;
    world.sync();
    assert.equal(world.there.size, 2);
    world.rooms._handleRefused(idOf('a'), 'BAD_FRAME', instant(world.now));
    world.pass(60_000);
    assert.equal(world.joins, 2);
  });

  it('are safe from what a relay says: limits that are none count as unsaid', () => {
    for (const wrong of [0, -1, Number.NaN, '7', null, {}, 1e-300]) {
      const limits = { joinsPerSecond: wrong, joinsBurst: wrong, maxRoomsPerSession: wrong };
      const world = new World(limits as never);
      world.wanted = ['a'];
      world.sync();
      assert.equal(world.there.size, 1, JSON.stringify(wrong));
    }
  });

  it('that nobody has asked for leave nothing here, whatever a relay says of them', () => {
    const rooms = new RelayRooms();
    for (let i = 0; i < 1000; i++) rooms._handleRefused(idOf(`r${i}`), 'ROOM_FULL', instant(i));
    for (let i = 0; i < 1000; i++) assert.equal(rooms._isAnswered(idOf(`r${i}`)), false);
  });
});
