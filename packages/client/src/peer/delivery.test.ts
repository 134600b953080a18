import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Instant, LumameshError, instant } from '@lumamesh/base';
import { mutations, seededRandom } from '@lumamesh/testkit';
import { STRUCTURED_VALUES } from '../features/structured-codec.ts';
import type { Platform } from '../platform/platform.ts';
import { Delivery, type DeliveryHost } from './delivery.ts';
import {
  BULK,
  CONTROL,
  type Frame,
  type FrameSink,
  LANES,
  MAX_FRAME_BYTES,
  MAX_TAG_LENGTH,
  REQUESTS,
  type SendOptions,
  UNORDERED,
  VALUES,
} from './peer-frame.ts';
import { LaneSender } from './lane.ts';
import { encodeValue } from './plain-values.ts';
import { readSmallFrame, smallFrame } from './value-frames.ts';

/* Two pages, the paths between them, and a clock of the test's own. */

interface Heard {
  readonly tag: string;
  readonly value: unknown;
}

class World {
  now: Instant = instant(0);
  readonly timers: { at: number; run: () => void }[] = [];
  readonly random: () => number;

  constructor(seed = 1) {
    this.random = seededRandom(seed);
  }

  readonly platform = {
    crypto: { getRandomValues: (bytes: Uint8Array) => bytes.map(() => this.random() * 256) },
    now: () => this.now,
    setTimer: (ms: number, run: () => void) => {
      const timer = { at: this.now + ms, run };
      this.timers.push(timer);
      return () => this.timers.splice(this.timers.indexOf(timer), 1);
    },
  } as unknown as Platform;

  /** Lets time pass, and with it what is under way arrive. */
  run(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const next = this.timers.toSorted((a, b) => a.at - b.at)[0];
      if (next === undefined || next.at > end) break;
      this.timers.splice(this.timers.indexOf(next), 1);
      this.now = instant(Math.max(this.now, next.at));
      next.run();
    }
    this.now = instant(end);
  }
}

class Page implements DeliveryHost {
  readonly heard: Heard[] = [];
  readonly progress: number[] = [];
  readonly platform: Platform;
  readonly _codec = STRUCTURED_VALUES;
  isAdmitted = true;
  resets = 0;
  delivery: Delivery;

  constructor(world: World) {
    this.platform = world.platform;
    this.delivery = new Delivery(this);
  }

  readonly onListenerError = (error: unknown): void => assert.fail(String(error));
  _isAdmitted = (): boolean => this.isAdmitted;
  _isGuarded = (): boolean => !this.isAdmitted;
  _deliver = (tag: string, value: unknown): void => void this.heard.push({ tag, value });
  _handleProgress = (received: number): void => void this.progress.push(received);
  _handleReset = (): void => void (this.resets += 1);

  send(value: unknown, options: SendOptions = {}, tag = '', isControl = false): Promise<boolean> {
    return this.delivery._send(tag, value, options, isControl);
  }

  get values(): readonly unknown[] {
    return this.heard.map(({ value }) => value);
  }
}

/**
 * One connection: frames of a lane arrive in order after a while, each direction carries so many
 * bytes a millisecond, and all is lost when it ends.
 */
class Path {
  readonly #world: World;
  readonly #delayMs: number;
  readonly #bytesPerMs: number;
  readonly ends: readonly [PathEnd, PathEnd];
  isLost = false;

  constructor(world: World, a: Page, b: Page, { delayMs = 10, bytesPerMs = 1e9 } = {}) {
    this.#world = world;
    this.#delayMs = delayMs;
    this.#bytesPerMs = bytesPerMs;
    const [left, right] = [new PathEnd(), new PathEnd()];
    this.ends = [left, right];
    for (const [end, other, page] of [
      [left, right, b],
      [right, left, a],
    ] as const)
      end.deliver = (frame, lane) => this.#carry(end, other, page, frame, lane);
  }

