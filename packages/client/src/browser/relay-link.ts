import { Backoff, Emitter, LumameshError } from '@lumamesh/base';
import { CHANNEL_ID, CHANNEL_LABEL, type ClientMessage, type RelayMessage, midOf, parseRelayMessage, relayAnswer } from '@lumamesh/protocol';
import type { KnownRelay } from '../core/relay-source.ts';

const CONNECT_TIMEOUT_MS = 10_000;
/** A relay that answers no ping for this long is gone; the browser's own detection takes longer. */
const PING_INTERVAL_MS = 10_000;
const PONG_TIMEOUT_MS = 5000;
const RETRY_INITIAL_MS = 1000;
const RETRY_MAX_MS = 30_000;

export type RelayLinkState = 'connecting' | 'open' | 'waiting' | 'closed';

type RelayLinkEvents = {
  /** The relay has welcomed us; `ms` is the time since dialling. */
  open: [ms: number];
  message: [message: RelayMessage];
  /** The link was lost, or could not be made; another attempt follows by itself, except after RELAY_FORGED. */
  lost: [error: LumameshError];
};

/** One relay: dialled straight from its record, welcomed, watched, and dialled again when it is lost. */
export class RelayLink extends Emitter<RelayLinkEvents> {
  readonly relay: KnownRelay;
  readonly #backoff = new Backoff(RETRY_INITIAL_MS, RETRY_MAX_MS, Math.random);
  #attempt: Attempt | null = null;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #state: RelayLinkState = 'connecting';
  #connectMs = 0;

  constructor(relay: KnownRelay, onListenerError: (error: unknown) => void) {
    super(onListenerError);
    this.relay = relay;
  }

  get state(): RelayLinkState {
    return this.#state;
  }

  /** How long the last successful connect took. */
  get connectMs(): number {
    return this.#connectMs;
  }

  connect(): void {
    this.#state = 'connecting';
    const startedAt = performance.now();
    const attempt = new Attempt(this.relay, {
      open: () => {
        this.#state = 'open';
        this.#connectMs = performance.now() - startedAt;
        this.#backoff.reset();
        this.emit('open', this.#connectMs);
      },
      message: (message) => this.emit('message', message),
      ended: (error) => {
        this.#handleLoss(error);
      },
    });
    this.#attempt = attempt;
    void attempt.start();
  }

  /** False when the link is not open. */
  send(message: ClientMessage): boolean {
    return this.#state === 'open' && (this.#attempt?.send(message) ?? false);
  }

  close(): void {
    this.#state = 'closed';
    clearTimeout(this.#retryTimer);
    this.#attempt?.close();
    this.#attempt = null;
  }

  #handleLoss(error: LumameshError): void {
    this.#attempt = null;
    if (this.#state === 'closed') return;
    const isFinal = error.code === 'RELAY_FORGED';
    this.#state = isFinal ? 'closed' : 'waiting';
    if (!isFinal) this.#retryTimer = setTimeout(() => this.connect(), this.#backoff.nextMs());
    this.emit('lost', error);
  }
}

interface AttemptEvents {
  open(): void;
  message(message: RelayMessage): void;
  /** Called once, at the end. */
  ended(error: LumameshError): void;
}

/** One RTCPeerConnection to a relay, from offer to end. */
class Attempt {
  readonly #relay: KnownRelay;
  readonly #events: AttemptEvents;
  #connection: RTCPeerConnection | null = null;
  #channel: RTCDataChannel | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isWelcomed = false;
  #isEnded = false;

  constructor(relay: KnownRelay, events: AttemptEvents) {
    this.#relay = relay;
    this.#events = events;
  }

  async start(): Promise<void> {
    this.#setTimer(CONNECT_TIMEOUT_MS, () => this.#end('RELAY_UNREACHABLE', 'the relay did not answer'));
    try {
      const connection = new RTCPeerConnection();
      this.#connection = connection;
      connection.addEventListener('connectionstatechange', () => {
        if (connection.connectionState === 'failed') this.#end('RELAY_UNREACHABLE', 'the connection to the relay failed');
      });
      const channel = connection.createDataChannel(CHANNEL_LABEL, { negotiated: true, id: CHANNEL_ID });
      this.#channel = channel;
      channel.addEventListener('message', (event: MessageEvent<unknown>) => this.#handleFrame(event.data));
      channel.addEventListener('close', () => this.#end('RELAY_LOST', 'the relay closed the channel'));
      // The offer stays as the browser made it; only the answer is ours.
      await connection.setLocalDescription(await connection.createOffer());
      const mid = midOf(connection.localDescription?.sdp ?? '');
      const { ip, ip6 } = this.#relay;
      await connection.setRemoteDescription({ type: 'answer', sdp: relayAnswer(this.#relay, ip6 === undefined ? [ip] : [ip, ip6], mid) });
    } catch (error) {
      const isMissing = typeof RTCPeerConnection === 'undefined';
      this.#end(isMissing ? 'WEBRTC_MISSING' : 'RELAY_UNREACHABLE', isMissing ? 'this browser or page has no WebRTC' : String(error), error);
    }
  }

  send(message: ClientMessage): boolean {
    if (this.#channel?.readyState !== 'open') return false;
    this.#channel.send(JSON.stringify(message));
    return true;
  }

  close(): void {
    this.#isEnded = true;
    clearTimeout(this.#timer);
    this.#connection?.close();
  }

  #handleFrame(data: unknown): void {
    if (this.#isEnded || typeof data !== 'string') return;
    const message = parseRelayMessage(data);
    if (!message.ok) return;
    this.#setTimer(PING_INTERVAL_MS, () => this.#ping());
    if (message.value.action === 'welcome') {
      // The certificate has proven who answers; the record it shows must be of the same node.
      if (message.value.node.nk !== this.#relay.nk) return this.#end('RELAY_FORGED', 'the relay has another node key than its record says');
      if (!this.#isWelcomed) {
        this.#isWelcomed = true;
        this.#whenOpen(() => this.#events.open());
      }
    }
    this.#events.message(message.value);
  }

  /** The welcome may come before the browser says that the channel is open. */
  #whenOpen(then: () => void): void {
    if (this.#channel?.readyState === 'open') then();
    else this.#channel?.addEventListener('open', then, { once: true });
  }

  #ping(): void {
    this.send({ action: 'ping' });
    this.#setTimer(PONG_TIMEOUT_MS, () => this.#end('RELAY_LOST', 'the relay does not answer any more'));
  }

  #setTimer(ms: number, then: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(then, ms);
  }

  #end(code: string, text: string, cause?: unknown): void {
    if (this.#isEnded) return;
    this.close();
    const { ip, port } = this.#relay;
    this.#events.ended(new LumameshError(code, `${text} (relay ${ip}:${port})`, { cause }));
  }
}
