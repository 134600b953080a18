import type { Api, Feature, PeerHandle, PeerPart, RoomHandle, RoomPart } from '../../feature.ts';
import { type AnnouncedStream, readAnnouncement } from './announcement.ts';
import { type MediaEvents, type ReceivedStream, ReceivedStreams } from './received-streams.ts';
import { Senders } from './senders.ts';
import { SentStreams, type StreamOptions } from './sent-streams.ts';
import { type Warn, warnBy } from '../warn.ts';

export interface MediaSender {
  /**
   * Sends a stream of camera, microphone or screen, with whatever the other page should know of
   * it. It outlives lost connections. Tracks that are added to the stream or taken out of it, and
   * switched off (`enabled`) or on, follow within a second; at once when this is called again, as
   * it is to change metadata and options. Throws `BAD_ARGUMENT`, and `NOT_SENDABLE` for metadata.
   * @returns the id of the stream
   */
  addStream(stream: MediaStream, metadata?: unknown, options?: StreamOptions): string;
  /** Ends what `addStream` has begun. Throws `BAD_ARGUMENT`. */
  removeStream(streamOrId: MediaStream | string): void;
  /**
   * Sends another track in the place of one, in all streams that have it, or nothing (`null`), from
   * now on and as often as wanted: another camera, say. The other page's track stays the same. The
   * stream itself is left as it is. Resolves when it is sent; rejects with `BAD_ARGUMENT`.
   * @param oldTrack one of an added stream, or what is sent in the place of it
   */
  replaceTrack(oldTrack: MediaStreamTrack, newTrack: MediaStreamTrack | null): Promise<void>;
}

/** Sends to everybody who is here and who comes. */
export interface MediaRoom extends MediaSender {}

export interface MediaPeer extends MediaSender {
  /** What the peer sends now. */
  readonly streams: readonly ReceivedStream[];
}

export interface MediaApi extends Api {
  readonly room: MediaRoom;
  readonly peer: MediaPeer;
  readonly peerEvents: MediaEvents;
}

/** Streams of audio and video: `addStream` and its kin, `peer.on('stream')`. */
export function media(): Feature<MediaApi> {
  let warn: Warn = () => undefined;
  return {
    name: 'media',
    net: (net) => {
      warn = warnBy(net);
      return {};
    },
    room: (room) => mediaOf(room, warn),
  };
}

function mediaOf(room: RoomHandle, warn: Warn): RoomPart {
  const sent = new SentStreams((value) => room.expectSendable(value));
  const parts = new Map<PeerHandle, MediaPart>();
  const api: MediaRoom = {
    addStream: (stream, metadata, options = {}) => {
      const id = sent._add(stream, metadata, options);
      for (const { api: toPeer } of parts.values())
        toPeer.addStream(stream, metadata, { ...options, id });
      return id;
    },
    removeStream: (streamOrId) => {
      sent._remove(streamOrId);
      for (const { api: toPeer } of parts.values()) toPeer.removeStream(streamOrId);
    },
    replaceTrack: async (oldTrack, newTrack) => {
      sent._replace(oldTrack, newTrack);
      // Some may not be sent it any more.
      await Promise.allSettled(
        [...parts.values()].map(({ api: toPeer }) => toPeer.replaceTrack(oldTrack, newTrack)),
      );
    },
  };
  return {
    api,
    peer: (peer) => {
      const part = mediaPart(peer, sent._copy(), warn, () => parts.delete(peer));
      parts.set(peer, part);
      return part;
    },
  };
}

interface MediaPart extends PeerPart {
  readonly api: MediaPeer;
}

/**
 * Streams from and to one peer. What each side sends it says in the frame `media <number>`
 * (announcement.ts), whenever that changes, and to each new connection.
 */
function mediaPart(
  peer: PeerHandle,
  sent: SentStreams,
  warn: Warn,
  handleClosed: () => void,
): MediaPart {
  const { scope } = peer.platform;
  const senders = new Senders(sent, scope, warn);
  const received = new ReceivedStreams();
  let announced: readonly AnnouncedStream[] = [];
  /** Large announcements go by another lane than small ones: the last one said counts. */
  let [lastSent, lastHeard] = [0, 0];
  const NOTHING = '[]';
  let said = NOTHING;

  const send = (): void => {
    const { connection } = peer;
    senders._sync(connection);
    const streams = connection && senders._announcement;
    if (streams === null) return;
    // What a stream is about changes with its revision.
    const text = JSON.stringify(streams, (name, value: unknown) =>
      name === 'metadata' ? undefined : value,
    );
    if (text === said) return;
    said = text;
    lastSent += 1;
    try {
      void peer.sendFrame('media', String(lastSent), streams, { lane: 'requests' });
    } catch (error) {
      peer.onListenerError(error);
    }
  };

  const receive = (streams: readonly AnnouncedStream[]): void => {
    announced = streams;
    const { MediaStream } = scope;
    if (MediaStream === undefined) return;
    const byMid = new Map(peer.connection?.getTransceivers().map((one) => [one.mid, one]));
    const events = received._update(
      streams,
      ({ kind, mid }) => {
        const { receiver, currentDirection } = byMid.get(mid) ?? {};
        const isIt = receiver?.track.kind === kind && currentDirection === 'recvonly';
        return isIt ? receiver.track : undefined;
      },
      () => new MediaStream(),
    );
    for (const event of events)
      // A listener may have ended the peer, and heard then that all is gone.
      if (streams === announced) peer.emit(event[0], ...event.slice(1));
  };

  return {
    api: {
      get streams() {
        return received._all;
      },
      addStream: (stream, metadata, options = {}) => {
        const id = sent._add(stream, metadata, options);
        send();
        return id;
      },
      removeStream: (streamOrId) => {
        sent._remove(streamOrId);
        send();
      },
      replaceTrack: async (oldTrack, newTrack) => {
        sent._replace(oldTrack, newTrack);
        send();
        await senders._changes;
      },
    },
    events: [
      'stream',
      'streamChanged',
      'streamRemoved',
      'track',
      'trackMuted',
      'trackUnmuted',
      'trackRemoved',
    ],
    frames: {
      media: {
        handle: (value, argument) => {
          const number = Number(argument);
          if (!(number > lastHeard)) return;
          lastHeard = number;
          receive(readAnnouncement(value));
        },
      },
    },
    onDirect: (connection) => {
      if (said !== NOTHING) said = '';
      // Transceivers get their mids when the two sides have agreed.
      connection.addEventListener('signalingstatechange', send);
      send();
    },
    needsConnection: () => sent._byId.size > 0,
    onTrack: () => receive(announced),
    onTick: () => {
      send();
      receive(announced);
    },
    onReset: () => {
      lastHeard = 0;
      receive([]);
    },
    onClose: () => {
      handleClosed();
      receive([]);
    },
  };
}
