import { Fifo, type Instant, SparseMap, later, serial16Add } from '@lumamesh/base';

/**
 * How hard a message is tried (RFC 8831 §6.4); without limits it is reliable. Zero is a limit like
 * any other.
 */
export interface Reliability {
  readonly maxRetransmits?: number;
  readonly maxLifetimeMs?: number;
}

/**
 * What a waiting message costs on top of its bytes: itself, and a buffer of its own. Measured by
 * memory-cost.test.ts.
 */
export const MESSAGE_OVERHEAD_BYTES = 512;

export interface OutgoingMessage {
  readonly streamId: number;
  readonly ppid: number;
  readonly data: Uint8Array;
  readonly isUnordered: boolean;
  readonly maxRetransmits: number | null;
  /** When it stops being worth sending. */
  readonly expiresAt: Instant | null;
  /** Taken when its first fragment leaves; `null` for unordered and unsent messages. */
  ssn: number | null;
  /** Bytes handed to the retransmission queue so far. */
  sentBytes: number;
  isAbandoned: boolean;
}

/** One fragment to send next. */
export interface Fragment {
  readonly message: OutgoingMessage;
  readonly offset: number;
  readonly length: number;
}

interface OutboundStream {
  readonly queue: Fifo<OutgoingMessage>;
  nextSsn: number;
  bufferedBytes: number;
  /** While the stream is being reset: what was sent since, for the time after. */
  held: OutgoingMessage[] | null;
}

/**
 * Messages that wait for their first transmission, by stream. Streams take turns message by
 * message; a message once begun is finished first, for without I-DATA (RFC 8260) fragments of two
 * messages must not mix.
 */
export class SendQueue {
  readonly #streams = new SparseMap<OutboundStream>();
  /**
   * Streams with something to send, in the order of their turns; the first one may be in the middle
   * of a message.
   */
  readonly #turns: number[] = [];
  #bufferedBytes = 0;
  #messages = 0;

  /** What all that waits costs. */
  get heldBytes(): number {
    return this.#bufferedBytes + this.#messages * MESSAGE_OVERHEAD_BYTES;
  }

  /** All bytes waiting, over all streams. */
  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  get hasData(): boolean {
    return this.#turns.length > 0;
  }

  /** What is left of the message whose turn it is; zero when nothing waits. */
  get nextBytes(): number {
    const message =
      this.#turns[0] === undefined ? undefined : this.#streams.get(this.#turns[0])?.queue.peek();
    return message === undefined ? 0 : message.data.length - message.sentBytes;
  }

  bufferedBytesOf(streamId: number): number {
    return this.#streams.get(streamId)?.bufferedBytes ?? 0;
  }

  push(
    now: Instant,
    streamId: number,
    ppid: number,
    data: Uint8Array,
    isUnordered: boolean,
    reliability: Reliability,
  ): void {
    const stream = this.#stream(streamId);
    const { maxRetransmits, maxLifetimeMs } = reliability;
    const message: OutgoingMessage = {
      streamId,
      ppid,
      data,
      isUnordered,
      maxRetransmits: maxRetransmits ?? null,
      expiresAt: maxLifetimeMs === undefined ? null : later(now, maxLifetimeMs),
      ssn: null,
      sentBytes: 0,
      isAbandoned: false,
    };
    stream.bufferedBytes += data.length;
    this.#bufferedBytes += data.length;
    this.#messages += 1;
    if (stream.held !== null) stream.held.push(message);
    else this.#enqueue(stream, message);
  }

  /**
   * Takes the next fragment of at most `maxBytes` bytes, or `null`. Messages that are abandoned or
   * too old go without being sent; of one that was begun a fragment of no bytes comes, for the peer
   * must be told to skip it. `maySkip` says whether the peer can be: if not, what was begun is
   * finished.
   */
  take(now: Instant, maxBytes: number, maySkip = true): Fragment | null {
    for (;;) {
      const streamId = this.#turns[0];
      const stream = streamId === undefined ? undefined : this.#streams.get(streamId);
      const message = stream?.queue.peek();
      if (stream === undefined || message === undefined) return null;
      const isBegun = message.sentBytes > 0;
      if (message.expiresAt !== null && now >= message.expiresAt && (maySkip || !isBegun))
        message.isAbandoned = true;
      if (message.isAbandoned) {
        const offset = message.sentBytes;
        this.#drop(stream, message);
        if (isBegun) return { message, offset, length: 0 };
        continue;
      }
      if (maxBytes <= 0) return null;
      if (message.sentBytes === 0 && !message.isUnordered) {
        message.ssn = stream.nextSsn;
        stream.nextSsn = serial16Add(stream.nextSsn, 1);
      }
      const offset = message.sentBytes;
      const length = Math.min(maxBytes, message.data.length - offset);
      message.sentBytes += length;
      stream.bufferedBytes -= length;
      this.#bufferedBytes -= length;
      if (message.sentBytes === message.data.length) this.#endTurn(stream);
      return { message, offset, length };
    }
  }

  /**
   * RFC 6525 §5.1.2: a stream that is to be reset sends what it has first. True when nothing is
   * left of before.
   */
  isDrained(streamId: number): boolean {
    return (this.#streams.get(streamId)?.queue.size ?? 0) === 0;
  }

  /**
   * Holds back what will be sent on a stream until {@link restart}; what is queued already still
   * goes.
   */
  pause(streamId: number): void {
    this.#stream(streamId).held ??= [];
  }

  /**
   * The reset is over: where it was performed numbers begin at 0 again, and what was held back
   * goes.
   */
  restart(streamId: number, wasPerformed: boolean): void {
    const stream = this.#streams.get(streamId);
    if (stream === undefined) return;
    const held = stream.held ?? [];
    stream.held = null;
    if (wasPerformed) stream.nextSsn = 0;
    if (wasPerformed && held.length === 0 && stream.queue.size === 0)
      this.#streams.delete(streamId);
    for (const message of held) this.#enqueue(stream, message);
  }

  clear(): void {
    this.#streams.clear();
    this.#turns.length = 0;
    this.#bufferedBytes = 0;
    this.#messages = 0;
  }

  #stream(streamId: number): OutboundStream {
    let stream = this.#streams.get(streamId);
    if (stream === undefined)
      this.#streams.set(
        streamId,
        (stream = { queue: new Fifo(), nextSsn: 0, bufferedBytes: 0, held: null }),
      );
    return stream;
  }

  #enqueue(stream: OutboundStream, message: OutgoingMessage): void {
    stream.queue.push(message);
    if (stream.queue.size === 1) this.#turns.push(message.streamId);
  }

  #drop(stream: OutboundStream, message: OutgoingMessage): void {
    const unsent = message.data.length - message.sentBytes;
    stream.bufferedBytes -= unsent;
    this.#bufferedBytes -= unsent;
    this.#endTurn(stream);
  }

  #endTurn(stream: OutboundStream): void {
    stream.queue.shift();
    this.#messages -= 1;
    const streamId = this.#turns.shift();
    if (streamId !== undefined && stream.queue.size > 0) this.#turns.push(streamId);
  }
}
