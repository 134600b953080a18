import { Emitter, LumameshError, TokenBucket, instant } from '@lumamesh/base';
import { decodePeerFrame, encodePeerFrame, frameBytes } from '../core/peer-frame.ts';
import type { PeerSignal } from '../core/signal.ts';
import { PeerLink, type PeerLinkOptions } from './peer-link.ts';

/** What may wait for the first connection: a page may send as soon as it sees a peer. */
const MAX_PENDING_BYTES = 1_048_576;
/** A connection that failed for good is begun anew this often before the peer is given up. */
const MAX_RECONNECTS = 3;
/** A peer may begin anew this often at once, and once more every five seconds: each time costs an RTCPeerConnection. */
const ANEW_BURST = 4;
const ANEW_PER_SECOND = 0.2;
/** Candidates that overtook their description. */
const MAX_HELD_SIGNALS = 16;
/** The side that waits for an offer waits this long. Members of two relays hear of each other as newcomers: both wait, and the one that is not polite begins. */
const POLITE_PATIENCE_MS = 4000;
const OFFER_PATIENCE_MS = 500;

export type PeerEvents = {
  /** The direct connection is there. */
  open: [];
  /** A value as it was sent; binary arrives as Uint8Array. */
  data: [value: unknown];
  /** The peer is gone: it left, or cannot be reached any more. Last event. */
  close: [reason: PeerCloseReason];
};

export type PeerCloseReason = 'left' | 'closed' | 'failed' | 'room-left';

export interface SendOptions {
  /** `false`: sent once, unordered, and lost when the network loses it; for positions and the like. Default `true`. */
  readonly reliable?: boolean;
}

export interface PeerHost {
  readonly onListenerError: (error: unknown) => void;
  iceServers(): readonly RTCIceServer[];
  signal(peer: Peer, signal: PeerSignal): void;
  handlePeerEnded(peer: Peer, reason: PeerCloseReason): void;
}

/** Another browser in the room. */
export class Peer extends Emitter<PeerEvents> {
  /** Self-certifying: the hash of the key that signs everything this peer says through relays. */
  readonly id: string;
  readonly #host: PeerHost;
  readonly #isPolite: boolean;
  #nick: string;
  #link: PeerLink;
  #remoteAttempt: string | null = null;
  /** Reliable frames only: what may be lost is lost while nobody is there. */
  #pending: (string | Uint8Array<ArrayBuffer> | ArrayBuffer)[] = [];
  #pendingBytes = 0;
  #patience: ReturnType<typeof setTimeout> | undefined;
  #reconnects = 0;
  readonly #anew = new TokenBucket(ANEW_PER_SECOND, ANEW_BURST);
  #held: PeerSignal[] = [];
  /** No relay lists the peer any more; only the connection still says that it is there. */
  #hasLeft = false;
  #wasOpen = false;
  #isClosed = false;

  constructor(id: string, nick: string, ownId: string, offersFirst: boolean, host: PeerHost) {
    super(host.onListenerError);
    this.id = id;
    this.#nick = nick;
    this.#host = host;
    this.#isPolite = ownId < id;
    this.#link = this.#makeLink(offersFirst);
  }

  /** What the peer calls itself; sealed, so relays do not know it. Empty when it gave no name. */
  get nick(): string {
    return this.#nick;
  }

  /** Whether values go straight to the peer now. */
  get isOpen(): boolean {
    return this.#link.isOpen;
  }

  /** Bytes that the browser has not sent yet. */
  get bufferedAmount(): number {
    return this.#pendingBytes + this.#link.bufferedAmount;
  }

