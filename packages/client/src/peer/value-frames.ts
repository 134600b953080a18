import { concatBytes, parseJson, utf8Decode, utf8Encode } from '@lumamesh/base';
import { CHUNK_BYTES, type Frame, MAX_TAG_LENGTH } from './peer-frame.ts';

/*
 * Values in frames, the same on every channel. A small one is one frame, whatever it is:
 *
 *   <kind><tag>\n<body>      kind: j JSON, b bytes, s a structured value. A text frame where the body
 *                            is a text, else a binary one. The tag names the part of the library that
 *                            it is for; without one it is for the page
 *
 * and on a lane a large one is several:
 *
 *   f<kind><tag>\n<bytes>    follows in binary frames of `bytes` together, with no other binary one
 *                            between them
 *   x                        the sender has given that value up
 */

/** A value may have this many bytes; files may have more. */
export const MAX_VALUE_BYTES = 268_435_456;

/** Of a body that goes in one binary frame, with its head. */
export const MAX_SMALL_BYTES = 65_100;
/** Kind, tag of {@link MAX_TAG_LENGTH} UTF-16 units, line feed. */
const MAX_HEAD_BYTES = 3 * MAX_TAG_LENGTH + 2;
const LINE_FEED = 0x0a;

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
  if (typeof body === 'string' || body.length <= MAX_SMALL_BYTES) {
    yield smallFrame(tag, kind, body);
    return;
  }
  yield `f${kind}${tag}\n${body.length}`;
  for (let at = 0; at < body.length; at += CHUNK_BYTES) yield body.subarray(at, at + CHUNK_BYTES);
}

/** A value in one frame. */
export function smallFrame(tag: string, kind: ValueKind, body: Frame): Frame {
  const head = `${kind}${tag}\n`;
  return typeof body === 'string' ? head + body : concatBytes([utf8Encode(head), body]);
}

type Deliver = (tag: string, value: unknown) => void;

/** Delivers the value of a frame that is one; others are passed over. */
export function readSmallFrame(
  data: string | ArrayBuffer,
  codec: StructuredCodec | undefined,
  deliver: Deliver,
): void {
  let head: string | null;
  let body: string | Uint8Array<ArrayBuffer>;
  if (typeof data === 'string') {
    const end = data.indexOf('\n');
    [head, body] = [data.slice(0, Math.max(end, 0)), data.slice(end + 1)];
  } else {
    const bytes = new Uint8Array(data);
    const end = bytes.subarray(0, MAX_HEAD_BYTES).indexOf(LINE_FEED);
    // A copy: a page may look at the buffer of what it gets.
    [head, body] = [utf8Decode(bytes.subarray(0, Math.max(end, 0))), bytes.slice(end + 1)];
  }
  const tag = head?.slice(1) ?? '';
  const value = tag.length > MAX_TAG_LENGTH ? undefined : valueOf(head?.[0], body, codec);
  if (value !== undefined) deliver(tag, value);
}

/** `undefined` for what is none. */
function valueOf(
  kind: string | undefined,
  body: string | Uint8Array<ArrayBuffer>,
  codec: StructuredCodec | undefined,
): unknown {
  if (kind === 'j') return parseJson(body);
  if (typeof body === 'string') return undefined;
  return kind === 's' ? codec?.decode(body) : kind === 'b' ? body : undefined;
}

interface LargeValue {
  readonly kind: string | undefined;
  readonly tag: string;
  readonly total: number;
  received: number;
  /** Grows with what comes. */
  bytes: Uint8Array<ArrayBuffer>;
}

export interface ValueReaderEvents {
  /** @param maxBytes asked when a large value begins; others end the peer */
  readonly maxBytes: () => number;
  readonly codec: StructuredCodec | undefined;
  readonly deliver: Deliver;
  readonly onProgress: (receivedBytes: number, totalBytes: number) => void;
}

/** Reads the frames of one lane. What a stranger may make it keep is what he has sent. */
export class ValueReader {
  readonly #events: ValueReaderEvents;
  #large: LargeValue | null = null;

  constructor(events: ValueReaderEvents) {
    this.#events = events;
  }

  /**
   * What is none of ours is passed over.
   * @returns false for a value that is larger than it may be
   */
  _read(data: string | ArrayBuffer): boolean {
    const { codec, deliver, maxBytes } = this.#events;
    if (typeof data !== 'string' && this.#large !== null)
      this.#append(this.#large, new Uint8Array(data));
    else if (data === 'x') this.#large = null;
    else if (typeof data === 'string' && data.startsWith('f')) {
      const end = data.indexOf('\n');
      const [tag, total] = [data.slice(2, Math.max(end, 2)), Number(data.slice(end + 1))];
      if (!(total > 0 && total <= maxBytes() && tag.length <= MAX_TAG_LENGTH)) return false;
      this.#large = { kind: data[1], tag, total, received: 0, bytes: new Uint8Array(0) };
    } else readSmallFrame(data, codec, deliver);
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
    const value = valueOf(large.kind, large.bytes, this.#events.codec);
    if (value !== undefined) this.#events.deliver(large.tag, value);
  }
}
