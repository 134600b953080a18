import type { Instant } from '@lumamesh/base';
import type { FlightSender } from './flight/flight-sender.ts';
import { ALERT } from './message/alert.ts';
import { HANDSHAKE_TYPE, type HandshakeFragment } from './message/handshake-header.ts';
import type { PostHandshake, PostHandshakeStep } from './post-handshake.ts';

/** One record has place for hundreds of requests: they are refused once in so long. */
const REFUSAL_INTERVAL_MS = 1000;
const AFTER_FINISHED: PostHandshakeStep = { type: 'drop', drop: 'dtls.handshake.afterFinished' };
const RENEGOTIATION = 'dtls.handshake.renegotiation';

/** What follows a handshake of DTLS 1.2: the client's Finished again, and renegotiation, refused. */
export class PostHandshake12 implements PostHandshake {
  readonly version = '1.2';
  readonly #flights: FlightSender;
  readonly #isServer: boolean;
  /**
   * A repeated Finished gets our last flight again until the peer shows by data that it has our
   * Finished.
   */
  #mayResendLast = true;
  #refusedAt: Instant | null = null;

  constructor(flights: FlightSender, isServer: boolean) {
    this.#flights = flights;
    this.#isServer = isServer;
  }

  handleFragment(now: Instant, epoch: number, { type }: HandshakeFragment): PostHandshakeStep {
    if (epoch !== 1 || !this.#isServer) return AFTER_FINISHED;
    // RFC 5246 §7.2.2: what a peer that wants to renegotiate is told.
    if (type === HANDSHAKE_TYPE.clientHello) return this.#refuse(now);
    // Only a client whose Finished we have verified can seal another one: our last flight was lost.
    if (type !== HANDSHAKE_TYPE.finished || !this.#mayResendLast) return AFTER_FINISHED;
    this.#flights.handleDuplicate(now);
    return { type: 'taken' };
  }

  handleData(): null {
    if (this.#mayResendLast) {
      this.#mayResendLast = false;
      this.#flights.release();
    }
    return null;
  }

  // Keys of DTLS 1.2 are good for 2^48 records, and nothing is acknowledged.
  updateKeysInTime(): void {}

  handleAcknowledged(): void {}

  #refuse(now: Instant): PostHandshakeStep {
    if (this.#refusedAt !== null && now < this.#refusedAt + REFUSAL_INTERVAL_MS)
      return { type: 'drop', drop: RENEGOTIATION };
    this.#refusedAt = now;
    return { type: 'warn', alert: ALERT.noRenegotiation, drop: RENEGOTIATION };
  }
}
