import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Instant, instant } from '@lumamesh/base';
import { PairCipher, createPairKeys } from './pair-cipher.ts';
import { type Frame, UNORDERED, VALUES } from '../../peer/peer-frame.ts';
import type { Platform } from '../../platform/platform.ts';
import { watchCrypto } from '../../room/watched-crypto.test-support.ts';
import { ForwardedPath } from './forwarded-path.ts';
import { Forwarder, type ForwardingPeer } from './forwarder.ts';

/* Two ends of a path, and those who carry between them, with a clock of the test's own. */

const { web, settle } = watchCrypto();

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
      await settle();
      for (const timer of this.timers.splice(0)) {
        if (timer.at <= this.now) timer.run();
        else this.timers.push(timer);
      }
      if (this.now >= end) return;
    }
  }
}

interface Side {
  readonly path: ForwardedPath;
  readonly heard: Frame[];
  readonly changes: boolean[];
}

/** Ada and Bob, and forwardingPeers by name; what `isLost` says of a frame does not arrive. */
async function scene(
  world: World,
  names: readonly string[],
): Promise<{
  ada: Side;
  bob: Side;
  forwardingPeers: (from: string) => ForwardingPeer[];
  direct: Set<string>;
  lose: { next: number };
}> {
  const [a, b] = [await createPairKeys(web), await createPairKeys(web)];
  const sides = new Map<string, Side>();
  const direct = new Set(names);
  const lose = { next: 0 };
  const forwardingPeers = (from: string): ForwardingPeer[] =>
    names.map((id) => ({
      id,
      get isDirect() {
        return direct.has(id);
      },
      isWilling: true,
      // What its own connection has not sent yet: no reason to stop.
      requestBytes: 100_000,
      sendFrame: async (_frame, to, value) => {
        if (lose.next > 0) lose.next -= 1;
        else {
          const back = forwardingPeers(to).find((forwardingPeer) => forwardingPeer.id === id);
          if (back !== undefined && direct.has(id))
            sides.get(to)?.path._handleSealed(back, value as Uint8Array);
          else sides.get(from)?.path._handleRefused(id);
        }
        return true;
      },
    }));
  const make = (id: string, other: string, cipher: PairCipher): void => {
    const heard: Frame[] = [];
    const changes: boolean[] = [];
    const events = {
      _frame: (frame: Frame) => void heard.push(frame),
      _change: (isOpen: boolean) => void changes.push(isOpen),
      _low: () => undefined,
    };
    sides.set(id, {
      path: new ForwardedPath(world.platform, other, cipher, events),
      heard,
      changes,
    });
  };
  make('Ada', 'Bob', await PairCipher.create(web, a, b.publicKey, 'room', 'Ada', 'Bob'));
  make('Bob', 'Ada', await PairCipher.create(web, b, a.publicKey, 'room', 'Bob', 'Ada'));
  const [ada, bob] = [sides.get('Ada'), sides.get('Bob')];
  assert.ok(ada !== undefined && bob !== undefined);
  return { ada, bob, forwardingPeers, direct, lose };
}

