/** RFC 9260 §16: Association.Max.Retrans. */
const MAX_ERRORS = 10;

/** Timeouts in a row without a sign of life from the peer (RFC 9260 §8.1). */
export class ErrorCounter {
  #errors = 0;

  get count(): number {
    return this.#errors;
  }

  /** @returns Whether the peer now counts as unreachable. */
  add(): boolean {
    this.#errors += 1;
    return this.#errors > MAX_ERRORS;
  }

  /** The peer acknowledged something. */
  reset(): void {
    this.#errors = 0;
  }
}
