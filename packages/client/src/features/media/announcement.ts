/*
 * What a page says of the media that it sends: the value of the frame `media`. Streams and tracks
 * have ids of their own and name the transceiver that carries them, because what browsers tell of
 * the other side's streams (msid) changes with each connection and says nothing of what is meant.
 */

/** Streams that a page sends to one peer, and tracks of one stream: more are passed over. */
export const MAX_STREAMS = 64;
export const MAX_TRACKS = 64;
/** Of the ids of streams and tracks; those of browsers have 36 to 38. */
export const MAX_ID_LENGTH = 128;

export interface AnnouncedTrack {
  readonly id: string;
  readonly kind: string;
  /** Of the transceiver that carries it. */
  readonly mid: string;
  /** Nothing is to be seen or heard of it now. */
  readonly isMuted: boolean;
  readonly metadata?: unknown;
}

export interface AnnouncedStream {
  readonly id: string;
  /** Another one whenever the page has added the stream anew. */
  readonly revision: number;
  readonly metadata?: unknown;
  readonly tracks: readonly AnnouncedTrack[];
}

/** A stranger's word: what is malformed in it, twice there or too much is passed over. */
export function readAnnouncement(value: unknown): readonly AnnouncedStream[] {
  return readList<AnnouncedStream>(
    value,
    MAX_STREAMS,
    ({ revision }) => typeof revision === 'number',
  ).map((stream) => ({
    ...stream,
    tracks: readList<AnnouncedTrack>(
      stream.tracks,
      MAX_TRACKS,
      ({ kind, mid, isMuted }) =>
        (kind === 'audio' || kind === 'video') && isId(mid) && typeof isMuted === 'boolean',
    ),
  }));
}

export function isId(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= MAX_ID_LENGTH;
}

/** The entries of a list that have an id and are right, the first of each id. */
function readList<Entry extends { readonly id: string }>(
  value: unknown,
  max: number,
  isRight: (entry: Partial<Record<keyof Entry, unknown>>) => boolean,
): readonly Entry[] {
  const entries = new Map<string, Entry>();
  for (const entry of Array.isArray(value) ? (value.slice(0, max) as (Entry | null)[]) : [])
    if (isId(entry?.id) && !entries.has(entry.id) && isRight(entry)) entries.set(entry.id, entry);
  return [...entries.values()];
}
