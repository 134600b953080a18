import { formatIp, fromBase64Url, fromHex, isCanonicalIp, parseIp, toBase64Url, toHex, utf8Decode, utf8Encode } from '@lumamesh/base';
import type { RelayRecord } from './relay-record.ts';

export type RecordFieldName = keyof RelayRecord;

/** One field of a record: how it is checked, and its bytes. */
export interface RecordField {
  readonly name: RecordFieldName;
  readonly tag: number;
  readonly isOptional: boolean;
  /** What a valid value is, for people. */
  readonly what: string;
  isValid(value: unknown): boolean;
  /** Takes a valid value. */
  encode(value: never): Uint8Array;
  /** What is no value of the field comes out as one that is not valid. */
  decode(bytes: Uint8Array): string | number;
}

type Kind = Pick<RecordField, 'what' | 'isValid' | 'encode' | 'decode'>;

function text(isValid: (value: string) => boolean, what: string, encode: (value: string) => Uint8Array | null, decode: (bytes: Uint8Array) => string): Kind {
  return { what, isValid: (value) => typeof value === 'string' && isValid(value), encode: (value) => encode(value) ?? new Uint8Array(0), decode };
}

function plain(pattern: RegExp, what: string): Kind {
  return text(
    (value) => pattern.test(value),
    what,
    utf8Encode,
    (bytes) => utf8Decode(bytes) ?? '',
  );
}

function number(bytes: number, min: number, what: string): Kind {
  return {
    what,
    isValid: (value) => Number.isInteger(value) && Number(value) >= min && Number(value) < 256 ** bytes,
    encode: (value) => Uint8Array.from({ length: bytes }, (_, i) => Math.floor(value / 256 ** (bytes - 1 - i))),
    decode: (value) => value.reduce((sum, byte) => sum * 256 + byte, 0),
  };
}

function address(isValid: (value: string) => boolean, what: string): Kind {
  // One spelling only: the signature covers the bytes of an address, and pages use its text.
  return text(
    (value) => isValid(value) && isCanonicalIp(value),
    `${what} in its canonical form`,
    parseIp,
    (bytes) => (bytes.length === 4 || bytes.length === 16 ? formatIp(bytes) : ''),
  );
}

const fingerprint = text((value) => fingerprintBytes(value) !== null, 'a SHA-256 of the form AB:CD:…', fingerprintBytes, formatFingerprint);
const key = text((value) => fromBase64Url(value)?.length === 32, 'a base64url Ed25519 key', fromBase64Url, toBase64Url);
const base64 = text((value) => fromBase64Url(value) !== null, 'base64url', fromBase64Url, toBase64Url);
const hostName = plain(/^(?=.{1,253}$)([a-z0-9_]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i, 'a DNS name');
const port = number(2, 1, 'between 1 and 65535');

function field(tag: number, name: RecordFieldName, kind: Kind, isOptional = false): RecordField {
  return { tag, name, isOptional, ...kind };
}

/** Fields in the order they are encoded: tag, length (uint16), value (docs/wire-protocol.md). ICE characters: RFC 8839 §5.4. */
export const RECORD_FIELDS: readonly RecordField[] = [
  field(1, 'nk', key),
  field(2, 'fingerprint', fingerprint),
  field(
    3,
    'ip',
    address(() => true, 'an IP address'),
  ),
  field(
    4,
    'ip6',
    address((value) => value.includes(':'), 'an IPv6 address'),
    true,
  ),
  field(5, 'host', hostName, true),
  field(6, 'port', port),
  field(7, 'ufrag', plain(/^[A-Za-z0-9+/]{4,256}$/, '4 to 256 ICE characters')),
  field(8, 'pwd', plain(/^[A-Za-z0-9+/]{22,256}$/, '22 to 256 ICE characters')),
  field(9, 'sequence', number(6, 0, 'a whole number')),
  field(10, 'expires', number(6, 0, 'a Unix time')),
  field(11, 'mesh', base64, true),
  field(12, 'meshPort', port, true),
];

/** The 32 bytes of an "AB:CD:…" fingerprint, or `null`. */
export function fingerprintBytes(value: string): Uint8Array<ArrayBuffer> | null {
  return /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/.test(value) ? fromHex(value.replaceAll(':', '')) : null;
}

/** 32 bytes as "AB:CD:…". */
export function formatFingerprint(sha256: Uint8Array): string {
  return toHex(sha256).toUpperCase().match(/../g)?.join(':') ?? '';
}
