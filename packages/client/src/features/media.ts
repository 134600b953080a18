import type { Api, Feature, PeerHandle, PeerPart, RoomPart } from '../feature.ts';

export interface MediaPeer {
  /**
   * Sends a stream of camera, microphone or screen, with whatever the other page should know of
   * it. It outlives lost connections.
   */
  addStream(stream: MediaStream, metadata?: unknown): void;
  removeStream(stream: MediaStream): void;
  /** Sends another track in the place of one: another camera, say. */
  replaceTrack(oldTrack: MediaStreamTrack, newTrack: MediaStreamTrack): Promise<void>;
}

export interface MediaRoom {
  /** Sends a stream to everybody who is here and who comes. */
  addStream(stream: MediaStream, metadata?: unknown): void;
  removeStream(stream: MediaStream): void;
}

export type MediaEvents = {
  /** A media stream of the peer, and what it said of it. */
  stream: [stream: MediaStream, metadata: unknown];
};

export interface MediaApi extends Api {
  readonly room: MediaRoom;
  readonly peer: MediaPeer;
  readonly peerEvents: MediaEvents;
}

/** Streams of audio and video: `addStream` and its kin, `peer.on('stream')`. */
export function media(): Feature<MediaApi> {
  return { name: 'media', room: () => mediaOf() };
}

function mediaOf(): RoomPart {
  /** What goes to everybody, and what it is about. */
  const streams = new Map<MediaStream, unknown>();
  const parts = new Map<PeerHandle, MediaPart>();
  const api: MediaRoom = {
    addStream: (stream, metadata = null) => {
      streams.set(stream, metadata);
      for (const { api: toPeer } of parts.values()) toPeer.addStream(stream, metadata);
    },
    removeStream: (stream) => {
      streams.delete(stream);
      for (const { api: toPeer } of parts.values()) toPeer.removeStream(stream);
    },
  };
  return {
    api,
    peer: (peer) => {
      const part = mediaPart(peer, () => parts.delete(peer));
      parts.set(peer, part);
      for (const [stream, metadata] of streams) part.api.addStream(stream, metadata);
      return part;
    },
  };
}

interface MediaPart extends PeerPart {
  readonly api: MediaPeer;
}

interface Outgoing {
  readonly stream: MediaStream;
  readonly metadata: unknown;
}

/**
 * Streams from and to one peer. They outlive the connection: a new one gets them again. What they
 * are about goes ahead of them in the frame `media`: `[[stream id, metadata] …]`.
 */
function mediaPart(peer: PeerHandle, handleClosed: () => void): MediaPart {
  const outgoing = new Map<string, Outgoing>();
  const metadataById = new Map<string, unknown>();
  const seen = new WeakSet<MediaStream>();

  const announce = (): void => {
    const streams = [...outgoing].map(([id, { metadata }]) => [id, metadata ?? null]);
    void peer.sendFrame('media', '', streams);
  };

  /** Gives a connection what is to be sent, and says before what it is about. */
  const attach = (connection: RTCPeerConnection): void => {
    if (outgoing.size === 0) return;
    announce();
    const sent = new Set(connection.getSenders().map(({ track }) => track));
    for (const { stream } of outgoing.values())
      for (const track of stream.getTracks())
        if (!sent.has(track)) connection.addTrack(track, stream);
  };

  const api: MediaPeer = {
    addStream: (stream, metadata = null) => {
      outgoing.set(stream.id, { stream, metadata });
      if (peer.connection !== null) attach(peer.connection);
    },
    removeStream: (stream) => {
      outgoing.delete(stream.id);
      const { connection } = peer;
      if (connection === null) return;
      const tracks: readonly (MediaStreamTrack | null)[] = stream.getTracks();
      for (const sender of connection.getSenders())
        if (sender.track !== null && tracks.includes(sender.track)) connection.removeTrack(sender);
      announce();
    },
    replaceTrack: async (oldTrack, newTrack) => {
      const sender = peer.connection?.getSenders().find(({ track }) => track === oldTrack);
      // No negotiation is needed.
      await sender?.replaceTrack(newTrack);
      for (const { stream } of outgoing.values()) {
        if (!stream.getTracks().includes(oldTrack)) continue;
        stream.removeTrack(oldTrack);
        stream.addTrack(newTrack);
      }
    },
  };

  return {
    api,
    events: ['stream'],
    frames: {
      media: {
        handle: (value) => {
          if (!Array.isArray(value)) return;
          metadataById.clear();
          for (const item of value.slice(0, 64) as unknown[])
            if (Array.isArray(item) && typeof item[0] === 'string')
              metadataById.set(item[0], item[1]);
        },
      },
    },
    onDirect: attach,
    onTrack: ({ streams: [stream] }) => {
      if (stream === undefined || seen.has(stream)) return;
      seen.add(stream);
      peer.emit('stream', stream, metadataById.get(stream.id) ?? null);
    },
    onClose: handleClosed,
  };
}
