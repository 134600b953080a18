import { concatBytes, parseJson } from '@lumamesh/base';
import {
  MAX_DEPTH,
  isRecord,
  jsonBytes,
  notSendable,
  refuseDetached,
  tooLarge,
} from '../peer/plain-values.ts';
import { copyBytes, isTakenBy, tagOf } from '../peer/value-classes.ts';
import type { EncodedValue, StructuredCodec } from '../peer/value-frames.ts';

/*
 * Values that JSON does not carry, as bytes:
 *
 *   length of the JSON (4) | JSON | the bytes of its binary parts, one after another
 *
 * In the JSON an object with the only key `$` stands for what JSON cannot say; an object of the
 * page's that has this key is wrapped itself:
 *
 *   ["u"] undefined                          ["m", [[key, value] …]] Map
 *   ["n", "NaN"] a number JSON cannot say    ["s", [value …]] Set
 *   ["i", "-ff"] BigInt, hexadecimal         ["b", class, bytes] ArrayBuffer, DataView, typed array
 *   ["d", ms or null] Date                   ["f", type, bytes, name, ms] Blob, or File with a name
 *   ["o", {…}] an object that has the key $
 */

/** Blobs within values are kept in memory by both sides; larger ones go as files. */
const MAX_BLOB_BYTES = 16_777_216;
/** Browsers take longer to make one than a page to say that it is there, be it empty. */
const MAX_BLOBS = 4096;
const HEAD_BYTES = 4;

/** Writes and reads Date, Map, Set, BigInt, typed arrays, Blob, File, NaN, undefined. */
export const STRUCTURED_VALUES: StructuredCodec = { encode, decode };

function encode(value: unknown): EncodedValue {
  // An undefined that stands alone is a mistake more often than not.
  if (value === undefined) throw notSendable('value', value);
  const parts: (Uint8Array<ArrayBuffer> | Blob)[] = [];
  const json = jsonBytes(JSON.stringify(write(value, 'value', [], parts)));
  const head = new Uint8Array(HEAD_BYTES);
  new DataView(head.buffer).setUint32(0, json.length);
  const all = [head, json, ...parts];
  const length = all.reduce((sum, part) => sum + ('size' in part ? part.size : part.length), 0);
  const blobs = parts.filter((part) => 'size' in part);
  if (blobs.length > MAX_BLOBS || blobs.reduce((sum, { size }) => sum + size, 0) > MAX_BLOB_BYTES)
    throw tooLarge(`blobs of more than 16 MB, or more than ${MAX_BLOBS} of them, go as files`);
  const body =
    blobs.length === 0
      ? concatBytes(all as Uint8Array[])
      : new Blob(all).arrayBuffer().then(
          (buffer) => new Uint8Array(buffer),
          () => null,
        );
  return { kind: 's', length, body };
}

/** A Blob or a File, of whatever frame. */
export function isBlob(value: unknown): value is Blob {
  return /^(Blob|File)$/.test(tagOf(value)) && isTakenBy(Blob.prototype, 'slice', value);
}

/** Returns what stands for a value in the JSON, and adds its binary parts to `parts`. */
function write(
  value: unknown,
  place: string,
  ancestors: readonly object[],
  parts: (Uint8Array<ArrayBuffer> | Blob)[],
): unknown {
  const special = (...tag: readonly unknown[]): object => ({ $: tag });
  switch (typeof value) {
    case 'undefined':
      return special('u');
    case 'number':
      if (Number.isFinite(value) && !Object.is(value, -0)) return value;
      return special('n', Object.is(value, -0) ? '-0' : String(value));
    case 'bigint':
      return special('i', value.toString(16));
    case 'object':
      break;
    case 'string':
    case 'boolean':
      return value;
    default:
      throw notSendable(place, value);
  }
  if (value === null) return value;
  if (ancestors.includes(value) || ancestors.length > MAX_DEPTH)
    throw notSendable(`${place} (a cycle)`, value);
  const inner = [...ancestors, value];
  const each = (item: unknown, name: string | number): unknown =>
    write(item, `${place}.${name}`, inner, parts);
  if (Array.isArray(value))
    // What is missing is no `undefined`.
    return Array.from({ length: value.length }, (_, i) => {
      if (!(i in value)) throw notSendable(`${place}.${i} (missing)`, undefined);
      return each(value[i], i);
    });
  const tag = tagOf(value);
  // What says so is looked at: most values are records, and say nothing.
  if (tag === 'Date' && isTakenBy(Date.prototype, 'getTime', value)) {
    const ms = Date.prototype.getTime.call(value);
    return special('d', Number.isNaN(ms) ? null : ms);
  }
  if (tag === 'Map' && isTakenBy(Map.prototype, 'keys', value))
    return special(
      'm',
      [...value].map(([key, item], i) => [each(key, `keys.${i}`), each(item, i)]),
    );
  if (tag === 'Set' && isTakenBy(Set.prototype, 'keys', value))
    return special(
      's',
      [...value].map((item, i) => each(item, i)),
    );
  if (isBlob(value)) {
    parts.push(value);
    const { name: fileName = null, lastModified = 0 } = value as Partial<File>;
    return special('f', value.type, value.size, fileName, lastModified);
  }
  if (binaryClass(tag) !== undefined) {
    const bytes = copyBytes(value) ?? refuseDetached(place, value);
    parts.push(bytes);
    return special('b', tag, bytes.length);
  }
  if (!isRecord(value)) throw notSendable(place, value);
  const copy = Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, each(item, key)]),
  );
  return '$' in copy ? special('o', copy) : copy;
}

