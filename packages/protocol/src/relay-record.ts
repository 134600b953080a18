import {
  type Decoded,
  decoded,
  dropped,
  fromBase64Url,
  fromHex,
  isCanonicalIp,
  parseJson,
  toBase64Url,
  toHex,
  utf8Encode,
} from '@lumamesh/base';

/**
 * Everything a browser needs to reach a relay with no prior signaling, and what makes it
 * trustworthy: `nk` signs all of it.
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
  /**
   * The TCP port on which other relays of the mesh reach it, at the same address. A relay without
   * one only dials out, and is no home of rooms.
   */
  readonly meshPort?: number;
  /**
   * The TCP port, at the same addresses, where ICE-TCP (RFC 6544, passive) and TURN over TCP are
   * answered.
   */
  readonly tcpPort?: number;
  /**
   * Bytes per second that it forwards by TURN (RFC 8656) for all pairs together; none without it.
   */
  readonly turn?: number;
  /**
   * What it asks of who comes in: `token` (access.ts). Whoever knows of no such thing passes it by;
   * without it everybody is let in.
   */
  readonly access?: string;
  /** What its operator calls it: up to 128 characters of ASCII without < and >. */
  readonly nickname?: string;
  /** How its operator is reached, in the same characters. */
  readonly contact?: string;
}

export interface SignedRelayRecord extends RelayRecord {
  /** base64url Ed25519 signature (64 bytes) over {@link recordBytes}. */
  readonly signature: string;
}

/** `relay.txt` lines begin so. */
export const RECORD_LINE_PREFIX = 'luma1.';
/** Of a record with its signature, as canonical text. */
export const MAX_RECORD_BYTES = 1024;

const SIGNATURE_DOMAIN = 'lumamesh relay record 1\n';
const MAX_UINT48 = 2 ** 48 - 1;
/** What others read of an operator: one line, with nothing in it that a terminal or a page obeys. */
const OPERATOR_TEXT = /^[ -;=?-~]{1,128}$/;
/** What a relay of ours says of it is stricter still. */
const NICKNAME = /^[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,30}[A-Za-z0-9.])?$/;
const CONTACT = /^[!-;=?-~](?:[ -;=?-~]{0,126}[!-;=?-~])?$/;
const FINGERPRINT = /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/;

/**
 * What each field must be. Further fields may come with newer versions: they are kept, and signed
 * with the others.
 */
const FIELDS: readonly (readonly [
  name: keyof SignedRelayRecord,
  isValid: (value: unknown) => boolean,
])[] = [
  ['fingerprint', matches(FINGERPRINT)],
  // In canonical form: pages use the text of an address, so it has one spelling only.
  ['ip', (value) => typeof value === 'string' && isCanonicalIp(value)],
  [
    'ip6',
    optional((value) => typeof value === 'string' && value.includes(':') && isCanonicalIp(value)),
  ],
  ['host', optional(matches(/^[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9])?$/i))],
  ['port', isUint(1, 65_535)],
  // RFC 8839 §5.4: ice-char.
  ['ufrag', matches(/^[A-Za-z0-9+/]{4,256}$/)],
  ['pwd', matches(/^[A-Za-z0-9+/]{22,256}$/)],
  // 32 bytes; the last character has no stray bits: one key, one text.
  ['nk', matches(/^[\w-]{42}[AEIMQUYcgkosw048]$/)],
  ['sequence', isUint(0, MAX_UINT48)],
  ['expires', isUint(0, MAX_UINT48)],
  ['mesh', optional(matches(/^[\w-]{1,64}$/))],
  ['meshPort', optional(isUint(1, 65_535))],
  ['tcpPort', optional(isUint(1, 65_535))],
  ['turn', optional(isUint(1, MAX_UINT48))],
  ['access', optional(matches(/^[a-z][a-z0-9-]{0,31}$/))],
  ['nickname', optional(matches(OPERATOR_TEXT))],
  ['contact', optional(matches(OPERATOR_TEXT))],
  ['signature', optional(matches(/^[\w-]{85}[AQgw]$/))],
];
const NAME = /^[a-z]\w{0,31}$/;

/** A name that an operator gives to a relay. */
export function isNickname(text: string): boolean {
  return NICKNAME.test(text);
}

/** How an operator is reached: a mail address, a page. */
export function isContact(text: string): boolean {
  return CONTACT.test(text);
}

