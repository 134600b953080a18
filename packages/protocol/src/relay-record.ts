import { ByteReader, ByteWriter, type Decoded, concatBytes, decoded, dropped, fromBase64Url, toBase64Url, utf8Encode } from '@lumamesh/base';
import { RECORD_FIELDS, type RecordFieldName } from './record-fields.ts';

/**
 * Everything a browser needs to reach a relay with no prior signaling, and what makes it trustworthy: `nk` signs all of it.
 */
export interface RelayRecord {
  /** SHA-256 of the DTLS certificate, "AB:CD:…" (RFC 8122 §5). */
  readonly fingerprint: string;
  /** IPv4 (or IPv6, for a relay that has nothing else). */
  readonly ip: string;
  /** IPv6 besides. */
  readonly ip6?: string;
  /** A DNS name for clients to resolve when the addresses are stale. */
  readonly host?: string;
  readonly port: number;
  readonly ufrag: string;
  readonly pwd: string;
  /** The node key: a base64url Ed25519 public key (32 bytes). */
  readonly nk: string;
  /** Grows with every new record of the same node. */
  readonly sequence: number;
  /** Unix time in seconds. */
  readonly expires: number;
  /** base64url; only records of one mesh are passed on within it. */
  readonly mesh?: string;
  /** The TCP port on which other relays of the mesh reach it, at the same address. A relay without one only dials out, and is no home of rooms. */
  readonly meshPort?: number;
}

export interface SignedRelayRecord extends RelayRecord {
  /** base64url Ed25519 signature (64 bytes) over {@link recordBytes}. */
  readonly signature: string;
  /** base64url of fields that a newer version signed and this one does not know: kept, so that the signature still verifies. */
  readonly extensions?: string;
}

/** `relay.txt` lines begin so. */
export const RECORD_LINE_PREFIX = 'luma1.';
export const MAX_RECORD_BYTES = 1024;

const SIGNATURE_DOMAIN = utf8Encode('lumamesh relay record 1\n');
const SIGNATURE_BYTES = 64;
/** Tags from here up are fields of newer versions: kept, and signed as they are. */
const FIRST_EXTENSION_TAG = 64;

type Fields = { [Name in RecordFieldName]?: unknown };

/** Why a record cannot be used, or `null`. Its fields may be of any type. */
export function findRecordFault(record: { readonly [Name in RecordFieldName]?: unknown }): string | null {
  for (const { name, isOptional, isValid, what } of RECORD_FIELDS) {
    const value = record[name];
    if (!(value === undefined ? isOptional : isValid(value))) return `${name} is not ${what}`;
  }
  return null;
}

/** The canonical bytes of a valid record, which its signature covers behind a domain of its own. */
export function recordBytes(record: RelayRecord & { readonly extensions?: string }): Uint8Array<ArrayBuffer> {
  return concatBytes([SIGNATURE_DOMAIN, encodeFields(record)]);
}

/** One line of `relay.txt`: fields and signature, base64url. */
export function encodeRecordLine(record: SignedRelayRecord): string {
  return RECORD_LINE_PREFIX + toBase64Url(concatBytes([encodeFields(record), base64(record.signature)]));
}

/** Reads a line of `relay.txt`. The signature is not checked: see {@link verifyRecord}. */
export function decodeRecordLine(line: string): Decoded<SignedRelayRecord> {
  const text = line.trim();
  if (!text.startsWith(RECORD_LINE_PREFIX)) return dropped(`a record line begins with ${RECORD_LINE_PREFIX}`);
  const bytes = fromBase64Url(text.slice(RECORD_LINE_PREFIX.length));
  if (bytes === null) return dropped('a record line is base64url behind its prefix');
  if (bytes.length > MAX_RECORD_BYTES || bytes.length <= SIGNATURE_BYTES) return dropped('a record line has between 65 and 1024 bytes');
  return decodeFields(bytes);
}