  #carry(end: PathEnd, other: PathEnd, page: Page, frame: Frame, lane: number): void {
    assert.ok(frame.length <= MAX_FRAME_BYTES, 'no frame is larger than every browser takes');
    const world = this.#world;
    end.queued[lane] = (end.queued[lane] ?? 0) + frame.length;
    end.freeAt = Math.max(end.freeAt, world.now) + frame.length / this.#bytesPerMs;
    world.platform.setTimer(end.freeAt - world.now, () => {
      end.queued[lane] = (end.queued[lane] ?? 0) - frame.length;
      if (!this.isLost) end.page?.delivery._pump();
    });
    const data = typeof frame === 'string' ? frame : frame.slice().buffer;
    world.platform.setTimer(end.freeAt - world.now + this.#delayMs, () => {
      if (!this.isLost) assert.ok(page.delivery._handleFrame(other, lane, data));
    });
  }

  open(a: Page, b: Page): void {
    const [left, right] = this.ends;
    for (const [end, page] of [
      [left, a],
      [right, b],
    ] as const) {
      end.isOpen = true;
      end.page = page;
      page.delivery._setSink(end);
    }
  }

  lose(): void {
    this.isLost = true;
    for (const end of this.ends) {
      end.isOpen = false;
      end.page?.delivery._setSink(null);
    }
  }
}

class PathEnd implements FrameSink {
  isOpen = false;
  freeAt = 0;
  page: Page | null = null;
  readonly queued: number[] = [];
  readonly sent: (readonly [Frame, number])[] = [];
  deliver: (frame: Frame, lane: number) => void = () => undefined;

  queuedBytes(lane: number): number {
    return this.queued[lane] ?? 0;
  }

  send(frame: Frame, lane: number): void {
    this.sent.push([frame, lane]);
    this.deliver(frame, lane);
  }
}

function scene(options?: ConstructorParameters<typeof Path>[3]): {
  world: World;
  ada: Page;
  bob: Page;
  path: Path;
} {
  const world = new World();
  const [ada, bob] = [new Page(world), new Page(world)];
  const path = new Path(world, ada, bob, options);
  path.open(ada, bob);
  return { world, ada, bob, path };
}

const isCode =
  (code: string) =>
  (error: unknown): boolean =>
    error instanceof LumameshError && error.code === code;

/** What has become of a promise by now. */
async function stateOf(promise: Promise<unknown>): Promise<unknown> {
  return Promise.race([promise, Promise.resolve('pending')]);
}

