import { Emitter, type Instant, LumameshError, instant } from '@lumamesh/base';
import type { PeerSignal } from '../core/signal.ts';
import {
  type FrameSink,
  type SendOptions,
  type ValueInbox,
  type ValueOutbox,
  encodeValue,
} from '../core/peer-frame.ts';
import type { IncomingFile } from './full/files.ts';
import { PeerLink, type PeerLinkEvents } from './peer-link.ts';
import type { Platform } from './platform.ts';

/** A connection that failed for good is begun anew this often before the peer is given up. */
const MAX_RECONNECTS = 3;
/** A peer may begin anew this often: each time costs an RTCPeerConnection. */
const ANEW_INTERVAL_MS = 1000;
/** Candidates that overtook their description. */
const MAX_HELD_SIGNALS = 16;

/**
 * `connecting`: not yet there. `open`: values go straight to the peer. `forwarded`: they go sealed through another member.
 * `reconnecting`: the way was lost and another is sought; reliable values wait. `closed`: the end.
 */
export type PeerState = 'connecting' | 'open' | 'forwarded' | 'reconnecting' | 'closed';

export type PeerEvents = {
  /** The peer can be talked to. Once. */
  open: [];
  /** A value as it was sent; binary arrives as Uint8Array. */
  data: [value: unknown];
  /** How far a large value has come. */
  progress: [receivedBytes: number, totalBytes: number];
  status: [state: PeerState];
  /** The peer would like to send a file: nothing flows until `file.accept()`. Refused when nobody listens. Not in `lumamesh/core`. */
  file: [file: IncomingFile];
  /** A media stream of the peer, and what it said of it. Not in `lumamesh/core`. */
  stream: [stream: MediaStream, metadata: unknown];
  /** The peer is gone: it left, or cannot be reached any more. Last event. */
  close: [reason: PeerCloseReason];
};

/** `left`: it said goodbye. `lost`: it fell silent. `failed`: no way to it was found. `room-left`: this page left the room. `refused`: by this page. */
export type PeerCloseReason = 'left' | 'lost' | 'failed' | 'room-left' | 'refused';

/** What a peer needs of its room. */
export interface PeerHost {
  readonly platform: Platform;
  readonly onListenerError: (error: unknown) => void;
  iceServers(): readonly RTCIceServer[];
  signal(peer: Peer, signal: PeerSignal): void;
  handlePeerEnded(peer: Peer, reason: PeerCloseReason): void;
}

const NOWHERE: FrameSink = { isOpen: false, bufferedAmount: 0, send: () => undefined };

/** Another browser in the room. */
export abstract class Peer extends Emitter<PeerEvents> {
  /** Self-certifying: the hash of the key that signs everything this peer says through relays. */
  readonly id: string;
  protected readonly host: PeerHost;
  protected readonly isPolite: boolean;
  #nick: string;
  /** Made by {@link start}, which the room calls before anybody sees the peer. */
  #link = null as unknown as PeerLink;
  /** Where values go while there is no direct way. */
  #detour: FrameSink | null = null;
  #state: PeerState = 'connecting';
  #remoteAttempt: string | null = null;
  readonly #outbox: ValueOutbox;
  #detourInbox: ValueInbox;
  #reconnects = 0;
  #anewAt: Instant = instant(-ANEW_INTERVAL_MS);
  #held: PeerSignal[] = [];
  /** No relay lists the peer any more; only the connection still says that it is there. */
  #hasLeft = false;
  #wasOpen = false;

  constructor(id: string, nick: string, ownId: string, host: PeerHost) {
    super(host.onListenerError);
    this.id = id;
    this.#nick = nick;
    this.host = host;
    this.isPolite = ownId < id;
    this.#outbox = this.makeOutbox();
    this.#detourInbox = this.makeInbox();
  }

  /** @internal Begins to connect. */
  start(offersFirst: boolean): void {
    this.#link = this.#makeLink(offersFirst);
  }

  /** What the peer calls itself; sealed, so relays do not know it. Empty when it gave no name. */
  get nick(): string {
    return this.#nick;
  }

  get state(): PeerState {
    return this.#state;
  }

  /** Whether values go to the peer now. */
  get isOpen(): boolean {
    return this.#sink.isOpen;
  }

  /** Bytes that have not left this page yet. */
  get bufferedAmount(): number {
    return this.#outbox.pendingBytes + this.#sink.bufferedAmount;
  }

