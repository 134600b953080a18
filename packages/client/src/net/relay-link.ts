import { type Instant, LumameshError, later } from '@lumamesh/base';
import { type ClientMessage, type RelayMessage, parseRelayMessage } from '@lumamesh/protocol';
import type { Platform } from '../platform/platform.ts';
import type { Measurable, RelayChannel, RelayChannelEvents } from '../platform/relay-channel.ts';
import { toError } from '../extend.ts';
import { RelayRooms } from './relay-rooms.ts';
import type { KnownRelay } from './relay-source.ts';

const CONNECT_TIMEOUT_MS = 10_000;
/** A relay that says nothing for this long is asked; the browser's own detection takes longer. */
const PING_INTERVAL_MS = 5000;
const PONG_TIMEOUT_MS = 2500;
/** Without an answer for this long another way is looked for: the page's network may have changed. */
const RESTART_AFTER_MS = 1000;
/** What waits to be sent goes again when its timer says so: the browser's back-off is part of this. */
const RESTART_TIMEOUT_MS = 3000;

export interface RelayLinkEvents {
  /** The proof for the challenge of a private relay. Rejects where there is none. */
  _prove(challenge: string): Promise<string>;
  /** The relay has welcomed us. */
  _open(isTcp: boolean): void;
  _message(message: RelayMessage): void;
  /**
   * Once: the link was lost, or could not be made. `withinMs`: the relay may be reached again, and
   * is to be dialled within this time: another process of it goes on, or it was the connection that
   * ended, not its answers.
   */
  _lost(error: LumameshError, withinMs?: number): void;
}

/** One connection to a relay: dialled straight from its record, welcomed, and watched. */
export class RelayLink {
  readonly relay: KnownRelay;
  /** The page's rooms, as the relay knows them. */
  _rooms = new RelayRooms();
  /** What a proof of a peer's id signs here. */
  _challenge: string | undefined;
  readonly #events: RelayLinkEvents;
  readonly #platform: Platform;
  readonly #channel: RelayChannel;
  #isChannelOpen = false;
  #isTcp = false;
  #isWelcomed = false;
  /** Shows a private relay that it may let us in. */
  #proof = '';
  /** It has refused a proof before: this time it is heard before anything is said to be well. */
  #isInDoubt: boolean;
  #isEnded = false;
  /** When it is given up, or, while all is well, asked. */
  #deadline: Instant;
  #isAsked = false;
  #hasRestarted = false;

  constructor(
    relay: KnownRelay,
    addresses: readonly string[],
    tcpAfterMs: number,
    wasDenied: boolean,
    platform: Platform,
    events: RelayLinkEvents,
  ) {
    this.relay = relay;
    this.#events = events;
    this.#platform = platform;
    this.#isInDoubt = wasDenied;
    this.#deadline = later(platform.now(), CONNECT_TIMEOUT_MS);
    const channelEvents: RelayChannelEvents = {
      // The welcome may come before the browser says that the channel is open.
      open: (isTcp) => {
        this.#isTcp = isTcp;
        this.#handleProgress({ isChannelOpen: true });
      },
      frame: (text) => this.#handleFrame(text),
      // Firefox ends it in the moment in which it loses its network.
      closed: (code, text, cause) => this.#end(code, text, cause, this._isOpen ? 0 : undefined),
    };
    this.#channel = platform.dialRelay(relay, addresses, channelEvents, tcpAfterMs);
  }

  get _isOpen(): boolean {
    return this.#isChannelOpen && this.#isWelcomed && !this.#isInDoubt && !this.#isEnded;
  }

  get _connection(): Measurable | null {
    return this.#channel.connection;
  }

  /** False when the link is not open. */
  _send(message: ClientMessage): boolean {
    return this._isOpen && this.#channel.send(JSON.stringify(message));
  }

