import type { Instant } from './instant.ts';

/** Something that stands in a {@link TimerHeap}. The two fields belong to the heap. */
export interface HeapEntry {
  deadline: Instant | null;
  heapIndex: number;
}

/**
 * A binary min-heap of deadlines with O(log n) change of any entry: one for all sessions of an
 * endpoint.
 */
export class TimerHeap<Entry extends HeapEntry> {
  readonly #entries: Entry[] = [];

  get size(): number {
    return this.#entries.length;
  }

  peek(): Entry | null {
    return this.#entries[0] ?? null;
  }

  /** Sets, moves or (with `null`) removes the deadline of `entry`. */
  set(entry: Entry, deadline: Instant | null): void {
    if (entry.deadline === deadline) return;
    const previous = entry.deadline;
    entry.deadline = deadline;
    if (deadline === null) this.#remove(entry);
    else if (previous === null) {
      this.#entries.push(entry);
      entry.heapIndex = this.#entries.length - 1;
      this.#up(entry);
    } else if (deadline < previous) this.#up(entry);
    else this.#down(entry);
  }

  #remove(entry: Entry): void {
    const index = entry.heapIndex;
    const last = this.#entries.pop();
    entry.heapIndex = -1;
    if (last === undefined || last === entry) return;
    this.#entries[index] = last;
    last.heapIndex = index;
    this.#up(last);
    this.#down(last);
  }

  #up(entry: Entry): void {
    const entries = this.#entries;
    let index = entry.heapIndex;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = entries[parentIndex];
      if (parent === undefined || isDueBefore(parent, entry)) break;
      entries[index] = parent;
      parent.heapIndex = index;
      index = parentIndex;
    }
    entries[index] = entry;
    entry.heapIndex = index;
  }

  #down(entry: Entry): void {
    const entries = this.#entries;
    let index = entry.heapIndex;
    for (;;) {
      let childIndex = 2 * index + 1;
      let child = entries[childIndex];
      if (child === undefined) break;
      const right = entries[childIndex + 1];
      if (right !== undefined && isDueBefore(right, child)) {
        childIndex += 1;
        child = right;
      }
      if (isDueBefore(entry, child)) break;
      entries[index] = child;
      child.heapIndex = index;
      index = childIndex;
    }
    entries[index] = entry;
    entry.heapIndex = index;
  }
}

function isDueBefore(a: HeapEntry, b: HeapEntry): boolean {
  // Entries in the heap always have a deadline; Infinity only satisfies the type.
  return (a.deadline ?? Infinity) <= (b.deadline ?? Infinity);
}
