import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Instant, instant } from '@lumamesh/base';
import { VirtualNetwork, mutations } from '@lumamesh/testkit';
import {
  AssociationHost,
  chunksOf,
  firstTsnOf,
  inject,
  pair,
  up,
} from './association-harness.test-support.ts';
import { encodeDataChunk } from './chunk/data-chunk.ts';
import { emptyChunk } from './chunk/error-cause.ts';
import { encodeInitChunk } from './chunk/init-chunk.ts';
import { CHUNK_TYPE, PacketBuilder } from './chunk/packet.ts';
import { encodeSackChunk } from './chunk/sack-chunk.ts';

/** An INIT of somebody else. */
const FOREIGN_INIT = encodeInitChunk(CHUNK_TYPE.init, {
  initiateTag: 99,
  aRwnd: 9999,
  outboundStreams: 1,
  inboundStreams: 1,
  initialTsn: 1,
  supportsForwardTsn: false,
  supportsReConfig: false,
  stateCookie: null,
  unrecognized: [],
});

describe('opening', () => {
  it('works when one side opens and when both do at once, over bad links too', () => {
    for (const how of ['a', 'both'] as const) {
      for (let seed = 1; seed <= 40; seed++) {
        const made = pair(
          {
            latencyMs: 20,
            lossRate: seed % 4 === 0 ? 0.3 : 0,
            reorderRate: 0.3,
            duplicateRate: 0.2,
            seed,
          },
          how,
          {},
          seed,
        );
        assert.ok(
          made.net.runUntil(() => made.a.has('connected') && made.b.has('connected'), 30_000),
          `${how}, seed ${seed}`,
        );
        made.send(made.a, 'to b');
        made.send(made.b, 'to a');
        assert.ok(
          made.net.runUntil(
            () => made.a.messages().length === 1 && made.b.messages().length === 1,
            60_000,
          ),
          `${how}, seed ${seed}`,
        );
        assert.equal(made.a.events.filter(({ type }) => type === 'connected').length, 1);
      }
    }
  });

  it('lets DATA ride on the COOKIE ECHO, and again when that is lost', () => {
    for (const lost of [-1, 1]) {
      const net = new VirtualNetwork();
      const a = new AssociationHost(net.now, 1);
      const b = new AssociationHost(net.now, 2);
      a.association.send(net.now, 0, 51, new TextEncoder().encode('early'), false, {});
      a.association.connect(net.now);
      net.link(a, b, { latencyMs: 10, drop: (_, index) => index === lost }, { latencyMs: 10 });
      assert.ok(net.runUntil(() => b.messages().length === 1 && a.has('connected'), 5000));
      const carriers = net.sent.filter(
        ({ data }) => chunksOf(data)[0]?.type === CHUNK_TYPE.cookieEcho,
      );
      assert.ok(
        carriers.every(({ data }) => chunksOf(data).some(({ type }) => type === CHUNK_TYPE.data)),
      );
      assert.deepEqual(b.messages(), ['early']);
    }
  });

  it('answers a repeated INIT with the same cookie, and a repeated COOKIE ECHO again', () => {
    const made = pair({ latencyMs: 10, duplicateRate: 1 }, 'a');
    assert.ok(made.net.runUntil(() => made.a.has('connected') && made.b.has('connected'), 5000));
    made.net.run(100);
    const acks = made.net.sent.filter(
      ({ from, data }) => from === made.b && chunksOf(data)[0]?.type === CHUNK_TYPE.initAck,
    );
    assert.ok(acks.length >= 2);
    assert.deepEqual(acks[0]?.data, acks[1]?.data);
    assert.equal(made.b.events.filter(({ type }) => type === 'connected').length, 1);
  });

  it('gives up when nobody answers', () => {
    const net = new VirtualNetwork();
    const a = new AssociationHost(net.now, 1);
    a.association.connect(net.now);
    net.touch(a);
    net.run(60_000);
    assert.deepEqual(a.events, [
      { type: 'closed', reason: 'initTimeout', detail: 'no answer in cookieWait' },
    ]);
    assert.ok(net.sent.length <= 9);
  });

  it('is not moved by an INIT, a foreign cookie or a wrong tag while it is established', () => {
    const made = up();
    const before = made.b.events.length;
    inject(made, made.b, [FOREIGN_INIT], 0);
    inject(made, made.b, [{ type: CHUNK_TYPE.cookieEcho, flags: 0, value: new Uint8Array(16) }]);
    inject(made, made.b, [emptyChunk(CHUNK_TYPE.abort)], 12345);
    assert.deepEqual(made.b.drops.slice(-3), [
      'sctp.init.unexpected',
      'sctp.cookie.unknown',
      'sctp.verificationTag',
    ]);
    assert.equal(made.b.events.length, before);
    made.send(made.a, 'unharmed');
    made.net.run(1000);
    assert.deepEqual(made.b.messages(), ['unharmed']);
  });

  it('drops an INIT that is bundled or carries a tag', () => {
    const made = up();
    inject(made, made.b, [FOREIGN_INIT, emptyChunk(CHUNK_TYPE.cookieAck)], 0);
    inject(made, made.b, [FOREIGN_INIT]);
    assert.deepEqual(made.b.drops.slice(-2), ['sctp.init.bundled', 'sctp.init.bundled']);
  });
});

