/**
 * What may be sent to an address that nothing has proven, in relation to what came from it (as RFC
 * 9000 §8.1 has it for QUIC).
 */
export const UNPROVEN_AMPLIFICATION_LIMIT = 3;

/**
 * Bounds what is sent to an address until it is proven, so that a forged one makes no reflector of
 * us. All in bytes.
 */
export class AmplificationLimit {
  #isProven: boolean;
  #receivedBytes = 0;
  #sentBytes = 0;

  constructor(isProven: boolean) {
    this.#isProven = isProven;
  }

  get isProven(): boolean {
    return this.#isProven;
  }

  /** The address is the peer's own: the limit is lifted. */
  markProven(): void {
    this.#isProven = true;
  }

  /** Datagrams that went past the limit were exchanged with the address. */
  count(receivedBytes: number, sentBytes: number): void {
    this.#receivedBytes += receivedBytes;
    this.#sentBytes += sentBytes;
  }

  /**
   * Whether a reply of so many bytes may be sent once `arriving` more bytes have come from the
   * address.
   */
  allows(bytes: number, arriving: number): boolean {
    const received = this.#receivedBytes + arriving;
    return this.#isProven || this.#sentBytes + bytes <= UNPROVEN_AMPLIFICATION_LIMIT * received;
  }

  /**
   * Asks to send a datagram, and counts it when it may be sent.
   * @returns False when it would be more than {@link UNPROVEN_AMPLIFICATION_LIMIT} times what was received.
   */
  admit(bytes: number): boolean {
    const isWithin = this.allows(bytes, 0);
    if (isWithin) this.#sentBytes += bytes;
    return isWithin;
  }
}
