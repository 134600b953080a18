import { type Instant, instant } from '@lumamesh/base';
import type { KnownRelay } from './relay-source.ts';

/** A relay and what this page has seen of it. */
export interface KnownEntry {
  record: KnownRelay;
  /** Given by the page: never evicted. */
  isSeed: boolean;
  /** Reached in an earlier visit, and remembered: nobody has told of it just now. */
  isAnchor: boolean;
  /** Node keys of relays that told of it. */
  readonly sources: Set<string>;
  /** Reached by this page, now or in an earlier visit. */
  isProven: boolean;
  /** How long it took to be reached, in ms. */
  connectMs: number;
  /** Reached over TCP the last time: UDP found nobody. */
  isTcp: boolean;
  /** Attempts in a row that did not reach it. */
  failures: number;
  retryAt: Instant;
  /** Settles ties, so that a crowd with one list does not dial one relay. */
  readonly tieBreaker: number;
}

/** The relays that a page knows, by node key. What is taken in besides its own is `discovery`'s. */
export class RelayBook {
  readonly #entries = new Map<string, KnownEntry>();
  /** What the page names, by where it does. */
  readonly #seeds = new Map<string, readonly KnownRelay[]>();
  /** Node keys that the page wants nothing of. */
  readonly removed = new Set<string>();
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  get entries(): readonly KnownEntry[] {
    return [...this.#entries.values()];
  }

  get(nk: string): KnownEntry | undefined {
    return this.#entries.get(nk);
  }

  /** Adds a relay, or renews its record. What was seen of it stays. */
  add(record: KnownRelay, isSeed: boolean): KnownEntry {
    const entry = {
      isProven: false,
      isAnchor: false,
      connectMs: 0,
      isTcp: false,
      failures: 0,
      retryAt: instant(0),
      tieBreaker: this.#random(),
      sources: new Set<string>(),
      ...this.#entries.get(record.nk),
      record,
      isSeed,
    };
    this.#entries.set(record.nk, entry);
    return entry;
  }

  /** The page's own relays of one `source`, in the place of those that it named before. */
  setSeeds(source: string, records: readonly KnownRelay[]): void {
    this.#seeds.set(source, records);
    const named = new Map<string, KnownRelay>();
    for (const record of [...this.#seeds.values()].flat())
      if (!this.removed.has(record.nk) && isNewer(record, named.get(record.nk)))
        named.set(record.nk, record);
    for (const entry of this.entries) {
      const { nk } = entry.record;
      entry.isSeed &&= named.has(nk);
      // Others may have told of it as well.
      if (this.removed.has(nk) || (!entry.isSeed && entry.sources.size === 0))
        this.#entries.delete(nk);
    }
    for (const [nk, record] of named) {
      const known = this.get(nk);
      if (known !== undefined && !isNewer(record, known.record)) known.isSeed = true;
      // Another address, or another certificate: what became of the old one tells nothing of it.
      else Object.assign(this.add(record, true), { failures: 0, retryAt: instant(0) });
    }
  }

  /** Removes a relay that the page did not name itself. */
  remove(nk: string): void {
    if (this.get(nk)?.isSeed === false) this.#entries.delete(nk);
  }
}

/** Whether a record takes the place of another of the same relay. */
function isNewer(record: KnownRelay, known: KnownRelay | undefined): boolean {
  return (
    known === undefined ||
    (record.sequence >= known.sequence && JSON.stringify(record) !== JSON.stringify(known))
  );
}
