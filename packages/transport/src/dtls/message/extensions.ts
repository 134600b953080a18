import type { ByteReader, ByteWriter, NamedGroup } from '@lumamesh/base';

/** Extension types (IANA TLS ExtensionType registry). */
export const EXTENSION = {
  supportedGroups: 10,
  ecPointFormats: 11,
  signatureAlgorithms: 13,
  useSrtp: 14,
  alpn: 16,
  padding: 21,
  extendedMasterSecret: 23,
  supportedVersions: 43,
  cookie: 44,
  keyShare: 51,
  renegotiationInfo: 0xff01,
} as const;

/** IANA TLS Supported Groups registry. */
export const NAMED_GROUP_ID = { secp256r1: 23, x25519: 29, x25519mlkem768: 0x11ec } as const;
export const SIGNATURE_ECDSA_SECP256R1_SHA256 = 0x0403;

/** The group of a number, or `null` for one that is not spoken here. */
export function namedGroupById(id: number): NamedGroup | null {
  switch (id) {
    case NAMED_GROUP_ID.x25519:
      return 'x25519';
    case NAMED_GROUP_ID.secp256r1:
      return 'secp256r1';
    case NAMED_GROUP_ID.x25519mlkem768:
      return 'x25519mlkem768';
    default:
      return null;
  }
}

/** More extensions than any browser sends. */
const MAX_EXTENSIONS = 64;

export type Extensions = ReadonlyMap<number, Uint8Array>;

/**
 * Reads an extensions block (RFC 5246 §7.4.1.4), which may be absent altogether. Returns `null`
 * when it is malformed or names a type twice ("There MUST NOT be more than one extension of the
 * same type").
 */
export function readExtensions(reader: ByteReader): Extensions | null {
  const extensions = new Map<number, Uint8Array>();
  if (reader.ok && reader.remaining === 0) return extensions;
  const list = reader.sub(reader.uint16());
  while (list.remaining > 0) {
    const type = list.uint16();
    const data = list.bytes(list.uint16());
    if (!list.ok || extensions.has(type) || extensions.size === MAX_EXTENSIONS) return null;
    extensions.set(type, data);
  }
  return reader.ok && list.ok ? extensions : null;
}

/** The same of a block that may be cut anywhere: those that are whole. */
export function readExtensionsSoFar(reader: ByteReader): {
  readonly extensions: Extensions;
  readonly isWhole: boolean;
} {
  const extensions = new Map<number, Uint8Array>();
  const end = reader.uint16() + reader.offset;
  while (reader.ok && reader.offset < end && extensions.size < MAX_EXTENSIONS) {
    const type = reader.uint16();
    const data = reader.bytes(reader.uint16());
    if (reader.ok) extensions.set(type, data);
  }
  return { extensions, isWhole: reader.ok && reader.offset >= end };
}

export function writeExtensions(writer: ByteWriter, extensions: Extensions): void {
  writer.vector(2, (list) => {
    for (const [type, data] of extensions) list.uint16(type).vector(2, (body) => body.bytes(data));
  });
}

/**
 * The numbers of a vector of uint16 behind a length of one or two bytes, or `null` when it is
 * malformed.
 */
export function readUint16Vector(reader: ByteReader, lengthBytes: 1 | 2): number[] | null {
  const list = reader.sub(lengthBytes === 1 ? reader.uint8() : reader.uint16());
  if (!reader.ok || list.remaining % 2 !== 0) return null;
  const values: number[] = [];
  while (list.remaining > 0) values.push(list.uint16());
  return values;
}

/**
 * The protocol names of an ALPN extension (RFC 7301 §3.1) as text, or `null` when it is malformed.
 */
export function readAlpn(reader: ByteReader): string[] | null {
  const list = reader.sub(reader.uint16());
  const names: string[] = [];
  while (list.remaining > 0) {
    const name = list.bytes(list.uint8());
    if (!list.ok || name.length === 0) return null;
    names.push(String.fromCharCode(...name));
  }
  return reader.done && list.ok ? names : null;
}

export function writeAlpn(writer: ByteWriter, names: readonly string[]): void {
  writer.vector(2, (list) => {
    for (const name of names)
      list.vector(1, (body) => body.bytes(Uint8Array.from(name, (c) => c.charCodeAt(0))));
  });
}
