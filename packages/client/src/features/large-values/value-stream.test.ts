import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LumameshError } from '@lumamesh/base';
import { seededRandom } from '@lumamesh/testkit';
import {
  type Frame,
  type FrameSink,
  MAX_FRAME_BYTES,
  type SendOptions,
  type ValueInbox,
  type ValueOutbox,
  encodeValue,
} from '../../peer/peer-frame.ts';
import { SMALL_VALUES } from '../../peer/small-values.ts';
import { MAX_VALUE_BYTES, ValueReceiver, ValueSender } from './value-stream.ts';

interface Delivered {
  readonly tag: string;
  readonly value: unknown;
}

/** A connection that delivers at once, or keeps what is sent until it is drained. */
class Wire implements FrameSink {
  isOpen = true;
  bufferedAmount = 0;
  isSlow = false;
  readonly frames: (readonly [frame: Frame, isReliable: boolean])[] = [];

  send(frame: Frame, isReliable: boolean): void {
    assert.ok(
      typeof frame === 'string' || frame.length <= MAX_FRAME_BYTES,
      'no frame is larger than every browser takes',
    );
    this.frames.push([frame, isReliable]);
    if (this.isSlow) this.bufferedAmount += frame.length;
  }

  /** As the other side hears it: binary frames are ArrayBuffers there. */
  deliverTo(inbox: ValueInbox): void {
    for (const [frame, isReliable] of this.frames.splice(0))
      inbox.handleFrame(typeof frame === 'string' ? frame : frame.slice().buffer, isReliable);
    this.bufferedAmount = 0;
  }
}

function pair(): {
  wire: Wire;
  sender: ValueSender;
  receiver: ValueReceiver;
  heard: Delivered[];
  progress: number[];
} {
  const heard: Delivered[] = [];
  const progress: number[] = [];
  const receiver = new ValueReceiver(
    (tag, value) => heard.push({ tag, value }),
    (received) => progress.push(received),
  );
  return {
    wire: new Wire(),
    sender: new ValueSender((error) => assert.fail(String(error))),
    receiver,
    heard,
    progress,
  };
}

function send(
  outbox: ValueOutbox,
  wire: Wire,
  value: unknown,
  options: SendOptions = {},
  tag = '',
): Promise<boolean> {
  return outbox.send(wire, tag, encodeValue(value), options);
}

const isCode =
  (code: string) =>
  (error: unknown): boolean =>
    error instanceof LumameshError && error.code === code;

