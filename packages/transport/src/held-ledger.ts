import type { Source } from './source.ts';

interface Holder {
  readonly source: Source;
  /** What its peer makes us hold. The field belongs to {@link HeldLedger}. */
  heldBytes: number;
}

/** With so much of the whole budget taken, only who holds little is taken anything more for. */
const SCARCE = 0.75;
const LITTLE_BYTES = 32_768;

/** What all sessions make us hold together, and who is to go when it is too much. */
export class HeldLedger<Entry extends Holder> {
  #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get isExceeded(): boolean {
    return this.#bytes > this.#maxBytes;
  }

  setMaxBytes(maxBytes: number): void {
    this.#maxBytes = maxBytes;
  }

  update(entry: Entry, heldBytes: number): void {
    this.#bytes += heldBytes - entry.heldBytes;
    entry.heldBytes = heldBytes;
  }

  /** Whether something more may be kept for a session. */
  allows(entry: Entry): boolean {
    return this.#bytes < this.#maxBytes * SCARCE || entry.heldBytes < LITTLE_BYTES;
  }

  /**
   * The session that holds most of the address that does, of the network that does: many sessions
   * that hold a little each are as greedy as one that holds all of it, and so are many addresses.
   */
  greediest(entries: Iterable<Entry>): Entry | null {
    const held = [...entries];
    const crowd = greediestOf(held, ({ source }) => source.network);
    const neighbours = greediestOf(crowd, ({ source }) => source.host);
    return greediestOf(neighbours, (entry) => entry)[0] ?? null;
  }
}

/** Those of the group that holds most. */
function greediestOf<Entry extends Holder>(
  entries: readonly Entry[],
  groupOf: (entry: Entry) => unknown,
): readonly Entry[] {
  const groups = Map.groupBy(entries, groupOf);
  let greediest: readonly Entry[] = [];
  let most = -1;
  for (const group of groups.values()) {
    const bytes = group.reduce((sum, { heldBytes }) => sum + heldBytes, 0);
    if (bytes <= most) continue;
    greediest = group;
    most = bytes;
  }
  return greediest;
}
