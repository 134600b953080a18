import { LumameshError, concatBytes, utf8Decode } from '@lumamesh/base';

/*
 * Values between two peers (docs/wire-protocol.md, "Between peers"). On the ordered channel:
 *
 *   j<json>          a JSON value                          binary frame   binary data as it is
 *   f<kind><bytes>   a larger value (j or b) follows in binary frames of `bytes` together, with nothing else between them
 *   x                the sender has given up the larger value
 *   t<tag>           the next value is not for the page, but for the part of the library that knows the tag
 *
 * On the unordered channel each value is one frame: `j<json>`, `u<tag>\n<json>`, or binary behind a tag's length (one byte) and the tag.
 * This file knows what every page needs: values that fit into a frame. The rest is value-stream.ts.
 */
export type Frame = string | Uint8Array<ArrayBuffer>;

/** Every browser takes a message of this size. */
export const MAX_FRAME_BYTES = 65_536;
/** What may wait for a peer before `send` refuses more: one value of any size, or many small ones. */
export const MAX_PENDING_BYTES = 16_777_216;
/** The browser's own queue is filled up to here; what comes later waits with us, where it can be taken back. */
export const HIGH_WATER_BYTES = 1_048_576;

export interface SendOptions {
  /** `false`: sent once, unordered, and lost when the network loses it; for positions and the like. Default `true`. */
  readonly reliable?: boolean;
  /** Takes back what has not been sent yet (not in `lumamesh/core`). */
  readonly signal?: { readonly aborted: boolean };
  /** Hears how much of the value has been given to the network (not in `lumamesh/core`). */
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
  /** Sends or queues a frame of {@link encodeValue}. The answer never rejects. Throws `MESSAGE_TOO_LARGE` or `TOO_MUCH_PENDING`. */
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

/** Turns a value into a frame. Throws `NOT_SENDABLE` for what JSON cannot say (functions, cycles, BigInt, `undefined`). */
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

/** Whether a frame may be larger than {@link MAX_FRAME_BYTES}: a UTF-16 unit has at most three bytes. */
export function isLarge(frame: Frame): boolean {
  return frame.length > (typeof frame === 'string' ? MAX_FRAME_BYTES / 3 : MAX_FRAME_BYTES);
}

/** Sends a frame on the unordered channel: now or not at all. */
export function sendUnordered(sink: FrameSink, frame: Frame): Promise<boolean> {
  // What may be lost is lost while nobody is there, or too much waits already.
  const isSent = sink.isOpen && sink.bufferedAmount < HIGH_WATER_BYTES;
  if (isSent) sink.send(frame, false);
  return Promise.resolve(isSent);
}

/** Sends values that fit into a frame, and keeps those that come before the connection is open. */
export class FrameQueue implements ValueOutbox {
  #frames: Frame[] = [];
  pendingBytes = 0;

  send(
    sink: FrameSink,
    _tag: string,
    frame: Frame,
    { reliable = true }: SendOptions,
  ): Promise<boolean> {
    if (isLarge(frame))
      throw new LumameshError(
        'MESSAGE_TOO_LARGE',
        `a message has at most ${MAX_FRAME_BYTES} bytes`,
      );
    if (!reliable)
      return sendUnordered(
        sink,
        typeof frame === 'string' ? frame : concatBytes([Uint8Array.of(0), frame]),
      );
    if (this.pendingBytes + sink.bufferedAmount + frame.length > MAX_PENDING_BYTES)
      throw new LumameshError('TOO_MUCH_PENDING', 'more than 16 MB wait for this peer');
    this.#frames.push(frame);
    this.pendingBytes += frame.length;
    this.pump(sink);
    return Promise.resolve(true);
  }

  pump(sink: FrameSink): void {
    if (!sink.isOpen) return;
    for (const frame of this.#frames.splice(0)) sink.send(frame, true);
    this.pendingBytes = 0;
  }

  restart(): void {
    // Nothing is ever half sent.
  }

  close(): void {
    this.#frames = [];
  }
}

/** Reads values that fit into a frame, and passes over larger ones and those with a tag. */
export class FrameReader implements ValueInbox {
  readonly #deliver: (value: unknown) => void;
  #isTagged = false;
  #skippedBytes = 0;

  constructor(deliver: (value: unknown) => void) {
    this.#deliver = deliver;
  }

  handleFrame(data: unknown, isOrdered: boolean): void {
    if (data instanceof ArrayBuffer) {
      const bytes = new Uint8Array(data);
      if (!isOrdered) return bytes[0] === 0 ? this.#deliver(bytes.subarray(1)) : undefined;
      if (this.#skippedBytes <= 0) return this.#finish(bytes);
      this.#skippedBytes -= bytes.length;
      if (this.#skippedBytes <= 0) this.#isTagged = false;
    } else if (typeof data === 'string') {
      if (data[0] === 'j') {
        const value = parseValue(data.slice(1));
        if (value !== undefined) this.#finish(value);
      }
      if (data[0] === 't') this.#isTagged = true;
      if (data[0] === 'f') this.#skippedBytes = Number(data.slice(2));
      if (data[0] === 'x') this.#skippedBytes = 0;
    }
  }

  #finish(value: unknown): void {
    const isTagged = this.#isTagged;
    this.#isTagged = false;
    if (!isTagged) this.#deliver(value);
  }
}

/** A JSON value, or `undefined` for what is none. */
export function parseValue(json: string | null): unknown {
  try {
    return JSON.parse(json ?? '') as unknown;
  } catch {
    return undefined;
  }
}

/** The text of bytes that should be JSON. */
export function parseBytes(bytes: Uint8Array): unknown {
  return parseValue(utf8Decode(bytes));
}
