/**
 * One bound for all holders and a fair one for each: a holder may grow while it has less than a
 * share of what is still free (Choudhury and Hahne 1998, dynamic queue length thresholds). One alone
 * gets a fifth by default; many get less each, and a newcomer always finds room.
 */
export class FairShare<Holder> {
  readonly #shareOfFree: number;
  readonly #held = new Map<Holder, number>();
  readonly #max: number;
  #total = 0;

  /**
   * @param max of all holders together
   * @param shareOfFree 1/4: one holder alone gets 1/5 of all
   */
  constructor(max: number, shareOfFree = 0.25) {
    this.#max = max;
    this.#shareOfFree = shareOfFree;
  }

  get total(): number {
    return this.#total;
  }

  /** @returns Whether the holder may have that much more; then it has. */
  take(holder: Holder, amount: number): boolean {
    if (this.of(holder) + amount > this.#shareOfFree * (this.#max - this.#total)) return false;
    this.add(holder, amount);
    return true;
  }

  /** The holder has that much more, whatever the bound says. */
  add(holder: Holder, amount: number): void {
    this.#held.set(holder, this.of(holder) + amount);
    this.#total += amount;
  }

  give(holder: Holder, amount: number): void {
    const left = this.of(holder) - amount;
    if (left > 0) this.#held.set(holder, left);
    else this.#held.delete(holder);
    this.#total -= amount;
  }

  /** @returns What a holder has. */
  of(holder: Holder): number {
    return this.#held.get(holder) ?? 0;
  }
}