describe('values', () => {
  it('arrive as they were sent, whatever their kind and size, in their order, with and without a tag', async () => {
    const { world, ada, bob } = scene();
    const values = [
      'text',
      '',
      7,
      null,
      true,
      { a: [1, { b: '\u{1F30D}' }] },
      'é'.repeat(100_000),
      new Uint8Array(0),
      ...[16_384, 16_385, 65_536, 65_537].map((length) => new Uint8Array(length).fill(length % 7)),
      'x'.repeat(21_700),
      'x'.repeat(21_701),
      new Uint8Array([1, 2, 3, 4]).subarray(1, 3),
      Uint8Array.from({ length: 1_000_003 }, (_, i) => i % 251),
      new Map([['a', new Set([1n, new Date(7)])]]),
    ];
    const sent = ['', 'move it'].flatMap((tag) => values.map((value) => ada.send(value, {}, tag)));
    world.run(1000);
    assert.ok((await Promise.all(sent)).every(Boolean));
    assert.deepEqual(
      bob.heard,
      ['', 'move it'].flatMap((tag) =>
        values.map((value) => ({
          tag,
          value: value instanceof Uint8Array ? Uint8Array.from(value) : value,
        })),
      ),
    );
  });

  it('small ones are one message each, whatever they are, with the longest tag, too', () => {
    for (const tag of ['', 'move', '\u{FFFD}'.repeat(MAX_TAG_LENGTH)])
      for (const value of [
        { a: 1 },
        'x'.repeat(21_700),
        'x'.repeat(60_000),
        Uint8Array.of(10, 2),
        new Uint8Array(65_100),
        new Map([[1n, new Date(7)]]),
        { at: Float32Array.of(1, 2) },
      ]) {
        const { world, ada, bob, path } = scene();
        void ada.send(1);
        const before = path.ends[0].sent.length;
        void ada.send(value, {}, tag);
        assert.equal(path.ends[0].sent.length - before, 1);
        world.run(1000);
        assert.deepEqual(bob.heard.at(-1), { tag, value });
      }
  });

  it('are copied: a buffer may be used again, and that of what is heard has nothing else in it', () => {
    const { world, ada, bob } = scene();
    const bytes = Uint8Array.of(1, 2);
    void ada.send(bytes, {}, 'move');
    bytes.fill(9);
    world.run(100);
    const [heard] = bob.values as [Uint8Array];
    assert.deepEqual(new Uint8Array(heard.buffer), Uint8Array.of(1, 2));
  });

  it('are promised when the other side has them, or when they were sent if that will do', async () => {
    const { world, ada } = scene({ delayMs: 100 });
    const sent = ada.send('cheap', { delivery: 'sent' });
    const received = ada.send('dear');
    assert.deepEqual([await stateOf(sent), await stateOf(received)], [true, 'pending']);
    world.run(150);
    assert.equal(await stateOf(received), 'pending');
    world.run(100);
    assert.equal(await stateOf(received), true);
  });

  it('are not acknowledged while the peer waits to be let in', async () => {
    const { world, ada, bob } = scene();
    bob.isAdmitted = false;
    const sent = ada.send('early');
    world.run(1000);
    assert.equal(await stateOf(sent), 'pending');
    bob.isAdmitted = true;
    bob.delivery._pump();
    world.run(100);
    assert.equal(await sent, true);
  });

  it('wait for the connection and for each other, and what is pending is known', async () => {
    const world = new World();
    const [ada, bob] = [new Page(world), new Page(world)];
    const path = new Path(world, ada, bob, { bytesPerMs: 1000 });
    const steps: number[] = [];
    const large = ada.send(new Uint8Array(900_000), { onProgress: (bytes) => steps.push(bytes) });
    const after = ada.send('after it');
    assert.equal(ada.delivery._pendingBytes, 900_010);
    path.open(ada, bob);
    assert.ok((path.ends[0].queued[VALUES] ?? 0) < 350_000, 'no more than the high-water mark');
    world.run(3000);
    assert.deepEqual(await Promise.all([large, after]), [true, true]);
    assert.deepEqual(bob.values, [new Uint8Array(900_000), 'after it']);
    assert.equal(steps.at(-1), 900_000);
    assert.equal(bob.progress.at(-1), 900_000);
    assert.equal(ada.delivery._pendingBytes, 0);
  });

  it('of more than 16 megabytes are overtaken by smaller ones, unless the page wants an order', () => {
    const { world, ada, bob } = scene({ bytesPerMs: 5000 });
    void ada.send(new Uint8Array(17_000_000));
    void ada.send('line');
    world.run(10_000);
    assert.deepEqual([bob.values[0], bob.heard.length], ['line', 2]);
    void ada.send(new Uint8Array(15_000_000));
    void ada.send('line');
    world.run(10_000);
    assert.equal(bob.values[3], 'line');
  });

  it('can be taken back while they wait and while they are under way, which costs the others nothing', async () => {
    const { world, ada, bob } = scene({ bytesPerMs: 1000 });
    const [first, second] = [new AbortController(), new AbortController()];
    const bulk = { lane: 'bulk' } as const;
    const large = ada.send(new Uint8Array(5_000_000), { ...bulk, signal: first.signal });
    const waiting = ada.send('never', { ...bulk, signal: second.signal });
    const last = ada.send('last', bulk);
    world.run(100);
    first.abort();
    second.abort();
    assert.deepEqual([await large, await waiting], [false, false]);
    world.run(5000);
    assert.equal(await last, true);
    assert.deepEqual(bob.values, ['last']);
    assert.equal(await ada.send('late', { signal: first.signal }), false);
    assert.equal(ada.delivery._pendingBytes, 0);
  });

  it('that were taken back before are so at once, also where there is no connection', async () => {
    const ada = new Page(new World());
    assert.equal(await ada.send('never', { signal: AbortSignal.abort() }), false);
    const later = new AbortController();
    const waiting = ada.send('never', { signal: later.signal });
    later.abort();
    assert.equal(await waiting, false);
  });

  it('that were taken back make room at once, also where there is no connection', async () => {
    const ada = new Page(new World());
    const controller = new AbortController();
    const large = new Uint8Array(20_000_000);
    const taken = ada.send(large, { lane: 'values', signal: controller.signal });
    assert.throws(() => ada.send('more'), { code: 'TOO_MUCH_PENDING' });
    controller.abort();
    assert.equal(await taken, false);
    assert.equal(ada.delivery._pendingBytes, 0);
    void ada.send('more');
    controller.abort();
    assert.ok(ada.delivery._pendingBytes > 0);
  });

  it('may be sent from inside a listener of progress, and none is lost', async () => {
    const { world, ada, bob } = scene();
    const sent: Promise<boolean>[] = [];
    const onProgress = (): void => {
      if (sent.length < 3) sent.push(ada.send(`inner ${sent.length}`));
    };
    sent.unshift(ada.send('outer', { onProgress }));
    sent.push(ada.send('last'));
    world.run(100);
    assert.ok((await Promise.all(sent)).every(Boolean));
    assert.equal(bob.heard.length, sent.length);
  });

  it('that are under way as a whole are not taken back any more: they arrive, and are said to', async () => {
    const { world, ada: a, bob: b } = scene();
    world.run(100);
    const controller = new AbortController();
    const sent = a.send('late', { signal: controller.signal });
    controller.abort();
    world.run(1000);
    assert.deepEqual([await sent, b.values], [true, ['late']]);
  });

  it('are refused with options that mean nothing, and what is sent afterwards arrives', async () => {
    const { world, ada: a, bob: b } = scene();
    const wrong: readonly unknown[] = [
      null,
      42,
      { lane: 'x' },
      { lane: 'toString' },
      { lane: null },
      { delivery: 'x' },
      { reliable: 'no' },
      { onProgress: 'x' },
      { signal: 'x' },
      { signal: {} },
    ];
    for (const options of wrong)
      assert.throws(() => a.send(1, options as SendOptions), { code: 'BAD_ARGUMENT' });
    const sent = a.send('right', { signal: null } as unknown as SendOptions);
    world.run(1000);
    assert.deepEqual([await sent, b.values], [true, ['right']]);
  });

  it('that may be lost are sent now or not at all', async () => {
    const { world, ada, bob, path } = scene();
    const values = [
      [{ x: 1 }, ''],
      [{ x: 2 }, 'pos'],
      [Uint8Array.of(1, 2), ''],
      [Uint8Array.of(3), 'pos'],
      [new Set([4]), 'pos'],
      ['é'.repeat(30_000), 'pos'],
    ] as const;
    for (const [value, tag] of values)
      assert.equal(await ada.send(value, { reliable: false }, tag), true);
    world.run(100);
    assert.deepEqual(
      bob.heard,
      values.map(([value, tag]) => ({ tag, value })),
    );
    assert.equal(path.ends[0].sent.filter(([, lane]) => lane === UNORDERED).length, values.length);
    assert.throws(
      () => void ada.send('x'.repeat(65_200), { reliable: false }),
      isCode('MESSAGE_TOO_LARGE'),
    );
    path.lose();
    assert.equal(await ada.send(1, { reliable: false }), false);
  });

  it('say what cannot be sent, where, and how much may wait', async () => {
    const world = new World();
    const ada = new Page(world);
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    class Point {
      x = 1;
    }
    for (const [bad, place] of [
      [undefined, /^value \(Undefined\)/],
      [() => 1, /^value \(Function\)/],
      [{ a: [1, { b: () => 1 }] }, /^value\.a\.1\.b \(Function\)/],
      [cycle, /cycle/],
      [{ at: new Point() }, /^value\.at /],
      [new Map([['k', Symbol('s')]]), /^value\.0 \(Symbol\)/],
      [[new WeakMap()], /^value\.0 \(WeakMap\)/],
      [new URL('https://a.example'), /^value \(URL\)/],
      // eslint-disable-next-line no-sparse-arrays
      [[1, , 3], /missing/],
    ] as const)
      assert.throws(
        () => void ada.send(bad),
        (error) => isCode('NOT_SENDABLE')(error) && place.test((error as Error).message),
      );
    const waiting = ada.send(new Uint8Array(20_000_000), { lane: 'values' });
    assert.throws(() => void ada.send('x'), isCode('TOO_MUCH_PENDING'));
    // What is urgent is not kept from going.
    void ada.send('x', { lane: 'requests' });
    ada.delivery._close();
    assert.equal(await waiting, false);
    assert.throws(() => void ada.send(new Uint8Array(268_435_457)), isCode('MESSAGE_TOO_LARGE'));
  });
});

