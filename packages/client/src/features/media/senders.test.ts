import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeConnection, FakeStream, FakeTrack } from './fake-media.test-support.ts';
import { orderCodecs } from './hints.ts';
import { Senders } from './senders.ts';
import { SentStreams, type StreamOptions } from './sent-streams.ts';

const VP8 = { mimeType: 'video/VP8' };
const VP9 = { mimeType: 'video/VP9' };
const RTX = { mimeType: 'video/rtx' };

function setUp() {
  const sent = new SentStreams(() => undefined);
  const warnings: string[] = [];
  const scope = { RTCRtpSender: { getCapabilities: () => ({ codecs: [VP8, RTX, VP9] }) } };
  const senders = new Senders(sent, scope as never, (message) => warnings.push(message));
  const connection = new FakeConnection();
  return {
    sent,
    senders,
    connection,
    warnings,
    add: (stream: FakeStream, options: StreamOptions = {}) =>
      sent._add(stream as never, null, options),
    replace: (before: FakeTrack, after: FakeTrack | null) =>
      sent._replace(before as never, after as never),
    sync: (to: FakeConnection | null = connection) => senders._sync(to as never),
    /** `stream: track@mid`, with `!` behind what is muted. */
    said: () =>
      senders._announcement?.map(
        ({ id, tracks }) =>
          `${id}: ${tracks.map((one) => `${one.id}@${one.mid}${one.isMuted ? '!' : ''}`).join(' ')}`,
      ) ?? null,
  };
}

describe('what is sent to a peer', () => {
  it('is announced when it is negotiated, all at once', () => {
    const { add, sync, said, connection } = setUp();
    add(new FakeStream('camera', new FakeTrack('v'), new FakeTrack('a', 'audio')));
    sync(null);
    sync();
    assert.equal(said(), null);
    connection.negotiate();
    assert.deepEqual(said(), ['camera: v@0 a@1']);
  });

  it('is sent once, in however many streams it is', () => {
    const { add, sent, sync, said, connection } = setUp();
    const track = new FakeTrack('v');
    add(new FakeStream('one', track));
    add(new FakeStream('two', track));
    sync();
    connection.negotiate();
    assert.deepEqual(said(), ['one: v@0', 'two: v@0']);
    sent._remove('one');
    sync();
    assert.deepEqual(said(), ['two: v@0']);
    assert.equal(connection.transceivers[0]?.direction, 'sendonly');
  });

  it('uses idle transceivers of its kind again, however often streams come and go', () => {
    const { add, sent, sync, said, connection } = setUp();
    for (let i = 0; i < 50; i++) {
      add(new FakeStream(`${i}`, new FakeTrack(`v${i}`), new FakeTrack(`a${i}`, 'audio')));
      sync();
      connection.negotiate();
      assert.deepEqual(said(), [`${i}: v${i}@0 a${i}@1`]);
      sent._remove(`${i}`);
      sync();
      if (i % 2 === 0) connection.negotiate();
    }
    assert.equal(connection.transceivers.length, 2);
    assert.equal(connection.transceivers[0]?.direction, 'inactive');
    assert.equal(connection.transceivers[0]?.asked.at(-1), null);
  });

  it('leaves out what the other side has refused, and does not offer it again and again', () => {
    const { add, sync, said, connection } = setUp();
    add(new FakeStream('camera', new FakeTrack('v'), new FakeTrack('a', 'audio')));
    sync();
    connection.negotiate();
    const [video] = connection.transceivers;
    if (video !== undefined) Object.assign(video, { direction: 'stopped', mid: null });
    sync();
    assert.deepEqual(said(), ['camera: a@1']);
    assert.equal(connection.transceivers.length, 2);
  });

  it('goes by another connection again', () => {
    const { add, sync, said, connection } = setUp();
    add(new FakeStream('camera', new FakeTrack('v')));
    sync();
    connection.negotiate();
    const next = new FakeConnection();
    sync(next);
    assert.equal(said(), null, 'nothing is taken for removed');
    next.negotiate();
    assert.deepEqual(said(), ['camera: v@0']);
  });

  it('is replaced by its own name or that of what replaces it, and keeps its id', async () => {
    const { add, replace, sync, said, connection, senders } = setUp();
    const [red, lime, blue] = [new FakeTrack('red'), new FakeTrack('lime'), new FakeTrack('blue')];
    const stream = new FakeStream('camera', red);
    add(stream);
    replace(red, lime);
    sync();
    connection.negotiate();
    replace(lime, blue);
    sync();
    replace(red, null);
    sync();
    assert.deepEqual(said(), ['camera: red@0!']);
    replace(red, lime);
    red.readyState = 'ended';
    sync();
    await senders._changes;
    assert.deepEqual(connection.transceivers[0]?.asked, [lime, blue, null, lime]);
    assert.deepEqual(said(), ['camera: red@0']);
    // The page does the same to its stream.
    stream.removeTrack(red);
    stream.addTrack(lime);
    sync();
    assert.deepEqual(said(), ['camera: red@0']);
    stream.addTrack(red);
    sync();
    connection.negotiate();
    assert.deepEqual(said(), ['camera: red@0 red+@1!']);
  });

  it('is muted when it is switched off, has nothing to give, or has ended', () => {
    const { add, sync, said, connection } = setUp();
    const track = new FakeTrack('v');
    add(new FakeStream('camera', track));
    sync();
    connection.negotiate();
    const live = { enabled: true, muted: false, readyState: 'live' };
    for (const change of [{ enabled: false }, { muted: true }, { readyState: 'ended' }]) {
      Object.assign(track, change);
      assert.deepEqual(said(), ['camera: v@0!']);
      Object.assign(track, live);
      assert.deepEqual(said(), ['camera: v@0']);
    }
  });

  it('is sent as the page would like it, and as ever when it does not care any more', async () => {
    const { add, sync, connection, warnings } = setUp();
    const stream = new FakeStream('camera', new FakeTrack('v'));
    const video = { codecs: ['vp9', 'H999'], maxBitrate: 1000, maxFramerate: 10 };
    add(stream, { video, audio: { maxBitrate: 7 }, tracks: { v: { maxBitrate: 2000 } } });
    sync();
    await Promise.resolve();
    const [transceiver] = connection.transceivers;
    const [encoding] = transceiver?.parameters.encodings ?? [];
    assert.deepEqual(transceiver?.codecs, [VP9, VP8, RTX]);
    assert.equal(encoding?.['maxBitrate'], 2000);
    assert.equal(encoding?.['maxFramerate'], 10);
    assert.deepEqual(warnings, ['this browser has no codec H999']);
    add(stream);
    sync();
    await Promise.resolve();
    assert.deepEqual(transceiver?.codecs, []);
    assert.equal(encoding?.['maxFramerate'], undefined);
  });

  it('takes the codecs of the browser in the order that is wanted, and leaves none out', () => {
    const known = [VP8, RTX, VP9] as never[];
    const none: string[] = [];
    assert.deepEqual(
      orderCodecs(known, ['VP9', 'vp8'], (text) => none.push(text)),
      [VP9, VP8, RTX],
    );
    assert.deepEqual(
      orderCodecs(known, ['AV1'], (text) => none.push(text)),
      [],
    );
    assert.deepEqual(
      orderCodecs([], ['AV1'], (text) => none.push(text)),
      [],
    );
    assert.equal(none.length, 2);
  });
});
