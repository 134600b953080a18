import { readUint16, writeUint16 } from '@lumamesh/base';

/** The value of UNKNOWN-ATTRIBUTES (RFC 8489 §14.9): 16-bit types, one after another. */
export function encodeUnknownAttributes(types: readonly number[]): Uint8Array {
  const value = new Uint8Array(2 * types.length);
  types.forEach((type, i) => writeUint16(value, 2 * i, type));
  return value;
}

/** Reads UNKNOWN-ATTRIBUTES, or `null` when it is malformed. */
export function decodeUnknownAttributes(value: Uint8Array): readonly number[] | null {
  if (value.length % 2 !== 0) return null;
  return Array.from({ length: value.length / 2 }, (_, i) => readUint16(value, 2 * i));
}
