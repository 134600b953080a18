import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seededRandom } from '@lumamesh/testkit';
import { MAX_ID_LENGTH, MAX_STREAMS, MAX_TRACKS, readAnnouncement } from './announcement.ts';

const TRACK = { id: 'front', kind: 'video', mid: '1', isMuted: false, metadata: null };
const STREAM = { id: 'camera', revision: 1, metadata: { of: 'Ada' }, tracks: [TRACK] };

/** What a stranger may write in the place of anything. */
const HOSTILE = [
  undefined,
  null,
  true,
  0,
  -1,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  10n,
  '',
  'x'.repeat(MAX_ID_LENGTH + 1),
  '__proto__',
  [],
  [null],
  [[[[]]]],
  {},
  { length: 1e9 },
  new Map([['id', 'x']]),
  new Uint8Array(64),
  new Date(Number.NaN),
];

describe('what a page says of its media', () => {
  it('is read as it was written', () => {
    assert.deepEqual(readAnnouncement([STREAM]), [STREAM]);
    assert.deepEqual(readAnnouncement([]), []);
    assert.deepEqual(readAnnouncement([{ id: 'empty', revision: 1, tracks: [] }]), [
      { id: 'empty', revision: 1, tracks: [] },
    ]);
  });

  it('is passed over where a field is malformed, and the rest is read', () => {
    const other = { ...STREAM, id: 'other' };
    for (const wrong of HOSTILE) {
      assert.doesNotThrow(() => readAnnouncement(wrong));
      assert.deepEqual(readAnnouncement([wrong, other]), [other]);
      for (const name of ['id', 'revision', 'tracks'] as const) {
        const [first] = readAnnouncement([{ ...STREAM, [name]: wrong }, other]);
        if (name === 'tracks') assert.deepEqual(first?.tracks, []);
        else if (first?.id === 'camera' || first?.id === '__proto__')
          assert.equal(typeof wrong, name === 'id' ? 'string' : 'number');
      }
      for (const name of ['id', 'kind', 'mid', 'isMuted'] as const) {
        const tracks = [
          { ...TRACK, [name]: wrong },
          { ...TRACK, id: 'back' },
        ];
        const read = readAnnouncement([{ ...STREAM, tracks }])[0]?.tracks ?? [];
        assert.equal(read.at(-1)?.id, 'back');
        for (const track of read) {
          assert.equal(typeof track.isMuted, 'boolean');
          assert.match(track.kind, /^(audio|video)$/);
          for (const id of [track.id, track.mid]) assert.match(id, /^.{1,128}$/);
        }
      }
    }
  });

  it('has no more streams, tracks and ids than it may', () => {
    const many = Array.from({ length: 1000 }, (_, i) => i);
    const tracks = many.map((i) => ({ ...TRACK, id: `track ${i}` }));
    const read = readAnnouncement(many.map((i) => ({ ...STREAM, id: `stream ${i}`, tracks })));
    assert.equal(read.length, MAX_STREAMS);
    assert.equal(read[0]?.tracks.length, MAX_TRACKS);
    assert.equal(readAnnouncement([STREAM, STREAM]).length, 1);
    const [stream] = readAnnouncement([{ ...STREAM, tracks: [TRACK, TRACK] }]);
    assert.equal(stream?.tracks.length, 1);
  });

  it('never throws, whatever is put together', () => {
    const random = seededRandom(7);
    const pick = (): unknown => HOSTILE[Math.floor(random() * HOSTILE.length)];
    const some = (value: unknown): unknown => (random() < 0.3 ? pick() : value);
    for (let i = 0; i < 2000; i++) {
      const track = Object.fromEntries(
        Object.entries(TRACK).map(([key, value]) => [key, some(value)]),
      );
      const stream = {
        id: some('a'),
        revision: some(1),
        metadata: pick(),
        tracks: some([track, pick()]),
      };
      const read = readAnnouncement(some([stream, pick()]));
      for (const { id, revision, tracks } of read) {
        assert.equal(typeof id, 'string');
        assert.equal(typeof revision, 'number');
        assert.ok(Array.isArray(tracks));
      }
    }
  });
});