describe('lanes', () => {
  it('let a question pass while a gigabyte is on its way', () => {
    const { world, ada, bob } = scene({ delayMs: 50, bytesPerMs: 5000 });
    const piece = new Uint8Array(262_144);
    let pieces = 0;
    const pour = (): void => {
      pieces += 1;
      void ada.send(piece, { lane: 'bulk', delivery: 'sent' }).then(pour);
    };
    // Promises do not settle while virtual time runs: so many are given in advance.
    for (let i = 0; i < 60; i++) pour();
    world.run(1000);
    const askedAt = world.now;
    void ada.send('question', { lane: 'requests' }, 'request 1');
    const hasIt = (): boolean => bob.heard.some(({ value }) => value === 'question');
    while (!hasIt() && world.now - askedAt < 5000) world.run(1);
    assert.ok(pieces >= 60 && ada.delivery._pendingBytes > 1_000_000, 'it is still busy');
    assert.ok(world.now - askedAt <= 200, `${world.now - askedAt} ms one way`);
  });

  it('carry bulk as fast as the path does', () => {
    const { world, ada, bob } = scene({ delayMs: 100, bytesPerMs: 2000 });
    void ada.send(new Uint8Array(16_000_000));
    world.run(8000 + 4000);
    assert.equal(bob.heard.length, 1, `${bob.progress.at(-1)} of 16 MB in 12 s of at least 8.2`);
  });
});

