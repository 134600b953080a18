import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Instant, instant } from '@lumamesh/base';
import type { WebCrypto } from '@lumamesh/protocol';
import { PairCipher, createPairKeys } from '../../core/pair-cipher.ts';
import type { Frame } from '../../core/peer-frame.ts';
import type { Platform } from '../platform.ts';
import { type Carrier, Detour, Forwarder } from './forwarding.ts';

/* Two ends of a detour, and those who carry between them, with a clock of the test's own. */

/** WebCrypto works in threads of its own: how many calls are under way tells when all has come to rest. */
let callsUnderWay = 0;
const web = {
  subtle: new Proxy(crypto.subtle, {
    get:
      (subtle, name) =>
      async (...values: readonly unknown[]): Promise<unknown> => {
        callsUnderWay += 1;
        try {
          return await (
            Reflect.get(subtle, name) as (...all: readonly unknown[]) => Promise<unknown>
          ).apply(subtle, values as unknown[]);
        } finally {
          callsUnderWay -= 1;
        }
      },
  }),
  getRandomValues: (bytes: Uint8Array<ArrayBuffer>) => crypto.getRandomValues(bytes),
} as unknown as WebCrypto;

class World {
  now: Instant = instant(0);
  readonly timers: { at: number; run: () => void }[] = [];
  readonly platform = {
    crypto: web,
    now: () => this.now,
    random: () => 0,
    setTimer: (ms: number, run: () => void) => {
      this.timers.push({ at: this.now + ms, run });
      return () => undefined;
    },
  } as unknown as Platform;

  /** Lets everything that is under way come to rest, and time pass. */
  async run(ms = 0): Promise<void> {
    for (const end = this.now + ms; ; this.now = instant(Math.min(end, this.now + 100))) {
      for (let quiet = 0; quiet < 5; quiet = callsUnderWay > 0 ? 0 : quiet + 1)
        await new Promise((resolve) => setImmediate(resolve));
      for (const timer of this.timers.splice(0)) {
        if (timer.at <= this.now) timer.run();
        else this.timers.push(timer);
      }
      if (this.now >= end) return;
    }
  }
}

interface Side {
  readonly detour: Detour;
  readonly heard: Frame[];
  readonly changes: boolean[];
}

/** Ada and Bob, and carriers by name; what `isLost` says of a frame does not arrive. */
async function scene(
  world: World,
  names: readonly string[],
): Promise<{
  ada: Side;
  bob: Side;
  carriers: (from: string) => Carrier[];
  direct: Set<string>;
  lose: { next: number };
}> {
  const [a, b] = [await createPairKeys(web), await createPairKeys(web)];
  const sides = new Map<string, Side>();
  const direct = new Set(names);
  const lose = { next: 0 };
  const carriers = (from: string): Carrier[] =>
    names.map((id) => ({
      id,
      get isDirect() {
        return direct.has(id);
      },
      isWilling: true,
      // What its own connection has not sent yet: no reason to stop.
      bufferedAmount: 100_000,
      sendTagged: async (tag, value) => {
        if (lose.next > 0) lose.next -= 1;
        else {
          const to = tag.slice(1);
          const back = carriers(to).find((carrier) => carrier.id === id);
          if (back !== undefined && direct.has(id))
            sides.get(to)?.detour.handleSealed(back, value as Uint8Array);
          else sides.get(from)?.detour.handleRefused(id);
        }
        return true;
      },
    }));
  const make = (id: string, other: string, cipher: PairCipher): void => {
    const heard: Frame[] = [];
    const changes: boolean[] = [];
    const events = {
      frame: (frame: Frame) => void heard.push(frame),
      change: (isOpen: boolean) => void changes.push(isOpen),
      low: () => undefined,
    };
    sides.set(id, { detour: new Detour(world.platform, other, cipher, events), heard, changes });
  };
  make('Ada', 'Bob', await PairCipher.create(web, a, b.publicKey, 'room', 'Ada', 'Bob'));
  make('Bob', 'Ada', await PairCipher.create(web, b, a.publicKey, 'room', 'Bob', 'Ada'));
  const [ada, bob] = [sides.get('Ada'), sides.get('Bob')];
  assert.ok(ada !== undefined && bob !== undefined);
  return { ada, bob, carriers, direct, lose };
}