  /** Asks the relay at once whether it is still there. */
  _probe(now: Instant): void {
    if (!this._isOpen || this.#isAsked) return;
    this.#isAsked = true;
    this.#hasRestarted = this.#channel.restart === undefined;
    this.#deadline = later(now, this.#hasRestarted ? PONG_TIMEOUT_MS : RESTART_AFTER_MS);
    this._send({ action: 'ping' });
  }

  /** To be called about every second. */
  _handleTick(now: Instant): void {
    if (this.#isEnded || now < this.#deadline) return;
    if (!this._isOpen) this.#end('RELAY_UNREACHABLE', 'the relay did not answer');
    else if (!this.#isAsked) this._probe(now);
    else if (this.#hasRestarted) this.#end('RELAY_LOST', 'the relay fell silent');
    else {
      this.#hasRestarted = true;
      this.#deadline = later(now, RESTART_TIMEOUT_MS);
      this.#channel.restart?.();
    }
  }

  _close(): void {
    this.#isEnded = true;
    this.#channel.close();
  }

  #handleFrame(text: string): void {
    const message = parseRelayMessage(text);
    if (this.#isEnded || !message.ok) return;
    if (this._isOpen) this.#await(PING_INTERVAL_MS);
    const { value } = message;
    if (value.action === 'welcome') {
      // The certificate has proven who answers; the record it shows must be of the same node.
      if (value.node.nk !== this.relay.nk)
        return this.#end('RELAY_FORGED', 'the relay has another node key');
      this._rooms = new RelayRooms(value.limits);
      this._challenge = value.challenge;
      void this.#enter(value.node.access, value.challenge ?? '');
    }
    // It stops, is full, or does not let us in: no need to wait for the end.
    if (
      value.action === 'error' &&
      /^(RELAY_(CLOSING|FULL|PRIVATE)|ACCESS_DENIED)$/.test(value.code)
    )
      return this.#end(value.code, value.message, undefined, value.successor);
    if (value.action === 'pong') this.#handleProgress({ isHeard: true });
    if (value.action === 'joined') this._rooms._handleJoined(value.room);
    if (value.action === 'error' && value.room !== undefined)
      this._rooms._handleRefused(value.room, value.code, this.#platform.now());
    this.#events._message(value);
  }

  /** What the relay asks of us, `access`, goes ahead of all else, and is not answered. */
  async #enter(access: string | undefined, challenge: string): Promise<void> {
    try {
      if (access === undefined) this.#isInDoubt = false;
      else this.#proof = await this.#events._prove(challenge);
      this.#handleProgress({ isWelcomed: true });
    } catch (error) {
      if (this.#isEnded) return;
      this._close();
      this.#events._lost(toError(error, 'CRYPTO_FAILED'));
    }
  }

  #handleProgress({
    isChannelOpen = false,
    isWelcomed = false,
    isHeard = false,
  }: {
    readonly isChannelOpen?: boolean;
    readonly isWelcomed?: boolean;
    readonly isHeard?: boolean;
  }): void {
    const wasOpen = this._isOpen;
    this.#isChannelOpen ||= isChannelOpen;
    this.#isWelcomed ||= isWelcomed;
    this.#isInDoubt &&= !isHeard;
    if (this.#proof !== '' && this.#isChannelOpen && !this.#isEnded) {
      const say = (message: ClientMessage): boolean => this.#channel.send(JSON.stringify(message));
      say({ action: 'access', proof: this.#proof });
      this.#proof = '';
      if (this.#isInDoubt) say({ action: 'ping' });
    }
    if (wasOpen || !this._isOpen) return;
    this.#await(PING_INTERVAL_MS);
    this.#events._open(this.#isTcp);
  }

  #await(ms: number): void {
    this.#isAsked = false;
    this.#deadline = later(this.#platform.now(), ms);
  }

  #end(code: string, text: string, cause?: unknown, withinMs?: number): void {
    if (this.#isEnded) return;
    this._close();
    const { ip, port } = this.relay;
    const error = new LumameshError(code, `${text} (relay ${ip}:${port})`, { cause });
    this.#events._lost(error, withinMs);
  }
}