describe('another connection', () => {
  it('goes on where the one before was, and nothing is lost, doubled or out of order', async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const world = new World(seed);
      const { random } = world;
      const [ada, bob] = [new Page(world), new Page(world)];
      const sent: Promise<boolean>[] = [];
      const expected: number[][] = LANES.map(() => []);
      const heard = (): unknown[][] =>
        LANES.map((_, lane) =>
          bob.heard.filter(({ tag }) => tag === `lane${lane}`).map(({ value }) => value),
        );
      const names = ['requests', 'values', 'bulk'] as const;
      let count = 0;
      const say = (): void => {
        const lane = Math.floor(random() * LANES.length);
        const name = names[lane - 1];
        // Some are larger than a frame.
        const value =
          random() < 0.2 ? 'x'.repeat(Math.floor(random() * 90_000)) + count : String(count);
        expected[lane]?.push(value as unknown as number);
        count += 1;
        const options = name === undefined ? {} : { lane: name };
        sent.push(ada.send(value, options, `lane${lane}`, name === undefined));
        if (random() < 0.3) void bob.send(count);
      };
      let path: Path | null = null;
      for (let step = 0; step < 60; step++) {
        const dice = random();
        if (dice < 0.6) say();
        else if (dice < 0.7) {
          path?.lose();
          path = null;
        } else if (dice < 0.85 && path === null) {
          const delayMs = random() * 60;
          path = new Path(world, ada, bob, { delayMs, bytesPerMs: 20 + random() * 2000 });
          path.open(ada, bob);
        } else if (dice < 0.9 && path !== null) {
          // One path takes over from another while that still carries things.
          const next = new Path(world, ada, bob, { delayMs: random() * 60 });
          next.open(ada, bob);
          path = next;
        } else world.run(random() * 200);
      }
      path ??= new Path(world, ada, bob);
      path.open(ada, bob);
      world.run(60_000);
      assert.ok((await Promise.all(sent)).every(Boolean), `seed ${seed}`);
      assert.deepEqual(heard(), expected, `seed ${seed}`);
      assert.deepEqual([ada.delivery._pendingBytes, bob.delivery._pendingBytes], [0, 0]);
    }
  });

  it('to a page that was loaded anew says of what was under way that it was lost, and goes on', async () => {
    const { world, ada, bob, path } = scene({ delayMs: 50 });
    const heard = ada.send('heard');
    world.run(200);
    const lost = ada.send('lost on its way');
    path.lose();
    const waiting = ada.send('waiting');
    const again = new Page(world);
    const next = new Path(world, ada, again);
    next.open(ada, again);
    void again.send('I am new');
    world.run(1000);
    const later = ada.send('later');
    world.run(1000);
    assert.deepEqual(await Promise.all([heard, lost, waiting, later]), [true, false, true, true]);
    assert.deepEqual(again.values, ['waiting', 'later']);
    assert.deepEqual([ada.values, ada.resets], [['I am new'], 1]);
    assert.deepEqual(bob.values, ['heard']);
  });

  it('may be acknowledged on before the other side has told what it has: channels do not wait for each other', async () => {
    const { world, ada, path } = scene();
    const [left] = path.ends;
    const session = String(left.sent.find(([frame]) => String(frame).startsWith('r'))?.[0]).slice(
      1,
    );
    path.isLost = true;
    const sent = ada.send('arrived, though its acknowledgement did not');
    const next = new PathEnd();
    next.isOpen = true;
    ada.delivery._setSink(next);
    ada.delivery._handleFrame(next, CONTROL, `a${VALUES} 1 ${session}`);
    ada.delivery._handleFrame(next, VALUES, `w${session} 0`);
    world.run(1000);
    assert.equal(await stateOf(sent), true);
    assert.equal(ada.delivery._pendingBytes, 0);
    void ada.send('next');
    const heard = next.sent.filter(([, lane]) => lane === VALUES).map(([frame]) => frame);
    assert.deepEqual(heard.slice(1), ['n1', 'j\n"next"']);
  });

  it('may be heard of by one side before the other', async () => {
    const world = new World();
    const [ada, bob] = [new Page(world), new Page(world)];
    const path = new Path(world, ada, bob);
    const [left, right] = path.ends;
    left.isOpen = true;
    ada.delivery._setSink(left);
    const sent = ada.send('before you look');
    world.run(100);
    assert.deepEqual(bob.values, ['before you look']);
    right.isOpen = true;
    bob.delivery._setSink(right);
    world.run(100);
    assert.equal(await sent, true);
  });
});

