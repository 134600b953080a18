import {
  ByteReader,
  Fifo,
  type Instant,
  type Machine,
  type SyncCrypto,
  type Transmit,
  concatBytes,
  earlier,
  later,
} from '@lumamesh/base';
import { ClientHandshake } from './client-handshake.ts';
import { Acknowledger } from './flight/acknowledger.ts';
import { FlightSender } from './flight/flight-sender.ts';
import { HandshakeReassembler } from './flight/handshake-reassembler.ts';
import type {
  ClientHandshakeOptions,
  Handshake,
  HandshakeStep,
  NegotiatedSecurity,
  ServerHandshakeOptions,
} from './handshake.ts';
import { decodeAck } from './message/ack.ts';
import { ALERT, ALERT_LEVEL, decodeAlert, encodeAlert } from './message/alert.ts';
import {
  HANDSHAKE_TYPE,
  type HandshakeFragment,
  readHandshakeFragment,
} from './message/handshake-header.ts';
import { PostHandshake13 } from './post-handshake-13.ts';
import { CONTENT_TYPE } from './record/record.ts';
import { type OpenedRecord, RecordLayer } from './record/record-layer.ts';
import { ServerHandshake } from './server-handshake.ts';

/** What a handshake may hold of unfinished messages. */
const SERVER_MAX_HELD_BYTES = 4096;
const CLIENT_MAX_HELD_BYTES = 16_384;
/** An ACK waits so long for a datagram to ride in: less than the shortest timer of a browser. */
const ACK_DELAY_MS = 10;
/** What came of a flight is acknowledged when the rest has not come after so long (RFC 9147 §7.1). */
const PARTIAL_ACK_DELAY_MS = 25;
/** A client that has not heard our ACK repeats its Finished for no longer than this. */
const FINISHED_KEYS_MS = 60_000;
/** A KeyUpdate long before AES-GCM's limit of 2^24.5 records (RFC 8446 §5.5). */
const KEY_UPDATE_AFTER_RECORDS = 2 ** 23;

export interface ConnectionOptions {
  /** The largest datagram of a handshake; application data is the caller's to limit. */
  readonly maxDatagramBytes: number;
  /** Of DTLS 1.3: after how many sealed records our keys are changed. */
  readonly keyUpdateAfterRecords?: number;
}

export type DtlsCloseReason =
  | 'closeNotify'
  | 'localClose'
  | 'fatalAlert'
  | 'handshakeFailed'
  | 'handshakeTimeout';

export type DtlsEvent =
  /** Data may be sent; nothing has proven the peer's address, and none of its data is taken yet. */
  | { readonly type: 'writable' }
  | {
      readonly type: 'connected';
      readonly remoteCertificate: Uint8Array | null;
      readonly negotiated: NegotiatedSecurity;
    }
  /**
   * Application data, authenticated and in the order of arrival. The view is the receiver's to
   * keep.
   */
  | { readonly type: 'data'; readonly data: Uint8Array }
  | { readonly type: 'closed'; readonly reason: DtlsCloseReason; readonly detail: string };

export type DtlsOutput = Transmit | DtlsEvent;

type State =
  | {
      readonly name: 'handshaking';
      readonly handshake: Handshake;
      readonly reassembler: HandshakeReassembler;
      isWritable: boolean;
    }
  /**
   * A repeated Finished gets our last flight again until the peer shows by data that it has our
   * Finished.
   */
  | { readonly name: 'connected12'; mayResendLast: boolean }
  | {
      readonly name: 'connected13';
      readonly after: PostHandshake13;
      finishedKeysUntil: Instant | null;
    }
  | { readonly name: 'closed' };

/**
 * One DTLS association over one five-tuple (RFC 6347, RFC 9147): records, epochs, replay,
 * retransmission, acknowledgements and alerts around a {@link Handshake}.
 *
 *   handshaking ──Finished verified──▶ connected ──close_notify, fatal alert, close()──▶ closed
 *        └──────────failed, timed out──────────────────────────────────────────────────────▲
 */
