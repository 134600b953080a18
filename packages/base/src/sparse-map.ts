/**
 * A map of numbers whose first entry costs nothing but its value: most sessions have one channel,
 * and a Map makes room for four with the first. Further entries are in a Map. The order is none.
 */
export class SparseMap<Value> {
  #key = -1;
  #value: Value | undefined;
  #others: Map<number, Value> | null = null;

  get size(): number {
    return (this.#key === -1 ? 0 : 1) + (this.#others?.size ?? 0);
  }

  get(key: number): Value | undefined {
    return key === this.#key ? this.#value : this.#others?.get(key);
  }

  has(key: number): boolean {
    return key === this.#key || this.#others?.has(key) === true;
  }

  /** @param key zero or more */
  set(key: number, value: Value): void {
    if (key === this.#key || (this.#key === -1 && this.#others?.has(key) !== true)) {
      this.#key = key;
      this.#value = value;
    } else (this.#others ??= new Map()).set(key, value);
  }

  /** @returns Whether there was one. */
  delete(key: number): boolean {
    if (key !== this.#key || key === -1) return this.#others?.delete(key) ?? false;
    this.#key = -1;
    this.#value = undefined;
    return true;
  }

  clear(): void {
    this.#key = -1;
    this.#value = undefined;
    this.#others = null;
  }

  *keys(): IterableIterator<number> {
    if (this.#key !== -1) yield this.#key;
    if (this.#others !== null) yield* this.#others.keys();
  }

  *values(): IterableIterator<Value> {
    for (const key of this.keys()) {
      const value = this.get(key);
      if (value !== undefined) yield value;
    }
  }
}
