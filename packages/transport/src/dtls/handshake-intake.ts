import type { Instant } from '@lumamesh/base';
import type { FlightSender } from './flight/flight-sender.ts';
import { HandshakeReassembler } from './flight/handshake-reassembler.ts';
import type { Handshake, HandshakeStep } from './handshake.ts';
import { HANDSHAKE_TYPE, type HandshakeFragment } from './message/handshake-header.ts';
import type { OpenedRecord, RecordLayer } from './record/record-layer.ts';

/** What a handshake may hold of unfinished messages. */
const SERVER_MAX_HELD_BYTES = 4096;
const CLIENT_MAX_HELD_BYTES = 16_384;

/** A message that was there before; its record is acknowledged all the same. */
export const REPEATED = 'dtls.handshake.repeated';

/** What comes for a handshake: fragments become messages, in order, each under the right keys. */
export class HandshakeIntake {
  readonly handshake: Handshake;
  readonly #records: RecordLayer;
  readonly #flights: FlightSender;
  readonly #isServer: boolean;
  readonly #reassembler: HandshakeReassembler;

  constructor(
    handshake: Handshake,
    records: RecordLayer,
    flights: FlightSender,
    isServer: boolean,
  ) {
    this.handshake = handshake;
    this.#records = records;
    this.#flights = flights;
    this.#isServer = isServer;
    this.#reassembler = new HandshakeReassembler(
      isServer ? SERVER_MAX_HELD_BYTES : CLIENT_MAX_HELD_BYTES,
    );
  }

  /** What came before the message of this number is of no use. */
  skipTo(messageSeq: number): void {
    if (this.handshake.expectsFirstMessage || this.handshake.mayStartAgain)
      this.#reassembler.skipTo(messageSeq);
  }

  /** @returns Why it was dropped, or `null`: there may be a message to {@link take}. */
  add(now: Instant, record: OpenedRecord, fragment: HandshakeFragment): string | null {
    const { epoch } = record;
    const { handshake } = this;
    // RFC 5246 §7.4.1.1: ignored during a handshake, and we never renegotiate after one.
    if (!this.#isServer && fragment.type === HANDSHAKE_TYPE.helloRequest)
      return 'dtls.handshake.helloRequest';
    // Nothing goes before a ClientHello; numbered 1 it would be taken for the one behind a cookie.
    if (handshake.expectsFirstMessage && fragment.type !== HANDSHAKE_TYPE.clientHello)
      return 'dtls.handshake.early';
    // Anybody can write a plaintext message with the number of the Finished; it must not take its
    // place.
    const isNext = fragment.messageSeq === this.#reassembler.nextMessageSeq;
    if (isNext && epoch !== handshake.expectedEpoch) return 'dtls.handshake.epoch';
    // RFC 6347 §4.2.1: behind a stateless HelloVerifyRequest the ServerHello takes over the
    // ClientHello's record number.
    if (
      (handshake.expectsFirstMessage || handshake.mayStartAgain) &&
      fragment.messageSeq > 0 &&
      fragment.type === HANDSHAKE_TYPE.clientHello
    )
      this.#records.startAt(record.recordSequenceNumber);
    const result = this.#reassembler.add(fragment, epoch);
    if (result === 'duplicate') {
      // One flight per repeated message, whatever number of fragments it came in.
      const isLastFragment =
        fragment.length > 0 &&
        fragment.fragmentOffset + fragment.fragment.length === fragment.length;
      if (this.#isServer && isLastFragment && epoch === 0) this.#flights.handleDuplicate(now);
      return REPEATED;
    }
    return result === 'held' ? null : result;
  }

  /** What the handshake wants done about the next message, or `null` while there is none. */
  take(): HandshakeStep | null {
    const message = this.handshake.expectsFirstMessage
      ? this.#reassembler.takeFirst()
      : this.#reassembler.take(this.handshake.expectedEpoch);
    return message === null ? null : this.handshake.handleMessage(message);
  }
}
