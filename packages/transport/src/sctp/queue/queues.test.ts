import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { instant, serial32Add } from '@lumamesh/base';
import { seededRandom } from '@lumamesh/testkit';
import type { DataChunk } from '../chunk/data-chunk.ts';
import { CHUNK_OVERHEAD_BYTES, type ReceivedMessage, ReassemblyQueue } from './reassembly-queue.ts';
import { ReceivedTsns } from './received-tsns.ts';
import { RetransmissionQueue, type SackResult } from './retransmission-queue.ts';
import { SendQueue } from './send-queue.ts';

const NOW = instant(0);

describe('received TSNs', () => {
  it('follow a plain set through any order, across the wrap', () => {
    for (let seed = 1; seed <= 30; seed++) {
      const random = seededRandom(seed);
      const initial = seed % 2 === 0 ? 0xffff_ffe0 : 1000;
      const tsns = new ReceivedTsns(initial);
      const seen = new Set<number>();
      for (let i = 0; i < 400; i++) {
        const offset = Math.floor(random() * 80);
        const verdict = tsns.check(serial32Add(initial, offset));
        assert.equal(verdict === 'duplicate', seen.has(offset));
        if (verdict !== 'new') continue;
        tsns.add(serial32Add(initial, offset));
        seen.add(offset);
        let cumulative = -1;
        while (seen.has(cumulative + 1)) cumulative += 1;
        assert.equal(tsns.cumulativeTsn, serial32Add(initial, cumulative));
        const covered = tsns
          .gapAckBlocks(100)
          .flatMap(({ start, end }) =>
            Array.from({ length: end - start + 1 }, (_, j) => cumulative + start + j),
          );
        assert.deepEqual(
          covered,
          [...seen].filter((o) => o > cumulative).sort((a, b) => a - b),
        );
      }
    }
  });

  it('bound the gaps they hold and how far ahead they look', () => {
    const tsns = new ReceivedTsns(0);
    let held = 0;
    for (let i = 1; i < 1000; i += 2) {
      if (tsns.check(i) !== 'new') continue;
      tsns.add(i);
      held += 1;
    }
    assert.equal(held, 64);
    assert.equal(tsns.check(70_000), 'tooFar');
    assert.equal(tsns.check(0), 'new', 'what closes the gap is still taken');
    tsns.advance(50);
    assert.equal(tsns.cumulativeTsn, 51);
    assert.ok(tsns.takeDuplicates().length <= 16);
  });
});

