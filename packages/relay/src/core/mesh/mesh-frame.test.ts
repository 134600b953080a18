import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { utf8Decode, utf8Encode } from '@lumamesh/base';
import { type SignedRelayRecord, encodeRecordLine } from '@lumamesh/protocol';
import { mutations, truncations } from '@lumamesh/testkit';
import { LengthPrefixedReader, encodeLengthPrefixed } from './length-prefixed.ts';
import {
  MESH_LIMITS,
  type MeshFrame,
  type RoomFrame,
  type SignedRoomFrame,
  decodeMeshFrame,
  encodeMeshFrame,
} from './mesh-frame.ts';

const NK = 'A'.repeat(43);
const ROOM = 'r'.repeat(43);
const PEER = 'p'.repeat(22);
const RECORD: SignedRelayRecord = {
  fingerprint: Array.from({ length: 32 }, () => 'AB').join(':'),
  ip: '203.0.113.10',
  port: 3478,
  ufrag: 'luma',
  pwd: '0123456789abcdef0123456789abcdef',
  nk: NK,
  sequence: 1,
  expires: 2,
  mesh: 'A'.repeat(22),
  meshPort: 7402,
  signature: 'A'.repeat(86),
};
const ID = '0123456789abcdef0123456789abcdef';

const DIGEST = '0123456789abcdef';

function signed(frame: RoomFrame): SignedRoomFrame {
  return { counter: 7, text: JSON.stringify(frame), signature: 'A'.repeat(86), frame };
}

const FRAMES: readonly MeshFrame[] = [
  { type: 'hello', version: 1, record: RECORD },
  { type: 'ready' },
  { type: 'bye' },
  { type: 'suspect', relays: [NK] },
  { type: 'summary', bits: 0, digests: [DIGEST] },
  { type: 'have', bits: 4, buckets: [0, 15], ids: [ID] },
  { type: 'want', ids: [ID, ID] },
  { type: 'records', records: [RECORD] },
  { type: 'hints', rooms: [ROOM] },
  { type: 'withdraw', rooms: [ROOM] },
  { type: 'refused', rooms: [ROOM] },
  { type: 'reporters', room: ROOM, add: [NK], remove: [] },
  { type: 'present', room: ROOM, members: [{ peer: PEER, presence: 'sealed' }] },
  { type: 'absent', room: ROOM, peers: [PEER] },
  { type: 'signal', room: ROOM, from: PEER, to: PEER, data: 'sealed' },
  { type: 'present', room: ROOM, members: [], all: true, ask: true },
  { type: 'check', room: ROOM, digest: DIGEST },
  { type: 'forwardRequest', to: NK, ...signed({ type: 'absent', room: ROOM, peers: [PEER] }) },
  {
    type: 'forwarded',
    from: NK,
    ...signed({ type: 'signal', room: ROOM, from: PEER, to: PEER, data: 'sealed' }),
  },
];

