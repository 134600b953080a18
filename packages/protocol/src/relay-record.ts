import {
  ByteReader,
  ByteWriter,
  type Decoded,
  concatBytes,
  decoded,
  dropped,
  formatIp,
  fromBase64Url,
  fromHex,
  isCanonicalIp,
  parseIp,
  toBase64Url,
  toHex,
  utf8Decode,
  utf8Encode,
} from '@lumamesh/base';

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
const KEY_BYTES = 32;
const FINGERPRINT_BYTES = 32;

/** Fields in the order they are encoded: tag, length (uint16), value. Tags from 64 up are extensions. */
const TAG = { nk: 1, fingerprint: 2, ip: 3, ip6: 4, host: 5, port: 6, ufrag: 7, pwd: 8, sequence: 9, expires: 10, mesh: 11, meshPort: 12 } as const;
const FIRST_EXTENSION_TAG = 64;

/** RFC 8839 §5.4: ice-char. */
const ICE_UFRAG = /^[A-Za-z0-9+/]{4,256}$/;
const ICE_PASSWORD = /^[A-Za-z0-9+/]{22,256}$/;
const HOST_NAME = /^(?=.{1,253}$)([a-z0-9_]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i;

/** Why a record cannot be used, or `null`. */
export function findRecordFault(record: RelayRecord): string | null {
  if (!isFingerprint(record.fingerprint)) return 'fingerprint is not a SHA-256 of the form AB:CD:…';
  // One spelling only: the signature covers the bytes of an address, and pages use its text.
  if (!isCanonicalIp(record.ip)) return 'ip is not an IP address in its canonical form';
  if (record.ip6 !== undefined && !(isCanonicalIp(record.ip6) && record.ip6.includes(':'))) return 'ip6 is not an IPv6 address in its canonical form';
  if (record.host !== undefined && !HOST_NAME.test(record.host)) return 'host is not a DNS name';
  if (!isPort(record.port)) return 'port is not between 1 and 65535';
  if (!ICE_UFRAG.test(record.ufrag)) return 'ufrag is not 4 to 256 ICE characters';
  if (!ICE_PASSWORD.test(record.pwd)) return 'pwd is not 22 to 256 ICE characters';
  if (fromBase64Url(record.nk)?.length !== KEY_BYTES) return 'nk is not a base64url Ed25519 key';
  if (!isUint48(record.sequence)) return 'sequence is not a whole number';
  if (!isUint48(record.expires)) return 'expires is not a Unix time';
  if (record.mesh !== undefined && fromBase64Url(record.mesh) === null) return 'mesh is not base64url';
  if (record.meshPort !== undefined && !isPort(record.meshPort)) return 'meshPort is not between 1 and 65535';
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
  const fields = value as Record<string, unknown>;
  const isText = (name: string, isOptional = false): boolean => typeof fields[name] === 'string' || (isOptional && fields[name] === undefined);
  const required = ['fingerprint', 'ip', 'ufrag', 'pwd', 'nk', 'signature'];
  const missing = required.find((name) => !isText(name)) ?? ['ip6', 'host', 'mesh', 'extensions'].find((name) => !isText(name, true));
  if (missing !== undefined) return dropped(`${missing} is not a text`);
  if (typeof fields['port'] !== 'number' || typeof fields['sequence'] !== 'number' || typeof fields['expires'] !== 'number')
    return dropped('port, sequence and expires are numbers');
  if (!['number', 'undefined'].includes(typeof fields['meshPort'])) return dropped('meshPort is not a number');
  // Only what a record has is taken over; each field's type was looked at above.
  const pick = (name: string): Record<string, unknown> => (fields[name] === undefined ? {} : { [name]: fields[name] });
  const names = [...required, 'ip6', 'host', 'mesh', 'extensions', 'port', 'sequence', 'expires', 'meshPort'];
  const record = Object.assign({}, ...names.map(pick)) as SignedRelayRecord;
  const fault = findRecordFault(record);
  if (fault !== null) return dropped(fault);
  if (fromBase64Url(record.signature)?.length !== SIGNATURE_BYTES) return dropped('signature is not 64 bytes of base64url');
  if (record.extensions !== undefined && !isExtensions(fromBase64Url(record.extensions))) return dropped('extensions are malformed');
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

/** The 32 bytes of an "AB:CD:…" fingerprint, or `null`. */
export function fingerprintBytes(fingerprint: string): Uint8Array<ArrayBuffer> | null {
  return isFingerprint(fingerprint) ? fromHex(fingerprint.replaceAll(':', '')) : null;
}

/** 32 bytes as "AB:CD:…". */
export function formatFingerprint(sha256: Uint8Array): string {
  return toHex(sha256).toUpperCase().match(/../g)?.join(':') ?? '';
}

function isFingerprint(text: string): boolean {
  return /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/.test(text);
}

function isPort(value: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= 65_535;
}

function isUint48(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < 2 ** 48;
}

/** For texts that `findRecordFault` or a decoder has already accepted as base64url. */
function base64(text: string): Uint8Array<ArrayBuffer> {
  return fromBase64Url(text) ?? new Uint8Array(0);
}

function encodeFields(record: RelayRecord & { readonly extensions?: string }): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter(320);
  const field = (tag: number, value: Uint8Array | null | undefined): void => {
    if (value !== null && value !== undefined) writer.uint8(tag).vector(2, (body) => body.bytes(value));
  };
  const number = (bytes: number, value: number): Uint8Array =>
    new ByteWriter(8)
      .uint48(value)
      .finish()
      .slice(6 - bytes);
  field(TAG.nk, base64(record.nk));
  field(TAG.fingerprint, fingerprintBytes(record.fingerprint));
  field(TAG.ip, parseIp(record.ip));
  field(TAG.ip6, record.ip6 === undefined ? null : parseIp(record.ip6));
  field(TAG.host, record.host === undefined ? null : utf8Encode(record.host));
  field(TAG.port, number(2, record.port));
  field(TAG.ufrag, utf8Encode(record.ufrag));
  field(TAG.pwd, utf8Encode(record.pwd));
  field(TAG.sequence, number(6, record.sequence));
  field(TAG.expires, number(6, record.expires));
  field(TAG.mesh, record.mesh === undefined ? null : base64(record.mesh));
  field(TAG.meshPort, record.meshPort === undefined ? null : number(2, record.meshPort));
  if (record.extensions !== undefined) writer.bytes(base64(record.extensions));
  return writer.finish();
}

function decodeFields(bytes: Uint8Array): Decoded<SignedRelayRecord> {
  const end = bytes.length - SIGNATURE_BYTES;
  const reader = new ByteReader(bytes, 0, end);
  const values = new Map<number, Uint8Array>();
  let extensionsFrom = end;
  let previousTag = 0;
  while (reader.remaining > 0) {
    const at = reader.offset;
    const tag = reader.uint8();
    const value = reader.bytes(reader.uint16());
    // Ascending tags make the encoding canonical: one record, one line.
    if (!reader.ok || tag <= previousTag) return dropped('the record is malformed');
    previousTag = tag;
    if (tag >= FIRST_EXTENSION_TAG) extensionsFrom = Math.min(extensionsFrom, at);
    else values.set(tag, value);
  }
  const text = (tag: number): string => utf8Decode(values.get(tag) ?? new Uint8Array(0)) ?? '';
  const number = (tag: number): number => [...(values.get(tag) ?? [])].reduce((sum, byte) => sum * 256 + byte, 0);
  const address = (tag: number): string => {
    const ip = values.get(tag);
    return ip?.length === 4 || ip?.length === 16 ? formatIp(ip) : '';
  };
  const optional = (tag: number, name: string, value: string): Record<string, string> => (values.has(tag) ? { [name]: value } : {});
  const record: SignedRelayRecord = {
    fingerprint: formatFingerprint(values.get(TAG.fingerprint) ?? new Uint8Array(0)),
    ip: address(TAG.ip),
    ...optional(TAG.ip6, 'ip6', address(TAG.ip6)),
    ...optional(TAG.host, 'host', text(TAG.host)),
    port: number(TAG.port),
    ufrag: text(TAG.ufrag),
    pwd: text(TAG.pwd),
    nk: toBase64Url(values.get(TAG.nk) ?? new Uint8Array(0)),
    sequence: number(TAG.sequence),
    expires: number(TAG.expires),
    ...optional(TAG.mesh, 'mesh', toBase64Url(values.get(TAG.mesh) ?? new Uint8Array(0))),
    ...(values.has(TAG.meshPort) ? { meshPort: number(TAG.meshPort) } : {}),
    signature: toBase64Url(bytes.subarray(end)),
    ...(extensionsFrom < end ? { extensions: toBase64Url(bytes.subarray(extensionsFrom, end)) } : {}),
  };
  const fault = findRecordFault(record);
  if (fault !== null) return dropped(fault);
  // Whatever does not come out the same was not canonical: an unknown low tag, a port of three bytes, FINGERPRINT_BYTES not 32.
  const again = encodeFields(record);
  const isSame = again.length === end && again.every((byte, i) => byte === bytes[i]);
  return isSame && values.get(TAG.fingerprint)?.length === FINGERPRINT_BYTES ? decoded(record) : dropped('the record is not in canonical form');
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
