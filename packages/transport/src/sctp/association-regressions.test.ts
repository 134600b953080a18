import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { VirtualNetwork, connectedPair } from '@lumamesh/testkit';
import {
  AssociationHost,
  chunksOf,
  firstTsnOf,
  inject,
  pair,
  up,
} from './association-harness.test-support.ts';
import { encodeDataChunk } from './chunk/data-chunk.ts';
import { encodeForwardTsnChunk } from './chunk/forward-tsn-chunk.ts';
import { encodeInitChunk } from './chunk/init-chunk.ts';
import { CHUNK_TYPE, type Chunk, PacketBuilder } from './chunk/packet.ts';
import { encodeSackChunk } from './chunk/sack-chunk.ts';

/* Each of these was a fault once; reviews and fuzzing found them. */

const heartbeat = (bytes: number): Chunk => ({
  type: CHUNK_TYPE.heartbeat,
  flags: 0,
  value: new Uint8Array(bytes),
});

/** A whole message of one byte. */
const oneByte = (tsn: number): Chunk =>
  encodeDataChunk({
    tsn,
    streamId: 0,
    ssn: 0,
    ppid: 51,
    isBegin: true,
    isEnd: true,
    isUnordered: false,
    isImmediate: false,
    data: Uint8Array.of(1),
  });

