import { type Instant, instant, scopeOf } from '@lumamesh/base';
import { prefixOf } from '@lumamesh/protocol';
import type { KnownEntry, RelayBook } from '../../net/relay-book.ts';
import type { KnownRelay } from '../../net/relay-source.ts';

/*
 * Which relays that a page hears of are taken into its book. Everything it hears is a stranger's
 * word: records prove themselves by signature, and how many are kept of one address prefix, and of
 * one announcer, is bounded, so that nobody can fill the book.
 */
const MAX_RELAYS = 256;
/** Of one /24 or /48; private networks are one's own. */
export const MAX_PER_PREFIX = 4;
/** That one relay announced and nobody has reached yet. */
const MAX_UNPROVEN_PER_ANNOUNCER = 32;
const MAX_ANNOUNCERS = 4;
/** A relay that failed this often when tried makes place for another. */
const FAILURES_TO_EVICT = 2;

/**
 * Whether a record that `announcer` (a relay reached) told of would be taken once its signature is
 * verified: checking is what costs.
 *
 * @param unixSeconds the time, for records that have expired
 */
export function wantsRelay(
  book: RelayBook,
  record: KnownRelay,
  announcer: string,
  unixSeconds: number,
): boolean {
  const known = book.get(record.nk);
  const by = book.get(announcer)?.record;
  // A relay speaks for itself and for its own mesh, a public one not for our own network.
  const mayAnnounce =
    record.nk === announcer || (record.mesh !== undefined && by?.mesh === record.mesh);
  if (
    !mayAnnounce ||
    book.removed.has(record.nk) ||
    record.expires < unixSeconds ||
    addressesOf(record).some(
      (address) => scopeOf(address) !== 'public' && scopeOf(by?.ip ?? '') !== scopeOf(address),
    )
  )
    return false;
  const others = scopeOf(record.ip) === 'public' ? entriesInPrefix(book, record) : [];
  if (known !== undefined) {
    // Who moves needs a place where it goes.
    const hasPlace = others.includes(known) || known.isSeed || hasCapacity(others, MAX_PER_PREFIX);
    return record.sequence > known.record.sequence
      ? hasPlace
      : !known.sources.has(announcer) && known.sources.size < MAX_ANNOUNCERS;
  }
  const ofAnnouncer = book.entries.filter(
    (entry) => !entry.isProven && entry.sources.has(announcer),
  );
  return (
    ofAnnouncer.length < MAX_UNPROVEN_PER_ANNOUNCER &&
    hasCapacity(others, MAX_PER_PREFIX) &&
    hasCapacity(book.entries, MAX_RELAYS)
  );
}

/** Takes a record whose signature was verified, if it is still wanted. */
export function takeRelay(
  book: RelayBook,
  record: KnownRelay,
  announcer: string,
  unixSeconds: number,
): void {
  if (!wantsRelay(book, record, announcer, unixSeconds)) return;
  const known = book.get(record.nk);
  if (known === undefined) {
    evictOne(book, entriesInPrefix(book, record), MAX_PER_PREFIX);
    evictOne(book, book.entries, MAX_RELAYS);
    book.add(record, false);
  } else if (record.sequence > known.record.sequence) {
    known.record = record;
    known.retryAt = instant(0);
  }
  book.get(record.nk)?.sources.add(announcer);
}

/** A relay that was never reached and may be tried now. */
export function findFeeler(
  book: RelayBook,
  now: Instant,
  mayEnter: (relay: KnownRelay) => boolean,
): KnownEntry | null {
  const untried = book.entries.filter(
    ({ isProven, retryAt, record }) => !isProven && retryAt <= now && mayEnter(record),
  );
  const rank = ({ failures, isSeed, tieBreaker }: KnownEntry): number =>
    failures - Number(isSeed) + tieBreaker;
  return untried.toSorted((a, b) => rank(a) - rank(b))[0] ?? null;
}

/** Where a record says that its relay is. */
export function addressesOf({ ip, ip6 }: KnownRelay): readonly string[] {
  return ip6 === undefined ? [ip] : [ip, ip6];
}

/** The relays known in the /24 or /48 of a record. */
export function entriesInPrefix(book: RelayBook, record: KnownRelay): readonly KnownEntry[] {
  const prefix = prefixOf(record);
  return book.entries.filter((entry) => prefixOf(entry.record) === prefix);
}

/** Test before evict: only what was tried and did not answer makes place. */
function evictOne(book: RelayBook, bucket: readonly KnownEntry[], max: number): void {
  if (bucket.length < max) return;
  const worst = bucket.filter(isEvictable).toSorted((a, b) => b.failures - a.failures)[0];
  if (worst !== undefined) book.remove(worst.record.nk);
}

function isEvictable({ isSeed, failures }: KnownEntry): boolean {
  return !isSeed && failures >= FAILURES_TO_EVICT;
}

function hasCapacity(bucket: readonly KnownEntry[], max: number): boolean {
  return bucket.length < max || bucket.some(isEvictable);
}