describe('moving data', () => {
  it('delivers a megabyte in order through loss, and quickly without', () => {
    for (const lossRate of [0, 0.02, 0.1]) {
      const made = up({ latencyMs: 20, lossRate, reorderRate: lossRate, seed: 3 });
      const texts = Array.from({ length: 40 }, (_, i) => `${i}:`.padEnd(25_000, 'z'));
      for (const text of texts) assert.ok(made.send(made.a, text));
      const startedAt = made.net.now;
      assert.ok(
        made.net.runUntil(() => made.b.messages().length === texts.length, 600_000),
        `${made.b.messages().length} at loss ${lossRate}`,
      );
      assert.deepEqual(made.b.messages(), texts);
      // 25 windows of 128 KB at 40 ms each would be 0.3 s; slow start needs a few more.
      if (lossRate === 0)
        assert.ok(made.net.now - startedAt < 2500, `${made.net.now - startedAt} ms`);
    }
  });

  it('acknowledges a lone packet after 200 ms at the latest and every second one at once', () => {
    const made = up({ latencyMs: 10 });
    made.net.run(1000);
    const sacksOfB = (): { readonly at: Instant }[] =>
      made.net.sent.filter(
        ({ from, data }) =>
          from === made.b && chunksOf(data).some(({ type }) => type === CHUNK_TYPE.sack),
      );
    const before = sacksOfB().length;
    made.send(made.a, 'one');
    const sentAt = made.net.now;
    made.net.run(500);
    const [sack, ...more] = sacksOfB().slice(before);
    assert.ok(sack !== undefined && more.length === 0);
    assert.ok(sack.at - sentAt <= 10 + 200 && sack.at - sentAt > 100);
    made.send(made.a, 'two');
    made.send(made.a, 'three');
    const bothAt = made.net.now;
    made.net.run(15);
    assert.equal(sacksOfB().at(-1)?.at, bothAt + 10);
  });

  it('puts the SACK into the packet of the answer', () => {
    const made = up({ latencyMs: 10 });
    made.net.run(1000);
    const drain = made.b.drain.bind(made.b);
    made.b.drain = (now, send) => {
      const count = made.b.messages().length;
      const at = drain(now, send);
      if (made.b.messages().length === count) return at;
      made.b.association.send(now, 1, 51, new TextEncoder().encode('answer'), false, {});
      return drain(now, send);
    };
    const poll = made.b.association.poll.bind(made.b.association);
    made.b.association.poll = () => {
      const output = poll();
      if (output?.type === 'message')
        made.b.association.send(made.net.now, 1, 51, new TextEncoder().encode('answer'), false, {});
      return output;
    };
    made.send(made.a, 'question');
    made.net.run(25);
    const answers = made.net.sent.filter(
      ({ from, data }) =>
        from === made.b && chunksOf(data).some(({ type }) => type === CHUNK_TYPE.data),
    );
    assert.deepEqual(
      chunksOf(answers[0]?.data ?? new Uint8Array(0)).map(({ type }) => type),
      [CHUNK_TYPE.sack, CHUNK_TYPE.data],
    );
  });

  it('repairs a single loss by fast retransmission, long before T3', () => {
    let lost = false;
    const made = up({
      latencyMs: 20,
      drop: (data) => {
        const isVictim =
          !lost &&
          chunksOf(data).some((chunk) => chunk.type === CHUNK_TYPE.data) &&
          data.length > 1000;
        lost ||= isVictim;
        return isVictim;
      },
    });
    const startedAt = made.net.now;
    made.send(made.a, 'x'.repeat(12_000));
    assert.ok(made.net.runUntil(() => made.b.messages().length === 1, 5000));
    assert.ok(lost);
    assert.ok(made.net.now - startedAt < 300, `${made.net.now - startedAt} ms`);
  });

  it('backs off and gives up on a peer that is gone', () => {
    const made = up({ latencyMs: 10 });
    made.b.handleDatagram = () => undefined;
    made.b.handleTimeout = () => undefined;
    made.b.drain = () => null;
    made.send(made.a, 'anyone?');
    const before = made.net.sent.length;
    made.net.run(600_000);
    assert.deepEqual(made.a.events.at(-1), {
      type: 'closed',
      reason: 'peerUnreachable',
      detail: 'it does not acknowledge',
    });
    assert.ok(made.net.sent.length - before < 25, `${made.net.sent.length - before} packets`);
  });

  it('honours the window of the peer, and probes it when it is closed', () => {
    const made = up({ latencyMs: 10 });
    made.send(made.a, 'first');
    made.net.run(400);
    // B says that it has no room, whatever it has.
    const closeWindow = (cumulativeTsnAck: number): void =>
      inject(made, made.a, [
        encodeSackChunk({ cumulativeTsnAck, aRwnd: 0, gapAckBlocks: [], duplicateTsns: [] }),
      ]);
    const lastTsn =
      made.net.sent
        .flatMap(({ from, data }) =>
          from === made.a
            ? chunksOf(data)
                .filter(({ type }) => type === CHUNK_TYPE.data)
                .map(({ value }) => new DataView(value.buffer, value.byteOffset).getUint32(0))
            : [],
        )
        .at(-1) ?? 0;
    made.b.handleDatagram = () => undefined;
    closeWindow(lastTsn);
    const before = made.net.sent.length;
    made.send(made.a, 'y'.repeat(20_000));
    made.net.run(300);
    assert.equal(
      made.net.sent.slice(before).filter(({ from }) => from === made.a).length,
      1,
      'one chunk probes',
    );
  });

  it('announces a smaller window as it holds more, and drops what passes it', () => {
    const made = up({ latencyMs: 10 }, 'both', {
      receiveWindowBytes: 20_000,
      maxMessageBytes: 10_000,
    });
    // A hundred messages without the first one, so that all of them must wait for their turn.
    for (let i = 1; i < 100; i++) {
      inject(made, made.b, [
        encodeDataChunk({
          tsn: (firstTsnOf(made, made.a) + i) >>> 0,
          streamId: 1,
          ssn: i,
          ppid: 53,
          isBegin: true,
          isEnd: true,
          isUnordered: false,
          isImmediate: false,
          data: new Uint8Array(1000),
        }),
      ]);
    }
    assert.ok(made.b.drops.filter((drop) => drop === 'sctp.data.window').length > 70);
    const sack = made.net.sent
      .filter(({ from }) => from === made.b)
      .flatMap(({ data }) => chunksOf(data))
      .filter(({ type }) => type === CHUNK_TYPE.sack)
      .at(-1);
    assert.ok(
      sack !== undefined &&
        new DataView(sack.value.buffer, sack.value.byteOffset).getUint32(4) < 20_000,
    );
  });
});

