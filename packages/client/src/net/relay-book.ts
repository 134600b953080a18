import { type Instant, instant } from '@lumamesh/base';
import type { KnownRelay } from './relay-source.ts';

/** A relay and what this page has seen of it. */
export interface KnownEntry {
  record: KnownRelay;
  /** Given by the page: never evicted. */
  readonly isSeed: boolean;
  /** Node keys of relays that told of it. */
  readonly sources: Set<string>;
  /** Reached by this page, now or in an earlier visit. */
  isProven: boolean;
  /** How long it took to be reached, in ms. */
  connectMs: number;
  /** Attempts in a row that did not reach it. */
  failures: number;
  retryAt: Instant;
  /** Settles ties, so that a crowd with one list does not dial one relay. */
  readonly tieBreaker: number;
}

/** The relays that a page knows, by node key. What is taken in besides its own is `discovery`'s. */
export class RelayBook {
  readonly #entries = new Map<string, KnownEntry>();
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
      connectMs: 0,
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

  addSeed(record: KnownRelay): void {
    if (this.get(record.nk)?.isSeed !== true) this.add(record, true);
  }

  /** Removes a relay that the page did not name itself. */
  remove(nk: string): void {
    if (this.get(nk)?.isSeed === false) this.#entries.delete(nk);
  }
}
