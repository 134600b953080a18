/** What may wait of one relay, and of it of one sender. */
const MAX_WAITING = 1024;
const MAX_WAITING_OF_SENDER = 64;

/**
 * What one relay says of a room, taken in its order: opening it takes time. A sender that says more
 * than can be opened is not heard, and keeps no other waiting for long.
 */
export class Inbox {
  #chain: Promise<void> = Promise.resolve();
  #waiting = 0;
  readonly #waitingOf = new Map<string, number>();

  /**
   * @param sender whose word it is; empty for the relay's own
   * @param run never rejects
   * @returns whether there was a place for it
   */
  _add(sender: string, run: () => Promise<void>): boolean {
    const ofSender = this.#waitingOf.get(sender) ?? 0;
    if (this.#waiting >= MAX_WAITING || ofSender >= MAX_WAITING_OF_SENDER) return false;
    this.#waiting += 1;
    this.#waitingOf.set(sender, ofSender + 1);
    this.#chain = this.#chain.then(async () => {
      await run();
      this.#waiting -= 1;
      const left = (this.#waitingOf.get(sender) ?? 1) - 1;
      if (left === 0) this.#waitingOf.delete(sender);
      else this.#waitingOf.set(sender, left);
    });
    return true;
  }
}