describe('partial reliability', () => {
  it('gives a message up by count or age, tells the peer, and goes on in order', () => {
    for (const limits of [{ maxRetransmits: 0 }, { maxRetransmits: 2 }, { maxLifetimeMs: 100 }]) {
      let blackout = false;
      const made = up({ latencyMs: 10, drop: () => blackout });
      blackout = true;
      made.send(made.a, 'lost', limits);
      made.send(made.a, 'x'.repeat(3000), limits);
      made.net.run(5000);
      blackout = false;
      made.send(made.a, 'kept');
      assert.ok(
        made.net.runUntil(() => made.b.messages().includes('kept'), 60_000),
        JSON.stringify(limits),
      );
      assert.deepEqual(made.b.messages(), ['kept']);
      made.net.run(30_000);
      assert.ok(!made.a.has('closed'));
    }
  });

  it('keeps unordered, unreliable traffic flowing at 30 % loss', () => {
    const made = up({ latencyMs: 10, lossRate: 0.3, seed: 5 });
    for (let i = 0; i < 300; i++) {
      made.send(made.a, `position ${i}`, { isUnordered: true, maxRetransmits: 0 });
      made.net.run(16);
    }
    made.net.run(3000);
    const arrived = made.b.messages();
    assert.ok(arrived.length > 150, `${arrived.length} of 300`);
    assert.equal(new Set(arrived).size, arrived.length);
    assert.ok(
      arrived.some((text) => Number(text.slice(9)) > 290),
      'the newest came through',
    );
  });
});

