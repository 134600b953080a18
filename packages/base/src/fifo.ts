interface Link<T> {
  readonly item: T;
  next: Link<T> | null;
}

/**
 * A first-in first-out queue: putting in and taking out are O(1), and an empty one holds nothing.
 * A chain, because most queues hold an item or two for the length of a call, and an array makes
 * room for seventeen with the first.
 */
export class Fifo<T> {
  #first: Link<T> | null = null;
  #last: Link<T> | null = null;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(item: T): void {
    const link: Link<T> = { item, next: null };
    if (this.#last === null) this.#first = link;
    else this.#last.next = link;
    this.#last = link;
    this.#size += 1;
  }

  /** @returns The oldest item, which stays, or `undefined` when the queue is empty. */
  peek(): T | undefined {
    return this.#first?.item;
  }

  /** @returns The oldest item, now removed, or `undefined` when the queue is empty. */
  shift(): T | undefined {
    const first = this.#first;
    if (first === null) return undefined;
    this.#first = first.next;
    if (first.next === null) this.#last = null;
    this.#size -= 1;
    return first.item;
  }

  clear(): void {
    this.#first = null;
    this.#last = null;
    this.#size = 0;
  }

  /** The items from the oldest to the newest; none is removed. */
  *[Symbol.iterator](): IterableIterator<T> {
    for (let link = this.#first; link !== null; link = link.next) yield link.item;
  }
}
