import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { toBase64Url } from '@lumamesh/base';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { seededRandom } from '@lumamesh/testkit';
import { MESH_LIMITS, type SyncFrame, encodeMeshFrame } from './mesh-frame.ts';
import { RecordSet, recordId } from './record-set.ts';

const hash = (algorithm: string, data: Uint8Array): Uint8Array =>
  createHash(algorithm).update(data).digest();

function record(i: number): SignedRelayRecord {
  return {
    fingerprint: Array.from({ length: 32 }, () => 'AB').join(':'),
    ip: '203.0.113.10',
    port: 3478,
    ufrag: 'luma',
    pwd: '0123456789abcdef0123456789abcdef',
    nk: 'A'.repeat(43),
    sequence: i,
    expires: 2,
    signature: toBase64Url(createHash('sha512').update(String(i)).digest()),
  };
}

function setOf(numbers: Iterable<number>, refused = new Map<string, number>()): RecordSet {
  const set = new RecordSet(hash, refused, seededRandom(9));
  for (const i of numbers) set.add(recordId(record(i), hash), record(i));
  return set;
}

/** Lets two sets talk until nobody has anything to say; answers what crossed the wire. */
function converse(a: RecordSet, b: RecordSet): { frames: number; bytes: number } {
  const wire: { from: RecordSet; frame: SyncFrame }[] = [{ from: a, frame: a.summary() }];
  let frames = 0;
  let bytes = 0;
  for (let message = wire.shift(); message !== undefined; message = wire.shift()) {
    frames += 1;
    const size = encodeMeshFrame(message.frame).length;
    assert.ok(size <= MESH_LIMITS.maxFrameBytes);
    bytes += size;
    const to = message.from === a ? b : a;
    if (message.frame.type === 'records')
      for (const one of message.frame.records) to.add(recordId(one, hash), one);
    for (const frame of to.answer(message.frame)) wire.push({ from: to, frame });
  }
  return { frames, bytes };
}

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, i) => from + i);

describe('sets of records', () => {
  it('that are equal cost one small frame', () => {
    const { frames, bytes } = converse(setOf(range(0, 1000)), setOf(range(0, 1000)));
    assert.equal(frames, 1);
    assert.ok(bytes < 100);
  });

  it('that differ by little among many exchange little more than the difference', () => {
    const a = setOf(range(0, 1000));
    const b = setOf(range(2, 1003));
    const { bytes } = converse(a, b);
    assert.equal(
      a.summary().type === 'summary' && JSON.stringify(a.summary()),
      JSON.stringify(b.summary()),
    );
    assert.ok(bytes < 12_000, `${bytes} bytes; all ids would be 20 000, all records 400 000`);
  });

  it('become equal round by round, whatever they begin with', () => {
    const random = seededRandom(5);
    for (const [sizeA, sizeB] of [
      [0, 10],
      [10, 0],
      [3, 5],
      [70, 60],
      [400, 390],
    ] as const) {
      const pick = (count: number): Set<number> =>
        new Set(Array.from({ length: count }, () => Math.floor(random() * 500)));
      const a = setOf(pick(sizeA));
      const b = setOf(pick(sizeB));
      for (
        let round = 0;
        round < 20 && JSON.stringify(a.summary()) !== JSON.stringify(b.summary());
        round++
      ) {
        converse(a, b);
        converse(b, a);
      }
      assert.deepEqual(a.summary(), b.summary(), `${sizeA} and ${sizeB}`);
    }
  });

  it('do not ask again for what they have refused, and are not sent it again', () => {
    const refused = new Map(range(0, 5).map((i) => [recordId(record(i), hash), 1]));
    const a = setOf([10], refused);
    const b = setOf([...range(0, 5), 10]);
    const wire = [a.summary(), ...b.answer(a.summary())].flatMap((frame) =>
      frame.type === 'summary' && frame.bits > 0 ? a.answer(frame) : [],
    );
    const answers = wire.flatMap((frame) => b.answer(frame));
    assert.deepEqual(
      answers.filter(({ type }) => type === 'records'),
      [],
    );
  });

  it('answer a stranger with at most two frames of bounded size', () => {
    const set = setOf(range(0, 3000));
    const ids = Array.from({ length: MESH_LIMITS.maxIds }, (_, i) =>
      i.toString(16).padStart(32, '0'),
    );
    const frames: SyncFrame[] = [
      { type: 'summary', bits: 0, digests: ['0'.repeat(16)] },
      { type: 'summary', bits: 8, digests: Array.from({ length: 256 }, () => '0'.repeat(16)) },
      { type: 'have', bits: 0, buckets: [0, 0, 0], ids: [] },
      { type: 'have', bits: 8, buckets: range(0, 256), ids },
      { type: 'want', ids },
    ];
    for (const frame of frames) {
      const answers = set.answer(frame);
      assert.ok(answers.length <= 2);
      for (const answer of answers)
        assert.ok(encodeMeshFrame(answer).length <= MESH_LIMITS.maxFrameBytes);
    }
  });
});
