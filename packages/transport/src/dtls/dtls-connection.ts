import { ByteReader, Fifo, type Instant, type Machine, type Transmit } from '@lumamesh/base';
import { FlightSender } from './flight/flight-sender.ts';
import { HandshakeReassembler } from './flight/handshake-reassembler.ts';
import { type ClientHandshakeOptions, ClientHandshake12 } from './client-handshake-12.ts';
import type { Handshake, HandshakeStep } from './handshake.ts';
import { ALERT, ALERT_LEVEL, decodeAlert, encodeAlert } from './message/alert.ts';
import { HANDSHAKE_TYPE, readHandshakeFragment } from './message/handshake-header.ts';
import { CONTENT_TYPE, type DtlsRecord, decodeRecord } from './record/record.ts';
import { RecordLayer } from './record/record-layer.ts';
import { type ServerHandshakeOptions, ServerHandshake12 } from './server-handshake-12.ts';

/** What a handshake may hold of unfinished messages. */
const SERVER_MAX_HELD_BYTES = 4096;
const CLIENT_MAX_HELD_BYTES = 16_384;

export interface DatagramLimit {
  /** The largest datagram of a handshake; application data is the caller's to limit. */
  readonly maxDatagramBytes: number;
}

export type DtlsCloseReason =
  | 'closeNotify'
  | 'localClose'
  | 'fatalAlert'
  | 'handshakeFailed'
  | 'handshakeTimeout';

export type DtlsEvent =
  | { readonly type: 'connected'; readonly remoteCertificate: Uint8Array | null }
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
    }
  /**
   * A repeated Finished gets our last flight again until the peer shows by data that it has our
   * Finished.
   */
  | { readonly name: 'connected'; mayResendLast: boolean }
  | { readonly name: 'closed' };

/**
 * One DTLS association over one five-tuple (RFC 6347): records, epochs, replay, retransmission and
 * alerts around a {@link Handshake}.
 *
 *   handshaking ──Finished verified──▶ connected ──close_notify, fatal alert, close()──▶ closed
 *        └──────────failed, timed out──────────────────────────────────────────────────────▲
 */
