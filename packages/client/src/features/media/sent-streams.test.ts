import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LumameshError } from '@lumamesh/base';
import { MAX_STREAMS } from './announcement.ts';
import { FakeStream, FakeTrack } from './fake-media.test-support.ts';
import { SentStreams } from './sent-streams.ts';

function isRefused(run: () => unknown, parameter: RegExp): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof LumameshError, String(error));
    assert.equal(error.code, 'BAD_ARGUMENT');
    assert.match(error.message, parameter);
    return true;
  });
}

describe('streams to send', () => {
  const stream = new FakeStream('camera', new FakeTrack('v'));
  const add = (to: SentStreams, value: unknown, options: unknown = {}): string =>
    to._add(value as never, null, options as never);

  it('have the id that the page gives, or their own, and keep it', () => {
    const sent = new SentStreams(() => undefined);
    assert.equal(add(sent, stream), 'camera');
    assert.equal(add(sent, new FakeStream('x'), { id: 'screen' }), 'screen');
    const named = new FakeStream('y');
    add(sent, named, { id: 'named' });
    assert.equal(add(sent, named), 'named');
    assert.deepEqual([...sent._byId.keys()], ['camera', 'screen', 'named']);
    sent._remove(named as never);
    sent._remove('screen');
    sent._remove('not there');
    assert.deepEqual([...sent._byId.keys()], ['camera']);
  });

  it('are refused with metadata, of the stream or of a track, that nobody could be sent', () => {
    const sent = new SentStreams((value) => {
      if (typeof value === 'function') throw new LumameshError('NOT_SENDABLE', 'a function');
    });
    const metadata = (): void => undefined;
    for (const options of [
      { audio: { metadata } },
      { video: { metadata } },
      { tracks: { v: { metadata } } },
    ])
      assert.throws(() => add(sent, stream, options), { code: 'NOT_SENDABLE' });
    assert.throws(() => sent._add(stream as never, metadata, {}), { code: 'NOT_SENDABLE' });
    assert.equal(sent._byId.size, 0);
    add(sent, stream, { video: { metadata: { isMirrored: true } }, audio: {} });
  });

  it('are refused when something is wrong with them, and nothing is added', () => {
    const sent = new SentStreams(() => undefined);
    for (const value of [undefined, null, 42, 'x', {}, new FakeTrack('v')])
      isRefused(() => add(sent, value), /addStream: stream must be a MediaStream/);
    for (const options of [null, 42, 'x']) isRefused(() => add(sent, stream, options), /options/);
    for (const id of ['', 42, 'x'.repeat(129)])
      isRefused(() => add(sent, stream, { id }), /addStream: id/);
    for (const [name, values] of Object.entries({
      maxBitrate: [0, -1, Number.NaN, '1', null],
      maxFramerate: [-1, Number.NaN, {}],
      scaleResolutionDownBy: [0.5, '2'],
      codecs: ['VP9', [42], {}],
      degradationPreference: [42, null],
    }))
      for (const value of values)
        for (const options of [
          { video: { [name]: value } },
          { audio: { [name]: value } },
          { tracks: { v: { [name]: value } } },
        ])
          isRefused(() => add(sent, stream, options), new RegExp(name));
    for (const name of ['audio', 'video', 'tracks'])
      for (const value of [null, 42, 'x'])
        isRefused(() => add(sent, stream, { [name]: value }), new RegExp(`addStream: ${name}`));
    isRefused(() => sent._remove(42 as never), /removeStream: stream/);
    assert.equal(sent._byId.size, 0);
  });

  it('are not more than the other side takes', () => {
    const sent = new SentStreams(() => undefined);
    for (let i = 0; i < MAX_STREAMS; i++) add(sent, new FakeStream(`${i}`));
    isRefused(() => add(sent, stream), /one of 64/);
    add(sent, new FakeStream('7'));
  });

  it('have tracks that are replaced by such of their kind, or nothing, and only if they are sent', () => {
    const sent = new SentStreams(() => undefined);
    const [track] = stream.getTracks();
    const replace = (before: unknown, after: unknown): void =>
      sent._replace(before as never, after as never);
    isRefused(() => replace(track, null), /replaceTrack: oldTrack/);
    add(sent, stream);
    for (const value of [undefined, 42, {}, new FakeTrack('a', 'audio')])
      isRefused(() => replace(track, value), /newTrack must be null or a track of video/);
    replace(track, null);
    assert.deepEqual([...sent._tracks().values()], [null]);
    // Who comes later is sent the same.
    assert.deepEqual([...sent._copy()._tracks().values()], [null]);
    sent._remove('camera');
    assert.equal(sent._tracks().size, 0);
    add(sent, stream);
    assert.deepEqual([...sent._tracks().values()], [track]);
  });
});
