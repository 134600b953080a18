import { type Instant, instant, scopeOf } from '@lumamesh/base';
import {
  type SignedRelayRecord,
  decodeRecordLine,
  encodeRecordLine,
  prefixOf,
} from '@lumamesh/protocol';
import type { KnownRelay } from './relay-source.ts';

/*
 * What a page knows of relays: those it was given, those it remembers, those it heard of. Everything it hears is a stranger's word: records prove
 * themselves by signature, and how many are kept of one address prefix, and of one teller, is bounded, so that nobody can fill the book.
 */
const MAX_RELAYS = 256;
/** Of one /24 or /48; private networks are one's own. */
const MAX_PER_PREFIX = 4;
/** That one relay told of and nobody has reached yet. */
const MAX_UNPROVEN_PER_SOURCE = 32;
const MAX_SOURCES = 4;
/** A relay that failed this often when tried makes place for another. */
const FAILURES_TO_EVICT = 2;
const MAX_CACHED = 48;
/** The teller of what the page remembers. */
const CACHE = 'cache';

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
  readonly lot: number;
}

export class RelayBook {
  readonly #entries = new Map<string, KnownEntry>();
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  get entries(): Iterable<KnownEntry> {
    return this.#entries.values();
  }

  get size(): number {
    return this.#entries.size;
  }

  get(nk: string): KnownEntry | undefined {
    return this.#entries.get(nk);
  }

  addSeed(record: KnownRelay): void {
    const known = this.#entries.get(record.nk);
    if (known?.isSeed !== true) this.#add(record, true);
  }

  /**
   * Whether a record that `source` (a relay reached) told of would be taken once its signature is verified: checking is what costs.
   * @param unixSeconds the time, for records that have expired
   */
  wants(record: KnownRelay, source: string, unixSeconds: number): boolean {
    const known = this.#entries.get(record.nk);
    const teller = this.#entries.get(source)?.record;
    const scope = scopeOf(record.ip);
    // A relay speaks for itself and for its own mesh, and a public one not for addresses in our own network.
    const maySay =
      record.nk === source || (record.mesh !== undefined && teller?.mesh === record.mesh);
    if (
      !maySay ||
      record.expires < unixSeconds ||
      (scope !== 'public' && scopeOf(teller?.ip ?? '') !== scope)
    )
      return false;
    if (known !== undefined)
      return (
        record.sequence > known.record.sequence ||
        (!known.sources.has(source) && known.sources.size < MAX_SOURCES)
      );
    const all = [...this.#entries.values()];
    const ofSource = all.filter((entry) => !entry.isProven && entry.sources.has(source));
    const inPrefix = scope === 'public' ? this.#inPrefix(record) : [];
    return (
      ofSource.length < MAX_UNPROVEN_PER_SOURCE &&
      hasRoom(inPrefix, MAX_PER_PREFIX) &&
      hasRoom(all, MAX_RELAYS)
    );
  }

  /** Takes a record whose signature was verified, if it is still wanted. */
  take(record: KnownRelay, source: string, unixSeconds: number): void {
    if (!this.wants(record, source, unixSeconds)) return;
    const known = this.#entries.get(record.nk);
    if (known === undefined) {
      this.#evict(this.#inPrefix(record), MAX_PER_PREFIX);
      this.#evict([...this.#entries.values()], MAX_RELAYS);
      this.#add(record, false);
    } else if (record.sequence > known.record.sequence) {
      known.record = record;
      known.retryAt = instant(0);
    }
    this.#entries.get(record.nk)?.sources.add(source);
  }

  remove(nk: string): void {
    if (this.#entries.get(nk)?.isSeed === false) this.#entries.delete(nk);
  }

  /** The text to remember until the next visit: relays that were reached before any others. */
  serialise(): string {
    const signed = [...this.#entries.values()].filter(
      ({ record }) => record.signature !== undefined && scopeOf(record.ip) !== 'unusable',
    );
    const best = signed
      .toSorted((a, b) => Number(b.isProven) - Number(a.isProven) || a.failures - b.failures)
      .slice(0, MAX_CACHED);
    // Signed, as the filter has seen.
    return JSON.stringify(
      best.map(({ record, isProven, connectMs }) => [
        encodeRecordLine(record as SignedRelayRecord),
        isProven ? Math.round(connectMs) : -1,
      ]),
    );
  }

  /** Takes what {@link serialise} wrote, as far as it is of the meshes of the page's own relays. Others' rubbish in the storage is ignored. */
  load(text: string | null, unixSeconds: number): void {
    const meshes = new Set([...this.#entries.values()].map(({ record }) => record.mesh));
    // Local addresses only where the page's own relays are local.
    const scopes = new Set<string>([
      'public',
      ...[...this.#entries.values()].map(({ record }) => scopeOf(record.ip)),
    ]);
    for (const [line, connectMs] of readList(text)) {
      const record = decodeRecordLine(line);
      if (!record.ok || record.value.expires < unixSeconds) continue;
      if (!this.#entries.has(record.value.nk)) {
        const isCrowded = this.#inPrefix(record.value).length >= MAX_PER_PREFIX;
        if (
          isCrowded ||
          !scopes.has(scopeOf(record.value.ip)) ||
          (meshes.size > 0 && (record.value.mesh === undefined || !meshes.has(record.value.mesh)))
        )
          continue;
        this.#add(record.value, false);
        this.#entries.get(record.value.nk)?.sources.add(CACHE);
      }
      const entry = this.#entries.get(record.value.nk);
      if (entry === undefined || connectMs < 0) continue;
      entry.isProven = true;
      entry.connectMs = connectMs;
    }
  }

  #add(record: KnownRelay, isSeed: boolean): void {
    const { nk } = record;
    const known = this.#entries.get(nk);
    this.#entries.set(nk, {
      isProven: false,
      connectMs: 0,
      failures: 0,
      retryAt: instant(0),
      lot: this.#random(),
      sources: new Set(),
      ...known,
      record,
      isSeed,
    });
  }

  #inPrefix(record: KnownRelay): readonly KnownEntry[] {
    const prefix = prefixOf(record);
    return [...this.#entries.values()].filter((entry) => prefixOf(entry.record) === prefix);
  }

  /** Test before evict: only what was tried and did not answer makes place. */
  #evict(bucket: readonly KnownEntry[], max: number): void {
    if (bucket.length < max) return;
    const worst = bucket.filter(isEvictable).toSorted((a, b) => b.failures - a.failures)[0];
    if (worst !== undefined) this.#entries.delete(worst.record.nk);
  }
}

function isEvictable({ isSeed, failures }: KnownEntry): boolean {
  return !isSeed && failures >= FAILURES_TO_EVICT;
}

function hasRoom(bucket: readonly KnownEntry[], max: number): boolean {
  return bucket.length < max || bucket.some(isEvictable);
}

function readList(text: string | null): readonly (readonly [line: string, connectMs: number])[] {
  try {
    const list: unknown = JSON.parse(text ?? '[]');
    const isPair = (item: unknown): item is [string, number] =>
      Array.isArray(item) && typeof item[0] === 'string' && typeof item[1] === 'number';
    return Array.isArray(list) ? list.filter(isPair).slice(0, MAX_CACHED) : [];
  } catch {
    return [];
  }
}
