import { Fifo, type Instant, type Machine, TimerTable, earlier, later } from '@lumamesh/base';
import { AmplificationLimit } from './amplification-limit.ts';
import { closeReasonOfDtls, closeReasonOfSctp } from './close-reason.ts';
import { DataChannels } from './datachannel/data-channels.ts';
import type { ChannelProperties } from './datachannel/dcep.ts';
import type { DtlsConnection } from './dtls/dtls-connection.ts';
import type { DtlsEvent } from './dtls/dtls-types.ts';
import { isDtls } from './dtls/record/record.ts';
import { ControllingAgent, type IceClientEvent } from './ice/controlling-agent.ts';
import type { Association } from './sctp/association.ts';
import type { SctpEvent } from './sctp/sctp-types.ts';
import { association, clientDtls, serverDtls } from './session-layers.ts';
import type {
  ClientSessionOptions,
  CommonSessionOptions,
  ServerSessionOptions,
  SessionCloseReason,
  SessionOutput,
} from './session-types.ts';
import { isStun } from './stun/message.ts';

/** From the first datagram to an open association. */
export const HANDSHAKE_TIMEOUT_MS = 15_000;
/** Browsers send a consent check every 2.5 to 5 s (RFC 7675 §5.1 gives up after 30 s). */
export const SILENCE_TIMEOUT_MS = 25_000;
/** How long a graceful end may take. */
const CLOSING_TIMEOUT_MS = 2000;

/**
 * One peer's stack on one five-tuple: ICE consent, DTLS, SCTP, data channels, composed.
 *
 *   datagram ─▶ DTLS ─data─▶ SCTP ─messages─▶ data channels ─▶ events
 *   datagram ◀─ DTLS ◀packets─ SCTP ◀──────── send()
 */
export class Session implements Machine<SessionOutput> {
  /** What may be sent to the peer's address. */
  readonly amplification: AmplificationLimit;
  readonly #options: CommonSessionOptions;
  readonly #isServer: boolean;
  readonly #outputs = new Fifo<SessionOutput>();
  readonly #timers = new TimerTable<'handshake' | 'silence' | 'closing'>();
  readonly #onDrop: (reason: string) => void;
  #clientOptions: ClientSessionOptions | null = null;
  #agent: ControllingAgent | null = null;
  #dtls: DtlsConnection | null = null;
  #sctp: Association | null = null;
  #channels: DataChannels | null = null;
  #now: Instant;
  #lastHeard: Instant;
  #isEstablished = false;
  #isClosed = false;

  private constructor(
    now: Instant,
    options: CommonSessionOptions,
    isServer: boolean,
    onDrop: (reason: string) => void,
  ) {
    this.#now = now;
    this.#lastHeard = now;
    this.#options = options;
    this.#isServer = isServer;
    // A client chose the address itself.
    this.amplification = new AmplificationLimit(!isServer);
    this.#onDrop = onDrop;
    this.#timers.arm('handshake', later(now, HANDSHAKE_TIMEOUT_MS));
  }

  /** The passive side, made when a valid check (or a ClientHello with a valid cookie) arrives. */
  static server(
    now: Instant,
    options: ServerSessionOptions,
    onDrop: (reason: string) => void,
  ): Session {
    const session = new Session(now, options, true, onDrop);
    session.#dtls = serverDtls(options);
    return session;
  }

  /** The active side: checks the pair, then opens DTLS, then SCTP. */
  static client(
    now: Instant,
    options: ClientSessionOptions,
    onDrop: (reason: string) => void,
  ): Session {
    const session = new Session(now, options, false, onDrop);
    session.#clientOptions = options;
    session.#agent = new ControllingAgent(
      now,
      options.crypto,
      options.localUfrag,
      options.remoteIce,
    );
    return session;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Whether DTLS and SCTP are up. */
  get isEstablished(): boolean {
    return this.#isEstablished;
  }

  /** HEARTBEATs that the peer has acknowledged: each shows that it receives where we send to. */
  get heartbeatAnswers(): number {
    return this.#sctp?.heartbeatAnswers ?? 0;
  }

  /** What the peer makes us hold, at what it costs; of it, what is on its way to the peer. */
  get held(): { readonly bytes: number; readonly sendingBytes: number } {
    return this.#sctp?.held ?? { bytes: 0, sendingBytes: 0 };
  }

  /** The smoothed round trip of the association, or zero before one was measured. */
  get smoothedRttMs(): number {
    return this.#sctp?.smoothedRttMs ?? 0;
  }

