import { concatBytes, utf8Decode, utf8Encode } from '@lumamesh/base';
import { type Frame, type FrameSink, HIGH_WATER_BYTES, UNORDERED } from './peer-frame.ts';
import { MAX_TEXT_LENGTH } from './plain-values.ts';
import { type StructuredCodec, type ValueKind, parseJson } from './value-frames.ts';

/*
 * The unordered channel: each value is one frame.
 *
 *   j<json>, u<tag>\n<json>               a JSON value
 *   [255] | length (1) | tag | bytes      binary data, or a structured value (behind 255)
 */
const STRUCTURED = 255;

/** How long the body of a value may be, by its kind: in UTF-16 units, or in bytes. */
export const MAX_UNORDERED_LENGTH: Readonly<Record<ValueKind, number>> = {
  j: MAX_TEXT_LENGTH,
  b: 65_200,
  s: 65_200,
};

/** Sends a value now or not at all; returns whether it did. */
export function sendUnordered(sink: FrameSink, tag: string, kind: ValueKind, body: Frame): boolean {
  // What may be lost is lost while nobody is there, or too much waits already.
  if (!sink.isOpen || sink.queuedBytes(UNORDERED) >= HIGH_WATER_BYTES) return false;
  sink.send(frameOf(tag, kind, body), UNORDERED);
  return true;
}

function frameOf(tag: string, kind: ValueKind, body: Frame): Frame {
  if (typeof body === 'string') return tag === '' ? `j${body}` : `u${tag}\n${body}`;
  const name = utf8Encode(tag);
  const marks = kind === 's' ? [STRUCTURED, name.length] : [name.length];
  return concatBytes([Uint8Array.from(marks), name, body]);
}

/** Reads a frame of the unordered channel; what is none is passed over. */
export function readUnordered(
  data: unknown,
  codec: StructuredCodec | undefined,
  deliver: (tag: string, value: unknown) => void,
): void {
  let [tag, value]: [string | null, unknown] = [null, undefined];
  if (data instanceof ArrayBuffer) {
    const bytes = new Uint8Array(data);
    const isStructured = bytes[0] === STRUCTURED;
    const start = isStructured ? 2 : 1;
    const end = start + (bytes[start - 1] ?? 0);
    tag = utf8Decode(bytes.subarray(start, end));
    const body = bytes.slice(end);
    if (bytes.length >= end) value = isStructured ? codec?.decode(body) : body;
  } else if (typeof data === 'string') {
    const end = data[0] === 'u' ? data.indexOf('\n') : 0;
    tag = data.slice(1, Math.max(end, 1));
    if (data[0] === 'j' || end > 0) value = parseJson(data.slice(end + 1));
  }
  if (tag !== null && value !== undefined) deliver(tag, value);
}
