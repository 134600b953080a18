import type { AnnouncedStream, AnnouncedTrack } from './announcement.ts';

/** What the other page says of a track. */
export interface TrackInfo {
  /** As its browser calls it; stays when the track is replaced. */
  readonly id: string;
  readonly streamId: string;
  readonly metadata: unknown;
  /** The other page has switched it off, or has nothing to send. */
  readonly isMuted: boolean;
}

/** A stream that a peer sends. */
export interface ReceivedStream {
  readonly id: string;
  readonly stream: MediaStream;
  readonly metadata: unknown;
  readonly tracks: readonly (TrackInfo & { readonly track: MediaStreamTrack })[];
}

export type MediaEvents = {
  /** A stream of the peer is there, and what it said of it. */
  stream: [stream: MediaStream, metadata: unknown, id: string];
  /** The peer has called `addStream` for it again: with other metadata, say. */
  streamChanged: [stream: MediaStream, metadata: unknown, id: string];
  /** The peer sends it no more, or is gone. */
  streamRemoved: [stream: MediaStream, metadata: unknown, id: string];
  /**
   * A track of a stream is there. Again for each new connection, which has tracks of its own in the
   * same stream.
   */
  track: [track: MediaStreamTrack, stream: MediaStream, info: TrackInfo];
  trackMuted: [track: MediaStreamTrack, stream: MediaStream, info: TrackInfo];
  trackUnmuted: [track: MediaStreamTrack, stream: MediaStream, info: TrackInfo];
  trackRemoved: [track: MediaStreamTrack, stream: MediaStream, info: TrackInfo];
};

type Event = { [Name in keyof MediaEvents]: [Name, ...MediaEvents[Name]] }[keyof MediaEvents];

interface KnownTrack {
  readonly track: MediaStreamTrack;
  readonly info: TrackInfo;
}

interface Known {
  readonly stream: MediaStream;
  readonly tracks: Map<string, KnownTrack>;
  metadata: unknown;
  revision: number;
}

/** The streams of one peer, put together from what it says and what its connection carries. */
export class ReceivedStreams {
  readonly #known = new Map<string, Known>();

  get _all(): readonly ReceivedStream[] {
    return [...this.#known].map(([id, { stream, metadata, tracks }]) => ({
      id,
      stream,
      metadata,
      tracks: [...tracks.values()].map(({ track, info }) => ({ ...info, track })),
    }));
  }

  /**
   * @param trackOf what the connection of now has of an announced track; without it, and before the
   *   next one has it, a track that was there stays
   * @returns what has changed
   */
  _update(
    announced: readonly AnnouncedStream[],
    trackOf: (track: AnnouncedTrack) => MediaStreamTrack | undefined,
    makeStream: () => MediaStream,
  ): readonly Event[] {
    const events = this.#removeAllBut(announced);
    for (const { id, revision, metadata = null, tracks } of announced) {
      const before = this.#known.get(id);
      const known = before ?? { stream: makeStream(), tracks: new Map(), metadata, revision };
      const ofTracks = tracks.flatMap((track) => updateTrack(id, known, track, trackOf(track)));
      // A stream comes when all of it is there.
      const isWhole = known.tracks.size > 0 && known.tracks.size === tracks.length;
      if (before === undefined && !isWhole) continue;
      this.#known.set(id, known);
      const isSame = before?.revision === revision;
      known.metadata = metadata;
      known.revision = revision;
      if (!isSame)
        events.push([
          before === undefined ? 'stream' : 'streamChanged',
          known.stream,
          metadata,
          id,
        ]);
      events.push(...ofTracks);
    }
    return events;
  }

  #removeAllBut(announced: readonly AnnouncedStream[]): Event[] {
    const events: Event[] = [];
    for (const [id, { stream, metadata, tracks }] of this.#known) {
      const said = announced.find((one) => one.id === id);
      for (const [trackId, { track, info }] of tracks) {
        if (said?.tracks.some((one) => one.id === trackId) === true) continue;
        tracks.delete(trackId);
        stream.removeTrack(track);
        events.push(['trackRemoved', track, stream, info]);
      }
      if (said !== undefined) continue;
      this.#known.delete(id);
      events.push(['streamRemoved', stream, metadata, id]);
    }
    return events;
  }
}

function updateTrack(
  streamId: string,
  { stream, tracks }: Known,
  { id, metadata = null, isMuted }: AnnouncedTrack,
  found: MediaStreamTrack | undefined,
): readonly Event[] {
  const before = tracks.get(id);
  const track = found ?? before?.track;
  if (track === undefined) return [];
  const info = { id, streamId, metadata, isMuted };
  tracks.set(id, { track, info });
  if (track === before?.track)
    return isMuted === before.info.isMuted
      ? []
      : [[isMuted ? 'trackMuted' : 'trackUnmuted', track, stream, info]];
  if (before !== undefined) stream.removeTrack(before.track);
  stream.addTrack(track);
  return [['track', track, stream, info]];
}
