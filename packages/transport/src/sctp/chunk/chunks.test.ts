import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Decoded, readUint32 } from '@lumamesh/base';
import { mutations, truncations } from '@lumamesh/testkit';
import { packetChecksum } from './crc32c.ts';
import { decodeDataChunk, encodeDataChunk } from './data-chunk.ts';
import { describeCauses, encodeAbortChunk } from './error-cause.ts';
import { decodeForwardTsnChunk, encodeForwardTsnChunk } from './forward-tsn-chunk.ts';
import { decodeInitChunk, encodeInitChunk } from './init-chunk.ts';
import { CHUNK_TYPE, type Chunk, PacketBuilder, decodePacket } from './packet.ts';
import { decodeReConfigChunk, encodeReConfigChunk } from './re-config-chunk.ts';
import { decodeSackChunk, encodeSackChunk } from './sack-chunk.ts';
import { decodeShutdownChunk, encodeShutdownChunk } from './shutdown-chunk.ts';

const data = {
  tsn: 0xfffffffe,
  streamId: 3,
  ssn: 65_535,
  ppid: 51,
  isBegin: true,
  isEnd: false,
  isUnordered: true,
  isImmediate: false,
  data: Uint8Array.of(1, 2, 3),
};
const init = {
  initiateTag: 7,
  aRwnd: 131_072,
  outboundStreams: 256,
  inboundStreams: 1024,
  initialTsn: 9,
  supportsForwardTsn: true,
  supportsReConfig: true,
  stateCookie: Uint8Array.of(1, 2, 3, 4),
  unrecognized: [],
};
const sack = {
  cumulativeTsnAck: 5,
  aRwnd: 1000,
  gapAckBlocks: [
    { start: 2, end: 3 },
    { start: 5, end: 5 },
  ],
  duplicateTsns: [4, 4],
};
const forward = {
  newCumulativeTsn: 8,
  skipped: [
    { streamId: 1, ssn: 2 },
    { streamId: 3, ssn: 4 },
  ],
};
const reset = [
  {
    type: 'outgoingReset',
    requestSequence: 1,
    responseSequence: 2,
    lastTsn: 3,
    streamIds: [4, 5, 6],
  },
  { type: 'response', responseSequence: 7, result: 1 },
] as const;

const units: [string, Chunk, (chunk: Chunk) => Decoded<unknown>, unknown][] = [
  ['DATA', encodeDataChunk(data), decodeDataChunk, data],
  ['INIT ACK', encodeInitChunk(CHUNK_TYPE.initAck, init), decodeInitChunk, init],
  ['SACK', encodeSackChunk(sack), decodeSackChunk, sack],
  ['FORWARD TSN', encodeForwardTsnChunk(forward), decodeForwardTsnChunk, forward],
  ['RE-CONFIG', encodeReConfigChunk(reset), decodeReConfigChunk, reset],
];

