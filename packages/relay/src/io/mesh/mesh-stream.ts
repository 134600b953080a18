import type { Stream } from '@libp2p/interface';
import { TokenBucket } from '@lumamesh/base';
import { monotonicNow } from '@lumamesh/transport/io';
import type { FairShare } from '../../core/mesh/fair-share.ts';
import { LengthPrefixedReader, encodeLengthPrefixed } from '../../core/mesh/length-prefixed.ts';

/** Bytes that wait for a slow reader before the link is given up. */
const MAX_QUEUED_BYTES = 8 * 1024 * 1024;
/**
 * Frames and bytes taken from one relay: beyond it is read slower, and the sender feels that by
 * TCP.
 */
const FRAMES_PER_SECOND = 1000;
const FRAMES_BURST = 20_000;
const BYTES_PER_SECOND = 2 * 1024 * 1024;
const BYTES_BURST = 32 * 1024 * 1024;
const PAUSE_MS = 50;
/** The mesh core says something on every link at least every two and a half minutes. */
const INACTIVITY_MS = 600_000;

/** The way out to one relay: frames are collected and sent together. */
export class FrameWriter {
  #stream: Stream | null = null;
  #queue: string[] = [];
  #queuedBytes = 0;
  #isScheduled = false;

  readonly #nk: string;
  /** What waits for all relays. */
  readonly #share: FairShare<string>;
  readonly #onFailure: (reason: string) => void;

  /** @param onFailure too much waits for this relay, or the stream broke */
  constructor(nk: string, share: FairShare<string>, onFailure: (reason: string) => void) {
    this.#nk = nk;
    this.#share = share;
    this.#onFailure = onFailure;
  }

  /** The stream is there: what waits is sent. */
  open(stream: Stream): void {
    stream.inactivityTimeout = INACTIVITY_MS;
    stream.addEventListener('drain', () => this.#flush());
    stream.addEventListener('close', () => {
      this.#takeQueue();
      this.#onFailure('streamClosed');
    });
    this.#stream = stream;
    this.#flush();
  }

  send(text: string): void {
    if (
      this.#queuedBytes + text.length > MAX_QUEUED_BYTES ||
      !this.#share.take(this.#nk, text.length)
    ) {
      this.#takeQueue();
      return this.#onFailure('slowReader');
    }
    this.#queue.push(text);
    this.#queuedBytes += text.length;
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    // What one turn of the loop produces goes out in one piece.
    setImmediate(() => {
      this.#isScheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    const stream = this.#stream;
    if (
      stream === null ||
      stream.status !== 'open' ||
      stream.writableNeedsDrain ||
      this.#queue.length === 0
    )
      return;
    try {
      stream.send(encodeLengthPrefixed(this.#takeQueue()));
    } catch {
      this.#onFailure('streamClosed');
    }
  }

  #takeQueue(): readonly string[] {
    const texts = this.#queue;
    this.#queue = [];
    this.#share.give(this.#nk, this.#queuedBytes);
    this.#queuedBytes = 0;
    return texts;
  }
}

/** What one relay may still send, over whichever stream. */
export interface ReadBudget {
  readonly frames: TokenBucket;
  readonly bytes: TokenBucket;
}

export function makeReadBudget(): ReadBudget {
  return {
    frames: new TokenBucket(FRAMES_PER_SECOND, FRAMES_BURST),
    bytes: new TokenBucket(BYTES_PER_SECOND, BYTES_BURST),
  };
}

/**
 * Reads frames of a stream that another relay opened, no faster than its budget allows. `fault` is
 * called once, for what is not a frame.
 */
export function readFrames(
  stream: Stream,
  budget: ReadBudget,
  on: { frame(text: string): void; fault(drop: string): void },
): void {
  const reader = new LengthPrefixedReader();
  stream.inactivityTimeout = INACTIVITY_MS;
  stream.addEventListener('message', (event) => {
    const chunk = event.data instanceof Uint8Array ? event.data : event.data.subarray();
    const result = reader.push(chunk);
    if (!result.ok) {
      stream.abort(new Error(result.drop));
      return on.fault(result.drop);
    }
    const now = monotonicNow();
    let isTooFast = !budget.bytes.take(now, chunk.length);
    for (const text of result.value) {
      if (!budget.frames.take(now)) isTooFast = true;
      on.frame(text);
    }
    if (!isTooFast || stream.status !== 'open') return;
    pauseFor(stream, PAUSE_MS);
  });
}

/** Reads nothing of an open stream for so long. */
export function pauseFor(stream: Pick<Stream, 'pause' | 'resume'>, ms: number): void {
  stream.pause();
  setTimeout(() => {
    try {
      stream.resume();
    } catch {
      // libp2p throws at one that has ended meanwhile, or whose connection has.
    }
  }, ms).unref();
}
