import { expectThat, expectType } from '@lumamesh/base';
import { MAX_ID_LENGTH, MAX_STREAMS, isId } from './announcement.ts';
import { type TrackOptions, checkTrackOptions } from './hints.ts';

/** How a stream is sent. */
export interface StreamOptions {
  /** What the other page knows the stream by; up to 128 characters. Default: `stream.id`. */
  readonly id?: string;
  /** For the tracks of each kind. */
  readonly audio?: TrackOptions;
  readonly video?: TrackOptions;
  /** For single tracks, by the id of the track; goes before `audio` and `video`. */
  readonly tracks?: Readonly<Record<string, TrackOptions>>;
}

export interface SentStream {
  readonly stream: MediaStream;
  readonly metadata: unknown;
  readonly options: StreamOptions;
  readonly revision: number;
}

/** What a page wants to send, to one peer or to a room. Throws `BAD_ARGUMENT`. */
export class SentStreams {
  readonly _byId: Map<string, SentStream>;
  /** What is sent in the place of a track; `null`: nothing. */
  readonly #replaced: Map<MediaStreamTrack, MediaStreamTrack | null>;
  readonly #expectSendable: (value: unknown) => void;
  #revision: number;

  /**
   * @param expectSendable throws for metadata that nobody could be sent
   * @param from what is to be sent at first
   */
  constructor(expectSendable: (value: unknown) => void, from?: SentStreams) {
    this.#expectSendable = expectSendable;
    this._byId = new Map(from?._byId);
    this.#replaced = new Map(from === undefined ? [] : from.#replaced);
    this.#revision = from === undefined ? 0 : from.#revision;
  }

  /** The same, to go on by itself. */
  _copy(): SentStreams {
    return new SentStreams(this.#expectSendable, this);
  }

  /** Adds a stream, or says anew how it is sent. Returns its id. */
  _add(stream: MediaStream, metadata: unknown, options: StreamOptions): string {
    expectThat(isStream(stream), 'addStream: stream', 'a MediaStream', stream);
    expectType('addStream: options', options, 'object');
    const { audio = {}, video = {}, tracks = {} } = options;
    const id = options.id ?? this.#idOf(stream) ?? stream.id;
    expectThat(isId(id), 'addStream: id', `a text of 1 to ${MAX_ID_LENGTH} characters`, id);
    checkTrackOptions('addStream: audio', audio);
    checkTrackOptions('addStream: video', video);
    expectType('addStream: tracks', tracks, 'object');
    for (const one of Object.values(tracks)) checkTrackOptions('addStream: tracks', one);
    for (const one of [{ metadata }, audio, video, ...Object.values(tracks)])
      if (one.metadata !== undefined) this.#expectSendable(one.metadata);
    const { size } = this._byId;
    expectThat(
      size < MAX_STREAMS || this._byId.has(id),
      'addStream: stream',
      `one of ${MAX_STREAMS}`,
      size,
    );
    this.#revision += 1;
    this._byId.set(id, { stream, metadata, options, revision: this.#revision });
    return id;
  }

  _remove(streamOrId: MediaStream | string): void {
    const isRight = typeof streamOrId === 'string' || isStream(streamOrId);
    expectThat(isRight, 'removeStream: stream', 'a MediaStream or an id', streamOrId);
    for (const [id, { stream }] of this._byId)
      if (id === streamOrId || stream === streamOrId) this._byId.delete(id);
  }

  _replace(oldTrack: MediaStreamTrack, newTrack: MediaStreamTrack | null): void {
    const tracks = this._tracks();
    const [source] = [...tracks].find(([own, sent]) => own === oldTrack || sent === oldTrack) ?? [];
    expectThat(source !== undefined, 'replaceTrack: oldTrack', 'a track that is sent', oldTrack);
    expectThat(
      newTrack === null || newTrack?.kind === source.kind,
      'replaceTrack: newTrack',
      `null or a track of ${source.kind}`,
      newTrack,
    );
    this.#replaced.set(source, newTrack);
  }

  /** The tracks of all streams, each once, and what is sent in the place of each. */
  _tracks(): ReadonlyMap<MediaStreamTrack, MediaStreamTrack | null> {
    const tracks = new Map<MediaStreamTrack, MediaStreamTrack | null>();
    for (const { stream } of this._byId.values())
      for (const track of stream.getTracks()) {
        const replaced = this.#replaced.get(track);
        tracks.set(track, replaced === undefined ? track : replaced);
      }
    for (const track of this.#replaced.keys()) if (!tracks.has(track)) this.#replaced.delete(track);
    return tracks;
  }

  #idOf(wanted: MediaStream): string | undefined {
    return [...this._byId].find(([, { stream }]) => stream === wanted)?.[0];
  }
}

/** How a track of a stream is sent. */
export function optionsOf({ options }: SentStream, { id, kind }: MediaStreamTrack): TrackOptions {
  return { ...options[kind as 'audio' | 'video'], ...options.tracks?.[id] };
}

function isStream(value: unknown): value is MediaStream {
  return typeof (value as Partial<MediaStream> | null)?.getTracks === 'function';
}
