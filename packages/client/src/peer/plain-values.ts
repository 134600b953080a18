import { LumameshError, isIntricate, utf8Encode } from '@lumamesh/base';
import { type EncodedValue, MAX_VALUE_BYTES, type StructuredCodec } from './value-frames.ts';
import { copyBytes, isUint8Array, tagOf } from './value-classes.ts';

/** Deeper than this is a cycle, or as good as one. */
export const MAX_DEPTH = 500;
/** JSON of so many UTF-16 units, of at most three bytes each, fits into a frame with its tag. */
export const MAX_TEXT_LENGTH = 21_700;

/**
 * Writes what JSON carries without loss, and bytes; `null` for anything else. Bytes are copied, so
 * that the page may use its buffer again.
 */
export function encodePlain(value: unknown): EncodedValue | null {
  if (isUint8Array(value)) {
    if (value.length > MAX_VALUE_BYTES) throw tooLarge('a value has at most 256 MB');
    const body = copyBytes(value) ?? refuseDetached('value', value);
    return { kind: 'b', length: body.length, body };
  }
  if (value === undefined || !isPlain(value)) return null;
  const json = JSON.stringify(value);
  const body = json.length <= MAX_TEXT_LENGTH ? json : jsonBytes(json);
  return { kind: 'j', length: body.length, body };
}

/** Throws `MESSAGE_TOO_LARGE` where it has too many parts. */
export function jsonBytes(json: string): Uint8Array<ArrayBuffer> {
  const bytes = utf8Encode(json);
  if (isIntricate(bytes)) throw tooLarge('a value has at most a million parts');
  return bytes;
}

/** Whether JSON gives back what it was given. */
export function isPlain(value: unknown, depth = 0): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true;
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0);
    case 'object':
      break;
    default:
      return false;
  }
  if (value === null) return true;
  if (depth > MAX_DEPTH) return false;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) if (!isPlain(value[i], depth + 1)) return false;
    return true;
  }
  if (!isRecord(value)) return false;
  for (const name of Object.keys(value)) if (!isPlain(value[name], depth + 1)) return false;
  return true;
}

/** Whether an object is no more than its own properties. */
export function isRecord(value: object): value is Record<string, unknown> {
  const prototype: unknown = Object.getPrototypeOf(value);
  return (
    (prototype === null ||
      prototype === Object.prototype ||
      // Of another frame of the page.
      Object.getPrototypeOf(prototype) === null) &&
    !('toJSON' in value)
  );
}

/** How a value is written. Throws `NOT_SENDABLE`. */
export function encodeValue(value: unknown, codec: StructuredCodec | undefined): EncodedValue {
  return encodePlain(value) ?? codec?.encode(value) ?? refuse(value);
}

/** Throws `NOT_SENDABLE`, naming the first place that JSON does not carry. */
export function refuse(value: unknown): never {
  let place = 'value';
  let inner = value;
  for (let depth = 0; depth <= MAX_DEPTH; depth++) {
    const entries: readonly [string, unknown][] =
      typeof inner === 'object' && inner !== null && (Array.isArray(inner) || isRecord(inner))
        ? Object.entries(inner)
        : [];
    const found = entries.find(([, part]) => !isPlain(part));
    if (found === undefined) break;
    place += `.${found[0]}`;
    inner = found[1];
  }
  throw notSendable(place, inner);
}

export function tooLarge(text: string): LumameshError {
  return new LumameshError('MESSAGE_TOO_LARGE', text);
}

export function notSendable(place: string, value: unknown): LumameshError {
  return new LumameshError('NOT_SENDABLE', `${place} (${tagOf(value)}) cannot be sent as it is`);
}

/** Throws `NOT_SENDABLE` for bytes that are somebody else's now. */
export function refuseDetached(place: string, value: unknown): never {
  throw notSendable(`${place}, whose buffer is detached,`, value);
}