/** Reads a record from JSON that somebody sent. The signature is not checked: see {@link verifyRecord}. */
export function parseRecordJson(value: unknown): Decoded<SignedRelayRecord> {
  if (typeof value !== 'object' || value === null) return dropped('a record is an object');
  const { signature, extensions, ...given } = value as Fields & { readonly signature?: unknown; readonly extensions?: unknown };
  const fault = findRecordFault(given);
  if (fault !== null) return dropped(fault);
  if (typeof signature !== 'string' || fromBase64Url(signature)?.length !== SIGNATURE_BYTES) return dropped('signature is not 64 bytes of base64url');
  if (extensions !== undefined && !(typeof extensions === 'string' && isExtensions(fromBase64Url(extensions)))) return dropped('extensions are malformed');
  // Only what a record has is taken over, and findRecordFault has looked at each field.
  const fields: Fields = {};
  for (const { name } of RECORD_FIELDS) if (given[name] !== undefined) fields[name] = given[name];
  const record = { ...(fields as unknown as RelayRecord), signature, ...(extensions === undefined ? {} : { extensions }) };
  return encodeFields(record).length + SIGNATURE_BYTES <= MAX_RECORD_BYTES ? decoded(record) : dropped('the record is larger than 1024 bytes');
}

/** Checks the signature by the record's own `nk`. Expiry is the caller's question: it knows the time. */
export async function verifyRecord(record: SignedRelayRecord, verifyEd25519: VerifyEd25519): Promise<boolean> {
  return verifyEd25519(base64(record.nk), base64(record.signature), recordBytes(record));
}

/** Signs a record; throws a `RangeError` naming the fault when it is not valid. */
export async function signRecord(record: RelayRecord, signEd25519: (data: Uint8Array<ArrayBuffer>) => Promise<Uint8Array>): Promise<SignedRelayRecord> {
  const fault = findRecordFault(record);
  if (fault !== null) throw new RangeError(fault);
  if (encodeFields(record).length + SIGNATURE_BYTES > MAX_RECORD_BYTES) throw new RangeError(`a record has at most ${MAX_RECORD_BYTES} bytes`);
  return { ...record, signature: toBase64Url(await signEd25519(recordBytes(record))) };
}

export type VerifyEd25519 = (publicKey: Uint8Array<ArrayBuffer>, signature: Uint8Array<ArrayBuffer>, data: Uint8Array<ArrayBuffer>) => Promise<boolean>;

/** For texts that `findRecordFault` or a decoder has already accepted as base64url. */
function base64(text: string): Uint8Array<ArrayBuffer> {
  return fromBase64Url(text) ?? new Uint8Array(0);
}

function encodeFields(record: RelayRecord & { readonly extensions?: string }): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter(320);
  for (const { name, tag, encode } of RECORD_FIELDS) {
    const value = record[name];
    // A valid record's field has the type that its encoder takes.
    if (value !== undefined) writer.uint8(tag).vector(2, (field) => field.bytes(encode(value as never)));
  }
  return writer.bytes(base64(record.extensions ?? '')).finish();
}

function decodeFields(bytes: Uint8Array): Decoded<SignedRelayRecord> {
  const end = bytes.length - SIGNATURE_BYTES;
  const reader = new ByteReader(bytes, 0, end);
  const fields: Fields & { signature: string; extensions?: string } = { signature: toBase64Url(bytes.subarray(end)) };
  let previousTag = 0;
  while (reader.remaining > 0) {
    const at = reader.offset;
    const tag = reader.uint8();
    const value = reader.bytes(reader.uint16());
    // Ascending tags make the encoding canonical: one record, one line.
    if (!reader.ok || tag <= previousTag) return dropped('the record is malformed');
    previousTag = tag;
    if (tag >= FIRST_EXTENSION_TAG) fields.extensions ??= toBase64Url(bytes.subarray(at, end));
    const field = RECORD_FIELDS.find((known) => known.tag === tag);
    if (field !== undefined) fields[field.name] = field.decode(value);
  }
  const fault = findRecordFault(fields);
  if (fault !== null) return dropped(fault);
  const record = fields as unknown as SignedRelayRecord;
  // Whatever does not come out the same was not canonical: an unknown low tag, a port of three bytes.
  const again = encodeFields(record);
  return again.length === end && again.every((byte, i) => byte === bytes[i]) ? decoded(record) : dropped('the record is not in canonical form');
}

function isExtensions(bytes: Uint8Array | null): boolean {
  if (bytes === null || bytes.length === 0) return false;
  const reader = new ByteReader(bytes);
  let previousTag = FIRST_EXTENSION_TAG - 1;
  while (reader.remaining > 0) {
    const tag = reader.uint8();
    reader.skip(reader.uint16());
    if (!reader.ok || tag <= previousTag) return false;
    previousTag = tag;
  }
  return true;
}
