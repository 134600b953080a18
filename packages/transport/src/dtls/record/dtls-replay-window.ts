const WINDOW_BITS = 64;

/**
 * The anti-replay window of one epoch (RFC 6347 §4.1.2.6, after RFC 4303 §3.4.3): 64 sequence
 * numbers behind the highest one that authenticated. `isFresh` is asked before the record is
 * opened, `markSeen` told after it verified.
 */
export class DtlsReplayWindow {
  #highest = -1;
  /** Bit i of `#low` stands for `highest - i`, of `#high` for `highest - 32 - i`. */
  #low = 0;
  #high = 0;

  /** The highest number that was seen; -1 before the first. */
  get highest(): number {
    return this.#highest;
  }

  isFresh(sequenceNumber: number): boolean {
    const age = this.#highest - sequenceNumber;
    if (age < 0) return true;
    if (age >= WINDOW_BITS) return false;
    return age < 32 ? (this.#low & (1 << age)) === 0 : (this.#high & (1 << (age - 32))) === 0;
  }

  markSeen(sequenceNumber: number): void {
    const advance = sequenceNumber - this.#highest;
    if (advance > 0) {
      this.#shift(advance);
      this.#highest = sequenceNumber;
      this.#low |= 1;
      return;
    }
    const age = -advance;
    if (age < 32) this.#low |= 1 << age;
    else if (age < WINDOW_BITS) this.#high |= 1 << (age - 32);
  }

  #shift(by: number): void {
    if (by >= WINDOW_BITS) {
      this.#low = 0;
      this.#high = 0;
    } else if (by >= 32) {
      // A shift by 32 is a shift by 0 in JavaScript, so this case stands alone.
      this.#high = this.#low << (by - 32);
      this.#low = 0;
    } else {
      this.#high = (this.#high << by) | (this.#low >>> (32 - by));
      this.#low <<= by;
    }
  }
}