describe('frames between relays', () => {
  for (const frame of FRAMES) {
    it(`${frame.type}: comes back as it was, and nothing that is damaged throws`, () => {
      const text = encodeMeshFrame(frame);
      assert.deepEqual(decodeMeshFrame(text), { ok: true, value: frame });
      const bytes = utf8Encode(text);
      for (const damaged of [...truncations(bytes), ...mutations(bytes, 300, 7)])
        decodeMeshFrame(utf8Decode(damaged) ?? '');
    });
  }

  it('refuse what is too much, or of the wrong kind', () => {
    const ids = (count: number): string[] => Array.from({ length: count }, () => ID);
    const bad: unknown[] = [
      null,
      [],
      'hello',
      {},
      { type: 'nonsense' },
      { type: 'nonsense', room: ROOM },
      { type: '__proto__' },
      { type: 'hello', version: 1, record: 'luma1.AAAA' },
      { type: 'hello', version: '1', record: encodeRecordLine(RECORD) },
      { type: 'summary', bits: 0, digests: [DIGEST, DIGEST] },
      { type: 'summary', bits: 30, digests: [] },
      { type: 'summary', bits: 4, digests: Array.from({ length: 15 }, () => DIGEST) },
      { type: 'have', bits: 4, buckets: [16], ids: [] },
      { type: 'have', bits: 4, buckets: [0.5], ids: [] },
      { type: 'have', bits: 8, buckets: [], ids: ids(MESH_LIMITS.maxIds + 1) },
      { type: 'want', ids: ['xyz'] },
      { type: 'records', records: Array.from({ length: MESH_LIMITS.maxRecords + 1 }, () => '') },
      { type: 'hints', rooms: Array.from({ length: MESH_LIMITS.maxHints + 1 }, () => ROOM) },
      { type: 'hints', rooms: ['short'] },
      { type: 'reporters', room: ROOM, add: ['x'], remove: [] },
      { type: 'suspect', relays: Array.from({ length: MESH_LIMITS.maxReporters + 1 }, () => NK) },
      {
        type: 'present',
        room: ROOM,
        members: Array.from({ length: MESH_LIMITS.maxMembers + 1 }, () => ({
          peer: PEER,
          presence: '',
        })),
      },
      { type: 'present', room: ROOM, members: [{ peer: PEER, presence: '"' }] },
      { type: 'signal', room: ROOM, from: PEER, to: PEER, data: 'x'.repeat(40_000) },
      {
        type: 'forwardRequest',
        to: NK,
        counter: 1,
        signature: 'A'.repeat(86),
        text: JSON.stringify({ type: 'forwardRequest', to: NK }),
      },
      {
        type: 'forwardRequest',
        to: NK,
        counter: 1,
        signature: 'A'.repeat(86),
        text: JSON.stringify({ type: 'hints', rooms: [ROOM] }),
      },
      { type: 'forwardRequest', to: NK, counter: 1, signature: 'A'.repeat(86), text: '[' },
      { type: 'forwardRequest', to: NK, counter: -1, signature: 'A'.repeat(86), text: '{}' },
      { type: 'forwarded', from: NK, counter: 1, signature: 'x', text: '{}' },
      { type: 'check', room: ROOM, digest: 'x' },
    ];
    for (const value of bad)
      assert.equal(
        decodeMeshFrame(JSON.stringify(value)).ok,
        false,
        JSON.stringify(value).slice(0, 80),
      );
    assert.equal(decodeMeshFrame('[').ok, false);
  });

  it('the largest of every kind fits into a frame', () => {
    const id = 'i'.repeat(43);
    const largest: MeshFrame[] = [
      { type: 'hints', rooms: Array.from({ length: MESH_LIMITS.maxHints }, () => id) },
      {
        type: 'have',
        bits: 8,
        buckets: Array.from({ length: 256 }, (_, i) => i),
        ids: Array.from({ length: MESH_LIMITS.maxIds }, () => ID),
      },
      { type: 'absent', room: id, peers: Array.from({ length: MESH_LIMITS.maxPeers }, () => id) },
      {
        type: 'forwardRequest',
        to: NK,
        ...signed({ type: 'signal', room: id, from: id, to: id, data: 'x'.repeat(32_768) }),
      },
    ];
    for (const frame of largest)
      assert.ok(encodeMeshFrame(frame).length <= MESH_LIMITS.maxFrameBytes, frame.type);
  });
});

describe('a stream of frames', () => {
  const texts = ['', 'a', 'é'.repeat(1000), JSON.stringify({ type: 'ready' })];

  it('is cut into the same frames however it arrives', () => {
    const bytes = encodeLengthPrefixed(texts);
    for (const size of [1, 2, 3, 5, 64, bytes.length]) {
      const reader = new LengthPrefixedReader();
      const read: string[] = [];
      for (let i = 0; i < bytes.length; i += size) {
        const result = reader.push(bytes.subarray(i, i + size));
        assert.ok(result.ok);
        read.push(...result.value);
      }
      assert.deepEqual(read, texts);
    }
  });

  it('ends where somebody announces a gigabyte, before any of it is held', () => {
    assert.deepEqual(new LengthPrefixedReader().push(Uint8Array.of(0x40, 0, 0, 0)), {
      ok: false,
      drop: 'mesh.stream.tooLarge',
    });
    assert.deepEqual(new LengthPrefixedReader().push(Uint8Array.of(0, 0, 0, 1, 0xff)), {
      ok: false,
      drop: 'mesh.stream.utf8',
    });
  });

  it('never throws', () => {
    for (const damaged of mutations(encodeLengthPrefixed(texts), 2000, 3)) {
      const reader = new LengthPrefixedReader();
      for (let i = 0; i < damaged.length; i += 7)
        if (!reader.push(damaged.subarray(i, i + 7)).ok) break;
    }
  });
});
