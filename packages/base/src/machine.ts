import type { Instant } from './instant.ts';

/**
 * The contract of every protocol machine: it is told of datagrams, timeouts and commands (methods named `handleX` or after the command),
 * each with the time it happened, and then drained with {@link Machine.poll} until that answers `timeout`. It owns no socket, clock or timer.
 *
 * `timeout` always ends the drain: `at` is when the machine next wants `handleTimeout`, or `null` for "not until something happens".
 */
export type Output<Event> =
  | { readonly type: 'transmit'; readonly data: Uint8Array }
  | { readonly type: 'event'; readonly event: Event }
  | { readonly type: 'timeout'; readonly at: Instant | null };

export interface Machine<Event> {
  handleTimeout(now: Instant): void;
  poll(): Output<Event>;
}

/** A first-in first-out list that does not shift: popping is O(1), and an empty one holds no array. */
export class Fifo<T> {
  #items: (T | undefined)[] = [];
  #head = 0;

  get size(): number {
    return this.#items.length - this.#head;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  peek(): T | undefined {
    return this.#items[this.#head];
  }

  shift(): T | undefined {
    if (this.#head >= this.#items.length) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head] = undefined;
    this.#head += 1;
    if (this.#head === this.#items.length) {
      this.#items.length = 0;
      this.#head = 0;
    } else if (this.#head >= 64 && this.#head * 2 >= this.#items.length) {
      this.#items.splice(0, this.#head);
      this.#head = 0;
    }
    return item;
  }

  clear(): void {
    this.#items.length = 0;
    this.#head = 0;
  }

  *[Symbol.iterator](): IterableIterator<T> {
    for (let i = this.#head; i < this.#items.length; i++) {
      const item = this.#items[i];
      if (item !== undefined) yield item;
    }
  }
}

const NO_TIMEOUT = { type: 'timeout', at: null } as const;

/** The queue of a machine's outputs, drained by its `poll`. */
export class Outbox<Event> {
  readonly #queue = new Fifo<Output<Event>>();

  transmit(data: Uint8Array): void {
    this.#queue.push({ type: 'transmit', data });
  }

  event(event: Event): void {
    this.#queue.push({ type: 'event', event });
  }

  /** The next output, or the closing `timeout`. */
  poll(deadline: Instant | null): Output<Event> {
    return (
      this.#queue.shift() ?? (deadline === null ? NO_TIMEOUT : { type: 'timeout', at: deadline })
    );
  }
}