describe('a path', () => {
  it('is found, carries both kinds in order, and is found anew through another when its forwardingPeer is gone', async () => {
    const world = new World();
    const { ada, bob, forwardingPeers, direct } = await scene(world, ['Cyd', 'Dan']);
    ada.path._seek(world.now, forwardingPeers('Ada'));
    await world.run();
    assert.ok(ada.path.isOpen && bob.path.isOpen);
    for (const text of ['one', 'two', 'three']) ada.path.send(text, VALUES);
    bob.path.send(Uint8Array.of(7), UNORDERED);
    await world.run();
    assert.deepEqual(bob.heard, ['one', 'two', 'three']);
    assert.deepEqual(ada.heard, [Uint8Array.of(7)]);
    direct.delete('Cyd');
    await world.run(1000);
    ada.path._seek(world.now, forwardingPeers('Ada'));
    await world.run(5000);
    ada.path._seek(world.now, forwardingPeers('Ada'));
    await world.run();
    assert.deepEqual(ada.changes.slice(0, 2), [true, false]);
    assert.ok(ada.path.isOpen);
    ada.path.send('by Dan', VALUES);
    await world.run();
    assert.equal(bob.heard.at(-1), 'by Dan');
  });

  it('tells the sender of a frame that was lost, and takes nothing behind the gap until it begins anew', async () => {
    const world = new World();
    const { ada, bob, forwardingPeers, lose } = await scene(world, ['Cyd']);
    ada.path._seek(world.now, forwardingPeers('Ada'));
    await world.run();
    ada.path.send('first', VALUES);
    await world.run();
    lose.next = 1;
    ada.path.send('lost', VALUES);
    ada.path.send('behind', VALUES);
    await world.run();
    assert.deepEqual(bob.heard, ['first']);
    await world.run(2000);
    assert.ok(ada.changes.length >= 2, 'the sender was told, and begins anew');
    ada.path.send('again', VALUES);
    await world.run();
    assert.deepEqual(bob.heard, ['first', 'again']);
  });

  it('is paced, and asks for no more than it has room for', async () => {
    const world = new World();
    const { ada, bob, forwardingPeers } = await scene(world, ['Cyd']);
    ada.path._seek(world.now, forwardingPeers('Ada'));
    await world.run();
    for (let i = 0; i < 40; i++) ada.path.send(new Uint8Array(20_000), VALUES);
    assert.ok(ada.path.queuedBytes() > 262_144, 'the queue counts as full');
    await world.run();
    assert.ok(bob.heard.length < 20, `${bob.heard.length} of 40 at once`);
    await world.run(20_000);
    assert.equal(bob.heard.length, 40);
    assert.equal(ada.path.queuedBytes(), 100_000, 'nothing of it waits here');
    assert.ok(ada.path.queuedBytes() < 262_144, 'and more may come');
  });
});

describe('who carries', () => {
  it('keeps to a budget for each sender, whatever receivers he names, and says nothing to who is over it', () => {
    const world = new World();
    const forwarder = new Forwarder(world.platform);
    const said: string[] = [];
    let carried = 0;
    const peer = (id: string): ForwardingPeer => ({
      id,
      isDirect: true,
      isWilling: true,
      requestBytes: 0,
      sendFrame: async (frame, argument, value) => {
        if (value instanceof Uint8Array) carried += value.length;
        else said.push(`${frame} ${argument}`);
        return true;
      },
    });
    const [eve, bob] = [peer('Eve'), peer('Bob')];
    for (let i = 0; i < 3000; i++)
      forwarder._forward(
        eve,
        i % 2 === 0 ? bob : undefined,
        i % 2 === 0 ? 'Bob' : `nobody${i}`,
        new Uint8Array(10_000),
        true,
      );
    assert.ok(carried <= 524_288, `${carried} bytes at once`);
    assert.ok(said.length < 60);
    forwarder._forward(bob, eve, 'Eve', new Uint8Array(100), true);
    assert.ok(carried % 10_000 === 100, 'others are carried for as before');
    forwarder._forward(bob, bob, 'Bob', new Uint8Array(100), true);
    forwarder._forward(bob, eve, 'Eve', new Uint8Array(70_000), false);
    assert.ok(carried < 600_000);
  });

  it('is kept for nobody by who forwards more than can be opened', async () => {
    const world = new World();
    const { ada, bob, forwardingPeers } = await scene(world, ['Cyd', 'Dan']);
    ada.path._seek(world.now, forwardingPeers('Ada'));
    await world.run();
    const [cyd] = forwardingPeers('Bob');
    assert.ok(cyd !== undefined);
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < 200_000; i++) bob.path._handleSealed(cyd, new Uint8Array(18));
    assert.ok(process.memoryUsage().heapUsed - before < 50_000_000);
    ada.path.send('heard', VALUES);
    await world.run(100);
    assert.deepEqual(bob.heard, ['heard']);
  });
});