export class DtlsConnection implements Machine<DtlsOutput> {
  readonly #crypto: SyncCrypto;
  readonly #options: ConnectionOptions;
  readonly #records: RecordLayer;
  readonly #outputs = new Fifo<DtlsOutput>();
  readonly #flights: FlightSender;
  readonly #acks = new Acknowledger();
  readonly #isServer: boolean;
  /**
   * What an unauthenticated alert said during the handshake: a hint for a person, never a reason to
   * act.
   */
  #alertHint = '';
  #state: State;

  private constructor(
    isServer: boolean,
    records: RecordLayer,
    handshake: Handshake,
    options: ConnectionOptions & { readonly crypto: SyncCrypto },
  ) {
    this.#isServer = isServer;
    this.#crypto = options.crypto;
    this.#options = options;
    this.#records = records;
    this.#flights = new FlightSender(records, options.maxDatagramBytes, this.#outputs, !isServer);
    const reassembler = new HandshakeReassembler(
      isServer ? SERVER_MAX_HELD_BYTES : CLIENT_MAX_HELD_BYTES,
    );
    this.#state = { name: 'handshaking', handshake, reassembler, isWritable: false };
  }

  static server(options: ServerHandshakeOptions & ConnectionOptions): DtlsConnection {
    const records = new RecordLayer();
    return new DtlsConnection(true, records, new ServerHandshake(options, records), options);
  }

  static client(now: Instant, options: ClientHandshakeOptions & ConnectionOptions): DtlsConnection {
    const records = new RecordLayer();
    const handshake = new ClientHandshake(options, records);
    const connection = new DtlsConnection(false, records, handshake, options);
    connection.#follow(now, handshake.start());
    return connection;
  }