  get deadline(): Instant | null {
    if (this.#isClosed) return null;
    return earlier(
      earlier(this.#timers.next(), this.#agent?.deadline ?? null),
      earlier(this.#dtls?.deadline ?? null, this.#provenSctp?.deadline ?? null),
    );
  }

  /**
   * The peer returned a cookie, in the ClientHello of this message_seq: timers may run, and the
   * limit on what we send is lifted.
   */
  markAddressProven(helloSeq: number): void {
    this.amplification.markProven();
    this.#dtls?.markAddressProven(helloSeq);
  }

  handleDatagram(now: Instant, datagram: Uint8Array): void {
    this.#now = now;
    this.amplification.count(datagram.length, 0);
    const first = datagram[0] ?? 255;
    let drop: string | null = 'session.unknownProtocol';
    if (this.#isClosed) drop = 'session.closed';
    else if (isDtls(first) && this.#dtls !== null) drop = this.#dtls.handleDatagram(now, datagram);
    else if (isStun(first) && this.#agent !== null)
      drop = this.#handleStun(now, this.#agent, datagram);
    if (drop !== null) this.#onDrop(drop);
  }

  /**
   * Takes a datagram that did not come from the peer's address.
   * @returns Whether it was the peer's: only an authentic record has any effect.
   */
  handleFromElsewhere(now: Instant, datagram: Uint8Array): boolean {
    this.#now = now;
    if (this.#isClosed || !this.#isEstablished || this.#dtls === null) return false;
    const drop = this.#dtls.handleDatagram(now, datagram);
    if (drop !== null) this.#onDrop(drop);
    return drop === null;
  }

  /** Sends a HEARTBEAT that counts none of those before it. */
  askForHeartbeat(now: Instant): void {
    this.#sctp?.askForHeartbeat(now);
  }

  handleTimeout(now: Instant): void {
    this.#now = now;
    if (this.#isClosed) return;
    for (
      let name = this.#timers.takeExpired(now);
      name !== null;
      name = this.#timers.takeExpired(now)
    ) {
      switch (name) {
        case 'handshake':
          this.#close(
            'handshakeTimeout',
            this.#dtls === null
              ? 'no answer to connectivity checks'
              : 'DTLS or SCTP did not finish',
          );
          break;
        case 'silence':
          this.#handleSilenceTimer(now);
          break;
        case 'closing':
          this.#close('localClose', '');
          break;
      }
    }
    this.#agent?.handleTimeout(now);
    this.#dtls?.handleTimeout(now);
    this.#provenSctp?.handleTimeout(now);
  }

  /**
   * Queues a message on a channel.
   * @returns False when the channel is gone or too much is waiting.
   */
  send(now: Instant, channelId: number, data: string | Uint8Array): boolean {
    this.#now = now;
    return this.#channels?.send(now, channelId, data) ?? false;
  }

  /**
   * Opens a channel by DCEP (RFC 8832).
   * @returns The channel's id, or `null` when no stream is free or too much is waiting.
   */
  openChannel(now: Instant, properties: ChannelProperties): number | null {
    this.#now = now;
    return this.#channels?.open(now, properties) ?? null;
  }

  closeChannel(now: Instant, channelId: number): void {
    this.#now = now;
    this.#channels?.close(now, channelId);
  }

  bufferedAmount(channelId: number): number {
    return this.#channels?.bufferedAmount(channelId) ?? 0;
  }

  setBufferedAmountLowThreshold(channelId: number, bytes: number): void {
    this.#channels?.setBufferedAmountLowThreshold(channelId, bytes);
  }

  /** Ends after what is queued was delivered, or after two seconds. */
  closeGracefully(now: Instant): void {
    this.#now = now;
    if (this.#isClosed) return;
    if (this.#sctp === null) return this.close(now);
    this.#timers.arm('closing', later(now, CLOSING_TIMEOUT_MS));
    // Where the association is still coming up, what was queued rides on it and the end follows.
    if (this.#isEstablished) this.#sctp.shutdown(now);
  }

  /** Ends at once, with an ABORT and a close_notify where the peer can understand them. */
  close(now: Instant): void {
    this.#now = now;
    if (!this.#isClosed) this.#close('localClose', '');
  }

  poll(): SessionOutput | null {
    for (;;) {
      const output = this.#outputs.shift();
      if (output !== undefined) return output;
      if (!this.#pumpAgent() && !this.#pumpDtls() && !this.#pumpSctp()) return null;
    }
  }

  /** Whether what it sent before still waits for its turn on the line: then nothing more is sent. */
  hold(isHeld: boolean): void {
    if (this.#sctp !== null) this.#sctp.isHeld = isHeld;
  }

  /** The association, where its timers may resend: its first INIT goes before anything is proven. */
  get #provenSctp(): Association | null {
    return this.amplification.isProven ? this.#sctp : null;
  }

  #handleStun(now: Instant, agent: ControllingAgent, datagram: Uint8Array): string | null {
    const drop = agent.handleDatagram(now, datagram);
    // An authentic response to one of our checks: the relay is there, though it may have nothing to
    // say.
    if (drop === null) this.#lastHeard = now;
    return drop;
  }

  #pumpAgent(): boolean {
    const output = this.#agent?.poll() ?? null;
    if (output === null) return false;
    if (output.type === 'transmit') this.#transmit(output.data);
    else this.#handleIceEvent(output);
    return true;
  }

  #pumpDtls(): boolean {
    const output = this.#dtls?.poll() ?? null;
    if (output === null) return false;
    if (output.type === 'transmit') this.#transmit(output.data);
    else this.#handleDtlsEvent(output);
    return true;
  }

  #pumpSctp(): boolean {
    const output = this.#sctp?.poll() ?? null;
    if (output === null) return false;
    if (output.type === 'transmit') this.#dtls?.send(output.data);
    else this.#handleSctpEvent(output);
    return true;
  }

  #transmit(datagram: Uint8Array): void {
    if (!this.amplification.admit(datagram.length))
      return this.#onDrop('session.amplificationLimit');
    this.#outputs.push({ type: 'transmit', data: datagram });
  }

  #handleIceEvent(event: IceClientEvent): void {
    if (event.type === 'failed')
      return this.#close(event.reason === 'consentExpired' ? 'silence' : 'iceFailed', event.reason);
    const options = this.#clientOptions;
    if (options === null) return;
    this.#outputs.push({
      type: 'reachable',
      mappedAddress: event.mappedAddress,
      rttMs: event.rttMs,
    });
    this.#dtls = clientDtls(this.#now, options);
  }

  #handleDtlsEvent(event: DtlsEvent): void {
    switch (event.type) {
      case 'writable':
        return this.#startSctp();
      case 'connected':
        this.amplification.markProven();
        this.#lastHeard = this.#now;
        this.#startSctp();
        this.#outputs.push({ ...event, type: 'secure' });
        return;
      case 'data': {
        this.#lastHeard = this.#now;
        const drop = this.#sctp?.handleDatagram(this.#now, event.data) ?? null;
        if (drop !== null) this.#onDrop(drop);
        return;
      }
      case 'closed':
        return this.#close(closeReasonOfDtls(event.reason), event.detail);
    }
  }

  #startSctp(): void {
    if (this.#sctp !== null) return;
    const { limits, negotiatedChannels } = this.#options;
    this.#sctp = association(this.#now, this.#options, this.#isServer);
    this.#channels = new DataChannels(this.#sctp, !this.#isServer, limits.maxChannels, (event) =>
      this.#outputs.push(event),
    );
    for (const { id, properties } of negotiatedChannels)
      this.#channels.openNegotiated(id, properties);
    // Both sides open: the server's INIT rides behind its Finished, which spares a round trip (in
    // DTLS 1.3 it does so before the client's Finished is there; docs/wire-protocol.md).
    this.#sctp.connect(this.#now);
  }

  #handleSctpEvent(event: SctpEvent): void {
    if (event.type === 'connected') {
      this.#isEstablished = true;
      this.#timers.disarm('handshake');
      this.#timers.arm('silence', later(this.#now, SILENCE_TIMEOUT_MS));
      this.#outputs.push({ type: 'connected' });
      if (this.#timers.isArmed('closing')) this.#sctp?.shutdown(this.#now);
    }
    const drop = this.#channels?.handleSctpEvent(this.#now, event) ?? null;
    if (drop !== null) this.#onDrop(drop);
    if (event.type === 'closed')
      this.#close(closeReasonOfSctp(event.reason, this.#timers.isArmed('closing')), event.detail);
  }

  #handleSilenceTimer(now: Instant): void {
    const expiresAt = later(this.#lastHeard, SILENCE_TIMEOUT_MS);
    if (now >= expiresAt) this.#close('silence', '');
    else this.#timers.arm('silence', expiresAt);
  }

  #close(reason: SessionCloseReason, detail: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timers.disarmAll();
    this.#sctp?.abort(this.#now, 'session closed');
    while (this.#pumpSctp());
    this.#dtls?.close();
    while (this.#pumpDtls());
    this.#agent = null;
    this.#outputs.push({ type: 'closed', reason, detail });
  }
}
