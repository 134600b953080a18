import {
  Fifo,
  type Instant,
  type Machine,
  type SyncCrypto,
  TimerTable,
  type Transmit,
  earlier,
  later,
} from '@lumamesh/base';
import { type ChannelProperties } from './datachannel/dcep.ts';
import { type DataChannelEvent, DataChannels } from './datachannel/data-channels.ts';
import { DtlsConnection, type DtlsEvent } from './dtls/dtls-connection.ts';
import type { LocalCertificate } from './dtls/handshake.ts';
import { isDtls } from './dtls/record/record.ts';
import { ControllingAgent, type IceClientEvent } from './ice/controlling-agent.ts';
import type { IceCredentials } from './ice/ice-credentials.ts';
import type { TransportAddress } from './stun/attributes/xor-mapped-address.ts';
import { isStun } from './stun/message.ts';
import { Association } from './sctp/association.ts';
import type { SctpEvent, SctpLimits } from './sctp/sctp-types.ts';

/** From the first datagram to an open association. */
export const HANDSHAKE_TIMEOUT_MS = 15_000;
/** Browsers send a consent check every 2.5 to 5 s (RFC 7675 §5.1 gives up after 30 s). */
export const SILENCE_TIMEOUT_MS = 25_000;
/** How long a graceful end may take. */
const CLOSING_TIMEOUT_MS = 2000;
/** What may be sent to an address that nothing has proven, in relation to what came from it (as RFC 9000 §8.1 has it for QUIC). */
export const UNPROVEN_AMPLIFICATION_LIMIT = 3;
/** The largest UDP payload we send: below every path MTU that matters (RFC 8831 §5 starts at 1200). */
export const MAX_DATAGRAM_BYTES = 1200;
/** DTLS header, explicit nonce and tag. */
const DTLS_OVERHEAD_BYTES = 37;

export type SessionCloseReason =
  | 'localClose'
  | 'remoteClose'
  | 'handshakeFailed'
  | 'handshakeTimeout'
  | 'silence'
  | 'iceFailed'
  | 'associationFailed';

export type SessionEvent =
  /** Our ICE pair works (client role). */
  | { readonly type: 'reachable'; readonly mappedAddress: TransportAddress; readonly rttMs: number }
  /** DTLS is up: the peer is the holder of its certificate, its address is proven. */
  | { readonly type: 'secure'; readonly remoteCertificate: Uint8Array | null }
  /** The association is up. */
  | { readonly type: 'connected' }
  | DataChannelEvent
  | { readonly type: 'closed'; readonly reason: SessionCloseReason; readonly detail: string };

export type SessionOutput = Transmit | SessionEvent;

export interface SessionLimits {
  readonly maxMessageBytes: number;
  readonly receiveWindowBytes: number;
  readonly maxBufferedBytes: number;
  readonly maxStreams: number;
  readonly maxChannels: number;
}

export const DEFAULT_SESSION_LIMITS: SessionLimits = {
  maxMessageBytes: 65_536,
  receiveWindowBytes: 131_072,
  maxBufferedBytes: 1_048_576,
  maxStreams: 256,
  maxChannels: 16,
};

/** A channel that exists from the start, without DCEP (RFC 8831 §6.1). */
export interface NegotiatedChannel {
  readonly id: number;
  readonly properties: ChannelProperties;
}

interface CommonOptions {
  readonly crypto: SyncCrypto;
  readonly limits: SessionLimits;
  readonly negotiatedChannels: readonly NegotiatedChannel[];
}

export interface ServerSessionOptions extends CommonOptions {
  readonly certificate: LocalCertificate;
  readonly requestClientCertificate: boolean;
}

export interface ClientSessionOptions extends CommonOptions {
  readonly localUfrag: string;
  readonly remoteIce: IceCredentials;
  /** SHA-256 of the relay's certificate, 32 bytes. */
  readonly remoteFingerprint: Uint8Array;
  readonly certificate: LocalCertificate | null;
}

/**
 * One peer's stack on one five-tuple: ICE consent, DTLS, SCTP, data channels, composed.
 *
 *   datagram ─▶ DTLS ─data─▶ SCTP ─messages─▶ data channels ─▶ events
 *   datagram ◀─ DTLS ◀packets─ SCTP ◀──────── send()
 */
export class Session implements Machine<SessionOutput> {
  readonly #options: CommonOptions;
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
  #isAddressProven: boolean;
  #receivedBytes = 0;
  #sentBytes = 0;
  #isEstablished = false;
  #isClosed = false;