  get deadline(): Instant | null {
    return earlier(this.#flights.dueAt, this.#acks.dueAt);
  }

  /**
   * The peer returned a cookie in the ClientHello of this message_seq: its address is its own, so
   * our timer may resend. What came of earlier ones is of no use.
   */
  markAddressProven(helloSeq: number): void {
    this.#flights.markAddressProven();
    if (this.#state.name !== 'handshaking') return;
    const { handshake, reassembler } = this.#state;
    if (handshake.expectsFirstMessage || handshake.mayStartAgain) reassembler.skipTo(helloSeq);
  }

  /**
   * Takes a datagram.
   * @returns A drop reason in it, or `null` when all of it was of use.
   */
  handleDatagram(now: Instant, datagram: Uint8Array): string | null {
    let drop: string | null = null;
    for (let offset = 0; offset < datagram.length && this.#state.name !== 'closed';) {
      const { record, end } = this.#records.read(datagram, offset);
      drop = (record.ok ? this.#handleRecord(now, record.value) : record.drop) ?? drop;
      offset = end;
    }
    this.#updateKeysInTime(now);
    return drop;
  }

  handleTimeout(now: Instant): void {
    if (this.#acks.dueAt !== null && now >= this.#acks.dueAt) this.#sendAck();
    if (!this.#flights.handleRetransmissionTimer(now))
      this.#close('handshakeTimeout', this.#alertHint);
  }

  /**
   * Seals application data into one record, in a datagram of its own or with an ACK that waits.
   * @returns False before data may be sent and after the end.
   */
  send(data: Uint8Array): boolean {
    const state = this.#state;
    if (state.name === 'closed' || (state.name === 'handshaking' && !state.isWritable))
      return false;
    const ack = this.#takeAck();
    const record = this.#records.encodeProtected(CONTENT_TYPE.applicationData, data);
    if (ack !== null && record !== null) {
      if (ack.length + record.length <= this.#options.maxDatagramBytes) {
        this.#outputs.push({ type: 'transmit', data: concatBytes([ack, record]) });
        return true;
      }
    }
    if (ack !== null) this.#outputs.push({ type: 'transmit', data: ack });
    if (record === null) return false;
    this.#outputs.push({ type: 'transmit', data: record });
    return true;
  }

  /** Says goodbye where there is somebody to say it to (RFC 5246 §7.2.1). */
  close(): void {
    if (this.#isConnected) this.#sendAlert(ALERT_LEVEL.warning, ALERT.closeNotify);
    this.#close('localClose', '');
  }

  poll(): DtlsOutput | null {
    return this.#outputs.shift() ?? null;
  }

  get #isConnected(): boolean {
    return this.#state.name === 'connected12' || this.#state.name === 'connected13';
  }

  get #is13(): boolean {
    const state = this.#state;
    return state.name === 'handshaking'
      ? state.handshake.version === '1.3'
      : state.name === 'connected13';
  }

  #handleRecord(now: Instant, record: OpenedRecord): string | null {
    if (record.epoch === 0) return this.#handlePlaintextRecord(now, record);
    switch (record.contentType) {
      case CONTENT_TYPE.applicationData:
        return this.#handleApplicationData(now, record);
      case CONTENT_TYPE.handshake:
        return this.#handleHandshakeRecord(now, record);
      case CONTENT_TYPE.alert:
        return this.#handleAlert(record.payload);
      case CONTENT_TYPE.ack:
        return this.#is13 ? this.#handleAck(now, record.payload) : 'dtls.record.contentType';
      default:
        return 'dtls.record.contentType';
    }
  }

  /**
   * Nothing in epoch 0 is authenticated: it moves a handshake, but it cannot touch a live
   * association, and an alert or an ACK in it does nothing.
   */
  #handlePlaintextRecord(now: Instant, record: OpenedRecord): string | null {
    if (this.#state.name !== 'handshaking') return 'dtls.epoch0AfterFinished';
    switch (record.contentType) {
      case CONTENT_TYPE.handshake:
        return this.#handleHandshakeRecord(now, record);
      case CONTENT_TYPE.changeCipherSpec:
        // The epoch in the next record's header says the same, and that record proves it.
        return null;
      case CONTENT_TYPE.alert: {
        const alert = decodeAlert(record.payload);
        if (alert !== null) this.#alertHint = `unauthenticated alert ${alert.description}`;
        return 'dtls.alert.unauthenticated';
      }
      case CONTENT_TYPE.ack:
        return 'dtls.ack.unauthenticated';
      default:
        return 'dtls.record.contentType';
    }
  }

  #handleHandshakeRecord(now: Instant, record: OpenedRecord): string | null {
    const reader = new ByteReader(record.payload);
    let drop: string | null = null;
    let isUseful = false;
    while (reader.remaining > 0) {
      const fragment = readHandshakeFragment(reader);
      if (!reader.ok) return 'dtls.handshake.malformed';
      const state = this.#state;
      switch (state.name) {
        case 'closed':
          return 'dtls.closed';
        case 'connected12':
          return this.#handleAfterwards12(now, record.epoch, fragment, state);
        case 'connected13': {
          const step = state.after.handleFragment(now, record.epoch, fragment);
          if (step.type === 'failed') {
            this.#follow(now, step);
            return `dtls.refused.${step.reason}`;
          }
          if (step.type === 'acknowledge') isUseful = true;
          else drop = step.drop;
          break;
        }
        case 'handshaking': {
          const result = this.#handleDuringHandshake(now, record, fragment, state);
          // A repeated message was of use before.
          if (result === null || result === 'dtls.handshake.repeated') isUseful = true;
          drop = result ?? drop;
        }
      }
    }
    if (isUseful) this.#acknowledge(now, record);
    return drop;
  }

  #handleDuringHandshake(
    now: Instant,
    record: OpenedRecord,
    fragment: HandshakeFragment,
    { handshake, reassembler }: Extract<State, { name: 'handshaking' }>,
  ): string | null {
    const { epoch } = record;
    // RFC 5246 §7.4.1.1: ignored during a handshake, and we never renegotiate after one.
    if (!this.#isServer && fragment.type === HANDSHAKE_TYPE.helloRequest)
      return 'dtls.handshake.helloRequest';
    // Anybody can write a plaintext message with the number of the Finished; it must not take its
    // place.
    if (fragment.messageSeq === reassembler.nextMessageSeq && epoch !== handshake.expectedEpoch)
      return 'dtls.handshake.epoch';
    // RFC 6347 §4.2.1: behind a stateless HelloVerifyRequest the ServerHello takes over the
    // ClientHello's record number.
    if (
      (handshake.expectsFirstMessage || handshake.mayStartAgain) &&
      fragment.messageSeq > 0 &&
      fragment.type === HANDSHAKE_TYPE.clientHello
    )
      this.#records.startAt(record.recordSequenceNumber);
    const result = reassembler.add(fragment, epoch);
    if (result === 'duplicate') {
      // One flight per repeated message, whatever number of fragments it came in.
      const isLastFragment =
        fragment.length > 0 &&
        fragment.fragmentOffset + fragment.fragment.length === fragment.length;
      if (this.#isServer && isLastFragment && epoch === 0) this.#flights.handleDuplicate(now);
      return 'dtls.handshake.repeated';
    }
    if (result !== 'held') return result;
    return this.#deliverMessages(now, handshake, reassembler);
  }

  /** @returns Why the handshake was refused, or `null`. */
  #deliverMessages(
    now: Instant,
    handshake: Handshake,
    reassembler: HandshakeReassembler,
  ): string | null {
    while (this.#state.name === 'handshaking') {
      const message = handshake.expectsFirstMessage ? reassembler.takeFirst() : reassembler.take();
      if (message === null) return null;
      const step = handshake.handleMessage(message);
      this.#follow(now, step);
      if (step.type === 'failed') return `dtls.refused.${step.reason}`;
    }
    return null;
  }

  #handleAfterwards12(
    now: Instant,
    epoch: number,
    fragment: HandshakeFragment,
    state: Extract<State, { name: 'connected12' }>,
  ): string | null {
    if (epoch !== 1 || !this.#isServer) return 'dtls.handshake.afterFinished';
    if (fragment.type === HANDSHAKE_TYPE.clientHello) {
      // RFC 5246 §7.2.2: what a peer that wants to renegotiate is told.
      this.#sendAlert(ALERT_LEVEL.warning, ALERT.noRenegotiation);
      return 'dtls.handshake.renegotiation';
    }
    // Only a client whose Finished we have verified can seal another one: our last flight was lost.
    if (fragment.type !== HANDSHAKE_TYPE.finished || !state.mayResendLast)
      return 'dtls.handshake.afterFinished';
    this.#flights.handleDuplicate(now);
    return null;
  }

  #follow(now: Instant, step: HandshakeStep): void {
    const state = this.#state;
    if (state.name === 'closed') return;
    switch (step.type) {
      case 'wait':
        return;
      case 'send':
        this.#acks.clear();
        this.#flights.send(now, step.parts, step.acknowledgement);
        if (step.isWritable !== true || state.name !== 'handshaking') return;
        state.isWritable = true;
        this.#outputs.push({ type: 'writable' });
        return;
      case 'connected':
        this.#handleConnected(now, step);
        return;
      case 'failed':
        this.#sendFatalAlert(step.alert);
        this.#close('handshakeFailed', step.reason);
    }
  }

  #handleConnected(now: Instant, step: Extract<HandshakeStep, { type: 'connected' }>): void {
    const { remoteCertificate, negotiated, traffic, parts } = step;
    if (traffic === null) {
      this.#flights.sendLast(parts);
      this.#state = { name: 'connected12', mayResendLast: true };
    } else {
      // The client's last flight acknowledges the server's; only an ACK acknowledges the client's.
      if (this.#isServer) this.#flights.stop();
      else {
        this.#acks.clear();
        this.#flights.send(now, parts, 'byAck');
      }
      this.#state = {
        name: 'connected13',
        after: new PostHandshake13(
          this.#crypto,
          this.#records,
          this.#flights,
          this.#isServer,
          traffic,
        ),
        finishedKeysUntil: this.#isServer ? later(now, FINISHED_KEYS_MS) : null,
      };
    }
    this.#outputs.push({ type: 'connected', remoteCertificate, negotiated });
  }