  /**
   * Sends a JSON value or binary data of any size up to 256 MB (in `lumamesh/core` 64 KB), in order; before the connection is open it waits. The answer
   * never rejects: `true` when the network has taken all of it, `false` when it was taken back (`signal`) or the peer is gone. What was taken is lost
   * when the connection ends before it arrives (`status` tells of `reconnecting`): whoever must know asks (`peer.request`).
   * Throws `PEER_CLOSED`, `NOT_SENDABLE`, `MESSAGE_TOO_LARGE` or `TOO_MUCH_PENDING` (more than 16 MB wait already: await what you send).
   */
  send(value: unknown, options: SendOptions = {}): Promise<boolean> {
    return this.sendTagged('', value, options);
  }

  /** The time to the peer and back, in ms: the last one measured, which is a few seconds old at most. 0 before there is one. */
  get rttMs(): number {
    return this.#link.rttMs;
  }

  /** @internal Sends a value for the part of the library that knows `tag`, on the other side. */
  sendTagged(tag: string, value: unknown, options: SendOptions = {}): Promise<boolean> {
    if (this.#state === 'closed') throw new LumameshError('PEER_CLOSED', 'the peer has left');
    return this.#outbox.send(this.#sink, tag, encodeValue(value), options);
  }

  /** @internal Presence was heard again. */
  handleSeen(nick: string, hasMissed: boolean): void {
    this.#nick = nick;
    this.#hasLeft = false;
    this.#link.retry(hasMissed);
  }

  /** @internal A signal of this peer, opened and checked. */
  handleSignal(signal: PeerSignal): void {
    // For a connection of ours that is gone.
    if (this.#state === 'closed' || (signal.to !== undefined && signal.to !== this.#link.attempt))
      return;
    if (this.#remoteAttempt !== null && this.#remoteAttempt !== signal.attempt) {
      // The other side began anew (its connection had failed for good): so do we. Everything else of another attempt is late.
      const beginsAnew = signal.description?.type === 'offer' && signal.to === undefined;
      const now = this.host.platform.now();
      if (!beginsAnew || now - this.#anewAt < ANEW_INTERVAL_MS) return;
      this.#anewAt = now;
      this.beginAnew(false);
    }
    if (signal.description !== undefined) this.#remoteAttempt = signal.attempt;
    else if (this.#remoteAttempt === null) {
      // Candidates alone do not say which attempt will count.
      if (this.#held.length < MAX_HELD_SIGNALS) this.#held.push(signal);
      return;
    }
    this.#link.handleSignal(signal);
    for (const held of this.#held.splice(0))
      if (held.attempt === signal.attempt) this.#link.handleSignal(held);
  }

  /** @internal The relay says that the peer is gone. A living connection knows better. */
  handleLeft(): void {
    this.#hasLeft = true;
    if (!this.#link.isConnected && this.#detour === null) this.close('left');
  }

  /** @internal */
  handleTick(now: Instant): void {
    this.#link.handleTick(now);
  }

  /** @internal */
  handleWake(now: Instant): void {
    this.#link.handleWake(now);
  }

  /** Ends the connection to this peer, which is not let in again while this page is in the room; `leave` follows. */
  close(reason: PeerCloseReason = 'refused'): void {
    if (this.#state === 'closed') return;
    this.#setState('closed');
    this.#outbox.close();
    this.#link.close();
    this.host.handlePeerEnded(this, reason);
    this.emit('close', reason);
  }

  /** @internal The direct connection of now, or the last one. */
  protected get link(): PeerLink {
    return this.#link;
  }

  /** @internal Whether the peer was let in. */
  protected get isAdmitted(): boolean {
    return this.#wasOpen;
  }

  /** @internal Whether the peer may be talked to: calls `open` when it may. */
  protected admit(open: () => void): void {
    open();
  }

  /** @internal Sends a signal to the other side. */
  protected sendSignal(signal: PeerSignal): void {
    this.host.signal(this, signal);
  }

  /** @internal Whether it is over when no direct way was found. */
  protected get isOverWithoutLink(): boolean {
    return true;
  }

  /** @internal */
  protected abstract makeOutbox(): ValueOutbox;

  /** @internal */
  protected abstract makeInbox(): ValueInbox;

  /** @internal The other side has opened a channel of its own. */
  protected handleChannel(channel: RTCDataChannel): void {
    channel.close();
  }

  /** @internal */
  protected handleTrack(_event: RTCTrackEvent): void {}

  /** @internal There is a direct connection (again), to a peer that was let in. */
  protected handleDirect(): void {}

  /** @internal Values go this way while there is no direct one; `null` ends that. A way that was found anew begins anew. */
  protected setDetour(detour: FrameSink | null): void {
    this.#detour = detour;
    if (this.#link.isOpen) return;
    this.#outbox.restart();
    if (detour !== null) return this.#handleOpen('forwarded');
    if (this.#state === 'forwarded') this.#setState('reconnecting');
    if (!this.#link.isEnded || this.#state === 'closed') return;
    // The direct way was given up while there was another: now it is all there is.
    this.#reconnects = 0;
    this.beginAnew(!this.isPolite);
  }

  /** @internal A frame that came by another way. */
  protected handleDetourFrame(data: unknown, isOrdered: boolean, isFirst: boolean): void {
    // What was under way when the way was lost begins anew.
    if (isFirst) this.#detourInbox = this.makeInbox();
    this.#hear(this.#detourInbox, data, isOrdered);
  }

  #hear(inbox: ValueInbox, data: unknown, isOrdered: boolean): void {
    try {
      inbox.handleFrame(data, isOrdered);
    } catch {
      // Whatever a stranger sends, nothing is thrown into the browser's events: it is the end of him.
      this.close('failed');
    }
  }

  /** @internal What waits may go on. */
  protected pump(): void {
    this.#outbox.pump(this.#sink);
  }

  /** Values wait until the peer is let in, however open its connection is. */
  get #sink(): FrameSink {
    return !this.#wasOpen ? NOWHERE : this.#link.isOpen ? this.#link : (this.#detour ?? this.#link);
  }

  #makeLink(offersFirst: boolean): PeerLink {
    const inbox = this.makeInbox();
    const events: PeerLinkEvents = {
      open: () => this.#handleLinkOpen(),
      low: () => this.pump(),
      frame: (data, isOrdered) => this.#hear(inbox, data, isOrdered),
      channel: (channel) => this.handleChannel(channel),
      track: (event) => this.handleTrack(event),
      ended: (reason) => this.#handleLinkEnded(reason),
      signal: (signal) =>
        this.sendSignal(
          this.#remoteAttempt === null ? signal : { ...signal, to: this.#remoteAttempt },
        ),
    };
    const { platform } = this.host;
    return new PeerLink(
      { platform, isPolite: this.isPolite, iceServers: this.host.iceServers(), offersFirst },
      events,
    );
  }

  /** The other page closed its end, or the way between us is lost: then both try once more, and the one that is not polite offers. */
  #handleLinkEnded(reason: 'closed' | 'failed' | 'lost'): void {
    if (this.#state === 'closed') return;
    if (this.#hasLeft || reason === 'closed') return this.close('left');
    if (this.isOverWithoutLink && (reason === 'lost' || this.#reconnects >= MAX_RECONNECTS))
      return this.close(reason);
    if (this.#reconnects >= MAX_RECONNECTS) return;
    this.#reconnects += 1;
    try {
      this.beginAnew(!this.isPolite);
    } catch {
      this.close('failed');
    }
  }

  /** @internal Another connection, from the start. */
  protected beginAnew(offersFirst: boolean): void {
    this.#link.close();
    this.#remoteAttempt = null;
    this.#held = [];
    this.#outbox.restart();
    this.#link = this.#makeLink(offersFirst);
    if (this.#wasOpen) this.#setState(this.#detour === null ? 'reconnecting' : 'forwarded');
  }

  #handleLinkOpen(): void {
    this.#reconnects = 0;
    if (this.#detour !== null) this.#outbox.restart();
    this.#handleOpen('open');
  }

  #handleOpen(state: PeerState): void {
    if (this.#wasOpen) return this.#finishOpen(state);
    this.admit(() => {
      if (this.#state === 'closed' || this.#wasOpen) return;
      this.#wasOpen = true;
      this.#finishOpen(state);
      // Unless a listener has sent it away meanwhile.
      if (this.isOpen) this.emit('open');
    });
  }

  #finishOpen(state: PeerState): void {
    this.#setState(state);
    if (state === 'open') this.handleDirect();
    this.pump();
  }

  #setState(state: PeerState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.emit('status', state);
  }
}