describe('reassembly', () => {
  interface Collected {
    readonly queue: ReassemblyQueue;
    readonly messages: ReceivedMessage[];
    readonly tooLarge: number[];
  }
  const collect = (maxMessageBytes = 100_000): Collected => {
    const messages: ReceivedMessage[] = [];
    const tooLarge: number[] = [];
    return {
      queue: new ReassemblyQueue(
        maxMessageBytes,
        (message) => messages.push(message),
        (streamId) => tooLarge.push(streamId),
      ),
      messages,
      tooLarge,
    };
  };
  const chunk = (tsn: number, fields: Partial<DataChunk>): DataChunk => ({
    tsn: tsn >>> 0,
    streamId: 0,
    ssn: 0,
    ppid: 53,
    isBegin: false,
    isEnd: false,
    isUnordered: false,
    isImmediate: false,
    data: Uint8Array.of(tsn & 255),
    ...fields,
  });

  it('delivers what was sent, per stream in order, whatever order the fragments come in', () => {
    for (let seed = 1; seed <= 60; seed++) {
      const random = seededRandom(seed);
      const chunks: DataChunk[] = [];
      const expected = new Map<number, number[]>();
      let tsn = seed % 3 === 0 ? 0xffff_fff0 : 5;
      const nextSsn = [0, 0, 0];
      for (let m = 0; m < 40; m++) {
        const streamId = Math.floor(random() * 3);
        const isUnordered = streamId === 2;
        const count = 1 + Math.floor(random() * 6);
        const ssn = nextSsn[streamId] ?? 0;
        if (!isUnordered) nextSsn[streamId] = ssn + 1;
        for (let i = 0; i < count; i++)
          chunks.push(
            chunk(tsn++, {
              streamId,
              ssn,
              isUnordered,
              isBegin: i === 0,
              isEnd: i === count - 1,
              data: Uint8Array.of(m, i),
            }),
          );
        expected.set(streamId, [...(expected.get(streamId) ?? []), m]);
      }
      const { queue, messages } = collect();
      for (const { piece } of chunks
        .map((piece) => ({ piece, key: random() }))
        .sort((a, b) => a.key - b.key))
        queue.add(piece);
      for (const [streamId, numbers] of expected) {
        const got = messages
          .filter((message) => message.streamId === streamId)
          .map(({ data }) => data[0] ?? -1);
        assert.deepEqual(
          streamId === 2 ? got.sort((a, b) => a - b) : got,
          numbers,
          `seed ${seed}, stream ${streamId}`,
        );
      }
      assert.equal(queue.heldBytes, 0, `seed ${seed}: nothing is held, and nothing is miscounted`);
    }
  });

  it('counts one-byte fragments for what they cost, and lets them go', () => {
    const { queue, messages } = collect();
    queue.add(chunk(1, { isBegin: true }));
    for (let tsn = 3; tsn < 500; tsn++) queue.add(chunk(tsn, {}));
    assert.equal(queue.heldBytes, 498 * (1 + CHUNK_OVERHEAD_BYTES));
    queue.add(chunk(2, {}));
    queue.add(chunk(500, { isEnd: true }));
    assert.equal(messages[0]?.data.length, 500);
    assert.equal(queue.heldBytes, 0);
  });

  it('gives up the bytes of a message that grows too large, in any order, and delivers the next', () => {
    for (const backwards of [false, true]) {
      const { queue, messages, tooLarge } = collect(1000);
      const pieces = Array.from({ length: 400 }, (_, i) =>
        chunk(i, { isBegin: i === 0, isEnd: i === 399, data: new Uint8Array(100) }),
      );
      let most = 0;
      for (const piece of backwards ? pieces.toReversed() : pieces) {
        queue.add(piece);
        most = Math.max(most, queue.heldBytes);
      }
      assert.ok(most < 1000 + 20 * CHUNK_OVERHEAD_BYTES, `${most} bytes held`);
      queue.add(chunk(400, { ssn: 1, isBegin: true, isEnd: true }));
      assert.deepEqual(tooLarge, [0]);
      assert.equal(messages.length, 1);
      assert.equal(queue.heldBytes, 0);
    }
  });

  it('skips what the peer gave up (RFC 3758 §3.6): fragments go, whole messages behind them come', () => {
    const { queue, messages } = collect();
    queue.add(chunk(1, { ssn: 0, isBegin: true }));
    queue.add(chunk(4, { ssn: 1, isBegin: true, isEnd: true }));
    queue.add(chunk(6, { ssn: 3, isBegin: true, isEnd: true }));
    queue.skip(5, [{ streamId: 0, ssn: 2 }]);
    assert.deepEqual(
      messages.map(({ data }) => data[0]),
      [4, 6],
    );
    assert.equal(queue.heldBytes, 0);
  });

  it('starts a reset stream at SSN 0 again', () => {
    const { queue, messages } = collect();
    queue.add(chunk(1, { ssn: 0, isBegin: true, isEnd: true }));
    queue.add(chunk(3, { ssn: 2, isBegin: true, isEnd: true }));
    queue.resetStreams([0]);
    assert.equal(queue.heldBytes, 0);
    queue.add(chunk(4, { ssn: 0, isBegin: true, isEnd: true }));
    assert.deepEqual(
      messages.map(({ data }) => data[0]),
      [1, 4],
    );
  });

  it('does not join fragments of two messages that pretend to follow each other', () => {
    const { queue, messages } = collect();
    queue.add(chunk(1, { streamId: 0, isBegin: true }));
    queue.add(chunk(2, { streamId: 1, isEnd: true }));
    queue.add(chunk(3, { streamId: 1, isBegin: true, isEnd: true }));
    assert.equal(messages.length, 1);
    queue.skip(10, []);
    assert.equal(queue.heldBytes, 0);
  });
});

