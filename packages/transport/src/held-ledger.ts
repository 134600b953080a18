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
   * The session that holds most of the address that does: many sessions that hold a little each are
   * as greedy as one that holds all of it.
   */
  greediest(entries: Iterable<Entry>): Entry | null {
    const byHost = new Map<string, { bytes: number; most: Entry }>();
    for (const entry of entries) {
      const { host } = entry.source;
      const known = byHost.get(host);
      if (known === undefined) byHost.set(host, { bytes: entry.heldBytes, most: entry });
      else {
        known.bytes += entry.heldBytes;
        if (entry.heldBytes > known.most.heldBytes) known.most = entry;
      }
    }
    let greediest: { readonly bytes: number; readonly most: Entry } | null = null;
    for (const host of byHost.values())
      if (greediest === null || host.bytes > greediest.bytes) greediest = host;
    return greediest?.most ?? null;
  }
}
