/**
 * RFC 9260 §16 says 1 s; over DTLS the handshake has just shown how long a round trip takes, and
 * libwebrtc starts at 500 ms as well.
 */
export const RTO_INITIAL_MS = 500;
/** Above the peer's delayed acknowledgement of 200 ms. */
const RTO_MIN_MS = 400;
/**
 * RFC 9260 has 60 s; a session ends after 25 s of silence (session.ts), so longer waits would never
 * be used.
 */
const RTO_MAX_MS = 10_000;
const ALPHA = 1 / 8;
const BETA = 1 / 4;

/** The retransmission timeout (RFC 9260 §6.3.1). */
export class RtoEstimator {
  #srttMs = 0;
  #rttvarMs = 0;
  #rtoMs = RTO_INITIAL_MS;

  get rtoMs(): number {
    return this.#rtoMs;
  }

  /** Zero before the first measurement. */
  get smoothedRttMs(): number {
    return this.#srttMs;
  }

  /** Takes a measurement of data that was sent once only (Karn's rule, RFC 9260 §6.3.1 C5). */
  measure(rttMs: number): void {
    if (this.#srttMs === 0) {
      this.#srttMs = Math.max(rttMs, 1);
      this.#rttvarMs = rttMs / 2;
    } else {
      this.#rttvarMs += BETA * (Math.abs(this.#srttMs - rttMs) - this.#rttvarMs);
      this.#srttMs += ALPHA * (rttMs - this.#srttMs);
    }
    this.#rtoMs = Math.min(Math.max(this.#srttMs + 4 * this.#rttvarMs, RTO_MIN_MS), RTO_MAX_MS);
  }

  /** RFC 9260 §6.3.3 E2. */
  backOff(): void {
    this.#rtoMs = Math.min(this.#rtoMs * 2, RTO_MAX_MS);
  }
}
