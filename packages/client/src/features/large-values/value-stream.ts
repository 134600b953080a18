import { LumameshError, utf8Decode, utf8Encode } from '@lumamesh/base';
import {
  type Deliver,
  type Frame,
  type FrameSink,
  HIGH_WATER_BYTES,
  MAX_FRAME_BYTES,
  MAX_PENDING_BYTES,
  MAX_TAG_LENGTH,
  type SendOptions,
  type ValueInbox,
  type ValueOutbox,
  isLarge,
  parseValue,
  readUnordered,
  sendUnordered,
  tooMuchPending,
} from '../../peer/peer-frame.ts';

/*
 * Values of any size, and values for parts of the library: what peer-frame.ts leaves out of the
 * grammar at its top.
 */

/** A value may have this many bytes; files have a way of their own. */
export const MAX_VALUE_BYTES = 268_435_456;

interface Waiting {
  readonly tag: string;
  /** Empty for what fits into one frame. */
  readonly kind: '' | 'j' | 'b';
  readonly body: Frame;
  readonly options: SendOptions;
  readonly resolve: (isSent: boolean) => void;
  sent: number;
}

interface LargeValue {
  readonly isJson: boolean;
  readonly total: number;
  received: number;
  /** Grows with what comes. */
  bytes: Uint8Array<ArrayBuffer>;
}

/**
 * The sending half: one queue, so that values arrive in the order they were sent, whatever their
 * sizes.
 */
export class ValueSender implements ValueOutbox {
  readonly #queue: Waiting[] = [];
  readonly #onListenerError: (error: unknown) => void;
  #pendingBytes = 0;
  #isPumping = false;

  constructor(onListenerError: (error: unknown) => void) {
    this.#onListenerError = onListenerError;
  }

  /** What waits here; the sink's own queue is not counted. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /**
   * Sends or queues a frame of {@link encodeValue}. The answer never rejects: `true` when the
   * network has taken all of it, `false` when it was taken back, or the peer is gone. Throws
   * `MESSAGE_TOO_LARGE` or `TOO_MUCH_PENDING`.
   */
  send(sink: FrameSink, tag: string, frame: Frame, options: SendOptions): Promise<boolean> {
    const isText = typeof frame === 'string';
    const isReliable = options.reliable ?? true;
    if (frame.length > MAX_VALUE_BYTES || (!isReliable && isLarge(frame)))
      throw new LumameshError(
        'MESSAGE_TOO_LARGE',
        'a value has at most 256 MB, an unreliable one 64 KB',
      );
    if (!isReliable) return sendUnordered(sink, tag, frame);
    if (this.#pendingBytes > MAX_PENDING_BYTES) throw tooMuchPending();
    const isWhole = !isLarge(frame);
    const body = !isWhole && isText ? utf8Encode(frame.slice(1)) : frame;
    return new Promise((resolve) => {
      this.#pendingBytes += body.length;
      this.#queue.push({
        tag,
        kind: isWhole ? '' : isText ? 'j' : 'b',
        body,
        options,
        resolve,
        sent: 0,
      });
      this.pump(sink);
    });
  }

  /** Goes on sending; to be called when the sink opens and when its queue has become short. */
  pump(sink: FrameSink): void {
    // A listener of progress may send: that is taken up here.
    if (this.#isPumping) return;
    this.#isPumping = true;
    for (let first = this.#queue[0]; first !== undefined && sink.isOpen; first = this.#queue[0]) {
      if (first.options.signal?.aborted === true) {
        if (first.sent > 0) sink.send('x', true);
        this.#finish(false);
      } else if (sink.bufferedAmount > HIGH_WATER_BYTES) break;
      else if (this.#sendNext(sink, first)) this.#finish(true);
    }
    this.#isPumping = false;
  }

  /** Another connection takes over: a value that was under way is sent from its start. */
  restart(): void {
    const [first] = this.#queue;
    if (first !== undefined) first.sent = 0;
  }

  /** Everything that waits is given up. */
  close(): void {
    while (this.#queue.length > 0) this.#finish(false);
  }

  /** Whether that was the last of it. */
  #sendNext(sink: FrameSink, item: Waiting): boolean {
    const { tag, kind, body, options } = item;
    if (item.sent === 0) {
      if (tag !== '') sink.send(`t${tag}`, true);
      if (kind !== '') sink.send(`f${kind}${body.length}`, true);
    }
    // What has a kind has bytes.
    const part =
      kind === ''
        ? body
        : (body as Uint8Array<ArrayBuffer>).subarray(item.sent, item.sent + MAX_FRAME_BYTES);
    sink.send(part, true);
    item.sent += part.length;
    try {
      options.onProgress?.(item.sent, body.length);
    } catch (error) {
      this.#onListenerError(error);
    }
    // A listener may have ended the connection, and with it the queue.
    return item.sent >= body.length && this.#queue[0] === item;
  }

  #finish(isSent: boolean): void {
    const item = this.#queue.shift();
    this.#pendingBytes -= item?.body.length ?? 0;
    item?.resolve(isSent);
  }
}

/**
 * The receiving half. What a stranger may make it keep is what he has sent, up to {@link
 * MAX_VALUE_BYTES}.
 */
export class ValueReceiver implements ValueInbox {
  readonly #deliver: Deliver;
  readonly #onProgress: (receivedBytes: number, totalBytes: number) => void;
  readonly #maxBytes: () => number;
  #tag = '';
  #large: LargeValue | null = null;

  /**
   * `maxBytes`: what a larger value may have, asked when one begins; `handleFrame` throws
   * MESSAGE_TOO_LARGE at others.
   */
  constructor(
    deliver: Deliver,
    onProgress: (receivedBytes: number, totalBytes: number) => void,
    maxBytes: () => number = () => MAX_VALUE_BYTES,
  ) {
    this.#deliver = deliver;
    this.#onProgress = onProgress;
    this.#maxBytes = maxBytes;
  }

  /** What is none of ours is passed over. */
  handleFrame(data: unknown, isOrdered: boolean): void {
    if (!isOrdered) return readUnordered(data, this.#deliver);
    if (typeof data !== 'string') {
      if (!(data instanceof ArrayBuffer)) return;
      const bytes = new Uint8Array(data);
      return this.#large === null ? this.#finish(bytes) : this.#append(this.#large, bytes);
    }
    const rest = data.slice(1);
    const total = Number(rest.slice(1));
    switch (data[0]) {
      case 'j':
        return this.#finish(parseValue(rest));
      case 't':
        this.#tag = rest.slice(0, MAX_TAG_LENGTH);
        return;
      case 'f':
        if (!(total > 0 && total <= this.#maxBytes()))
          throw new LumameshError('MESSAGE_TOO_LARGE', data);
        this.#large = { isJson: rest[0] === 'j', total, received: 0, bytes: new Uint8Array(0) };
        return;
      case 'x':
        this.#large = null;
        this.#tag = '';
        return;
      default:
        return;
    }
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
    this.#onProgress(end, large.total);
    if (end < large.total) return;
    this.#large = null;
    this.#finish(large.isJson ? parseValue(utf8Decode(large.bytes)) : large.bytes);
  }

  #finish(value: unknown): void {
    const tag = this.#tag;
    this.#tag = '';
    // What is no JSON.
    if (value !== undefined) this.#deliver(tag, value, true);
  }
}
