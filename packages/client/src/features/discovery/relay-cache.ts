import { scopeOf } from '@lumamesh/base';
import { type SignedRelayRecord, decodeRecordLine, encodeRecordLine } from '@lumamesh/protocol';
import type { RelayBook } from '../../net/relay-book.ts';
import { MAX_PER_PREFIX, addressesOf, entriesInPrefix } from './relay-intake.ts';

const MAX_CACHED = 48;
/** Of those that one relay was the first to tell of: no relay fills the memory of a page. */
const MAX_CACHED_PER_ANNOUNCER = 24;
/** The announcer of what the page remembers. */
const CACHE = 'cache';

/** The text to remember until the next visit: relays that were reached before any others. */
export function serialiseRelays(book: RelayBook): string {
  const signed = book.entries.filter(
    ({ record }) => record.signature !== undefined && scopeOf(record.ip) !== 'unusable',
  );
  const byAnnouncer = new Map<string, number>();
  const best = signed
    .toSorted((a, b) => Number(b.isProven) - Number(a.isProven) || a.failures - b.failures)
    .filter(({ isSeed, isAnchor, sources: [announcer = ''] }) => {
      const count = (byAnnouncer.get(announcer) ?? 0) + 1;
      byAnnouncer.set(announcer, count);
      return isSeed || isAnchor || count <= MAX_CACHED_PER_ANNOUNCER;
    })
    .slice(0, MAX_CACHED);
  // Signed, as the filter has seen.
  return JSON.stringify(
    best.map(({ record, isProven, connectMs, isTcp }) => [
      encodeRecordLine(record as SignedRelayRecord),
      isProven ? Math.round(connectMs) : -1,
      ...(isTcp ? ['tcp'] : []),
    ]),
  );
}

/**
 * Takes what {@link serialiseRelays} wrote, as far as it is of the meshes of the page's own relays.
 * What others have written into the storage is ignored.
 */
export function loadRelays(book: RelayBook, text: string | null, unixSeconds: number): void {
  const seeds = book.entries.map(({ record }) => record);
  const meshes = new Set(seeds.map(({ mesh }) => mesh));
  // Local addresses only where the page's own relays are local.
  const scopes = new Set<string>(['public', ...seeds.map(({ ip }) => scopeOf(ip))]);
  for (const [line, connectMs, transport] of readList(text)) {
    const decodedLine = decodeRecordLine(line);
    if (!decodedLine.ok || decodedLine.value.expires < unixSeconds) continue;
    const record = decodedLine.value;
    if (book.get(record.nk) === undefined) {
      const isForeign = meshes.size > 0 && (record.mesh === undefined || !meshes.has(record.mesh));
      const isCrowded = entriesInPrefix(book, record).length >= MAX_PER_PREFIX;
      const isElsewhere = addressesOf(record).some((address) => !scopes.has(scopeOf(address)));
      if (isCrowded || isForeign || isElsewhere) continue;
      book.add(record, false).sources.add(CACHE);
    }
    const entry = book.get(record.nk);
    if (entry === undefined || connectMs < 0) continue;
    entry.isProven = entry.isAnchor = true;
    entry.connectMs = connectMs;
    entry.isTcp = transport === 'tcp';
  }
}

type Remembered = readonly [line: string, connectMs: number, transport?: unknown];

function readList(text: string | null): readonly Remembered[] {
  try {
    const list: unknown = JSON.parse(text ?? '[]');
    const isRemembered = (item: unknown): item is Remembered =>
      Array.isArray(item) && typeof item[0] === 'string' && typeof item[1] === 'number';
    return Array.isArray(list) ? list.filter(isRemembered).slice(0, MAX_CACHED) : [];
  } catch {
    return [];
  }
}
