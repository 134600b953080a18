/*
 * What providers say to each other, as bytes of one action of the room:
 *
 *   0 HELLO      | flags (1) | digest (8)         where the sender's document is
 *   1 ASK        | state vector                   asks for all that the sender lacks
 *   2 ANSWER     | digest (8) | length (4) | state vector | update
 *   3 UPDATE     | length (1) | end | update      to be passed on to members before `end`
 *   4 AWARENESS  | length (1) | end | is own (1) | awareness update
 *   5 BYE                                         the sender takes no part any more
 *
 * State vectors, updates and awareness updates are those of Yjs and y-protocols. `end` is the id of
 * a member, or empty where nobody is to be told any more (ring.ts).
 */
export type Bytes = Uint8Array<ArrayBuffer>;

export const HELLO = 0;
export const ASK = 1;
export const ANSWER = 2;
export const UPDATE = 3;
export const AWARENESS = 4;
export const BYE = 5;

export const DIGEST_BYTES = 8;
/** Its document is that of the room, as far as the sender knows. */
export const CURRENT = 1;
/** The sender would like to hear a hello in return: in any case, or when the documents differ. */
export const REPLY = 2;
export const REPLY_IF_DIFFERENT = 4;

export type Frame =
  | { readonly _kind: typeof HELLO; readonly _flags: number; readonly _digest: string }
  | { readonly _kind: typeof ASK; readonly _vector: Bytes }
  | {
      readonly _kind: typeof ANSWER;
      readonly _digest: string;
      readonly _vector: Bytes;
      readonly _update: Bytes;
    }
  | { readonly _kind: typeof UPDATE; readonly _end: string; readonly _update: Bytes }
  | {
      readonly _kind: typeof AWARENESS;
      readonly _end: string;
      readonly _isOwn: boolean;
      readonly _update: Bytes;
    }
  | { readonly _kind: typeof BYE };

export type Part = number | string | Uint8Array;

/** Puts a frame together: numbers are bytes, texts are Latin letters. */
export function encodeFrame(...parts: readonly Part[]): Bytes {
  const all = parts.map((part) =>
    typeof part === 'number'
      ? [part]
      : typeof part === 'string'
        ? Array.from(part, (letter) => letter.charCodeAt(0))
        : part,
  );
  const bytes = new Uint8Array(all.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of all) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** The parts of an answer. */
export function answerOf(digest: string, vector: Uint8Array, update: Uint8Array): readonly Part[] {
  const length = [24, 16, 8, 0].map((shift) => (vector.length >>> shift) & 255);
  return [ANSWER, digest, ...length, vector, update];
}

/** Reads a frame; `null` for what is none. */
export function decodeFrame(bytes: Bytes): Frame | null {
  const textOf = (from: number, to: number): string =>
    String.fromCharCode(...bytes.subarray(from, to));
  const [_kind, first = 0] = bytes;
  const { length } = bytes;
  switch (_kind) {
    case HELLO:
      return length === 2 + DIGEST_BYTES ? { _kind, _flags: first, _digest: textOf(2, 10) } : null;
    case ASK:
      return { _kind, _vector: bytes.subarray(1) };
    case ANSWER: {
      const head = 1 + DIGEST_BYTES + 4;
      if (length < head) return null;
      const end = head + new DataView(bytes.buffer, bytes.byteOffset).getUint32(head - 4);
      if (end > length) return null;
      return {
        _kind,
        _digest: textOf(1, 9),
        _vector: bytes.subarray(head, end),
        _update: bytes.subarray(end),
      };
    }
    case UPDATE:
    case AWARENESS: {
      const end = 2 + first;
      if (end >= length) return null;
      const _end = textOf(2, end);
      return _kind === UPDATE
        ? { _kind, _end, _update: bytes.subarray(end) }
        : { _kind, _end, _isOwn: bytes[end] === 1, _update: bytes.subarray(end + 1) };
    }
    case BYE:
      return { _kind };
    default:
      return null;
  }
}
