import type { PeerLink } from '../peer-link.ts';

interface Outgoing {
  readonly stream: MediaStream;
  readonly metadata: unknown;
}

/** Streams from and to one peer. They outlive the connection: a new one gets them again. What a stream is about goes ahead of it under the tag `m`. */
export class Media {
  readonly #outgoing = new Map<string, Outgoing>();
  readonly #metadata = new Map<string, unknown>();
  readonly #seen = new WeakSet<MediaStream>();
  readonly #tell: (streams: readonly (readonly [id: string, metadata: unknown])[]) => void;
  readonly #onStream: (stream: MediaStream, metadata: unknown) => void;

  constructor(
    tell: (streams: readonly (readonly [id: string, metadata: unknown])[]) => void,
    onStream: (stream: MediaStream, metadata: unknown) => void,
  ) {
    this.#tell = tell;
    this.#onStream = onStream;
  }

  /** `link`: the connection, while there is one. */
  add(link: PeerLink | null, stream: MediaStream, metadata: unknown): void {
    this.#outgoing.set(stream.id, { stream, metadata });
    if (link !== null) this.attach(link);
  }

  remove(link: PeerLink | null, stream: MediaStream): void {
    this.#outgoing.delete(stream.id);
    if (link === null) return;
    const tracks: readonly (MediaStreamTrack | null)[] = stream.getTracks();
    for (const sender of link.connection.getSenders())
      if (sender.track !== null && tracks.includes(sender.track))
        link.connection.removeTrack(sender);
    this.#announce();
  }

  /** Sends another track in the place of one, with no negotiation: another camera, say. */
  async replace(
    link: PeerLink | null,
    oldTrack: MediaStreamTrack,
    newTrack: MediaStreamTrack,
  ): Promise<void> {
    const sender = link?.connection.getSenders().find(({ track }) => track === oldTrack);
    await sender?.replaceTrack(newTrack);
    for (const { stream } of this.#outgoing.values()) {
      if (!stream.getTracks().includes(oldTrack)) continue;
      stream.removeTrack(oldTrack);
      stream.addTrack(newTrack);
    }
  }

  /** Gives a connection what is to be sent, and says before what it is about. */
  attach(link: PeerLink): void {
    if (this.#outgoing.size === 0) return;
    this.#announce();
    const sent = new Set(link.connection.getSenders().map(({ track }) => track));
    for (const { stream } of this.#outgoing.values()) {
      for (const track of stream.getTracks())
        if (!sent.has(track)) link.connection.addTrack(track, stream);
    }
  }

  handleTag(value: unknown): void {
    if (!Array.isArray(value)) return;
    this.#metadata.clear();
    for (const item of value.slice(0, 64) as unknown[])
      if (Array.isArray(item) && typeof item[0] === 'string') this.#metadata.set(item[0], item[1]);
  }

  handleTrack({ streams: [stream] }: RTCTrackEvent): void {
    if (stream === undefined || this.#seen.has(stream)) return;
    this.#seen.add(stream);
    this.#onStream(stream, this.#metadata.get(stream.id) ?? null);
  }

  #announce(): void {
    this.#tell([...this.#outgoing].map(([id, { metadata }]) => [id, metadata ?? null]));
  }
}
