/**
 * Slow start, congestion avoidance and their reactions to loss for one path (RFC 9260 §7.2). All in
 * bytes.
 */
export class CongestionWindow {
  readonly maxPacketBytes: number;
  #cwnd: number;
  #ssthresh = Number.MAX_SAFE_INTEGER;
  #partialBytesAcked = 0;

  constructor(maxPacketBytes: number) {
    this.maxPacketBytes = maxPacketBytes;
    // RFC 9260 §7.2.1: min(4 * PMDCS, max(2 * PMDCS, 4404)).
    this.#cwnd = Math.min(4 * maxPacketBytes, Math.max(2 * maxPacketBytes, 4404));
  }

  get cwnd(): number {
    return this.#cwnd;
  }

  /**
   * The cumulative TSN moved. `flightSize` is that before the SACK; growth needs a window that was
   * in use (RFC 9260 §7.2.1).
   */
  handleAck(ackedBytes: number, flightSize: number): void {
    const wasFull = flightSize >= this.#cwnd;
    if (this.#cwnd <= this.#ssthresh) {
      if (wasFull) this.#cwnd += Math.min(ackedBytes, this.maxPacketBytes);
      return;
    }
    // RFC 9260 §7.2.2.
    this.#partialBytesAcked += ackedBytes;
    if (this.#partialBytesAcked >= this.#cwnd && wasFull) {
      this.#partialBytesAcked -= this.#cwnd;
      this.#cwnd += this.maxPacketBytes;
    }
  }

  /** A chunk was reported missing three times (RFC 9260 §7.2.3). */
  handleFastRetransmit(): void {
    this.#ssthresh = Math.max(this.#cwnd / 2, 4 * this.maxPacketBytes);
    this.#cwnd = this.#ssthresh;
    this.#partialBytesAcked = 0;
  }

  /** T3-rtx expired (RFC 9260 §7.2.3). */
  handleRetransmissionTimeout(): void {
    this.#ssthresh = Math.max(this.#cwnd / 2, 4 * this.maxPacketBytes);
    this.#cwnd = this.maxPacketBytes;
    this.#partialBytesAcked = 0;
  }
}
