import {
  ByteReader,
  Fifo,
  type Instant,
  type Machine,
  type SyncCrypto,
  concatBytes,
  earlier,
} from '@lumamesh/base';
import { ClientHandshake } from './client-handshake.ts';
import type { ConnectionOptions, DtlsCloseReason, DtlsOutput } from './dtls-types.ts';
import { Acknowledger } from './flight/acknowledger.ts';
import { FlightSender } from './flight/flight-sender.ts';
import { HandshakeIntake, REPEATED } from './handshake-intake.ts';
import type {
  ClientHandshakeOptions,
  Handshake,
  HandshakeStep,
  ServerHandshakeOptions,
} from './handshake.ts';
import { decodeAck } from './message/ack.ts';
import { ALERT, ALERT_LEVEL, decodeAlert, encodeAlert, isFatal } from './message/alert.ts';
import { type HandshakeFragment, readHandshakeFragment } from './message/handshake-header.ts';
import type { PostHandshake } from './post-handshake.ts';
import { PostHandshake12 } from './post-handshake-12.ts';
import { PostHandshake13 } from './post-handshake-13.ts';
import { CONTENT_TYPE } from './record/record.ts';
import { type OpenedRecord, RecordLayer } from './record/record-layer.ts';
import { ServerHandshake } from './server-handshake.ts';

/** An ACK waits so long for a datagram to ride in: less than the shortest timer of a browser. */
const ACK_DELAY_MS = 10;
/** What came of a flight is acknowledged when the rest has not come after so long (RFC 9147 §7.1). */
const PARTIAL_ACK_DELAY_MS = 25;

type State =
  | { readonly name: 'handshaking'; readonly intake: HandshakeIntake; isWritable: boolean }
  | { readonly name: 'connected'; readonly after: PostHandshake12 | PostHandshake13 }
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
  readonly #maxDatagramBytes: number;
  readonly #keyUpdateAfterRecords: number | undefined;
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
    this.#maxDatagramBytes = options.maxDatagramBytes;
    this.#keyUpdateAfterRecords = options.keyUpdateAfterRecords;
    this.#records = records;
    this.#flights = new FlightSender(records, options.maxDatagramBytes, this.#outputs, !isServer);
    const intake = new HandshakeIntake(handshake, records, this.#flights, isServer);
    this.#state = { name: 'handshaking', intake, isWritable: false };
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
    if (this.#state.name === 'handshaking') this.#state.intake.skipTo(helloSeq);
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
      // Who has the keys sends none such. What else is in the datagram is not worth opening: two
      // hundred forged records in each would cost a core at 10 Mbit/s.
      if (!record.ok && record.drop === 'dtls.record.unauthentic') return drop;
      offset = end;
    }
    if (this.#state.name === 'connected') this.#state.after.updateKeysInTime(now);
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
      if (ack.length + record.length <= this.#maxDatagramBytes) {
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
    if (this.#state.name === 'connected') this.#sendAlert(ALERT_LEVEL.warning, ALERT.closeNotify);
    this.#close('localClose', '');
  }

  poll(): DtlsOutput | null {
    return this.#outputs.shift() ?? null;
  }

  get #is13(): boolean {
    const state = this.#state;
    if (state.name === 'handshaking') return state.intake.handshake.version === '1.3';
    return state.name === 'connected' && state.after.version === '1.3';
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
      if (state.name === 'closed') return 'dtls.closed';
      const result =
        state.name === 'connected'
          ? this.#handleAfterwards(now, record, fragment, state.after)
          : this.#handleDuringHandshake(now, record, fragment, state.intake);
      // A repeated message was of use before.
      if (result === null || result === REPEATED) isUseful = true;
      drop = result ?? drop;
    }
    if (isUseful) this.#acknowledge(now, record);
    return drop;
  }

  #handleDuringHandshake(
    now: Instant,
    record: OpenedRecord,
    fragment: HandshakeFragment,
    intake: HandshakeIntake,
  ): string | null {
    const drop = intake.add(now, record, fragment);
    if (drop !== null) return drop;
    while (this.#state.name === 'handshaking') {
      const step = intake.take();
      if (step === null) return null;
      this.#follow(now, step);
      if (step.type === 'failed') return `dtls.refused.${step.reason}`;
    }
    return null;
  }

  #handleAfterwards(
    now: Instant,
    { epoch }: OpenedRecord,
    fragment: HandshakeFragment,
    after: PostHandshake,
  ): string | null {
    const step = after.handleFragment(now, epoch, fragment);
    switch (step.type) {
      case 'taken':
      case 'acknowledge':
        return null;
      case 'drop':
        return step.drop;
      case 'warn':
        this.#sendAlert(ALERT_LEVEL.warning, step.alert);
        return step.drop;
      case 'failed':
        this.#follow(now, step);
        return `dtls.refused.${step.reason}`;
    }
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
      this.#state = {
        name: 'connected',
        after: new PostHandshake12(this.#flights, this.#isServer),
      };
    } else {
      // The client's last flight acknowledges the server's; only an ACK acknowledges the client's.
      if (this.#isServer) this.#flights.stop();
      else {
        this.#acks.clear();
        this.#flights.send(now, parts, 'byAck');
      }
      this.#state = {
        name: 'connected',
        after: new PostHandshake13(
          now,
          this.#crypto,
          this.#records,
          this.#flights,
          this.#isServer,
          traffic,
          this.#keyUpdateAfterRecords,
        ),
      };
    }
    this.#outputs.push({ type: 'connected', remoteCertificate, negotiated });
  }

  #handleApplicationData(now: Instant, { payload, epoch }: OpenedRecord): string | null {
    if (this.#state.name !== 'connected') return 'dtls.dataBeforeFinished';
    const drop = this.#state.after.handleData(now, epoch);
    if (drop === null) this.#outputs.push({ type: 'data', data: payload });
    return drop;
  }

  #handleAck(now: Instant, content: Uint8Array): string | null {
    const numbers = decodeAck(content);
    if (!numbers.ok) return numbers.drop;
    // Whoever seals under keys of ours has received our ServerHello.
    this.#flights.markAddressProven();
    const isComplete = this.#flights.handleAck(now, numbers.value);
    if (isComplete && this.#state.name === 'connected') this.#state.after.handleAcknowledged(now);
    return null;
  }

  /** Notes a record of the peer's, and tells it in time when nothing of ours says the same. */
  #acknowledge(now: Instant, record: OpenedRecord): void {
    if (!this.#is13 || (this.#isServer && record.epoch === 0)) return;
    const isDone = this.#state.name === 'connected';
    if (!this.#isServer && isDone && record.epoch < 3) return;
    this.#acks.note(record);
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

  #handleAlert(payload: Uint8Array): string | null {
    const alert = decodeAlert(payload);
    if (alert === null) return 'dtls.alert.malformed';
    if (alert.description === ALERT.closeNotify) {
      // RFC 5246 §7.2.1: the reply is a close_notify of our own.
      if (this.#state.name === 'connected') this.#sendAlert(ALERT_LEVEL.warning, ALERT.closeNotify);
      this.#close('closeNotify', '');
      return null;
    }
    if (isFatal(alert, this.#is13)) this.#close('fatalAlert', `alert ${alert.description}`);
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