describe('an end', () => {
  it('lets what was sent before arrive', async () => {
    const { world, ada, bob } = scene({ bytesPerMs: 1000 });
    const sent = ada.send(new Uint8Array(1_000_000));
    const line = ada.send('line');
    const flushed = ada.delivery._flush();
    world.run(5000);
    await flushed;
    assert.deepEqual(await Promise.all([sent, line]), [true, true]);
    assert.equal(bob.heard.length, 2);
  });

  it('hears nothing any more, and says so to who sends', async () => {
    const { world, ada, bob } = scene();
    void ada.send('in time');
    world.run(100);
    bob.delivery._mute();
    const sent = ada.send('too late');
    for (const value of ['too late', Uint8Array.of(1)]) void ada.send(value, { reliable: false });
    world.run(1000);
    assert.equal(await stateOf(sent), 'pending');
    assert.deepEqual(bob.values, ['in time']);
    // Nor that the other page is another one now: there is nobody to be let in.
    const again = new Page(world);
    new Path(world, again, bob).open(again, bob);
    world.run(1000);
    assert.equal(bob.resets, 0);
    ada.delivery._close();
    assert.equal(await sent, false);
  });

  it('comes to who acknowledges nothing though it could, and to nobody else', () => {
    const { world, ada, bob } = scene();
    void ada.send('x');
    world.run(40_000);
    assert.equal(ada.delivery._isStalled(world.now), false);
    bob.delivery._mute();
    void ada.send('y');
    world.run(29_000);
    assert.equal(ada.delivery._isStalled(world.now), false);
    world.run(2000);
    assert.equal(ada.delivery._isStalled(world.now), true);
  });
});