describe('values', () => {
  it('arrive as they were sent, whatever their kind and size, in their order, with and without a tag', async () => {
    const { wire, sender, receiver, heard } = pair();
    const large = Uint8Array.from({ length: 1_000_003 }, (_, i) => i % 251);
    const values = [
      'text',
      '',
      7,
      null,
      true,
      { a: [1, { b: '\u{1F30D}' }] },
      'é'.repeat(100_000),
      new Uint8Array(0),
      new Uint8Array([1, 2, 3, 4]).subarray(1, 3),
      large,
    ];
    for (const tag of ['', 'amove'])
      for (const value of values) assert.equal(await send(sender, wire, value, {}, tag), true);
    wire.deliverTo(receiver);
    assert.deepEqual(
      heard,
      ['', 'amove'].flatMap((tag) =>
        values.map((value) => ({
          tag,
          value: value instanceof Uint8Array ? Uint8Array.from(value) : value,
        })),
      ),
    );
  });

  it('that are binary are not copied on their way out', () => {
    const { wire, sender } = pair();
    const bytes = new Uint8Array(300_000);
    void send(sender, wire, bytes);
    assert.ok(
      wire.frames
        .slice(1)
        .every(([frame]) => frame instanceof Uint8Array && frame.buffer === bytes.buffer),
    );
  });

  it('wait for the connection, and for a queue that is full', async () => {
    const { wire, sender, receiver, heard } = pair();
    wire.isOpen = false;
    const large = new Uint8Array(3_000_000).fill(5);
    const sent: number[] = [];
    const done = send(sender, wire, large, { onProgress: (bytes) => sent.push(bytes) });
    const after = send(sender, wire, 'after it');
    assert.equal(wire.frames.length, 0);
    wire.isOpen = wire.isSlow = true;
    sender.pump(wire);
    assert.ok(wire.bufferedAmount < 1_200_000, 'no more than the high-water mark');
    while (sender.pendingBytes > 0) {
      wire.deliverTo(receiver);
      sender.pump(wire);
    }
    wire.deliverTo(receiver);
    assert.deepEqual([await done, await after], [true, true]);
    assert.deepEqual(
      heard.map(({ value }) => (value instanceof Uint8Array ? value.length : value)),
      [3_000_000, 'after it'],
    );
    assert.equal(sent.at(-1), 3_000_000);
  });

  it('can be taken back while they wait and while they are under way, which costs the others nothing', async () => {
    const { wire, sender, receiver, heard } = pair();
    wire.isSlow = true;
    const first = { aborted: false };
    const second = { aborted: false };
    const large = send(sender, wire, new Uint8Array(5_000_000), { signal: first });
    const waiting = send(sender, wire, 'never', { signal: second });
    const last = send(sender, wire, 'last');
    wire.deliverTo(receiver);
    first.aborted = second.aborted = true;
    sender.pump(wire);
    wire.deliverTo(receiver);
    assert.deepEqual(await Promise.all([large, waiting, last]), [false, false, true]);
    assert.deepEqual(heard, [{ tag: '', value: 'last' }]);
  });

  it('that were under way begin anew on another connection', async () => {
    const { wire, sender, receiver, heard } = pair();
    wire.isSlow = true;
    const done = send(sender, wire, new Uint8Array(2_000_000).fill(9), {}, 'abig');
    wire.frames.splice(0);
    wire.bufferedAmount = 0;
    sender.restart();
    while (sender.pendingBytes > 0) {
      sender.pump(wire);
      wire.deliverTo(receiver);
    }
    assert.equal(await done, true);
    assert.ok(
      heard.length === 1 &&
        heard[0]?.tag === 'abig' &&
        (heard[0].value as Uint8Array).length === 2_000_000,
    );
  });

  it('may be sent from inside a listener of progress, and none is lost', async () => {
    const { wire, sender, receiver, heard } = pair();
    const sent: Promise<boolean>[] = [];
    const onProgress = (): void => {
      if (sent.length < 3) sent.push(send(sender, wire, `inner ${sent.length}`));
    };
    sent.unshift(send(sender, wire, 'outer', { onProgress }));
    sent.push(send(sender, wire, 'last'));
    wire.deliverTo(receiver);
    assert.ok((await Promise.all(sent)).every(Boolean));
    assert.equal(heard.length, sent.length);
  });

  it('that nobody asked for end the connection, and what is not sent is not kept', () => {
    const receiver = new ValueReceiver(
      () => undefined,
      () => undefined,
      () => 1000,
    );
    assert.throws(() => receiver.handleFrame('fb1001', true), isCode('MESSAGE_TOO_LARGE'));
    assert.throws(() => receiver.handleFrame('fbx', true), isCode('MESSAGE_TOO_LARGE'));
    const { receiver: whole, heard } = pair();
    whole.handleFrame(`fb${MAX_VALUE_BYTES}`, true);
    const before = process.memoryUsage().arrayBuffers;
    for (let i = 0; i < 100_000; i++) whole.handleFrame(new ArrayBuffer(0), true);
    for (let i = 0; i < 1000; i++) whole.handleFrame(new Uint8Array([1]).buffer, true);
    assert.ok(process.memoryUsage().arrayBuffers - before < 10_000_000);
    assert.equal(heard.length, 0);
  });

  it('that may be lost are sent now or not at all', async () => {
    const { wire, sender, receiver, heard } = pair();
    for (const [value, tag] of [
      [{ x: 1 }, ''],
      [{ x: 2 }, 'apos'],
      [Uint8Array.of(1, 2), ''],
      [Uint8Array.of(3), 'apos'],
    ] as const)
      assert.equal(await send(sender, wire, value, { reliable: false }, tag), true);
    assert.ok(wire.frames.every(([, isReliable]) => !isReliable));
    wire.deliverTo(receiver);
    assert.deepEqual(heard, [
      { tag: '', value: { x: 1 } },
      { tag: 'apos', value: { x: 2 } },
      { tag: '', value: Uint8Array.of(1, 2) },
      { tag: 'apos', value: Uint8Array.of(3) },
    ]);
    wire.isOpen = false;
    assert.equal(await send(sender, wire, 1, { reliable: false }), false);
    assert.throws(
      () => void send(sender, wire, 'x'.repeat(30_000), { reliable: false }),
      isCode('MESSAGE_TOO_LARGE'),
    );
  });

  it('say what cannot be sent, and how much may wait', async () => {
    const { wire, sender } = pair();
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    for (const bad of [undefined, () => 1, 10n, cycle])
      assert.throws(() => encodeValue(bad), isCode('NOT_SENDABLE'));
    wire.isOpen = false;
    const waiting = send(sender, wire, new Uint8Array(20_000_000));
    assert.throws(() => void send(sender, wire, 'x'), isCode('TOO_MUCH_PENDING'));
    sender.close();
    assert.equal(await waiting, false);
    // Its length is looked at before its bytes are.
    assert.throws(
      () =>
        void sender.send(
          wire,
          '',
          { length: MAX_VALUE_BYTES + 1 } as unknown as Uint8Array<ArrayBuffer>,
          {},
        ),
      isCode('MESSAGE_TOO_LARGE'),
    );
  });

  it('of a stranger make nothing throw, and are kept only as far as they were sent', () => {
    const random = seededRandom(7);
    const { receiver, heard } = pair();
    const parts = [
      'j',
      'j{',
      'jnull',
      't',
      'tx',
      'f',
      'fj',
      'fj-1',
      'fj1e99',
      'fb3',
      `fb${MAX_VALUE_BYTES + 1}`,
      'x',
      'u',
      'uz\n1',
      'uz\n{',
      '\u0000',
      '',
    ];
    for (let i = 0; i < 20_000; i++) {
      const kind = random();
      const bytes = Uint8Array.from({ length: Math.floor(random() * 6) }, () =>
        Math.floor(random() * 256),
      ).buffer;
      const data =
        kind < 0.6
          ? parts[Math.floor(random() * parts.length)]
          : kind < 0.95
            ? bytes
            : [null, 7, new Blob([])][i % 3];
      try {
        receiver.handleFrame(data, random() < 0.5);
      } catch (error) {
        assert.ok(isCode('MESSAGE_TOO_LARGE')(error), String(error));
      }
    }
    assert.ok(heard.length > 0);
  });
});