describe('the send queue', () => {
  const push = (queue: SendQueue, streamId: number, length: number, limits: object = {}): void =>
    queue.push(NOW, streamId, 53, new Uint8Array(length), false, limits);

  it('lets streams take turns message by message, and never mixes fragments', () => {
    const queue = new SendQueue();
    push(queue, 1, 250);
    push(queue, 1, 10);
    push(queue, 2, 150);
    const order: string[] = [];
    for (let fragment = queue.take(NOW, 100); fragment !== null; fragment = queue.take(NOW, 100))
      order.push(`${fragment.message.streamId}:${fragment.message.ssn}:${fragment.length}`);
    assert.deepEqual(order, ['1:0:100', '1:0:100', '1:0:50', '2:0:100', '2:0:50', '1:1:10']);
    assert.equal(queue.bufferedBytes, 0);
  });

  it('drops what is too old before it was sent, without using up an SSN', () => {
    const queue = new SendQueue();
    push(queue, 1, 10, { maxLifetimeMs: 50 });
    push(queue, 1, 20);
    const fragment = queue.take(instant(50), 100);
    assert.deepEqual([fragment?.length, fragment?.message.ssn], [20, 0]);
    assert.equal(queue.bufferedBytes, 0);
  });

  it('holds back what is sent on a stream while its reset is under way', () => {
    const queue = new SendQueue();
    push(queue, 1, 10);
    queue.pause(1);
    push(queue, 1, 20);
    assert.equal(queue.take(NOW, 100)?.length, 10);
    assert.ok(queue.isDrained(1));
    assert.equal(queue.take(NOW, 100), null);
    queue.restart(1, true);
    const after = queue.take(NOW, 100);
    assert.deepEqual([after?.length, after?.message.ssn], [20, 0]);
  });
});

function applied(result: SackResult | 'unsent' | 'old'): SackResult {
  assert.ok(typeof result === 'object');
  return result;
}

