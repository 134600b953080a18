import { type Fifo, type Instant, type Transmit, TimerTable, later } from '@lumamesh/base';
import type { RecordLayer } from '../record/record-layer.ts';
import { type FlightPart, encodeFlight } from './flight.ts';

/**
 * RFC 6347 §4.2.4.1 says 1 s in general; like browsers (and RFC 9147 §5.8.2 for known short round
 * trips) we start lower.
 */
const RETRANSMIT_INITIAL_MS = 250;
const RETRANSMIT_MAX_MS = 2000;
/** A flight is sent at most this often: about 20 s. The session above gives up earlier. */
const MAX_ATTEMPTS = 12;
/**
 * A duplicate gets our flight again at most this often: a crowd of them in one datagram, or a
 * stream of them, buys one.
 */
const RESEND_INTERVAL_MS = 20;

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
  #lastFlight: readonly FlightPart[] = [];
  #attempt = 0;
  #resentAt: Instant | null = null;

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

  /** The peer returned a cookie: its address is its own, so our timer may resend. */
  markAddressProven(): void {
    this.#mayRetransmit = true;
  }

  /** Sends a flight that the peer's next one acknowledges; the timer resends it until then. */
  send(now: Instant, parts: readonly FlightPart[]): void {
    this.sendLast(parts);
    this.#attempt = 0;
    this.#armRetransmit(now);
  }

  /**
   * Sends the last flight of a handshake: nothing acknowledges it, so only a duplicate resends it.
   */
  sendLast(parts: readonly FlightPart[]): void {
    this.#timers.disarmAll();
    this.#lastFlight = parts;
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

  /** The peer repeated its flight: ours was lost. */
  handleDuplicate(now: Instant): void {
    if (this.#resentAt !== null && now < this.#resentAt + RESEND_INTERVAL_MS) return;
    this.#resentAt = now;
    this.#transmit();
  }

  /** The peer has our last flight: it is kept no longer. */
  release(): void {
    this.#lastFlight = [];
  }

  stop(): void {
    this.#timers.disarmAll();
    this.release();
  }

  #transmit(): void {
    for (const data of encodeFlight(this.#records, this.#lastFlight, this.#maxDatagramBytes))
      this.#outputs.push({ type: 'transmit', data });
  }

  #armRetransmit(now: Instant): void {
    if (!this.#mayRetransmit) return;
    const delayMs = Math.min(RETRANSMIT_INITIAL_MS * 2 ** this.#attempt, RETRANSMIT_MAX_MS);
    this.#attempt += 1;
    this.#timers.arm('retransmit', later(now, delayMs));
  }
}