export class DtlsConnection implements Machine<DtlsOutput> {
  readonly #records: RecordLayer;
  readonly #outputs = new Fifo<DtlsOutput>();
  readonly #flights: FlightSender;
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
    maxDatagramBytes: number,
  ) {
    this.#isServer = isServer;
    this.#records = records;
    this.#flights = new FlightSender(records, maxDatagramBytes, this.#outputs, !isServer);
    const reassembler = new HandshakeReassembler(
      isServer ? SERVER_MAX_HELD_BYTES : CLIENT_MAX_HELD_BYTES,
    );
    this.#state = { name: 'handshaking', handshake, reassembler };
  }

  static server(options: ServerHandshakeOptions & DatagramLimit): DtlsConnection {
    const records = new RecordLayer();
    return new DtlsConnection(
      true,
      records,
      new ServerHandshake12(options, records),
      options.maxDatagramBytes,
    );
  }

  static client(now: Instant, options: ClientHandshakeOptions & DatagramLimit): DtlsConnection {
    const records = new RecordLayer();
    const handshake = new ClientHandshake12(options, records);
    const connection = new DtlsConnection(false, records, handshake, options.maxDatagramBytes);
    connection.#follow(now, handshake.start());
    return connection;
  }

  get deadline(): Instant | null {
    return this.#flights.dueAt;
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
      const record = decodeRecord(datagram, offset);
      // RFC 6347 §4.1.2.7: invalid records are silently discarded, and what follows an unreadable
      // header has no beginning.
      if (!record.ok) return drop ?? record.drop;
      drop = this.#handleRecord(now, record.value) ?? drop;
      offset = record.value.end;
    }
    return drop;
  }

  handleTimeout(now: Instant): void {
    if (!this.#flights.handleRetransmissionTimer(now))
      this.#close('handshakeTimeout', this.#alertHint);
  }

  /**
   * Seals application data into one record in a datagram of its own.
   * @returns False before the handshake is done and after the end.
   */
  send(data: Uint8Array): boolean {
    if (this.#state.name !== 'connected') return false;
    const record = this.#records.encodeProtected(CONTENT_TYPE.applicationData, data);
    if (record === null) return false;
    this.#outputs.push({ type: 'transmit', data: record });
    return true;
  }

  /** Says goodbye where there is somebody to say it to (RFC 5246 §7.2.1). */
  close(): void {
    if (this.#state.name === 'connected') this.#sendAlert(ALERT_LEVEL.warning, ALERT.closeNotify);
    this.#close('localClose', '');
  }

  poll(): DtlsOutput | null {
    return this.#outputs.shift() ?? null;
  }

  #handleRecord(now: Instant, record: DtlsRecord): string | null {
    if (record.epoch === 0) return this.#handlePlaintextRecord(now, record);
    if (record.epoch !== 1) return 'dtls.record.epoch';
    const plaintext = this.#records.open(record);
    if (!plaintext.ok) return plaintext.drop;
    switch (record.contentType) {
      case CONTENT_TYPE.applicationData:
        return this.#handleApplicationData(plaintext.value);
      case CONTENT_TYPE.handshake:
        return this.#handleHandshakeRecord(now, record, plaintext.value);
      case CONTENT_TYPE.alert:
        return this.#handleAlert(plaintext.value);
      default:
        return 'dtls.record.contentType';
    }
  }

  /**
   * Nothing in epoch 0 is authenticated: it moves a handshake, but it cannot touch a live
   * association, and an alert in it ends nothing.
   */
  #handlePlaintextRecord(now: Instant, record: DtlsRecord): string | null {
    if (this.#state.name !== 'handshaking') return 'dtls.epoch0AfterFinished';
    switch (record.contentType) {
      case CONTENT_TYPE.handshake:
        return this.#handleHandshakeRecord(now, record, record.fragment);
      case CONTENT_TYPE.changeCipherSpec:
        // The epoch in the next record's header says the same, and that record proves it.
        return null;
      case CONTENT_TYPE.alert: {
        const alert = decodeAlert(record.fragment);
        if (alert !== null) this.#alertHint = `unauthenticated alert ${alert.description}`;
        return 'dtls.alert.unauthenticated';
      }
      default:
        return 'dtls.record.contentType';
    }
  }

  #handleHandshakeRecord(now: Instant, record: DtlsRecord, payload: Uint8Array): string | null {
    const reader = new ByteReader(payload);
    let drop: string | null = null;
    while (reader.remaining > 0) {
      const fragment = readHandshakeFragment(reader);
      if (!reader.ok) return 'dtls.handshake.malformed';
      const isProtected = record.epoch === 1;
      const state = this.#state;
      if (state.name === 'connected') {
        // Only a client whose Finished we have verified can seal another one: our last flight was
        // lost.
        const isRepeatedFinished =
          isProtected && fragment.type === HANDSHAKE_TYPE.finished && this.#isServer;
        if (isProtected && fragment.type === HANDSHAKE_TYPE.clientHello && this.#isServer) {
          // RFC 5246 §7.2.2: what a peer that wants to renegotiate is told.
          this.#sendAlert(ALERT_LEVEL.warning, ALERT.noRenegotiation);
          return 'dtls.handshake.renegotiation';
        }
        if (!isRepeatedFinished || !state.mayResendLast) return 'dtls.handshake.afterFinished';
        this.#flights.handleDuplicate(now);
        return null;
      }
      if (state.name === 'closed') return 'dtls.closed';
      const { handshake, reassembler } = state;
      // RFC 6347 §4.2.1: behind a stateless HelloVerifyRequest the ServerHello takes over the
      // ClientHello's record number.
      if (!this.#isServer && fragment.type === HANDSHAKE_TYPE.helloRequest) {
        // RFC 5246 §7.4.1.1: ignored during a handshake, and we never renegotiate after one.
        drop = 'dtls.handshake.helloRequest';
        continue;
      }
      if (
        fragment.messageSeq === reassembler.nextMessageSeq &&
        isProtected !== handshake.expectsProtected
      ) {
        // Anybody can write a plaintext message with the number of the Finished; it must not take
        // its place.
        drop = 'dtls.handshake.epoch';
        continue;
      }
      if (
        (handshake.expectsFirstMessage || handshake.mayStartAgain) &&
        fragment.messageSeq > 0 &&
        fragment.type === HANDSHAKE_TYPE.clientHello
      )
        this.#records.startAt(record.recordSequenceNumber);
      const result = reassembler.add(fragment, isProtected);
      if (result === 'duplicate') {
        // One flight per repeated message, whatever number of fragments it came in.
        const isLastFragment =
          fragment.length > 0 &&
          fragment.fragmentOffset + fragment.fragment.length === fragment.length;
        if (this.#isServer && isLastFragment && !isProtected) this.#flights.handleDuplicate(now);
        drop = 'dtls.handshake.repeated';
        continue;
      }
      if (result !== 'held') {
        drop = result;
        continue;
      }
      drop = this.#deliverMessages(now, handshake, reassembler) ?? drop;
    }
    return drop;
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

  #follow(now: Instant, step: HandshakeStep): void {
    if (this.#state.name !== 'handshaking') return;
    switch (step.type) {
      case 'wait':
        return;
      case 'send':
        return this.#flights.send(now, step.parts);
      case 'connected':
        this.#flights.sendLast(step.parts);
        this.#state = { name: 'connected', mayResendLast: true };
        this.#outputs.push({ type: 'connected', remoteCertificate: step.remoteCertificate });
        return;
      case 'failed':
        this.#outputs.push({
          type: 'transmit',
          data: this.#records.encodePlaintext(
            CONTENT_TYPE.alert,
            encodeAlert({ level: ALERT_LEVEL.fatal, description: step.alert }),
          ),
        });
        this.#close('handshakeFailed', step.reason);
    }
  }

  #handleApplicationData(data: Uint8Array): string | null {
    if (this.#state.name !== 'connected') return 'dtls.dataBeforeFinished';
    if (this.#state.mayResendLast) {
      this.#state.mayResendLast = false;
      this.#flights.release();
    }
    this.#outputs.push({ type: 'data', data });
    return null;
  }

  #handleAlert(fragment: Uint8Array): string | null {
    const alert = decodeAlert(fragment);
    if (alert === null) return 'dtls.alert.malformed';
    if (alert.description === ALERT.closeNotify) {
      // RFC 5246 §7.2.1: the reply is a close_notify of our own.
      if (this.#state.name === 'connected') this.#sendAlert(ALERT_LEVEL.warning, ALERT.closeNotify);
      this.#close('closeNotify', '');
    } else if (alert.level === ALERT_LEVEL.fatal)
      this.#close('fatalAlert', `alert ${alert.description}`);
    return null;
  }

  #sendAlert(level: number, description: number): void {
    const record = this.#records.encodeProtected(
      CONTENT_TYPE.alert,
      encodeAlert({ level, description }),
    );
    if (record !== null) this.#outputs.push({ type: 'transmit', data: record });
  }

  #close(reason: DtlsCloseReason, detail: string): void {
    if (this.#state.name === 'closed') return;
    this.#flights.stop();
    this.#state = { name: 'closed' };
    this.#outputs.push({ type: 'closed', reason, detail });
  }
}
