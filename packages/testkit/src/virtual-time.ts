import { type Instant, instant, later } from '@lumamesh/base';

interface TimedEvent {
  readonly at: Instant;
  readonly order: number;
  readonly run: () => void;
}

/** Virtual time: events in a binary heap, by time and then in the order in which they were set. */
export class VirtualTime {
  #now: Instant = instant(0);
  readonly #heap: TimedEvent[] = [];
  #order = 0;

  get now(): Instant {
    return this.#now;
  }

  /** Runs something in so many milliseconds. */
  after(ms: number, run: () => void): void {
    this.#order += 1;
    const event = { at: later(this.#now, ms), order: this.#order, run };
    const heap = this.#heap;
    let i = heap.length;
    heap.push(event);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const other = heap[parent];
      if (other === undefined || !isBefore(event, other)) break;
      heap[i] = other;
      i = parent;
    }
    heap[i] = event;
  }

  /**
   * Runs events until `isDone`, looked at every 50 ms of virtual time.
   * @returns Whether it came to that within `ms`.
   */
  runUntil(isDone: () => boolean, ms: number): boolean {
    const endsAt = later(this.#now, ms);
    let lookAt = this.#now;
    for (;;) {
      const [event] = this.#heap;
      if (this.#now >= lookAt) {
        if (isDone()) return true;
        lookAt = later(this.#now, 50);
      }
      if (event === undefined || event.at > endsAt) break;
      this.#removeFirst();
      this.#now = event.at > this.#now ? event.at : this.#now;
      event.run();
    }
    this.#now = endsAt;
    return isDone();
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      const [left, right] = [heap[child], heap[child + 1]];
      if (left === undefined) break;
      if (right !== undefined && isBefore(right, left)) child += 1;
      const next = heap[child];
      if (next === undefined || !isBefore(next, last)) break;
      heap[i] = next;
      i = child;
    }
    heap[i] = last;
  }
}

function isBefore(a: TimedEvent, b: TimedEvent): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