describe('the retransmission queue', () => {
  const filled = (
    count: number,
    initialTsn = 0xffff_fffe,
    limits: object = {},
  ): RetransmissionQueue => {
    const sendQueue = new SendQueue();
    const queue = new RetransmissionQueue(initialTsn);
    for (let i = 0; i < count; i++) {
      sendQueue.push(NOW, 1, 53, new Uint8Array(100), false, limits);
      const fragment = sendQueue.take(NOW, 1000);
      assert.ok(fragment !== null);
      queue.push(NOW, fragment);
    }
    return queue;
  };
  const sack = (cumulativeTsnAck: number, gapAckBlocks: { start: number; end: number }[] = []) => ({
    cumulativeTsnAck: cumulativeTsnAck >>> 0,
    aRwnd: 100_000,
    gapAckBlocks,
    duplicateTsns: [],
  });

  it('acknowledges across the wrap and empties', () => {
    const queue = filled(5);
    const result = applied(queue.handleSack(instant(30), sack(0)));
    assert.deepEqual([result.ackedBytes, result.rttMs, queue.size], [300, 30, 2]);
    queue.handleSack(instant(30), sack(2));
    assert.ok(queue.isEmpty);
    assert.equal(queue.flightSize, 0);
  });

  it('refuses an acknowledgement of what was never sent, and shrugs at an old one', () => {
    const queue = filled(3, 10);
    assert.equal(queue.handleSack(NOW, sack(13)), 'unsent');
    assert.equal(queue.handleSack(NOW, sack(9, [{ start: 2, end: 4 }])), 'unsent');
    assert.equal(applied(queue.handleSack(NOW, sack(11))).ackedBytes, 200);
    assert.equal(queue.handleSack(NOW, sack(10)), 'old');
  });

  it('calls a chunk lost after three reports, once, and sends it again', () => {
    const queue = filled(6, 10);
    for (let i = 0; i < 2; i++)
      assert.equal(
        applied(queue.handleSack(NOW, sack(9, [{ start: 2, end: 2 + i }]))).hasLoss,
        false,
      );
    assert.equal(applied(queue.handleSack(NOW, sack(9, [{ start: 2, end: 4 }]))).hasLoss, true);
    assert.equal(queue.takeLost(NOW, 1000)?.tsn, 10);
    assert.equal(queue.takeLost(NOW, 1000), null);
    assert.equal(
      applied(queue.handleSack(NOW, sack(15))).ackedBytes,
      300,
      'three were acknowledged by gap blocks before',
    );
    assert.equal(queue.flightSize, 0);
  });

  it('counts a chunk as missing only when a SACK newly acknowledges something above it, and finds its second loss by T3 alone', () => {
    const queue = filled(10, 10);
    for (let i = 0; i < 5; i++)
      assert.equal(
        applied(queue.handleSack(NOW, sack(9, [{ start: 2, end: 2 }]))).hasLoss,
        false,
        'the same SACK again tells nothing',
      );
    queue.handleSack(NOW, sack(9, [{ start: 2, end: 3 }]));
    assert.ok(applied(queue.handleSack(NOW, sack(9, [{ start: 2, end: 4 }]))).hasLoss);
    assert.equal(queue.takeLost(NOW, 1000)?.tsn, 10);
    for (let end = 5; end <= 10; end++)
      assert.equal(applied(queue.handleSack(NOW, sack(9, [{ start: 2, end }]))).hasLoss, false);
    queue.markAllLost();
    assert.equal(queue.takeLost(NOW, 1000)?.tsn, 10);
  });

  it('takes no round trip from what was abandoned, and skips the rest of a message by a TSN of its own', () => {
    const sendQueue = new SendQueue();
    const queue = new RetransmissionQueue(10);
    sendQueue.push(NOW, 1, 53, new Uint8Array(300), false, { maxLifetimeMs: 50 });
    sendQueue.push(NOW, 1, 53, new Uint8Array(10), false, {});
    const first = sendQueue.take(NOW, 100);
    assert.ok(first !== null);
    queue.push(NOW, first);
    assert.equal(applied(queue.handleSack(instant(5), sack(10))).rttMs, 5);
    const skip = sendQueue.take(instant(60), 100);
    assert.ok(skip !== null && skip.length === 0);
    queue.pushAbandoned(instant(60), skip);
    assert.deepEqual(queue.forwardTsn(), {
      newCumulativeTsn: 11,
      skipped: [{ streamId: 1, ssn: 0 }],
    });
    assert.equal(sendQueue.take(instant(60), 100)?.message.ssn, 1);
    assert.equal(applied(queue.handleSack(instant(9000), sack(11))).rttMs, null);
    assert.ok(queue.isEmpty);
  });

  it('finishes what was begun when the peer cannot be told to skip', () => {
    const sendQueue = new SendQueue();
    sendQueue.push(NOW, 1, 53, new Uint8Array(150), false, { maxLifetimeMs: 50 });
    assert.equal(sendQueue.take(NOW, 100, false)?.length, 100);
    assert.equal(sendQueue.take(instant(60), 100, false)?.length, 50);
  });

  it('takes maxRetransmits 0 for a limit: lost once is given up', () => {
    const queue = filled(2, 10, { maxRetransmits: 0 });
    queue.markAllLost();
    queue.abandonExpired(NOW);
    assert.equal(queue.takeLost(NOW, 1000), null);
    assert.deepEqual(queue.forwardTsn(), {
      newCumulativeTsn: 11,
      skipped: [{ streamId: 1, ssn: 1 }],
    });
    const reliable = filled(1, 10);
    reliable.markAllLost();
    reliable.abandonExpired(instant(1e9));
    assert.equal(reliable.forwardTsn(), null);
  });
});