describe('stream reset', () => {
  it('resets after what was sent, tells both sides, and lets the id be used again', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const made = up(
        { latencyMs: 10, lossRate: seed % 2 === 0 ? 0.15 : 0, reorderRate: 0.2, seed },
        'both',
        {},
        seed,
      );
      for (let i = 0; i < 5; i++) made.send(made.a, `before ${i}`, { streamId: 7 });
      made.a.association.resetStreams(made.net.now, [7]);
      made.net.touch(made.a);
      assert.ok(
        made.net.runUntil(() => made.b.has('streamsReset') && made.a.has('resetDone'), 60_000),
        `seed ${seed}`,
      );
      assert.deepEqual(
        made.b.messages(7),
        Array.from({ length: 5 }, (_, i) => `before ${i}`),
      );
      made.send(made.a, 'after', { streamId: 7 });
      assert.ok(
        made.net.runUntil(() => made.b.messages(7).includes('after'), 60_000),
        `seed ${seed}`,
      );
      assert.equal(made.b.events.filter(({ type }) => type === 'streamsReset').length, 1);
    }
  });
});

describe('ending', () => {
  it('shuts down gracefully from either side, from both at once, and over loss', () => {
    for (let seed = 1; seed <= 30; seed++) {
      const made = up(
        { latencyMs: 10, lossRate: seed % 3 === 0 ? 0.2 : 0, seed },
        'both',
        {},
        seed,
      );
      made.send(made.a, 'w'.repeat(20_000));
      made.a.association.shutdown(made.net.now);
      if (seed % 2 === 0) made.b.association.shutdown(made.net.now);
      for (const host of [made.a, made.b]) made.net.touch(host);
      made.net.run(60_000);
      if (seed % 2 === 1) assert.equal(made.b.messages().length, 1, `seed ${seed}`);
      for (const host of [made.a, made.b])
        assert.ok(host.events.at(-1)?.type === 'closed', `seed ${seed}`);
      assert.equal(
        made.a.association.send(made.net.now, 1, 51, Uint8Array.of(1), false, {}),
        false,
      );
    }
  });

  it('ends on an ABORT with its reason, and says its own', () => {
    const made = up();
    made.a.association.abort(made.net.now, 'enough');
    made.net.touch(made.a);
    made.net.run(100);
    assert.deepEqual(made.b.events.at(-1), {
      type: 'closed',
      reason: 'remoteAbort',
      detail: 'cause 12: enough',
    });
    assert.deepEqual(made.a.events.at(-1), {
      type: 'closed',
      reason: 'localAbort',
      detail: 'enough',
    });
  });
});

