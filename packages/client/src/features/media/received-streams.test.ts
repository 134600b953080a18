import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AnnouncedStream } from './announcement.ts';
import { FakeStream, FakeTrack } from './fake-media.test-support.ts';
import { ReceivedStreams } from './received-streams.ts';

/** Says `camera: v@0 a@1!`: a stream with two tracks, the second muted. */
function say(revision: number, ...texts: readonly string[]): AnnouncedStream[] {
  return texts.map((text) => {
    const [id = '', tracks = ''] = text.split(': ');
    return {
      id,
      revision,
      metadata: revision,
      tracks: tracks.split(' ').flatMap((track) => {
        const [, name = '', mid = ''] = /^(\w+)@(\w+)/.exec(track) ?? [];
        const kind = name.startsWith('a') ? 'audio' : 'video';
        return name === '' ? [] : [{ id: name, kind, mid, isMuted: track.endsWith('!') }];
      }),
    };
  });
}

function setUp() {
  const received = new ReceivedStreams();
  /** What the connection has, by mid. */
  const carried = new Map<string, FakeTrack>();
  return {
    received,
    carried,
    /** Returns the events: `track v` or `stream camera 1`. */
    hear: (announced: readonly AnnouncedStream[]) =>
      received
        ._update(
          announced,
          ({ mid }) => carried.get(mid) as never,
          () => new FakeStream() as never,
        )
        .map(([name, ...values]) => {
          const [, metadata, last] = values;
          return typeof last === 'string'
            ? `${name} ${last} ${String(metadata)}`
            : `${name} ${last.id}`;
        }),
    tracks: (id: string) => received._all.find((one) => one.id === id)?.stream.getTracks(),
  };
}

describe('streams of a peer', () => {
  it('come when both what is said of them and all of their tracks are there, whichever is first', () => {
    const { hear, carried, received, tracks } = setUp();
    const said = say(1, 'camera: v@0 a@1');
    assert.deepEqual(hear(said), []);
    carried.set('0', new FakeTrack('x'));
    assert.deepEqual(hear(said), []);
    assert.deepEqual(received._all, []);
    carried.set('1', new FakeTrack('y', 'audio'));
    assert.deepEqual(hear(said), ['stream camera 1', 'track v', 'track a']);
    assert.deepEqual(hear(said), []);
    assert.deepEqual(tracks('camera'), [...carried.values()]);
    assert.deepEqual(hear(say(1, 'empty: ', 'camera: v@0 a@1')), []);
  });

  it('change, are muted and unmuted, and go', () => {
    const { hear, carried, tracks, received } = setUp();
    carried.set('0', new FakeTrack('x')).set('1', new FakeTrack('y'));
    hear(say(1, 'camera: v@0 w@1'));
    assert.deepEqual(hear(say(1, 'camera: v@0 w@1!')), ['trackMuted w']);
    assert.deepEqual(
      received._all[0]?.tracks.map(({ isMuted }) => isMuted),
      [false, true],
    );
    assert.deepEqual(hear(say(1, 'camera: v@0! w@1')), ['trackMuted v', 'trackUnmuted w']);
    assert.deepEqual(hear(say(2, 'camera: v@0! w@1')), ['streamChanged camera 2']);
    assert.deepEqual(hear(say(2, 'camera: v@0!')), ['trackRemoved w']);
    assert.deepEqual(tracks('camera'), [carried.get('0')]);
    assert.deepEqual(hear(say(3, 'camera: v@0! w@1')), ['streamChanged camera 3', 'track w']);
    assert.deepEqual(hear([]), ['trackRemoved v', 'trackRemoved w', 'streamRemoved camera 3']);
    assert.deepEqual(received._all, []);
    assert.deepEqual(hear(say(4, 'camera: v@0')), ['stream camera 4', 'track v']);
  });

  it('share tracks', () => {
    const { hear, carried, tracks } = setUp();
    carried.set('0', new FakeTrack('x'));
    hear(say(1, 'one: v@0', 'two: v@0'));
    assert.equal(tracks('one')?.[0], tracks('two')?.[0]);
    hear(say(1, 'two: v@0'));
    assert.equal(tracks('two')?.length, 1);
  });

  it('stay while there is no connection, and have the tracks of the next one', () => {
    const { hear, carried, tracks } = setUp();
    const [first, second] = [new FakeTrack('x'), new FakeTrack('y')];
    carried.set('0', first);
    hear(say(1, 'camera: v@0'));
    carried.clear();
    assert.deepEqual(hear(say(1, 'camera: v@0')), []);
    assert.deepEqual(tracks('camera'), [first]);
    carried.set('5', second);
    assert.deepEqual(hear(say(1, 'camera: v@5')), ['track v']);
    assert.deepEqual(tracks('camera'), [second]);
  });
});
