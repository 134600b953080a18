import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LumameshError } from '@lumamesh/base';
import { FakePeer, type FakeRoom, makePair } from './fake-room.test-support.ts';
import { PresenceStore } from './presence-store.ts';

/** Frames that come when the test says so. */
class Frames {
  readonly #due: (() => void)[] = [];

  readonly schedule = (run: () => void): void => void this.#due.push(run);

  /** All frames until nothing is due; fails when that does not end. */
  async settle(): Promise<void> {
    for (let frames = 0; this.#due.length > 0; frames++) {
      assert.ok(frames < 10, 'never at rest');
      for (const run of this.#due.splice(0)) run();
      for (let i = 0; i < 5; i++) await Promise.resolve();
    }
  }
}

function makeStores() {
  const frames = new Frames();
  const pair = makePair();
  const storeOf = (room: FakeRoom): PresenceStore =>
    new PresenceStore(room.asRoom, frames.schedule);
  return { frames, ...pair, storeA: storeOf(pair.a), storeB: storeOf(pair.b) };
}

const ignore = (): void => undefined;

describe('presence', () => {
  it('crosses when peers open, and when it changes; the map is the same until then', async () => {
    const { frames, storeA, storeB, open } = makeStores();
    let changes = 0;
    storeA.subscribe(ignore);
    storeB.subscribe(() => (changes += 1));
    const unshare = storeA.share('{"x":1}');
    await frames.settle();
    assert.deepEqual([...storeB.others()], [], 'nobody is open');
    open();
    await frames.settle();
    const others = storeB.others();
    assert.deepEqual([...others], [['a', { x: 1 }]]);
    assert.equal(changes, 1);
    unshare();
    storeA.share('{"x":1}');
    await frames.settle();
    assert.equal(storeB.others(), others, 'the same in it');
    storeA.share('2');
    await frames.settle();
    assert.deepEqual([...storeB.others()], [['a', 2]]);
  });

  it('sends only the last of many changes in a frame, and of those while a peer is slow', async () => {
    const { frames, a, peerOfA, storeA, storeB, open } = makeStores();
    storeB.subscribe(ignore);
    storeA.subscribe(ignore);
    open();
    await frames.settle();
    a.sent.length = 0;
    peerOfA.waiting = [];
    for (const x of [1, 2, 3]) storeA.share(String(x));
    await frames.settle();
    assert.deepEqual(a.sent, [{ to: 'b', value: { value: 3 } }]);
    for (const x of [4, 5]) {
      storeA.share(String(x));
      await frames.settle();
    }
    assert.equal(a.sent.length, 1, 'the peer has not taken the last one yet');
    const { waiting } = peerOfA;
    peerOfA.waiting = null;
    for (const go of waiting) go();
    for (let i = 0; i < 5; i++) await Promise.resolve();
    await frames.settle();
    assert.deepEqual(a.sent.slice(1), [{ to: 'b', value: { value: 5 } }]);
  });

  it('is asked for by who listens late, and told no more often than that', async () => {
    const { frames, a, b, storeA, storeB, open } = makeStores();
    storeA.subscribe(ignore);
    storeA.share('1');
    open();
    await frames.settle();
    storeB.subscribe(ignore);
    await frames.settle();
    assert.deepEqual([...storeB.others()], [['a', 1]]);
    assert.deepEqual(
      a.sent.map(({ value }) => value),
      [{ value: 1, ask: true }, { value: 1 }],
    );
    assert.deepEqual(
      b.sent.map(({ value }) => value),
      [{ ask: true }],
    );
  });

  it('vanishes with its peer, when it is not shared any more, and when nobody of that page takes part', async () => {
    const { frames, b, peerOfB, storeA, storeB, open } = makeStores();
    open();
    storeB.subscribe(ignore);
    const stop = storeA.subscribe(ignore);
    const unshare = storeA.share('1');
    await frames.settle();
    assert.equal(storeB.others().size, 1);
    unshare();
    await frames.settle();
    assert.equal(storeB.others().size, 0);
    storeA.share('2');
    await frames.settle();
    assert.equal(storeB.others().size, 1);
    stop();
    const again = storeA.subscribe(ignore);
    await frames.settle();
    assert.equal(storeB.others().size, 1, 'taken up again in one go');
    again();
    await frames.settle();
    await frames.settle();
    assert.equal(storeB.others().size, 0);
    storeA.subscribe(ignore);
    await frames.settle();
    assert.equal(storeB.others().size, 1);
    b.remove(peerOfB);
    await frames.settle();
    assert.equal(storeB.others().size, 0);
  });

  it('of several components is what was shared last; what stays counts when that goes', async () => {
    const { frames, storeA, storeB, open } = makeStores();
    open();
    storeB.subscribe(ignore);
    storeA.subscribe(ignore);
    storeA.share('"first"');
    const unshare = storeA.share('"second"');
    await frames.settle();
    assert.deepEqual([...storeB.others().values()], ['second']);
    unshare();
    await frames.settle();
    assert.deepEqual([...storeB.others().values()], ['first']);
  });

  it('takes nothing odd or large from others, and nothing large from the page', async () => {
    const { frames, b, peerOfB, storeB, open } = makeStores();
    open();
    storeB.subscribe(ignore);
    for (const odd of [
      { value: 1n },
      null,
      1,
      'text',
      [],
      { value: 'x'.repeat(70_000) },
      { ask: 'yes' },
    ])
      b.receive('lumamesh:presence', odd, peerOfB);
    b.receive(
      'lumamesh:presence',
      { value: 1 },
      Object.assign(new FakePeer('gone'), { state: 'closed' }),
    );
    await frames.settle();
    assert.equal(storeB.others().size, 0);
    assert.throws(
      () => storeB.share(JSON.stringify('x'.repeat(70_000))),
      (error) => error instanceof LumameshError && error.code === 'MESSAGE_TOO_LARGE',
    );
  });

  it('leaves no listener behind', async () => {
    const { frames, a, peerOfA, storeA, open } = makeStores();
    open();
    const stop = storeA.subscribe(ignore);
    await frames.settle();
    assert.deepEqual(
      [a.listeners, peerOfA.has('open'), a.has('leave'), a.has('peer')],
      [1, true, true, true],
    );
    stop();
    await Promise.resolve();
    assert.deepEqual(
      [a.listeners, peerOfA.has('open'), a.has('leave'), a.has('peer')],
      [0, false, false, false],
    );
  });
});