describe('hostile packets', () => {
  it('a SACK full of gap blocks costs little', () => {
    const made = up({ latencyMs: 10 });
    for (let i = 0; i < 50; i++) made.send(made.a, 'v'.repeat(20_000));
    const startedAt = process.cpuUsage().user;
    for (let i = 0; i < 100; i++) {
      inject(made, made.a, [
        {
          type: CHUNK_TYPE.sack,
          flags: 0,
          value: Uint8Array.from({ length: 12 + 4 * 10_000 }, (_, j) =>
            j === 8 ? 10_000 >> 8 : j === 9 ? 10_000 & 255 : j < 12 ? 0 : (j * 7) & 255,
          ),
        },
      ]);
    }
    assert.ok(
      process.cpuUsage().user - startedAt < 2_000_000,
      'a hundred take below two seconds even on a slow machine',
    );
  });

  it('chunks of unknown types are skipped, reported or end the packet, as their type says', () => {
    const made = up({ latencyMs: 10 });
    made.net.run(500);
    const heartbeat = {
      type: CHUNK_TYPE.heartbeat,
      flags: 0,
      value: Uint8Array.of(0, 1, 0, 6, 1, 2),
    };
    for (const [type, answers] of [
      [0x3f, []],
      [0x7f, [CHUNK_TYPE.error]],
      [0xbf, [CHUNK_TYPE.heartbeatAck]],
      [0xff, [CHUNK_TYPE.error, CHUNK_TYPE.heartbeatAck]],
    ] as const) {
      const before = made.net.sent.length;
      inject(made, made.b, [{ type, flags: 0, value: Uint8Array.of(1) }, heartbeat]);
      assert.deepEqual(
        made.net.sent
          .slice(before)
          .flatMap(({ data }) => chunksOf(data).map((chunk) => chunk.type)),
        answers,
        `type ${type}`,
      );
    }
  });

  it('any mutation of any packet neither throws nor leaves the association unable to go on', () => {
    const recorded = up({ latencyMs: 10 });
    recorded.send(recorded.a, 'hello '.repeat(600));
    recorded.a.association.resetStreams(recorded.net.now, [1]);
    recorded.net.touch(recorded.a);
    recorded.net.run(2000);
    const packets = recorded.net.sent
      .filter(({ from }) => from === recorded.a)
      .map(({ data }) => data);
    const made = up({ latencyMs: 10 });
    for (const [i, packet] of packets.entries()) {
      for (const mutated of mutations(packet, 300, i + 1)) {
        const chunks = chunksOf(withChecksum(mutated)).filter(
          ({ type }) =>
            type !== CHUNK_TYPE.abort &&
            !(type >= CHUNK_TYPE.shutdown && type <= CHUNK_TYPE.shutdownAck),
        );
        if (chunks.length > 0 && !chunks.some(({ type }) => type === CHUNK_TYPE.init))
          inject(made, made.b, chunks);
      }
    }
    made.net.run(instant(60_000));
    assert.ok(made.b.events.length < 50_000);
  });
});

/** The same bytes with a right checksum, so that the attack gets past it. */
function withChecksum(bytes: Uint8Array): Uint8Array {
  if (bytes.length < 16) return bytes;
  const builder = new PacketBuilder(60_000);
  builder.add({ type: bytes[12] ?? 0, flags: bytes[13] ?? 0, value: bytes.slice(16) });
  return builder.finish(5000, 5000, 0);
}