  /**
   * Sends a JSON value or binary data. Before the connection is open it waits (up to 1 MB).
   * Throws `PEER_CLOSED`, `NOT_SENDABLE`, `MESSAGE_TOO_LARGE` or `TOO_MUCH_PENDING`.
   */
  send(value: unknown, options: SendOptions = {}): void {
    if (this.#isClosed) throw new LumameshError('PEER_CLOSED', 'the peer has left');
    const frame = encodePeerFrame(value);
    const isReliable = options.reliable ?? true;
    if (this.#link.isOpen) return this.#sendNow(frame, isReliable);
    // What may be lost is lost while nobody is there.
    if (!isReliable) return;
    const bytes = frameBytes(frame);
    if (this.#pendingBytes + bytes > MAX_PENDING_BYTES) throw new LumameshError('TOO_MUCH_PENDING', 'more than 1 MB waits for the connection to open');
    this.#pending.push(frame);
    this.#pendingBytes += bytes;
  }

  /** @internal Presence was heard again. */
  handleSeen(nick: string): void {
    this.#nick = nick;
    this.#hasLeft = false;
    this.#link.retry();
  }

  /** @internal A signal of this peer, opened and checked. */
  handleSignal(signal: PeerSignal): void {
    // For a connection of ours that is gone.
    if (this.#isClosed || (signal.to !== undefined && signal.to !== this.#link.attempt)) return;
    if (this.#remoteAttempt !== null && this.#remoteAttempt !== signal.attempt) {
      // The other side began anew (its connection had failed for good): so do we. Everything else of another attempt is late.
      const beginsAnew = signal.description?.type === 'offer' && signal.to === undefined;
      if (!beginsAnew || !this.#anew.take(instant(performance.now()))) return;
      this.#beginAnew(false);
    }
    if (signal.description !== undefined) {
      clearTimeout(this.#patience);
      this.#remoteAttempt = signal.attempt;
    } else if (this.#remoteAttempt === null) {
      // Candidates alone do not say which attempt will count.
      if (this.#held.length < MAX_HELD_SIGNALS) this.#held.push(signal);
      return;
    }
    this.#link.handleSignal(signal);
    for (const held of this.#held.splice(0)) if (held.attempt === signal.attempt) this.#link.handleSignal(held);
  }

  /** @internal The relay says that the peer is gone. A living connection knows better. */
  handleLeft(): void {
    this.#hasLeft = true;
    if (!this.#link.isConnected) this.close('left');
  }

  /** @internal */
  close(reason: PeerCloseReason): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#patience);
    this.#pending = [];
    this.#link.close();
    this.#host.handlePeerEnded(this, reason);
    this.emit('close', reason);
  }

  #makeLink(offersFirst: boolean): PeerLink {
    const options: PeerLinkOptions = { isPolite: this.#isPolite, iceServers: this.#host.iceServers(), offersFirst };
    const link = new PeerLink(options, {
      open: () => this.#handleOpen(),
      data: (data) => {
        const frame = decodePeerFrame(data);
        if (frame !== null) this.emit('data', frame.value);
      },
      ended: (reason) => this.#handleLinkEnded(reason),
      signal: (signal) => this.#host.signal(this, this.#remoteAttempt === null ? signal : { ...signal, to: this.#remoteAttempt }),
    });
    if (!offersFirst) this.#patience = setTimeout(() => link.takeInitiative(), this.#isPolite ? POLITE_PATIENCE_MS : OFFER_PATIENCE_MS);
    return link;
  }

  /** The other page closed its end, or the way between us is lost: then both try once more, and the one that is not polite offers. */
  #handleLinkEnded(reason: 'closed' | 'failed'): void {
    if (this.#isClosed) return;
    if (this.#hasLeft) return this.close('left');
    if (reason === 'closed' || this.#reconnects >= MAX_RECONNECTS) return this.close(reason);
    this.#reconnects += 1;
    try {
      this.#beginAnew(!this.#isPolite);
    } catch {
      this.close('failed');
    }
  }

  #beginAnew(offersFirst: boolean): void {
    clearTimeout(this.#patience);
    this.#link.close();
    this.#remoteAttempt = null;
    this.#held = [];
    this.#link = this.#makeLink(offersFirst);
  }

  #handleOpen(): void {
    this.#reconnects = 0;
    for (const frame of this.#pending.splice(0)) {
      try {
        this.#sendNow(frame, true);
      } catch (error) {
        this.#host.onListenerError(error);
      }
    }
    this.#pendingBytes = 0;
    if (this.#wasOpen) return;
    this.#wasOpen = true;
    this.emit('open');
  }

  #sendNow(frame: string | Uint8Array<ArrayBuffer> | ArrayBuffer, isReliable: boolean): void {
    const max = this.#link.maxMessageBytes;
    // The true size of a text is measured only where its upper bound is too large: this runs for every pointer position.
    const bytes = typeof frame === 'string' && frameBytes(frame) > max ? new Blob([frame]).size : frameBytes(frame);
    if (bytes > max) throw new LumameshError('MESSAGE_TOO_LARGE', `a message of ${bytes} bytes is larger than the ${max} that this connection takes`);
    try {
      this.#link.send(frame, isReliable);
    } catch (error) {
      throw new LumameshError('TOO_MUCH_PENDING', 'the browser cannot queue any more for this peer', { cause: error });
    }
  }
}
