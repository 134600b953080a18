import { LumameshError, concatBytes, utf8Decode, utf8Encode } from '@lumamesh/base';

/*
 * Values between two peers (docs/wire-protocol.md, "Between peers"). On the ordered channel:
 *
 *   j<json>          a JSON value                          binary frame   binary data as it is
 *   f<kind><bytes>   a larger value (j or b) follows in binary frames of `bytes` together, with nothing else between them
 *   x                the sender has given up the larger value
 *   t<tag>           the next value is not for the page, but for the part of the library that knows the tag
 *
 * On the unordered channel each value is one frame: `j<json>`, `u<tag>\n<json>`, or binary behind a
 * tag's length (one byte) and the tag. This file knows what every page needs: values that fit into
 * a frame. The rest is value-stream.ts.
 */
export type Frame = string | Uint8Array<ArrayBuffer>;

/** Every browser takes a message of this size. */
export const MAX_FRAME_BYTES = 65_536;
/**
 * What may wait for a peer before `send` refuses more: one value of any size, or many small ones.
 */
export const MAX_PENDING_BYTES = 16_777_216;
/**
 * The browser's own queue is filled up to here; what comes later waits with us, where it can be
 * taken back.
 */
export const HIGH_WATER_BYTES = 1_048_576;

/** Of the frame's name and its argument; longer ones are of no use to anybody here. */
export const MAX_TAG_LENGTH = 128;

export interface SendOptions {
  /**
   * `false`: sent once, unordered, and lost when the network loses it; for positions and the like.
   * Default `true`.
   */
  readonly reliable?: boolean;
  /** Takes back what has not been sent yet (with the feature `largeValues`). */
  readonly signal?: { readonly aborted: boolean };
  /** Hears how much of the value has been given to the network (with the feature `largeValues`). */
  readonly onProgress?: (sentBytes: number, totalBytes: number) => void;
}

/** Where frames go. */
export interface FrameSink {
  readonly isOpen: boolean;
  readonly bufferedAmount: number;
  send(frame: Frame, isReliable: boolean): void;
}

/** What sends the values of one peer. */
export interface ValueOutbox {
  /** What waits here; the sink's own queue is not counted. */
  readonly pendingBytes: number;
  /**
   * Sends or queues a frame of {@link encodeValue}. The answer never rejects. Throws
   * `MESSAGE_TOO_LARGE` or `TOO_MUCH_PENDING`.
   */
  send(sink: FrameSink, tag: string, frame: Frame, options: SendOptions): Promise<boolean>;
  /** Goes on sending: the sink has opened, or its queue has become short. */
  pump(sink: FrameSink): void;
  /** Another connection takes over. */
  restart(): void;
  /** Everything that waits is given up. */
  close(): void;
}

/** What reads the frames of one connection. */
export interface ValueInbox {
  handleFrame(data: unknown, isOrdered: boolean): void;
}

/** Hears of a value, and whether it came on the ordered channel. */
export type Deliver = (tag: string, value: unknown, isOrdered: boolean) => void;

/** How values become frames and frames values. */
export interface ValueCodec {
  outbox(): ValueOutbox;
  /** `isGuarded`: whether the peer was not let in yet. */
  inbox(deliver: Deliver, isGuarded: () => boolean): ValueInbox;
}

/**
 * Turns a value into a frame. Throws `NOT_SENDABLE` for what JSON cannot say (functions, cycles,
 * BigInt, `undefined`).
 */
export function encodeValue(value: unknown): Frame {
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (ArrayBuffer.isView(value)) {
    const { buffer, byteOffset, byteLength } = value;
    // A view of shared memory cannot be sent as it is, so it is copied.
    return buffer instanceof ArrayBuffer
      ? new Uint8Array(buffer, byteOffset, byteLength)
      : new Uint8Array(buffer, byteOffset, byteLength).slice();
  }
  let json: string | undefined;
  let cause: unknown = typeof value;
  try {
    json = JSON.stringify(value);
  } catch (error) {
    cause = error;
  }
  if (json === undefined)
    throw new LumameshError('NOT_SENDABLE', `not to be written as JSON: ${String(cause)}`, {
      cause,
    });
  return `j${json}`;
}

/**
 * Whether a frame may be larger than {@link MAX_FRAME_BYTES}: a UTF-16 unit has at most three
 * bytes.
 */
export function isLarge(frame: Frame): boolean {
  return frame.length > (typeof frame === 'string' ? MAX_FRAME_BYTES / 3 : MAX_FRAME_BYTES);
}

/** Sends a frame on the unordered channel: now or not at all. */
export function sendUnordered(sink: FrameSink, tag: string, frame: Frame): Promise<boolean> {
  // What may be lost is lost while nobody is there, or too much waits already.
  const isSent = sink.isOpen && sink.bufferedAmount < HIGH_WATER_BYTES;
  if (isSent) sink.send(tagged(tag, frame), false);
  return Promise.resolve(isSent);
}

function tagged(tag: string, frame: Frame): Frame {
  if (typeof frame === 'string') return tag === '' ? frame : `u${tag}\n${frame.slice(1)}`;
  const name = utf8Encode(tag);
  return concatBytes([Uint8Array.of(name.length), name, frame]);
}

/** Reads a frame of the unordered channel; what is none is passed over. */
export function readUnordered(data: unknown, deliver: Deliver): void {
  if (data instanceof ArrayBuffer) {
    const bytes = new Uint8Array(data);
    const end = 1 + (bytes[0] ?? 0);
    const tag = utf8Decode(bytes.subarray(1, end));
    if (tag !== null && bytes.length >= end) deliver(tag, bytes.subarray(end), false);
  } else if (typeof data === 'string') {
    const end = data[0] === 'u' ? data.indexOf('\n') : 0;
    const value = data[0] === 'j' || end > 0 ? parseValue(data.slice(end + 1)) : undefined;
    if (value !== undefined) deliver(data.slice(1, Math.max(end, 1)), value, false);
  }
}

export function tooMuchPending(): LumameshError {
  return new LumameshError('TOO_MUCH_PENDING', 'more than 16 MB wait for this peer');
}

/** A JSON value, or `undefined` for what is none. */
export function parseValue(json: string | null): unknown {
  try {
    return JSON.parse(json ?? '') as unknown;
  } catch {
    return undefined;
  }
}