describe('a detour', () => {
  it('is found, carries both kinds in order, and is found anew through another when its carrier is gone', async () => {
    const world = new World();
    const { ada, bob, carriers, direct } = await scene(world, ['Cyd', 'Dan']);
    ada.detour.seek(world.now, carriers('Ada'));
    await world.run();
    assert.ok(ada.detour.isOpen && bob.detour.isOpen);
    for (const text of ['one', 'two', 'three']) ada.detour.send(text, true);
    bob.detour.send(Uint8Array.of(7), false);
    await world.run();
    assert.deepEqual(bob.heard, ['one', 'two', 'three']);
    assert.deepEqual(ada.heard, [Uint8Array.of(7)]);
    direct.delete('Cyd');
    await world.run(1000);
    ada.detour.seek(world.now, carriers('Ada'));
    await world.run(5000);
    ada.detour.seek(world.now, carriers('Ada'));
    await world.run();
    assert.deepEqual(ada.changes.slice(0, 2), [true, false]);
    assert.ok(ada.detour.isOpen);
    ada.detour.send('by Dan', true);
    await world.run();
    assert.equal(bob.heard.at(-1), 'by Dan');
  });

  it('tells the sender of a frame that was lost, and takes nothing behind the gap until it begins anew', async () => {
    const world = new World();
    const { ada, bob, carriers, lose } = await scene(world, ['Cyd']);
    ada.detour.seek(world.now, carriers('Ada'));
    await world.run();
    ada.detour.send('first', true);
    await world.run();
    lose.next = 1;
    ada.detour.send('lost', true);
    ada.detour.send('behind', true);
    await world.run();
    assert.deepEqual(bob.heard, ['first']);
    await world.run(2000);
    assert.ok(ada.changes.length >= 2, 'the sender was told, and begins anew');
    ada.detour.send('again', true);
    await world.run();
    assert.deepEqual(bob.heard, ['first', 'again']);
  });

  it('is paced, and asks for no more than it has room for', async () => {
    const world = new World();
    const { ada, bob, carriers } = await scene(world, ['Cyd']);
    ada.detour.seek(world.now, carriers('Ada'));
    await world.run();
    for (let i = 0; i < 40; i++) ada.detour.send(new Uint8Array(20_000), true);
    assert.ok(ada.detour.bufferedAmount > 1_048_576, 'the queue counts as full');
    await world.run();
    assert.ok(bob.heard.length < 20, `${bob.heard.length} of 40 at once`);
    await world.run(20_000);
    assert.equal(bob.heard.length, 40);
    assert.equal(ada.detour.bufferedAmount, 100_000, 'nothing of it waits here');
    assert.ok(ada.detour.bufferedAmount < 1_048_576, 'and more may come');
  });
});

describe('who carries', () => {
  it('keeps to a budget for each sender, whatever receivers he names, and says nothing to who is over it', () => {
    const world = new World();
    const forwarder = new Forwarder(world.platform);
    const said: string[] = [];
    let carried = 0;
    const peer = (id: string): Carrier => ({
      id,
      isDirect: true,
      isWilling: true,
      bufferedAmount: 0,
      sendTagged: async (tag, value) => {
        if (value instanceof Uint8Array) carried += value.length;
        else said.push(tag);
        return true;
      },
    });
    const [eve, bob] = [peer('Eve'), peer('Bob')];
    for (let i = 0; i < 3000; i++)
      forwarder.carry(
        eve,
        i % 2 === 0 ? bob : undefined,
        i % 2 === 0 ? 'Bob' : `nobody${i}`,
        new Uint8Array(10_000),
        true,
      );
    assert.ok(carried <= 524_288, `${carried} bytes at once`);
    assert.ok(said.length < 60);
    forwarder.carry(bob, eve, 'Eve', new Uint8Array(100), true);
    assert.ok(carried % 10_000 === 100, 'others are carried for as before');
    forwarder.carry(bob, bob, 'Bob', new Uint8Array(100), true);
    forwarder.carry(bob, eve, 'Eve', new Uint8Array(70_000), false);
    assert.ok(carried < 600_000);
  });
});
