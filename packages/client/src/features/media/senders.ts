import type { AnnouncedStream } from './announcement.ts';
import { type TrackOptions, type Warn, applyHints } from './hints.ts';
import { type SentStreams, optionsOf } from './sent-streams.ts';

/** One track on its way to a peer, however many streams it is in. */
interface Slot {
  /** What the other page knows it by, whatever is sent in its place. */
  readonly id: string;
  track: MediaStreamTrack | null;
  /** In the connection of now. */
  transceiver: RTCRtpTransceiver | null;
}

/** What a transceiver was asked for last. Browsers show it only when they have done it. */
interface Asked {
  track: MediaStreamTrack | null;
  hints: string;
}

const NO_HINTS = '{}';

/**
 * Brings the senders of a connection in line with what is to be sent. Each side sends by
 * transceivers that it has made itself, so neither depends on how the other one's offers are
 * matched with them; those that fall idle are used again, so that descriptions do not grow with
 * each stream that comes and goes.
 */
export class Senders {
  readonly #streams: SentStreams;
  readonly #knownCodecs: (kind: string) => readonly RTCRtpCodec[];
  readonly #warn: Warn;
  /** By the track in the page's streams. */
  #slots = new Map<MediaStreamTrack, Slot>();
  #connection: RTCPeerConnection | null = null;
  #transceivers = new Map<RTCRtpTransceiver, Asked>();
  #changes: Promise<unknown> = Promise.resolve();

  constructor(
    streams: SentStreams,
    knownCodecs: (kind: string) => readonly RTCRtpCodec[],
    warn: Warn,
  ) {
    this.#streams = streams;
    this.#knownCodecs = knownCodecs;
    this.#warn = warn;
  }

  /** Resolves when the browser sends what it was asked to. */
  get _changes(): Promise<unknown> {
    return this.#changes;
  }

  _sync(connection: RTCPeerConnection | null): void {
    this.#updateSlots();
    if (connection === null) return;
    if (connection !== this.#connection) {
      this.#connection = connection;
      this.#transceivers = new Map();
      for (const slot of this.#slots.values()) slot.transceiver = null;
    }
    const idle = new Set(this.#transceivers.keys());
    for (const { transceiver } of this.#slots.values())
      if (transceiver !== null) idle.delete(transceiver);
    for (const [source, slot] of this.#slots) this.#send(connection, source, slot, idle);
    for (const transceiver of idle) this.#ask(transceiver, 'inactive', null);
  }

  /**
   * What is to be said of it; `null` while something is not negotiated yet, so that a stream comes
   * with all its tracks, and none is taken for removed while a connection is made anew.
   */
  get _announcement(): readonly AnnouncedStream[] | null {
    for (const { transceiver } of this.#slots.values())
      // Set with the answer: what was only offered may be rolled back, and then has another mid.
      if (transceiver?.direction === 'sendonly' && transceiver.currentDirection !== 'sendonly')
        return null;
    return [...this.#streams._byId].map(([id, entry]) => ({
      id,
      revision: entry.revision,
      metadata: entry.metadata ?? null,
      tracks: entry.stream.getTracks().flatMap((source) => {
        const { id: trackId = '', transceiver, track } = this.#slots.get(source) ?? {};
        const mid = transceiver?.mid;
        // Refused by the other side.
        if (typeof mid !== 'string') return [];
        const { metadata = null } = optionsOf(entry, source);
        return [{ id: trackId, kind: source.kind, mid, isMuted: !isLive(track), metadata }];
      }),
    }));
  }

  #updateSlots(): void {
    const before = this.#slots;
    const tracks = this.#streams._tracks();
    this.#slots = new Map();
    for (const [source, track] of tracks) {
      // A page may put what it sends in the place of a track into its stream, too.
      const [, moved] =
        [...before].find(([own, slot]) => !tracks.has(own) && slot.track === source) ?? [];
      let { id } = source;
      while ([...before.values()].some((slot) => slot.id === id)) id += '+';
      const slot = before.get(source) ?? moved ?? { id, track, transceiver: null };
      slot.track = track;
      this.#slots.set(source, slot);
    }
  }

  #send(
    connection: RTCPeerConnection,
    source: MediaStreamTrack,
    slot: Slot,
    idle: Set<RTCRtpTransceiver>,
  ): void {
    const entries = [...this.#streams._byId.values()].filter(({ stream }) =>
      stream.getTracks().includes(source),
    );
    if (slot.transceiver === null) {
      // What the browser calls the stream keeps sound and picture together in time.
      const streams = entries.slice(0, 1).map(({ stream }) => stream);
      const found = [...idle].find(
        ({ direction, receiver }) => receiver.track.kind === source.kind && direction !== 'stopped',
      );
      if (found === undefined) {
        slot.transceiver = connection.addTransceiver(slot.track ?? source.kind, {
          direction: 'sendonly',
          streams,
        });
        this.#transceivers.set(slot.transceiver, { track: slot.track, hints: NO_HINTS });
      } else {
        slot.transceiver = found;
        idle.delete(found);
        found.sender.setStreams?.(...streams);
      }
    }
    this.#ask(slot.transceiver, 'sendonly', slot.track);
    const options = Object.assign({}, ...entries.map((entry) => optionsOf(entry, source)));
    this.#hint(slot.transceiver, source.kind, { ...options, metadata: undefined });
  }

  #ask(
    transceiver: RTCRtpTransceiver,
    direction: 'sendonly' | 'inactive',
    track: MediaStreamTrack | null,
  ): void {
    const asked = this.#transceivers.get(transceiver);
    // The other side may have refused it for good.
    if (asked === undefined || transceiver.direction === 'stopped') return;
    transceiver.direction = direction;
    if (asked.track === track) return;
    asked.track = track;
    const change = transceiver.sender.replaceTrack(track).catch((error: unknown) => {
      this.#warn('a track was not taken', error);
    });
    this.#changes = Promise.all([this.#changes, change]);
  }

  #hint(transceiver: RTCRtpTransceiver, kind: string, options: TrackOptions): void {
    const asked = this.#transceivers.get(transceiver);
    const hints = JSON.stringify(options);
    if (asked === undefined || asked.hints === hints) return;
    asked.hints = hints;
    void applyHints(transceiver, this.#knownCodecs(kind), options, this.#warn);
  }
}

function isLive(track: MediaStreamTrack | null | undefined): boolean {
  return track?.enabled === true && !track.muted && track.readyState === 'live';
}