describe('regressions', () => {
  it('a peer whose SACKs acknowledge nothing, or one chunk now and then, is given up after 30 s', () => {
    for (const ackEveryMs of [0, 5000]) {
      const made = up({ latencyMs: 10 });
      made.net.run(1000);
      const firstTsn = firstTsnOf(made, made.a);
      made.b.handleDatagram = () => undefined;
      for (let i = 0; i < 200; i++) made.send(made.a, 'x'.repeat(1000));
      const beganAt = made.net.now;
      let acked = -1;
      for (let ms = 0; ms < 60_000 && !made.a.has('closed'); ms += 1000) {
        if (ackEveryMs > 0 && ms % ackEveryMs === 0) acked += 1;
        inject(made, made.a, [
          encodeSackChunk({
            cumulativeTsnAck: (firstTsn + acked) >>> 0,
            aRwnd: 100_000,
            gapAckBlocks: [],
            duplicateTsns: [],
          }),
        ]);
        made.net.touch(made.a);
        made.net.run(1000);
      }
      assert.ok(made.a.has('closed'), `still there with an ack every ${ackEveryMs} ms`);
      assert.ok(made.net.now - beganAt >= 29_000, 'not before its time');
      assert.equal(made.a.association.held.bytes, 0);
    }
  });

  it('what is in flight takes place of what may wait: a peer that acknowledges nothing is not sent more than the budget', () => {
    const made = up({ latencyMs: 10 }, 'both', { maxBufferedBytes: 200_000 });
    made.net.run(1000);
    made.b.handleDatagram = () => undefined;
    let sent = 0;
    for (let round = 0; round < 100; round++) {
      while (made.send(made.a, 'x')) sent += 1;
      made.net.run(100);
    }
    assert.ok(sent <= 400, `${sent} messages of one byte are kept in 200 KB`);
    assert.ok(made.a.association.held.bytes <= 200_000);
  });

  it('INITs without end are acknowledged as often as an honest peer repeats its own, and again never', () => {
    const made = pair({ latencyMs: 10 }, 'a');
    const init = (tag: number): Chunk =>
      encodeInitChunk(CHUNK_TYPE.init, {
        initiateTag: tag,
        aRwnd: 100_000,
        outboundStreams: 1,
        inboundStreams: 1,
        initialTsn: tag,
        supportsForwardTsn: true,
        supportsReConfig: true,
        stateCookie: null,
        unrecognized: [],
      });
    let acks = 0;
    for (let tag = 1; tag <= 1000; tag++) {
      const packet = new PacketBuilder(1200);
      packet.add(init(tag));
      made.a.handleDatagram(made.net.now, packet.finish(5000, 5000, 0));
      made.a.drain(made.net.now, (data) => {
        if (chunksOf(data)[0]?.type === CHUNK_TYPE.initAck) acks += 1;
      });
    }
    assert.equal(acks, 16);
    assert.equal(made.a.drops.at(-1), 'sctp.init.tooMany');
  });

  it('of several SACKs in one packet the first is taken', () => {
    const made = up({ latencyMs: 10 });
    made.net.run(1000);
    made.send(made.a, 'x');
    const sack = encodeSackChunk({
      cumulativeTsnAck: (firstTsnOf(made, made.a) - 1) >>> 0,
      aRwnd: 100_000,
      gapAckBlocks: [],
      duplicateTsns: [],
    });
    inject(made, made.a, [sack, sack, sack]);
    assert.equal(made.a.drops.at(-1), 'sctp.sack.repeated');
    made.net.run(1000);
    assert.deepEqual(made.b.messages(), ['x']);
  });

  it('a FORWARD-TSN that names one stream a thousand times costs as much as one that names it once', () => {
    const made = up({ latencyMs: 10 });
    made.net.run(1000);
    const tsn = firstTsnOf(made, made.a);
    // Messages 2, 4, 6 … wait for those between them.
    const waiting = Array.from({ length: 100 }, (_, i) =>
      encodeDataChunk({
        tsn: (tsn + 1 + i) >>> 0,
        streamId: 0,
        ssn: 2 * i + 2,
        ppid: 51,
        isBegin: true,
        isEnd: true,
        isUnordered: false,
        isImmediate: false,
        data: Uint8Array.of(65),
      }),
    );
    inject(made, made.b, waiting);
    const skipped = Array.from({ length: 1000 }, (_, i) => ({ streamId: 0, ssn: i % 202 }));
    inject(made, made.b, [encodeForwardTsnChunk({ newCumulativeTsn: tsn, skipped })]);
    made.net.touch(made.b);
    made.net.run(10);
    assert.equal(made.b.messages().length, 100, 'all of them are delivered, once');
    assert.equal(made.b.association.held.bytes, 0);
  });

  it('of several FORWARD-TSNs in one packet the first is taken', () => {
    const made = up({ latencyMs: 10 });
    made.net.run(1000);
    const tsn = firstTsnOf(made, made.a);
    const skip = (newCumulativeTsn: number): Chunk =>
      encodeForwardTsnChunk({ newCumulativeTsn: newCumulativeTsn >>> 0, skipped: [] });
    inject(made, made.b, [skip(tsn + 9), skip(tsn + 19), skip(tsn + 29)]);
    assert.equal(made.b.drops.at(-1), 'sctp.forwardTsn.repeated');
    inject(made, made.b, [oneByte((tsn + 10) >>> 0)]);
    assert.equal(made.b.messages().length, 1, 'what the others would have skipped comes');
  });

  it('a HEARTBEAT too large to be answered does not stop the queue behind it, and a flood of them is not kept', () => {
    const made = up({ latencyMs: 10 });
    made.net.run(1000);
    inject(made, made.b, [heartbeat(2000)]);
    assert.equal(made.b.drops.at(-1), 'sctp.heartbeat.tooLarge');
    const before = made.net.sent.length;
    inject(
      made,
      made.b,
      Array.from({ length: 120 }, () => heartbeat(4)),
    );
    const answers = made.net.sent
      .slice(before)
      .flatMap(({ data }) => chunksOf(data))
      .filter(({ type }) => type === CHUNK_TYPE.heartbeatAck);
    assert.ok(answers.length > 0 && answers.length <= 32, `${answers.length} answers`);
    made.b.association.shutdown(made.net.now);
    made.net.touch(made.b);
    made.net.run(3000);
    assert.ok(made.a.has('closed') && made.b.has('closed'));
  });

  it('a full receive window behind one lost chunk opens again', () => {
    for (const size of [128, 1000, 60_000]) {
      let dataSeen = 0;
      let isArmed = false;
      const made = up({
        latencyMs: 10,
        drop: (data) => {
          if (!isArmed || !chunksOf(data).some(({ type }) => type === CHUNK_TYPE.data))
            return false;
          dataSeen += 1;
          return dataSeen === 1;
        },
      });
      // A wide congestion window first, so that the receiver's is what fills.
      for (let i = 0; i < 60; i++) made.send(made.a, 'w'.repeat(30_000));
      made.net.run(30_000);
      isArmed = true;
      const count = Math.ceil(400_000 / size);
      for (let i = 0; i < count; i++) assert.ok(made.send(made.a, 'm'.repeat(size)));
      assert.ok(
        made.net.runUntil(() => made.b.messages().length === 60 + count, 60_000),
        `${made.b.messages().length - 60} of ${count} messages of ${size} bytes`,
      );
    }
  });

  it('a message given up in the middle does not stop its stream', () => {
    // All fragments that were sent arrive, then its time is over.
    const expired = up({ latencyMs: 30 });
    expired.send(expired.a, 'x'.repeat(60_000), { maxLifetimeMs: 60 });
    expired.send(expired.a, 'next');
    assert.ok(expired.net.runUntil(() => expired.b.messages().includes('next'), 10_000));

    // The fragments arrive, but not their acknowledgements.
    let cut = false;
    const net = new VirtualNetwork();
    const a = new AssociationHost(net.now, 1);
    const b = new AssociationHost(net.now, 2);
    a.association.connect(net.now);
    net.link(a, b, { latencyMs: 10 }, { latencyMs: 10, drop: () => cut });
    assert.ok(net.runUntil(() => a.has('connected') && b.has('connected'), 5000));
    cut = true;
    a.association.send(net.now, 1, 51, new Uint8Array(20_000).fill(65), false, {
      maxRetransmits: 0,
    });
    net.touch(a);
    net.run(430);
    cut = false;
    a.association.send(net.now, 1, 51, new TextEncoder().encode('next'), false, {});
    net.touch(a);
    assert.ok(net.runUntil(() => b.messages().includes('next'), 20_000));
  });

  it('DATA before the COOKIE ACK neither is taken nor winds the clock up', () => {
    const made = pair({ latencyMs: 10 }, 'a');
    assert.ok(
      made.net.runUntil(
        () => made.net.sent.some(({ data }) => chunksOf(data)[0]?.type === CHUNK_TYPE.cookieEcho),
        1000,
      ),
    );
    made.b.drain = () => null;
    inject(made, made.a, [oneByte(firstTsnOf(made, made.b))]);
    assert.ok(made.a.drops.includes('sctp.data.unexpected'));
    const before = made.net.sent.length;
    made.net.run(10_000);
    assert.ok(made.net.sent.length - before < 15);
    assert.ok(!made.a.has('message'));
  });

  it('a stream whose last message was thrown away unsent is reset at once, and so is an association shut down', () => {
    for (const end of ['reset', 'shutdown'] as const) {
      const made = up({ latencyMs: 10 });
      made.net.run(1000);
      made.a.association.send(made.net.now, 3, 51, Uint8Array.of(1), false, { maxLifetimeMs: 0 });
      if (end === 'reset') made.a.association.resetStreams(made.net.now, [3]);
      else made.a.association.shutdown(made.net.now);
      const startedAt = made.net.now;
      made.net.touch(made.a);
      assert.ok(
        made.net.runUntil(() => made.b.has(end === 'reset' ? 'streamsReset' : 'closed'), 5000),
        end,
      );
      assert.ok(made.net.now - startedAt < 1000);
    }
  });

  it('nothing is reported behind the end', () => {
    const made = up({ latencyMs: 10 });
    inject(made, made.b, [
      oneByte(firstTsnOf(made, made.a)),
      { type: CHUNK_TYPE.abort, flags: 0, value: new Uint8Array(0) },
      heartbeat(4),
    ]);
    assert.equal(made.b.events.at(-1)?.type, 'closed');
  });

  it('a message without bytes is refused instead of blocking all streams', () => {
    const made = up({ latencyMs: 10 });
    assert.ok(!made.a.association.send(made.net.now, 1, 53, new Uint8Array(0), false, {}));
    made.send(made.a, 'through');
    made.net.run(500);
    assert.deepEqual(made.b.messages(), ['through']);
  });

  it('losses of unreliable messages do not spoil the measured round trip', () => {
    let blackout = false;
    const made = up({ latencyMs: 25, drop: () => blackout });
    for (let i = 0; i < 20; i++) {
      made.send(made.a, `${i}`, { maxRetransmits: 0 });
      made.net.run(100);
    }
    blackout = true;
    for (let i = 0; i < 20; i++)
      made.send(made.a, `lost ${i}`, { maxRetransmits: 0, isUnordered: true });
    made.net.run(7000);
    blackout = false;
    made.net.run(20_000);
    assert.ok(made.a.association.smoothedRttMs < 300, `${made.a.association.smoothedRttMs} ms`);
  });

  it('many small messages count for what they cost', () => {
    const made = up({ latencyMs: 10 }, 'both', { maxBufferedBytes: 100_000 });
    made.b.handleDatagram = () => undefined;
    let accepted = 0;
    while (
      accepted < 100_000 &&
      made.a.association.send(made.net.now, 1, 51, Uint8Array.of(1), false, {})
    )
      accepted += 1;
    assert.ok(accepted < 1000, `${accepted} one-byte messages`);
  });

  it('a channel closed before the association is up is closed at the peer as well', () => {
    const made = connectedPair();
    const id = made.client.session.openChannel(made.net.now, {
      label: 'brief',
      subprotocol: '',
      isUnordered: false,
    });
    assert.ok(id !== null);
    made.client.session.closeChannel(made.net.now, id);
    made.net.touch(made.client);
    const closed = (events: readonly { readonly event: { readonly type: string } }[]): boolean =>
      events.some(({ event }) => event.type === 'channelClosed');
    assert.ok(
      made.net.runUntil(() => closed(made.client.events) && closed(made.server.events), 5000),
    );
  });

  it('ids of closed channels are used again, however often', () => {
    const made = connectedPair({ link: { latencyMs: 1 } });
    for (let i = 0; i < 300; i++) {
      const id = made.client.session.openChannel(made.net.now, {
        label: `${i}`,
        subprotocol: '',
        isUnordered: false,
      });
      assert.ok(id !== null, `channel ${i}`);
      made.client.session.closeChannel(made.net.now, id);
      made.net.touch(made.client);
      made.net.run(500);
    }
    assert.equal(
      made.server.events.filter(({ event }) => event.type === 'channelClosed').length,
      300,
    );
  });
});
