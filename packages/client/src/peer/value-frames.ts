import { utf8Decode } from '@lumamesh/base';
import { CHUNK_BYTES, type Frame, MAX_FRAME_BYTES, MAX_TAG_LENGTH } from './peer-frame.ts';

/*
 * Values in the frames of a lane:
 *
 *   j<json>          a JSON value                     binary frame   bytes as they are
 *   t<tag>\n<json>   a JSON value for the part of the library that knows the tag
 *   t<tag>           what follows is for the part that knows the tag
 *   f<kind><bytes>   a value in binary frames of `bytes` together, with nothing else between them:
 *                    j JSON, b bytes, s a structured value
 *   x                the sender has given that value up
 */

/** A value may have this many bytes; files may have more. */
export const MAX_VALUE_BYTES = 268_435_456;

/** JSON, bytes, or what a {@link StructuredCodec} has made of a value. */
export type ValueKind = 'j' | 'b' | 's';

/** How a value is written. */
export interface EncodedValue {
  readonly kind: ValueKind;
  /** Of the body: UTF-16 units of a text, which is JSON that fits into a frame, or bytes. */
  readonly length: number;
  /** A promise where parts of the value have to be read first; `null` when they cannot be. */
  readonly body: Frame | Promise<Frame | null>;
}

/** Writes and reads values that JSON cannot say; a feature has one. */
export interface StructuredCodec {
  /** Returns what is sent for a value that is no plain JSON. Throws `NOT_SENDABLE`. */
  encode(value: unknown): EncodedValue;
  /** Returns `undefined` for bytes that are no value; never throws. */
  decode(bytes: Uint8Array<ArrayBuffer>): unknown;
}

/** The frames of a value, made as they are asked for. */
export function* framesOf(tag: string, kind: ValueKind, body: Frame): Generator<Frame, undefined> {
  if (typeof body === 'string') {
    yield tag === '' ? `j${body}` : `t${tag}\n${body}`;
    return;
  }
  if (tag !== '') yield `t${tag}`;
  if (kind === 'b' && body.length <= MAX_FRAME_BYTES) {
    yield body;
    return;
  }
  yield `f${kind}${body.length}`;
  for (let at = 0; at < body.length; at += CHUNK_BYTES) yield body.subarray(at, at + CHUNK_BYTES);
}

interface LargeValue {
  readonly kind: string;
  readonly total: number;
  received: number;
  /** Grows with what comes. */
  bytes: Uint8Array<ArrayBuffer>;
}

export interface ValueReaderEvents {
  /** @param maxBytes asked when a large value begins; others end the peer */
  readonly maxBytes: () => number;
  readonly codec: StructuredCodec | undefined;
  readonly deliver: (tag: string, value: unknown) => void;
  readonly onProgress: (receivedBytes: number, totalBytes: number) => void;
}

/** Reads the frames of one lane. What a stranger may make it keep is what he has sent. */
export class ValueReader {
  readonly #events: ValueReaderEvents;
  #tag = '';
  #large: LargeValue | null = null;

  constructor(events: ValueReaderEvents) {
    this.#events = events;
  }

  /**
   * What is none of ours is passed over.
   * @returns false for a value that is larger than it may be
   */
  _read(data: string | ArrayBuffer): boolean {
    if (typeof data !== 'string') {
      const bytes = new Uint8Array(data);
      if (this.#large === null) this.#finish('b', bytes);
      else this.#append(this.#large, bytes);
      return true;
    }
    const rest = data.slice(1);
    const total = Number(rest.slice(1));
    const end = rest.indexOf('\n');
    switch (data[0]) {
      case 'j':
        this.#finish('j', rest);
        break;
      case 't':
        this.#tag = (end < 0 ? rest : rest.slice(0, end)).slice(0, MAX_TAG_LENGTH);
        if (end >= 0) this.#finish('j', rest.slice(end + 1));
        break;
      case 'f':
        if (!(total > 0 && total <= this.#events.maxBytes())) return false;
        this.#large = { kind: rest[0] ?? '', total, received: 0, bytes: new Uint8Array(0) };
        break;
      case 'x':
        this.#large = null;
        this.#tag = '';
        break;
      default:
    }
    return true;
  }

  #append(large: LargeValue, bytes: Uint8Array): void {
    const end = large.received + bytes.length;
    if (end > large.total) {
      this.#large = null;
      return;
    }
    if (end > large.bytes.length) {
      const grown = new Uint8Array(Math.min(large.total, Math.max(2 * large.bytes.length, end)));
      grown.set(large.bytes);
      large.bytes = grown;
    }
    large.bytes.set(bytes, large.received);
    large.received = end;
    this.#events.onProgress(end, large.total);
    if (end < large.total) return;
    this.#large = null;
    this.#finish(large.kind, large.bytes);
  }

  #finish(kind: string, body: string | Uint8Array<ArrayBuffer>): void {
    const { codec, deliver } = this.#events;
    const tag = this.#tag;
    this.#tag = '';
    let value: unknown;
    if (kind === 'b') value = body;
    else if (kind === 'j') value = typeof body === 'string' ? parseJson(body) : parseBytes(body);
    else if (kind === 's' && typeof body !== 'string') value = codec?.decode(body);
    // What is none.
    if (value !== undefined) deliver(tag, value);
  }
}

/** A JSON value, or `undefined` for what is none. */
export function parseJson(json: string | null): unknown {
  try {
    return JSON.parse(json ?? '') as unknown;
  } catch {
    return undefined;
  }
}

/**
 * Each part of a value costs a page some 20 to 60 bytes, however short it is written (`[],`): a
 * large value may have this many.
 */
const MAX_PARTS = 1_000_000;
const COUNTED_FROM_BYTES = 1_048_576;

/** The same, of UTF-8; `undefined` also for what would grow beyond measure when it is read. */
export function parseBytes(bytes: Uint8Array): unknown {
  return hasTooManyParts(bytes) ? undefined : parseJson(utf8Decode(bytes));
}

/** Whether a JSON text has more than a million values: its commas and brackets, but in strings. */
export function hasTooManyParts(json: Uint8Array): boolean {
  let parts = 0;
  let isString = false;
  for (let i = 0; i < json.length && json.length > COUNTED_FROM_BYTES; i++) {
    const byte = json[i];
    // "
    if (byte === 0x22) isString = !isString;
    // A backslash and what it escapes.
    else if (byte === 0x5c) i += 1;
    // , [ {
    else if (!isString && (byte === 0x2c || byte === 0x5b || byte === 0x7b)) parts += 1;
  }
  return parts > MAX_PARTS;
}