describe('a stranger', () => {
  it('whose frame is cut or changed anywhere is heard of what is a value, and nothing throws', () => {
    const tag = 'move it';
    const values = [{ a: 1 }, Uint8Array.of(1, 2), new Map([[1n, new Date(7)]])];
    for (const value of values) {
      const { kind, body } = encodeValue(value, STRUCTURED_VALUES);
      const frame = smallFrame(tag, kind, body as Frame);
      const isText = typeof frame === 'string';
      const whole = isText ? new TextEncoder().encode(frame) : frame;
      const heard: Heard[] = [];
      const read = (bytes: Uint8Array<ArrayBuffer>): void => {
        const data = isText ? new TextDecoder().decode(bytes) : bytes.slice().buffer;
        readSmallFrame(data, STRUCTURED_VALUES, (name, part) =>
          heard.push({ tag: name, value: part }),
        );
      };
      read(whole);
      assert.deepEqual(heard, [{ tag, value }]);
      for (let end = 0; end <= tag.length + 1; end++) read(whole.subarray(0, end));
      assert.equal(heard.length, 1, 'a frame without a head is none');
      for (let end = 0; end < whole.length; end++) read(whole.subarray(0, end));
      for (const changed of mutations(whole, 2000, 5)) read(Uint8Array.from(changed));
      assert.ok(heard.every((each) => each.tag.length <= MAX_TAG_LENGTH));
    }
  });

  it('makes nothing throw, and is kept only as far as it has sent', () => {
    const random = seededRandom(7);
    const { ada, path } = scene();
    const [left] = path.ends;
    const parts = [
      ...['j', 'j{', 'j\n', 'j\nnull', 'jx', 'jx\n', 'jx\n1', 'b\n', 'bx\n1', 's\n1', '\n', '\n1'],
      ...['f', 'fj', 'f\n3', 'fj\n-1', 'fj\n1e99', 'fb\n3', 'fsx\n9', 'fb\n268435457', 'x', 'xx'],
      ...[`j${'x'.repeat(200)}\n1`, `fj${'x'.repeat(200)}\n1`, '\u0000', '', 'r', 'rabc'],
      'r '.repeat(60),
      ...['w', 'w 5', 'n', 'n0', 'n-1', 'n1e99', 'nx', 'a', 'a0 1', 'a9 9 x', 'a0 NaN x', 'a'],
    ];
    let ends = 0;
    for (let i = 0; i < 50_000; i++) {
      const bytes = Uint8Array.from({ length: random() * 8 }, () => random() * 256).buffer;
      const kind = random();
      const part = parts[Math.floor(random() * parts.length)];
      const data =
        kind < 0.6
          ? part
          : kind < 0.95
            ? kind < 0.8
              ? bytes
              : new TextEncoder().encode(part).buffer
            : [null, 7, new Blob([])][i % 3];
      ends += Number(!ada.delivery._handleFrame(left, Math.floor(random() * 7) - 1, data));
    }
    assert.ok(ada.heard.length > 0 && ends > 0);
  });

  it('is passed over where it is nested too deep, and heard again after it', () => {
    const { ada, path } = scene();
    const [left] = path.ends;
    const deep = `${'['.repeat(20_000)}${']'.repeat(20_000)}`;
    const bytes = new TextEncoder().encode(`jx\n${deep}`);
    for (const frame of ['rs', 'n0', `jx\n${deep}`, bytes.buffer, 'jx\n[[1]]'])
      assert.ok(ada.delivery._handleFrame(left, VALUES, frame));
    assert.deepEqual(ada.heard, [{ tag: 'x', value: [[1]] }]);
  });

  it('that announces much and sends little costs little', () => {
    const { ada, path } = scene();
    const [left] = path.ends;
    for (const frame of ['rs', 'n0', 'fb\n268435456']) ada.delivery._handleFrame(left, BULK, frame);
    const before = process.memoryUsage().arrayBuffers;
    for (let i = 0; i < 50_000; i++) ada.delivery._handleFrame(left, BULK, new ArrayBuffer(0));
    for (let i = 0; i < 1000; i++) ada.delivery._handleFrame(left, BULK, new ArrayBuffer(1));
    assert.ok(process.memoryUsage().arrayBuffers - before < 10_000_000);
  });

  it('that was not let in sends no large value', () => {
    const { ada, path } = scene();
    const [left] = path.ends;
    ada.isAdmitted = false;
    for (const [lane, isTaken] of [
      [VALUES, false],
      [CONTROL, true],
    ] as const) {
      for (const frame of ['rs', 'n0']) ada.delivery._handleFrame(left, lane, frame);
      assert.equal(ada.delivery._handleFrame(left, lane, 'fb\n100000'), isTaken);
    }
    assert.equal(ada.delivery._handleFrame(left, CONTROL, 'fb\n2000000'), false);
  });

  it('that sends a bomb of brackets does not freeze the page', () => {
    const { ada, path } = scene();
    const [left] = path.ends;
    const bomb = new TextEncoder().encode(`[${'[],'.repeat(5_000_000)}0]`);
    for (const frame of ['rs', 'n0', `fj\n${bomb.length}`])
      ada.delivery._handleFrame(left, BULK, frame);
    for (let at = 0; at < bomb.length; at += MAX_FRAME_BYTES)
      ada.delivery._handleFrame(left, BULK, bomb.slice(at, at + MAX_FRAME_BYTES).buffer);
    assert.equal(ada.heard.length, 0);
    // The next one is heard.
    ada.delivery._handleFrame(left, BULK, 'j\n1');
    assert.deepEqual(ada.values, [1]);
  });

  it('that is another page again and again is so a few times only', () => {
    const { ada, path } = scene();
    const [left] = path.ends;
    let taken = 0;
    for (let i = 0; i < 1000; i++)
      taken += Number(ada.delivery._handleFrame(left, CONTROL, `rpage${i}`));
    assert.ok(ada.resets > 1 && ada.resets < 10, String(ada.resets));
    assert.ok(taken < 10, 'and then is sent away');
  });

  it('that takes no answers is given few, and the page goes on at once when it takes them all', () => {
    const lane = new LaneSender(
      REQUESTS,
      () => instant(0),
      () => assert.fail(),
    );
    const sent: Frame[] = [];
    const sink = { isOpen: true, queuedBytes: () => 0, send: (frame: Frame) => sent.push(frame) };
    lane._setSink(sink);
    let count = 0;
    const add = (): void => {
      const frames = [`j\n${count}`].values() as Iterator<Frame, undefined>;
      const settle = (): void => undefined;
      lane._add({ frames, size: 4, options: {}, settle, isAborted: false, sentBytes: 0 });
      count += 1;
    };
    assert.throws(() => {
      for (;;) add();
    }, isCode('TOO_MUCH_PENDING'));
    assert.ok(count > 60_000 && count < 70_000, String(count));
    const startedAt = performance.now();
    lane._pump();
    for (let i = 1; i <= count; i++) lane._handleAck(i);
    assert.ok(performance.now() - startedAt < 2000);
    assert.deepEqual([sent.length, lane._pendingBytes], [count + 1, 0]);
  });
});