  #handleApplicationData(now: Instant, { payload, epoch }: OpenedRecord): string | null {
    const state = this.#state;
    switch (state.name) {
      case 'handshaking':
      case 'closed':
        return 'dtls.dataBeforeFinished';
      case 'connected12':
        if (state.mayResendLast) {
          state.mayResendLast = false;
          this.#flights.release();
        }
        break;
      case 'connected13':
        // RFC 9147 §6.1: epoch 2 carries the handshake only.
        if (epoch === 2) return 'dtls.record.contentType';
        if (state.finishedKeysUntil !== null && now >= state.finishedKeysUntil) {
          state.finishedKeysUntil = null;
          this.#records.forgetReadKeysBefore(3);
        }
    }
    this.#outputs.push({ type: 'data', data: payload });
    return null;
  }

  #handleAck(now: Instant, content: Uint8Array): string | null {
    const numbers = decodeAck(content);
    if (!numbers.ok) return numbers.drop;
    // Whoever seals under keys of ours has received our ServerHello.
    this.#flights.markAddressProven();
    const isComplete = this.#flights.handleAck(now, numbers.value);
    if (isComplete && this.#state.name === 'connected13') this.#state.after.handleAcknowledged(now);
    return null;
  }

  /** Notes a record of the peer's, and tells it in time when nothing of ours says the same. */
  #acknowledge(now: Instant, record: OpenedRecord): void {
    if (!this.#is13 || (this.#isServer && record.epoch === 0)) return;
    if (!this.#isServer && this.#state.name === 'connected13' && record.epoch < 3) return;
    this.#acks.note(record);
    const isDone = this.#state.name === 'connected13';
    this.#acks.schedule(now, isDone ? ACK_DELAY_MS : PARTIAL_ACK_DELAY_MS);
  }

  #takeAck(): Uint8Array | null {
    const content = this.#acks.take();
    return content === null ? null : this.#records.encodeProtected(CONTENT_TYPE.ack, content);
  }

  #sendAck(): void {
    const ack = this.#takeAck();
    if (ack !== null) this.#outputs.push({ type: 'transmit', data: ack });
  }

  #updateKeysInTime(now: Instant): void {
    if (this.#state.name !== 'connected13') return;
    const limit = this.#options.keyUpdateAfterRecords ?? KEY_UPDATE_AFTER_RECORDS;
    if (this.#records.sealedRecords >= limit && !this.#flights.isWaiting)
      this.#state.after.updateKeys(now, false);
  }

  #handleAlert(payload: Uint8Array): string | null {
    const alert = decodeAlert(payload);
    if (alert === null) return 'dtls.alert.malformed';
    if (alert.description === ALERT.closeNotify) {
      // RFC 5246 §7.2.1: the reply is a close_notify of our own.
      if (this.#isConnected) this.#sendAlert(ALERT_LEVEL.warning, ALERT.closeNotify);
      this.#close('closeNotify', '');
      return null;
    }
    // RFC 8446 §6: in 1.3 the level means nothing, and all but these two end the connection.
    const isFatal = this.#is13
      ? alert.description !== ALERT.userCanceled
      : alert.level === ALERT_LEVEL.fatal;
    if (isFatal) this.#close('fatalAlert', `alert ${alert.description}`);
    return null;
  }

  #sendAlert(level: number, description: number): void {
    const record = this.#records.encodeProtected(
      CONTENT_TYPE.alert,
      encodeAlert({ level, description }),
    );
    if (record !== null) this.#outputs.push({ type: 'transmit', data: record });
  }

  /** In the clear until there are keys, and in DTLS 1.2 until both sides are done. */
  #sendFatalAlert(description: number): void {
    if (this.#is13 && this.#records.writeEpoch > 0)
      return this.#sendAlert(ALERT_LEVEL.fatal, description);
    const alert = encodeAlert({ level: ALERT_LEVEL.fatal, description });
    const record = this.#records.encodePlaintext(CONTENT_TYPE.alert, alert);
    this.#outputs.push({ type: 'transmit', data: record });
  }

  #close(reason: DtlsCloseReason, detail: string): void {
    if (this.#state.name === 'closed') return;
    this.#flights.stop();
    this.#acks.clear();
    this.#state = { name: 'closed' };
    this.#outputs.push({ type: 'closed', reason, detail });
  }
}
