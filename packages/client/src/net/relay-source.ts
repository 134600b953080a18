import { type Decoded, LumameshError, decoded, dropped } from '@lumamesh/base';
import {
  type RelayRecord,
  type SignedRelayRecord,
  decodeRecordLine,
  findRecordFault,
  parseRecordJson,
} from '@lumamesh/protocol';

/**
 * A relay as a page names it: a record (signed, or the bare fields), a `relay.txt` line, the text
 * of a whole `relay.txt`, or the URL of one.
 */
export type RelaySource =
  | string
  | { readonly href: string }
  | RelayRecord
  | Omit<RelayRecord, 'sequence' | 'expires'>;

/** A relay to dial. Records without a signature are trusted as far as the page that holds them. */
export type KnownRelay = RelayRecord & Partial<Pick<SignedRelayRecord, 'signature'>>;

/** Every relay is a STUN server as well. */
export function stunUrl({ ip, port }: Pick<RelayRecord, 'ip' | 'port'>): string {
  return `stun:${ip.includes(':') ? `[${ip}]` : ip}:${port}`;
}

/**
 * Reads all that `connect({ relays })` was given. Throws `BAD_RELAY`, naming the entry and the
 * fault; a page's own mistake should be loud.
 */
export function readRelaySources(sources: string | readonly RelaySource[]): readonly KnownRelay[] {
  const entries: readonly RelaySource[] = Array.isArray(sources) ? sources : [sources as string];
  return entries.flatMap((entry, i) => {
    try {
      return typeof entry === 'string' ? readRelayList(entry) : taken(readRecord(entry));
    } catch (error) {
      throw error instanceof LumameshError
        ? new LumameshError(error.code, `relays[${i}]: ${error.message}`)
        : error;
    }
  });
}

/**
 * The relays of a `relay.txt`: a line each, empty ones and comments (#) left out. Throws
 * `BAD_RELAY`.
 */
export function readRelayList(text: string): KnownRelay[] {
  const lines = text.split('\n').filter((line) => /^\s*[^#\s]/.test(line));
  return lines.map((line) => taken(decodeRecordLine(line)));
}

function readRecord(entry: Exclude<RelaySource, string>): Decoded<KnownRelay> {
  // A page without type checks may name anything.
  if (typeof entry !== 'object' || entry === null || !('nk' in entry))
    return dropped('it is neither a record nor a line');
  if ('signature' in entry) return parseRecordJson(entry);
  const record: KnownRelay = { sequence: 0, expires: 2 ** 48 - 1, ...entry };
  const fault = findRecordFault(record);
  return fault === null ? decoded(record) : dropped(fault);
}

function taken(relay: Decoded<KnownRelay>): KnownRelay {
  if (!relay.ok) throw new LumameshError('BAD_RELAY', relay.drop);
  return relay.value;
}
