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

/** Of the lines of one list. */
const MAX_WARNINGS = 16;

type Warn = ((message: string) => void) | undefined;

/**
 * Every relay is a STUN server as well, at each of its addresses: by IPv4 nobody learns the IPv6
 * address that others reach it at, and browsers do not tell those of their interfaces.
 */
export function stunUrls({ ip, ip6, port }: Pick<RelayRecord, 'ip' | 'ip6' | 'port'>): string[] {
  const urlOf = (address: string): string =>
    `stun:${address.includes(':') ? `[${address}]` : address}:${port}`;
  return [ip, ...(ip6 === undefined ? [] : [ip6])].map(urlOf);
}

/**
 * Reads all that `connect({ relays })` was given. Throws `BAD_RELAY`, naming the entry and the
 * fault; a page's own mistake should be loud.
 */
export function readRelaySources(
  sources: readonly RelaySource[],
  warn: Warn,
): readonly KnownRelay[] {
  return sources.flatMap((entry, i) => {
    try {
      return typeof entry === 'string' ? readRelayList(entry, warn) : taken(readRecord(entry));
    } catch (error) {
      throw error instanceof LumameshError
        ? new LumameshError(error.code, `relays[${i}]: ${error.message}`)
        : error;
    }
  });
}

/**
 * The relays of a `relay.txt`: a line each, empty ones and comments (#) left out. A line that cannot
 * be read is passed over, with a warning; throws `BAD_RELAY` where there is no other.
 */
export function readRelayList(text: string, warn: Warn): SignedRelayRecord[] {
  const relays: SignedRelayRecord[] = [];
  let fault = '';
  let warnings = 0;
  for (const [i, line] of text.split('\n').entries()) {
    if (!/^\s*[^#\s]/.test(line)) continue;
    const relay = decodeRecordLine(line);
    if (relay.ok) relays.push(relay.value);
    else {
      fault = `line ${i + 1}: ${relay.drop}`;
      if (warnings++ < MAX_WARNINGS) warn?.(`a relay is passed over, ${fault}`);
    }
  }
  if (relays.length === 0 && fault !== '') throw new LumameshError('BAD_RELAY', fault);
  return relays;
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
