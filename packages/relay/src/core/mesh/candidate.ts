import { type SyncCrypto, scopeOf } from '@lumamesh/base';
import { type SignedRelayRecord, prefixOf } from '@lumamesh/protocol';
import { recordId } from './record-set.ts';

/** How a record came here: what `/statsz` tells apart. */
export type RecordOrigin = 'hello' | 'gossip' | 'sync' | 'file';

/** A record that somebody gave us. */
export interface Candidate {
  /** Of {@link recordId}. */
  readonly id: string;
  readonly record: SignedRelayRecord;
  readonly prefix: string;
  readonly origin: RecordOrigin;
  /** The node key of the relay that gave it to us; empty for the file. */
  readonly source: string;
  /** The address that the link of a relay which says hello comes from. */
  readonly linkAddress: string | null;
}

export function makeCandidate(
  record: SignedRelayRecord,
  origin: RecordOrigin,
  source: string,
  linkAddress: string | null,
  hash: SyncCrypto['hash'],
): Candidate {
  const id = recordId(record, hash);
  return { id, record, prefix: prefixOf(record), origin, source, linkAddress };
}

/** The later sequence is newer; between two of the same, any order that all relays agree on. */
export function isNewer(a: SignedRelayRecord, b: SignedRelayRecord): boolean {
  return a.sequence === b.sequence ? a.signature > b.signature : a.sequence > b.sequence;
}

/** Whether two records send a browser to the same place with the same credentials. */
export function isSameEndpoint(a: SignedRelayRecord, b: SignedRelayRecord): boolean {
  const fields = ['ip', 'ip6', 'port', 'ufrag', 'pwd', 'fingerprint', 'meshPort'] as const;
  return fields.every((field) => a[field] === b[field]);
}

/** Whether the relay runs on loopback or in a private network. */
export function isLocal({ ip }: SignedRelayRecord): boolean {
  return scopeOf(ip) !== 'public';
}
