import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { concatBytes } from '@lumamesh/base';
import { channelData, mutations, seededRandom } from '@lumamesh/testkit';
import { METHOD_BINDING, StunBuilder } from '../stun/message.ts';
import { StreamDeframer, type StreamKind, frameForStream } from './stream-framing.ts';

const STUN = new StunBuilder('request', METHOD_BINDING, new Uint8Array(12).fill(7)).finish();
const RECORD = Uint8Array.from({ length: 301 }, (_, i) => (i === 0 ? 22 : i & 0xff));
const FRAMES: Readonly<Record<StreamKind, readonly Uint8Array[]>> = {
  ice: [STUN, RECORD, new Uint8Array(0), Uint8Array.of(23), new Uint8Array(4096).fill(20)],
  turn: [STUN, channelData(0x4000, RECORD), channelData(0x4001, new Uint8Array(0)), STUN],
};

function stream(kind: StreamKind): Uint8Array {
  return concatBytes(FRAMES[kind].map((frame) => frameForStream(kind, frame)));
}

/** What comes out of a stream that comes in pieces, and why it ended. */
function deframe(pieces: Iterable<Uint8Array>): {
  frames: Uint8Array[];
  drop: string | null;
  kind: StreamKind | null;
} {
  const deframer = new StreamDeframer();
  const frames: Uint8Array[] = [];
  for (const piece of pieces) {
    const drop = deframer.push(piece, (frame) => frames.push(frame.slice()));
    if (drop !== null) return { frames, drop, kind: deframer.kind };
  }
  return { frames, drop: null, kind: deframer.kind };
}

describe('datagrams on a stream', () => {
  for (const kind of ['ice', 'turn'] as const) {
    it(`of ${kind} come out as they went in, whatever pieces they come in`, () => {
      const bytes = stream(kind);
      const expected = { frames: [...FRAMES[kind]], drop: null, kind };
      assert.deepEqual(deframe([bytes.slice()]), expected);
      assert.deepEqual(deframe([...bytes].map((byte) => Uint8Array.of(byte))), expected);
      const random = seededRandom(3);
      for (let round = 0; round < 50; round++) {
        const pieces: Uint8Array[] = [];
        for (let at = 0; at < bytes.length;) {
          const end = at + 1 + Math.floor(random() * 400);
          pieces.push(bytes.slice(at, end));
          at = end;
        }
        assert.deepEqual(deframe(pieces), expected);
      }
    });

    it(`of ${kind} that are cut wait for the rest, and damage throws nothing`, () => {
      const bytes = stream(kind);
      for (let length = 0; length < bytes.length; length++) {
        const { frames, drop } = deframe([bytes.slice(0, length)]);
        assert.equal(drop, null);
        assert.deepEqual(frames, FRAMES[kind].slice(0, frames.length));
      }
      for (const mutated of mutations(bytes, 1000, 5))
        for (const frame of deframe([mutated]).frames) assert.ok(frame.length <= 4096);
    });
  }

  it('keep nothing of what came with them, for who keeps some of them or lets them wait', () => {
    for (const kind of ['ice', 'turn'] as const) {
      const chunk = Buffer.from(stream(kind));
      new StreamDeframer().push(chunk, (frame) => {
        assert.notEqual(frame.slice(0, 8).buffer, chunk.buffer, 'of a Buffer a slice is a view');
        assert.notEqual(frameForStream(kind, frame).buffer, chunk.buffer);
      });
    }
  });

  it('end the stream when they are too long, or are none', () => {
    const begun = frameForStream('ice', STUN);
    assert.equal(deframe([begun, Uint8Array.of(0x10, 0x01)]).drop, 'tcp.frameSize');
    assert.equal(deframe([STUN, Uint8Array.of(0x40, 0, 0x0f, 0xfd)]).drop, 'tcp.frameSize');
    assert.equal(deframe([STUN, Uint8Array.of(0, 1, 0x0f, 0xf0)]).drop, 'tcp.frameSize');
    assert.equal(deframe([STUN, Uint8Array.of(22, 254, 253, 0)]).drop, 'tcp.unknownProtocol');
    for (const text of ['GET / HTTP/1.1\r\n', '\u0016\u0003\u0001 a TLS hello', '\0'.repeat(12)])
      assert.equal(deframe([new TextEncoder().encode(text)]).drop, 'tcp.unknownProtocol');
    assert.equal(deframe([new Uint8Array(9)]).drop, null);
  });
});