/** Why a record cannot be used, or `null`. Its fields may be of any type. */
export function findRecordFault(record: object): string | null {
  const fields = record as Record<string, unknown>;
  for (const [name, isValid] of FIELDS)
    if (!isValid(fields[name])) return `${name} is missing or malformed`;
  const stray = Object.keys(fields).find(
    (name) =>
      !NAME.test(name) ||
      !(typeof fields[name] === 'string' || isUint(0, MAX_UINT48)(fields[name])),
  );
  if (stray !== undefined) return `${stray} is malformed`;
  return utf8Encode(canonicalText(fields)).length <= MAX_RECORD_BYTES
    ? null
    : `the record is larger than ${MAX_RECORD_BYTES} bytes`;
}

/**
 * The bytes of a valid record that its signature covers: its fields but the signature, as canonical
 * text behind a domain of its own.
 */
export function recordBytes(record: RelayRecord): Uint8Array<ArrayBuffer> {
  return utf8Encode(SIGNATURE_DOMAIN + canonicalText({ ...record, signature: undefined }));
}

/** One line of `relay.txt`: the record's canonical text, base64url. */
export function encodeRecordLine(record: SignedRelayRecord): string {
  return RECORD_LINE_PREFIX + toBase64Url(utf8Encode(canonicalText(record)));
}

/** Reads a line of `relay.txt`. The signature is not checked: see {@link verifyRecord}. */
export function decodeRecordLine(line: string): Decoded<SignedRelayRecord> {
  const text = line.trim();
  const bytes = text.startsWith(RECORD_LINE_PREFIX)
    ? fromBase64Url(text.slice(RECORD_LINE_PREFIX.length))
    : null;
  if (bytes === null) return dropped(`a record line is ${RECORD_LINE_PREFIX} and base64url`);
  const record = parseRecordJson(parseJson(bytes));
  // One record, one line.
  return record.ok && encodeRecordLine(record.value) !== text
    ? dropped('the record is not in canonical form')
    : record;
}

/**
 * Reads a record from JSON that somebody sent. The signature is not checked: see {@link
 * verifyRecord}.
 */
export function parseRecordJson(value: unknown): Decoded<SignedRelayRecord> {
  if (typeof value !== 'object' || value === null) return dropped('a record is an object');
  const record = { ...value } as SignedRelayRecord;
  const fault =
    findRecordFault(record) ??
    (record.signature === undefined ? 'the record has no signature' : null);
  return fault === null ? decoded(record) : dropped(fault);
}

/**
 * Checks the signature by the record's own `nk`; returns what `verifyEd25519` does. Expiry is the
 * caller's question: it knows the time.
 */
export async function verifyRecord<Answer>(
  record: SignedRelayRecord,
  verifyEd25519: VerifyEd25519<Answer>,
): Promise<Answer> {
  // Valid records have base64url there.
  const bytes = (text: string): Uint8Array<ArrayBuffer> => fromBase64Url(text) ?? new Uint8Array(0);
  return verifyEd25519(bytes(record.nk), bytes(record.signature), recordBytes(record));
}

/** Signs a record; throws a `RangeError` naming the fault when it is not valid. */
export async function signRecord(
  record: RelayRecord,
  signEd25519: (data: Uint8Array<ArrayBuffer>) => Promise<Uint8Array>,
): Promise<SignedRelayRecord> {
  const signed = { ...record, signature: toBase64Url(await signEd25519(recordBytes(record))) };
  const fault = findRecordFault(signed);
  if (fault !== null) throw new RangeError(fault);
  return signed;
}

export type VerifyEd25519<Answer = boolean> = (
  publicKey: Uint8Array<ArrayBuffer>,
  signature: Uint8Array<ArrayBuffer>,
  data: Uint8Array<ArrayBuffer>,
) => Promise<Answer>;

/** The 32 bytes of an "AB:CD:…" fingerprint, or `null`. */
export function fingerprintBytes(fingerprint: string): Uint8Array<ArrayBuffer> | null {
  return FINGERPRINT.test(fingerprint) ? fromHex(fingerprint.replaceAll(':', '')) : null;
}

/** 32 bytes as "AB:CD:…". */
export function formatFingerprint(sha256: Uint8Array): string {
  return toHex(sha256).toUpperCase().match(/../g)?.join(':') ?? '';
}

/**
 * JSON without blanks, names in the order of their code points (as RFC 8785 for texts and whole
 * numbers).
 */
function canonicalText(fields: object): string {
  return JSON.stringify(
    Object.fromEntries(Object.entries(fields).toSorted(([a], [b]) => (a < b ? -1 : 1))),
  );
}

function matches(pattern: RegExp): (value: unknown) => boolean {
  return (value) => typeof value === 'string' && pattern.test(value);
}

function isUint(min: number, max: number): (value: unknown) => boolean {
  return (value) => Number.isInteger(value) && Number(value) >= min && Number(value) <= max;
}

function optional(isValid: (value: unknown) => boolean): (value: unknown) => boolean {
  return (value) => value === undefined || isValid(value);
}
