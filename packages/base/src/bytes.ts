/** Byte helpers shared by every codec. All integers are big endian (network order). */

// Made when they are first needed: importing the library asks for nothing that a host may lack.
let encoder: TextEncoder | undefined;
let strictDecoder: TextDecoder | undefined;

export const EMPTY_BYTES = new Uint8Array(0);

/** UTF-8 bytes of `text`. */
export function utf8Encode(text: string): Uint8Array<ArrayBuffer> {
  return (encoder ??= new TextEncoder()).encode(text);
}

/** The text in `bytes`, or `null` when they are not valid UTF-8. */
export function utf8Decode(bytes: Uint8Array): string | null {
  try {
    strictDecoder ??= new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    return strictDecoder.decode(bytes);
  } catch {
    return null;
  }
}

/** One array holding all `parts`, in order. */
export function concatBytes(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  let length = 0;
  for (const part of parts) length += part.length;
  const joined = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

/**
 * Whether two arrays hold the same bytes, in a time that depends on their lengths only.
 * Safe for comparing authentication tags and Finished values.
 */
export function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  // `?? 0` never applies: i stays below both lengths.
  for (let i = 0; i < a.length; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 0);
  return difference === 0;
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** Lower-case hexadecimal of `bytes`. */
export function toHex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += HEX[byte];
  return text;
}

/** The bytes of a hexadecimal string, or `null` when it is not one. */
export function fromHex(text: string): Uint8Array<ArrayBuffer> | null {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) return null;
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++)
    bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

/** Unpadded base64url (RFC 4648 §5). */
export function toBase64Url(bytes: Uint8Array): string {
  let binary = '';
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).replace(/=+$/, '').replaceAll('+', '-').replaceAll('/', '_');
}

/**
 * The bytes of an unpadded base64url string, or `null` when it is not one.
 * Only the canonical spelling is taken: stray bits behind the last byte are an error, so two
 * different strings never mean the same bytes.
 */
export function fromBase64Url(text: string): Uint8Array<ArrayBuffer> | null {
  if (!/^[\w-]*$/.test(text) || text.length % 4 === 1) return null;
  const bytes = Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (character) =>
    character.charCodeAt(0),
  );
  const tail = bytes.length % 3;
  return tail === 0 || toBase64Url(bytes.subarray(-tail)) === text.slice(-tail - 1) ? bytes : null;
}

/** A whole number below 2^48, in six bytes. */
export function uint48Bytes(value: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: 6 }, (_, i) => Math.floor(value / 256 ** (5 - i)));
}

/** The number in the first six bytes. */
export function readUint48(bytes: Uint8Array): number {
  return bytes.subarray(0, 6).reduce((sum, byte) => sum * 256 + byte, 0);
}

export function readUint16(bytes: Uint8Array, offset: number): number {
  return ((bytes[offset] ?? 0) << 8) | (bytes[offset + 1] ?? 0);
}

export function readUint32(bytes: Uint8Array, offset: number): number {
  return (
    (((bytes[offset] ?? 0) << 24) |
      ((bytes[offset + 1] ?? 0) << 16) |
      ((bytes[offset + 2] ?? 0) << 8) |
      (bytes[offset + 3] ?? 0)) >>>
    0
  );
}

export function writeUint16(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >>> 8;
  bytes[offset + 1] = value;
}

export function writeUint32(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >>> 24;
  bytes[offset + 1] = value >>> 16;
  bytes[offset + 2] = value >>> 8;
  bytes[offset + 3] = value;
}