describe('every chunk', () => {
  for (const [name, chunk, decode, expected] of units) {
    it(`${name}: round trip, cut at every offset, mutated`, () => {
      const result = decode(chunk);
      assert.ok(result.ok);
      assert.deepEqual(result.value, expected);
      for (const value of truncations(chunk.value)) {
        const cut = decode({ ...chunk, value });
        // Where a list may be shorter, what comes out must be shorter too, never the same with
        // less.
        if (cut.ok) assert.notDeepEqual(cut.value, expected, `${value.length} bytes`);
      }
      for (const value of mutations(chunk.value, 2000, 4)) decode({ ...chunk, value });
    });
  }

  it('SHUTDOWN and ABORT', () => {
    assert.equal(decodeShutdownChunk(encodeShutdownChunk(77)), 77);
    assert.equal(decodeShutdownChunk({ type: 7, flags: 0, value: new Uint8Array(3) }), null);
    assert.equal(describeCauses(encodeAbortChunk(12, 'bye')), 'cause 12: bye');
    // What a terminal obeys is spelt out.
    const obeyed = describeCauses(encodeAbortChunk(12, '\u009b2J'));
    assert.equal(obeyed, 'cause 12: \\u{9b}2J');
    for (const value of mutations(encodeAbortChunk(12, 'bye').value, 500, 5))
      describeCauses({ type: 6, flags: 0, value });
  });

  it('an INIT with tag 0, no streams or a tiny window is refused; unknown parameters are reported as their type asks', () => {
    for (const bad of [
      { initiateTag: 0 },
      { outboundStreams: 0 },
      { inboundStreams: 0 },
      { aRwnd: 1499 },
    ]) {
      assert.deepEqual(decodeInitChunk(encodeInitChunk(CHUNK_TYPE.init, { ...init, ...bad })), {
        ok: false,
        drop: 'sctp.init.invalid',
      });
    }
    const base = encodeInitChunk(CHUNK_TYPE.init, { ...init, stateCookie: null });
    const withParameter = (type: number): Chunk => ({
      ...base,
      value: Uint8Array.from([...base.value, type >> 8, type & 255, 0, 4, 0, 7, 0, 4]),
    });
    const skippedAndReported = decodeInitChunk(withParameter(0xc123));
    assert.ok(skippedAndReported.ok && skippedAndReported.value.unrecognized.length === 1);
    assert.ok(skippedAndReported.value.stateCookie !== null, 'processing goes on');
    const stopped = decodeInitChunk(withParameter(0x0123));
    assert.ok(
      stopped.ok && stopped.value.unrecognized.length === 0 && stopped.value.stateCookie === null,
      'processing ends',
    );
  });

  it('a SACK whose gap blocks are out of order, overlapping or inside out is dropped', () => {
    for (const gapAckBlocks of [
      [
        { start: 5, end: 6 },
        { start: 2, end: 3 },
      ],
      [
        { start: 2, end: 5 },
        { start: 5, end: 6 },
      ],
      [{ start: 4, end: 2 }],
      [{ start: 0, end: 1 }],
    ]) {
      assert.deepEqual(decodeSackChunk(encodeSackChunk({ ...sack, gapAckBlocks })), {
        ok: false,
        drop: 'sctp.sack.gapAckBlock',
      });
    }
  });

  it('a DATA chunk without data is dropped', () => {
    assert.deepEqual(decodeDataChunk(encodeDataChunk({ ...data, data: new Uint8Array(0) })), {
      ok: false,
      drop: 'sctp.data.empty',
    });
  });
});

describe('the packet', () => {
  const build = (chunks: readonly Chunk[]): Uint8Array => {
    const builder = new PacketBuilder(1160);
    for (const chunk of chunks) builder.add(chunk);
    return builder.finish(5000, 5000, 0xdeadbeef);
  };

  it('computes CRC32c: 32 zero bytes give 8A9136AA (RFC 3720 §B.4)', () => {
    assert.equal(packetChecksum(new Uint8Array(32)), 0x8a9136aa);
  });

  it('round-trips with chunks padded to four bytes and the checksum in little-endian', () => {
    const packet = build(units.map(([, chunk]) => chunk));
    const result = decodePacket(packet);
    assert.ok(result.ok);
    assert.equal(result.value.verificationTag, 0xdeadbeef);
    assert.deepEqual(
      result.value.chunks.map(({ type }) => type),
      units.map(([, { type }]) => type),
    );
    assert.notEqual(readUint32(packet, 8), packetChecksum(packet));
  });

  it('drops a wrong checksum, a cut, a chunk of length zero to three, and too many chunks', () => {
    const packet = build([encodeDataChunk(data)]);
    for (const cut of truncations(packet)) assert.ok(!decodePacket(cut).ok);
    const wrong = packet.slice();
    wrong[20] = (wrong[20] ?? 0) ^ 1;
    assert.deepEqual(decodePacket(wrong), { ok: false, drop: 'sctp.checksum' });
    for (const length of [0, 1, 2, 3]) {
      const bytes = new Uint8Array(16);
      bytes[15] = length;
      const sum = packetChecksum(bytes);
      bytes.set([sum & 255, (sum >> 8) & 255, (sum >> 16) & 255, sum >>> 24], 8);
      assert.deepEqual(decodePacket(bytes), { ok: false, drop: 'sctp.chunk.length' });
    }
    const crowd = build(
      Array.from({ length: 129 }, () => ({ type: 11, flags: 0, value: new Uint8Array(0) })),
    );
    assert.deepEqual(decodePacket(crowd), { ok: false, drop: 'sctp.tooManyChunks' });
  });
});
