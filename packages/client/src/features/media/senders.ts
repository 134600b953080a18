import type { Platform } from '../../platform/platform.ts';
import type { AnnouncedStream } from './announcement.ts';
import type { Warn } from '../warn.ts';
import { applyHints } from './hints.ts';
import { type SentStreams, optionsOf } from './sent-streams.ts';

const NO_HINTS = '{}';

/**
 * A transceiver, and what it was asked for last: browsers show that only when they have done it.
 */
interface Sender {
  readonly transceiver: RTCRtpTransceiver;
  track: MediaStreamTrack | null;
  hints: string;
}

/** One track on its way to a peer, however many streams it is in. */
interface Slot {
  /** What the other page knows it by, whatever is sent in its place. */
  readonly id: string;
  track: MediaStreamTrack | null;
  /** In the connection of now. */
  sender: Sender | null;
}

/**
 * Brings the senders of a connection in line with what is to be sent. Each side sends by
 * transceivers that it has made itself, so neither depends on how the other one's offers are
 * matched with them; those that fall idle are used again, so that descriptions do not grow with
 * each stream that comes and goes.
 */
export class Senders {
  readonly #streams: SentStreams;
  readonly #scope: Platform['scope'];
  readonly #warn: Warn;
  /** By the track in the page's streams. */
  #slots = new Map<MediaStreamTrack, Slot>();
  #connection: RTCPeerConnection | null = null;
  #senders: Sender[] = [];
  /** Resolves when the browser sends what it was asked to. */
  _changes: Promise<unknown> = Promise.resolve();

  constructor(streams: SentStreams, scope: Platform['scope'], warn: Warn) {
    this.#streams = streams;
    this.#scope = scope;
    this.#warn = warn;
  }

  _sync(connection: RTCPeerConnection | null): void {
    this.#updateSlots();
    if (connection === null) return;
    const slots = [...this.#slots.values()];
    if (connection !== this.#connection) {
      this.#connection = connection;
      this.#senders = [];
      for (const slot of slots) slot.sender = null;
    }
    for (const [source, slot] of this.#slots) this.#send(connection, source, slot);
    for (const sender of this.#senders)
      if (!slots.some((slot) => slot.sender === sender)) this.#ask(sender, 'inactive', null);
  }

  /**
   * What is to be said of it; `null` while something is not negotiated yet, so that a stream comes
   * with all its tracks, and none is taken for removed while a connection is made anew.
   */
  get _announcement(): readonly AnnouncedStream[] | null {
    for (const { sender } of this.#slots.values())
      // Set with the answer: what was only offered may be rolled back, and then has another mid.
      if (
        sender?.transceiver.direction === 'sendonly' &&
        sender.transceiver.currentDirection !== 'sendonly'
      )
        return null;
    return [...this.#streams._byId].map(([id, entry]) => ({
      id,
      revision: entry.revision,
      metadata: entry.metadata ?? null,
      tracks: entry.stream.getTracks().flatMap((source) => {
        const { id: trackId = '', sender, track } = this.#slots.get(source) ?? {};
        const mid = sender?.transceiver.mid;
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
      const slot = before.get(source) ?? moved ?? { id, track, sender: null };
      slot.track = track;
      this.#slots.set(source, slot);
    }
  }

  #send(connection: RTCPeerConnection, source: MediaStreamTrack, slot: Slot): void {
    const { kind } = source;
    const entries = [...this.#streams._byId.values()].filter(({ stream }) =>
      stream.getTracks().includes(source),
    );
    // What the browser calls the stream keeps sound and picture together in time.
    const streams = entries.slice(0, 1).map(({ stream }) => stream);
    if (slot.sender === null) {
      const taken = [...this.#slots.values()].map(({ sender }) => sender);
      const idle = this.#senders.find(
        (sender) =>
          !taken.includes(sender) &&
          sender.transceiver.receiver.track.kind === kind &&
          sender.transceiver.direction !== 'stopped',
      );
      idle?.transceiver.sender.setStreams?.(...streams);
      slot.sender = idle ?? {
        transceiver: connection.addTransceiver(kind, { direction: 'sendonly', streams }),
        track: null,
        hints: NO_HINTS,
      };
      if (idle === undefined) this.#senders.push(slot.sender);
    }
    const { sender } = slot;
    this.#ask(sender, 'sendonly', slot.track);
    const options = Object.assign({}, ...entries.map((entry) => optionsOf(entry, source)), {
      metadata: undefined,
    });
    const hints = JSON.stringify(options);
    if (sender.hints === hints) return;
    sender.hints = hints;
    const known = this.#scope.RTCRtpSender?.getCapabilities(kind)?.codecs ?? [];
    void applyHints(sender.transceiver, known, options, this.#warn);
  }

  #ask(sender: Sender, direction: 'sendonly' | 'inactive', track: MediaStreamTrack | null): void {
    const { transceiver } = sender;
    // The other side may have refused it for good.
    if (transceiver.direction === 'stopped') return;
    transceiver.direction = direction;
    if (sender.track === track) return;
    sender.track = track;
    const change = transceiver.sender.replaceTrack(track).catch((error: unknown) => {
      this.#warn('a track was not taken', error);
    });
    this._changes = Promise.all([this._changes, change]);
  }
}

function isLive(track: MediaStreamTrack | null | undefined): boolean {
  return track?.enabled === true && !track.muted && track.readyState === 'live';
}