/** The next so many bytes. */
type Take = (length: unknown, isBlob?: boolean) => Uint8Array<ArrayBuffer>;

type BinaryClass = new (buffer: ArrayBuffer) => unknown;

/** The class of a typed array, of DataView, or of ArrayBuffer. */
function binaryClass(name: string): BinaryClass | undefined {
  if (name === 'ArrayBuffer') return Object;
  return BINARY_CLASSES.find((known) => known.name === name);
}

const BINARY_CLASSES = [
  Uint8Array,
  Int8Array,
  Uint8ClampedArray,
  Uint16Array,
  Int16Array,
  Uint32Array,
  Int32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
  DataView,
];

function decode(bytes: Uint8Array<ArrayBuffer>): unknown {
  try {
    let at = HEAD_BYTES + new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
    let blobs = 0;
    const take: Take = (length, isBlob = false) => {
      const end = at + Number(length);
      if (isBlob && (blobs += 1) > MAX_BLOBS) throw new RangeError('too many');
      // Nothing is taken twice, so nothing grows beyond what was sent.
      if (!(end >= at && end <= bytes.length)) throw new RangeError('more than there is');
      return bytes.slice(at, (at = end));
    };
    return read(parseJson(bytes.subarray(HEAD_BYTES, at)), take);
  } catch {
    return undefined;
  }
}

/** Makes a value of what stands for it. Throws at what stands for none. */
function read(node: unknown, take: Take): unknown {
  const each = (item: unknown): unknown => read(item, take);
  if (typeof node !== 'object' || node === null) return node;
  if (Array.isArray(node)) return node.map(each);
  const { $: tag } = node as { readonly $?: unknown };
  if (!Array.isArray(tag)) return mapValues(node, each);
  const [type, first, second, third, fourth] = tag as readonly unknown[];
  const list = Array.isArray(first) ? (first as readonly unknown[]) : [];
  switch (type) {
    case 'u':
      return undefined;
    case 'n':
      return Number(first);
    case 'i':
      // Decimal digits would take time that grows with their square.
      return String(first).startsWith('-')
        ? -BigInt(`0x${String(first).slice(1)}`)
        : BigInt(`0x${String(first)}`);
    case 'd':
      return new Date(first === null ? Number.NaN : Number(first));
    case 'm':
      return new Map(list.map((pair) => each(pair) as [unknown, unknown]));
    case 's':
      return new Set(list.map(each));
    case 'o':
      return mapValues(first as object, each);
    case 'f': {
      const [part, options] = [take(second, true), { type: String(first) }];
      return typeof third === 'string'
        ? new File([part], third, { ...options, lastModified: Number(fourth) })
        : new Blob([part], options);
    }
    case 'b': {
      const { buffer } = take(second);
      const Binary = binaryClass(String(first)) ?? refuseClass();
      return first === 'ArrayBuffer' ? buffer : new Binary(buffer);
    }
    default:
      return refuseClass();
  }
}

function refuseClass(): never {
  throw new TypeError('no value');
}

function mapValues(record: object, each: (item: unknown) => unknown): object {
  // Also of the key `__proto__` it makes a property.
  return Object.fromEntries(Object.entries(record).map(([key, item]) => [key, each(item)]));
}