describe('a page with lumamesh/core only', () => {
  it('hears small values with and without a tag, and passes over larger ones, however they are cut', async () => {
    const { wire, sender } = pair();
    const heard: unknown[] = [];
    const reader = SMALL_VALUES.inbox(
      (tag, value) => heard.push(tag === '' ? value : [tag, value]),
      () => false,
    );
    for (const [value, tag] of [
      ['a', ''],
      ['secret', 'ax'],
      [new Uint8Array(200_000), ''],
      [Uint8Array.of(7), 'ax'],
      [new Uint8Array(90_000), 'ax'],
      [Uint8Array.of(8), ''],
      ['z', ''],
    ] as const)
      await send(sender, wire, value, {}, tag);
    await send(sender, wire, Uint8Array.of(9), { reliable: false });
    await send(sender, wire, Uint8Array.of(9), { reliable: false }, 'ax');
    wire.deliverTo(reader);
    assert.deepEqual(heard, [
      'a',
      ['ax', 'secret'],
      ['ax', Uint8Array.of(7)],
      Uint8Array.of(8),
      'z',
      Uint8Array.of(9),
      ['ax', Uint8Array.of(9)],
    ]);
  });

  it('sends what fits into a frame, and keeps it until there is a connection', async () => {
    const { wire, receiver, heard } = pair();
    const queue = SMALL_VALUES.outbox();
    wire.isOpen = false;
    assert.equal(await send(queue, wire, 'early'), true);
    wire.isOpen = true;
    queue.pump(wire);
    await send(queue, wire, Uint8Array.of(1), { reliable: false });
    wire.deliverTo(receiver);
    assert.deepEqual(heard, [
      { tag: '', value: 'early' },
      { tag: '', value: Uint8Array.of(1) },
    ]);
    assert.throws(
      () => void send(queue, wire, new Uint8Array(70_000)),
      isCode('MESSAGE_TOO_LARGE'),
    );
  });
});
