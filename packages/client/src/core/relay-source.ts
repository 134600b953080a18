import { type Decoded, LumameshError, decoded, dropped } from '@lumamesh/base';
import { type RelayRecord, type SignedRelayRecord, decodeRecordLine, findRecordFault, parseRecordJson } from '@lumamesh/protocol';

/** A relay as a page names it: a record (signed, or the bare fields), a `relay.txt` line, or the text of a whole `relay.txt`. */
export type RelaySource = string | RelayRecord | Omit<RelayRecord, 'sequence' | 'expires'>;

/** A relay to dial. Records without a signature are trusted as far as the page that holds them. */
export type KnownRelay = RelayRecord & Partial<Pick<SignedRelayRecord, 'signature' | 'extensions'>>;

/** Reads all that `connect({ relays })` was given. Throws `BAD_RELAY`, naming the entry and the fault; a page's own mistake should be loud. */
export function readRelaySources(sources: string | readonly RelaySource[]): KnownRelay[] {
  const entries: readonly RelaySource[] = typeof sources === 'string' ? [sources] : Array.isArray(sources) ? sources : [];
  const relays: KnownRelay[] = [];
  for (const [i, entry] of entries.entries()) {
    const lines = typeof entry === 'string' ? entry.split('\n').filter((line) => line.trim() !== '' && !line.trim().startsWith('#')) : [entry];
    for (const line of lines) {
      const relay = typeof line === 'string' ? decodeRecordLine(line) : readRecord(line);
      if (!relay.ok) throw new LumameshError('BAD_RELAY', `relays[${i}]: ${relay.drop}`);
      relays.push(relay.value);
    }
  }
  if (relays.length === 0) throw new LumameshError('BAD_RELAY', 'connect() needs at least one relay: pass { relays: [a record, or a line of relay.txt] }');
  return relays;
}

function readRecord(entry: Exclude<RelaySource, string>): Decoded<KnownRelay> {
  // A page without type checks may name anything.
  if (typeof entry !== 'object' || entry === null || typeof entry.nk !== 'string') return dropped('it is neither a record nor a line');
  if ('signature' in entry) return parseRecordJson(entry);
  const record: KnownRelay = { sequence: 0, expires: 2 ** 48 - 1, ...entry };
  const fault = findRecordFault(record);
  return fault === null ? decoded(record) : dropped(fault);
}
