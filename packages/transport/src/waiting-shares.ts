export interface ShareLimits {
  /** Of all together; shares of those that came first were larger: there may be twice as much. */
  readonly maxBytes: number;
  /** However many wait, each has so much, */
  readonly minShareBytes: number;
  /** up to so much of all. */
  readonly maxMinSharesBytes: number;
}

/** How much waits of whom, at what it costs: all that wait have equal shares. */
export class WaitingShares {
  readonly #limits: ShareLimits;
  readonly #byOwner = new Map<string, number>();
  #bytes = 0;

  constructor(limits: ShareLimits) {
    this.#limits = limits;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** @returns Whether there is room for so much more of an owner, which then counts. */
  take(owner: string, bytes: number): boolean {
    const { maxBytes, minShareBytes, maxMinSharesBytes } = this.#limits;
    const own = (this.#byOwner.get(owner) ?? 0) + bytes;
    const owners = this.#byOwner.size + (this.#byOwner.has(owner) ? 0 : 1);
    const most = own > minShareBytes ? 2 * maxBytes : maxMinSharesBytes;
    if (own > Math.max(minShareBytes, maxBytes / owners) || this.#bytes + bytes > most)
      return false;
    this.#byOwner.set(owner, own);
    this.#bytes += bytes;
    return true;
  }

  /** So much of an owner waits no longer. */
  release(owner: string, bytes: number): void {
    const left = (this.#byOwner.get(owner) ?? 0) - bytes;
    if (left > 0) this.#byOwner.set(owner, left);
    else this.#byOwner.delete(owner);
    this.#bytes -= bytes;
  }
}
