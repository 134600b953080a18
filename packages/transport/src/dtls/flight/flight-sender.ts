import { type Fifo, type Instant, type Transmit, TimerTable, later } from '@lumamesh/base';
import type { RecordLayer, RecordNumber } from '../record/record-layer.ts';
import { type FlightFragment, type FlightPart, encodeFlight, fragmentsOf } from './flight.ts';

/**
 * RFC 6347 §4.2.4.1 says 1 s in general; like browsers (and RFC 9147 §5.8.2 for known short round
 * trips) we start lower.
 */
const RETRANSMIT_INITIAL_MS = 250;
const RETRANSMIT_MAX_MS = 2000;
/** A flight is sent at most this often: about 20 s. The session above gives up earlier. */
const MAX_ATTEMPTS = 12;
/**
 * A duplicate, or an acknowledgement of a part, gets our flight again at most this often: a crowd
 * of them in one datagram, or a stream of them, buys one.
 */
const RESEND_INTERVAL_MS = 20;

/**
 * How a flight is acknowledged, and so when it is sent again.
 *
 * - `byReply` (DTLS 1.2): the peer's next flight acknowledges it; the peer's last one, repeated,
 *   asks for it again.
 * - `byAck` (DTLS 1.3): by the next flight, or record by record (RFC 9147 §7). A repeated message
 *   of the peer's shows no more than that its timer is shorter than the round trip (Firefox's
 *   starts at 50 ms): the flight is sent again for one when our own timer would do so.
 */
export type Acknowledgement = 'byReply' | 'byAck';

/**
 * Sends the flights of a handshake, and the last one again when it or the reply to it was lost: the
 * very same messages, byte for byte, in records with fresh numbers (RFC 6347 §4.2.4). A receiver
 * whose replay window has seen a record, though it had no use for its message yet, would drop the
 * same record for ever (docs/adr/0003).
 */
export class FlightSender {
  readonly #records: RecordLayer;
  readonly #maxDatagramBytes: number;
  readonly #outputs: Pick<Fifo<Transmit>, 'push'>;
  readonly #timers = new TimerTable<'retransmit'>();
  /**
   * Whether our own timer may resend a flight: never towards an address that nothing has proven.
   */
  #mayRetransmit: boolean;
  #acknowledgement: Acknowledgement = 'byReply';
  #lastFlight: readonly FlightFragment[] = [];
  /** Where its fragments went, by the number of the record; for `byAck` only. */
  #sent: Map<number, readonly FlightFragment[]> | null = null;
  #attempt = 0;
  #resentAt: Instant | null = null;
  /** When our own timer sends the flight again, or would. */
  #dueAt: Instant | null = null;

  constructor(
    records: RecordLayer,
    maxDatagramBytes: number,
    outputs: Pick<Fifo<Transmit>, 'push'>,
    mayRetransmit: boolean,
  ) {
    this.#records = records;
    this.#maxDatagramBytes = maxDatagramBytes;
    this.#outputs = outputs;
    this.#mayRetransmit = mayRetransmit;
  }

  get dueAt(): Instant | null {
    return this.#timers.next();
  }

  /** Whether a flight waits for an acknowledgement. */
  get isWaiting(): boolean {
    return this.#lastFlight.length > 0;
  }

  /** The peer returned a cookie: its address is its own, so our timer may resend. */
  markAddressProven(): void {
    this.#mayRetransmit = true;
  }

  /** Sends a flight that the peer acknowledges; the timer resends it until then. */
  send(now: Instant, parts: readonly FlightPart[], acknowledgement: Acknowledgement): void {
    this.#acknowledgement = acknowledgement;
    this.sendLast(parts);
    this.#attempt = 0;
    this.#armRetransmit(now);
  }

  /**
   * Sends the last flight of a handshake: nothing acknowledges it, so only a duplicate resends it.
   */
  sendLast(parts: readonly FlightPart[]): void {
    this.#timers.disarmAll();
    this.#dueAt = null;
    this.#resentAt = null;
    this.#lastFlight = fragmentsOf(this.#records, parts, this.#maxDatagramBytes);
    this.#sent = this.#acknowledgement === 'byAck' ? new Map() : null;
    this.#transmit();
  }

  /**
   * Resends the flight when the timer is due.
   * @returns False when it was sent as often as it may be.
   */
  handleRetransmissionTimer(now: Instant): boolean {
    if (this.#timers.takeExpired(now) === null) return true;
    if (this.#attempt >= MAX_ATTEMPTS) return false;
    this.#transmit();
    this.#armRetransmit(now);
    return true;
  }

  /** The peer repeated its flight: ours was lost, or is still on its way. */
  handleDuplicate(now: Instant): void {
    if (this.#acknowledgement === 'byReply') return this.#resend(now);
    if (this.#dueAt === null || now < this.#dueAt || this.#attempt >= MAX_ATTEMPTS) return;
    this.#transmit();
    this.#armRetransmit(now);
  }

  /**
   * The peer has these records. What it has not is sent again at once (RFC 9147 §7.2).
   * @returns Whether all of the flight has now arrived.
   */
  handleAck(now: Instant, numbers: readonly RecordNumber[]): boolean {
    if (this.#sent === null || this.#lastFlight.length === 0) return false;
    let isNews = false;
    for (const number of numbers) {
      for (const fragment of this.#sent.get(keyOf(number)) ?? []) {
        isNews ||= !fragment.isAcknowledged;
        fragment.isAcknowledged = true;
      }
    }
    if (!isNews) return false;
    if (this.#lastFlight.every(({ isAcknowledged }) => isAcknowledged)) {
      this.stop();
      return true;
    }
    this.#resend(now);
    return false;
  }

  /** The peer has our last flight: it is kept no longer. */
  release(): void {
    this.#lastFlight = [];
    this.#sent = null;
  }

  stop(): void {
    this.#timers.disarmAll();
    this.#dueAt = null;
    this.release();
  }

  #resend(now: Instant): void {
    if (this.#resentAt !== null && now < this.#resentAt + RESEND_INTERVAL_MS) return;
    this.#resentAt = now;
    this.#transmit();
  }

  #transmit(): void {
    const datagrams = encodeFlight(
      this.#records,
      this.#lastFlight,
      this.#maxDatagramBytes,
      (number, held) => this.#sent?.set(keyOf(number), held),
    );
    for (const data of datagrams) this.#outputs.push({ type: 'transmit', data });
  }

  #armRetransmit(now: Instant): void {
    const delayMs = Math.min(RETRANSMIT_INITIAL_MS * 2 ** this.#attempt, RETRANSMIT_MAX_MS);
    this.#attempt += 1;
    this.#dueAt = later(now, delayMs);
    if (this.#mayRetransmit) this.#timers.arm('retransmit', this.#dueAt);
  }
}

/** Epochs and numbers of what we send stay far below these bounds. */
function keyOf({ epoch, recordSequenceNumber }: RecordNumber): number {
  return epoch * 2 ** 32 + recordSequenceNumber;
}