  private constructor(
    now: Instant,
    options: CommonOptions,
    isServer: boolean,
    onDrop: (reason: string) => void,
  ) {
    this.#now = now;
    this.#lastHeard = now;
    this.#options = options;
    this.#isServer = isServer;
    this.#isAddressProven = !isServer;
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
    const { crypto, certificate, requestClientCertificate } = options;
    session.#dtls = DtlsConnection.server({
      crypto,
      certificate,
      requestClientCertificate,
      maxDatagramBytes: MAX_DATAGRAM_BYTES,
    });
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

  get isAddressProven(): boolean {
    return this.#isAddressProven;
  }

  /** Bytes of user data waiting to be sent, over all channels. */
  get bufferedBytes(): number {
    return this.#sctp?.bufferedBytes ?? 0;
  }

  /** The smoothed round trip of the association, or zero before one was measured. */
  get smoothedRttMs(): number {
    return this.#sctp?.smoothedRttMs ?? 0;
  }

  /** The peer answered a cookie: timers may run, and the limit on what we send is lifted. */
  markAddressProven(): void {
    this.#isAddressProven = true;
    this.#dtls?.markAddressProven();
  }

  /** An authenticated check of this session's peer arrived (server role) and was answered. */
  handleConsent(now: Instant, receivedBytes: number, sentBytes: number): void {
    this.#lastHeard = now;
    this.#receivedBytes += receivedBytes;
    this.#sentBytes += sentBytes;
  }

  handleDatagram(now: Instant, datagram: Uint8Array): void {
    this.#now = now;
    this.#receivedBytes += datagram.length;
    const first = datagram[0] ?? 255;
    let drop: string | null = 'session.unknownProtocol';
    if (this.#isClosed) drop = 'session.closed';
    else if (isDtls(first) && this.#dtls !== null) drop = this.#dtls.handleDatagram(now, datagram);
    else if (isStun(first) && this.#agent !== null)
      drop = this.#handleStun(now, this.#agent, datagram);
    if (drop !== null) this.#onDrop(drop);
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
    this.#sctp?.handleTimeout(now);
  }

  /** Queues a message on a channel. False when the channel is gone or too much is waiting. */
  send(now: Instant, channelId: number, data: string | Uint8Array): boolean {
    this.#now = now;
    return this.#channels?.send(now, channelId, data) ?? false;
  }

  /** Opens a channel by DCEP; answers its id, or `null` when that is not possible. */
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

  #handleStun(now: Instant, agent: ControllingAgent, datagram: Uint8Array): string | null {
    const drop = agent.handleDatagram(now, datagram);
    // An authentic answer to one of our checks: the relay is there, though it may have nothing to say.
    if (drop === null) this.#lastHeard = now;
    return drop;
  }

  get deadline(): Instant | null {
    if (this.#isClosed) return null;
    return earlier(
      earlier(this.#timers.next(), this.#agent?.deadline ?? null),
      earlier(this.#dtls?.deadline ?? null, this.#sctp?.deadline ?? null),
    );
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
    if (
      !this.#isAddressProven &&
      this.#sentBytes + datagram.length > UNPROVEN_AMPLIFICATION_LIMIT * this.#receivedBytes
    ) {
      this.#onDrop('session.amplificationLimit');
      return;
    }
    this.#sentBytes += datagram.length;
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
    const { crypto, remoteFingerprint, certificate } = options;
    this.#dtls = DtlsConnection.client(this.#now, {
      crypto,
      remoteFingerprint,
      certificate,
      maxDatagramBytes: MAX_DATAGRAM_BYTES,
    });
  }

  #handleDtlsEvent(event: DtlsEvent): void {
    switch (event.type) {
      case 'connected':
        this.#isAddressProven = true;
        this.#lastHeard = this.#now;
        this.#startSctp();
        this.#outputs.push({ type: 'secure', remoteCertificate: event.remoteCertificate });
        return;
      case 'data': {
        this.#lastHeard = this.#now;
        const drop = this.#sctp?.handleDatagram(this.#now, event.data) ?? null;
        if (drop !== null) this.#onDrop(drop);
        return;
      }
      case 'closed':
        return this.#close(
          event.reason === 'closeNotify' || event.reason === 'fatalAlert'
            ? 'remoteClose'
            : event.reason === 'localClose'
              ? 'localClose'
              : event.reason,
          event.detail,
        );
    }
  }

  #startSctp(): void {
    const { crypto, limits, negotiatedChannels } = this.#options;
    const sctpLimits: SctpLimits = {
      ...limits,
      maxPacketBytes: (MAX_DATAGRAM_BYTES - DTLS_OVERHEAD_BYTES) & ~3,
    };
    this.#sctp = new Association(this.#now, {
      randomBytes: crypto.randomBytes,
      limits: sctpLimits,
      holdsCrossingInit: this.#isServer,
    });
    this.#channels = new DataChannels(this.#sctp, !this.#isServer, limits.maxChannels, (event) =>
      this.#outputs.push(event),
    );
    for (const { id, properties } of negotiatedChannels)
      this.#channels.openNegotiated(id, properties);
    // Both sides open: the server's INIT rides behind its Finished, which spares a round trip (docs/wire-protocol.md).
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
    if (event.type !== 'closed') return;
    const isRemote =
      event.reason === 'remoteAbort' ||
      (event.reason === 'shutdown' && !this.#timers.isArmed('closing'));
    this.#close(
      isRemote
        ? 'remoteClose'
        : event.reason === 'shutdown' || event.reason === 'localAbort'
          ? 'localClose'
          : 'associationFailed',
      event.detail,
    );
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
