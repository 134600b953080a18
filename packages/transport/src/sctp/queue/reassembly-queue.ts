import {
  SparseMap,
  concatBytes,
  serial16Add,
  serial16Lt,
  serial32Add,
  serial32Lte,
} from '@lumamesh/base';
import type { DataChunk } from '../chunk/data-chunk.ts';

/**
 * What holding one chunk costs on top of its bytes: counted against the window, so that one-byte
 * fragments are not free. Measured by memory-cost.test.ts.
 */
export const CHUNK_OVERHEAD_BYTES = 640;

export interface ReceivedMessage {
  readonly streamId: number;
  readonly ppid: number;
  readonly data: Uint8Array;
  readonly isUnordered: boolean;
}

/**
 * Fragments with consecutive TSNs, in order. A run that outgrew the message limit holds no bytes
 * any more and waits for its end.
 */
interface Run {
  firstTsn: number;
  lastTsn: number;
  chunks: DataChunk[];
  bytes: number;
  hasBegin: boolean;
  hasEnd: boolean;
  isTooLarge: boolean;
}

interface InboundStream {
  nextSsn: number;
  /** Whole ordered messages whose turn has not come. */
  waiting: Map<number, ReceivedMessage | null> | null;
}

/**
 * Puts user messages together and in order (RFC 9260 §6.5, §6.6, §6.9). A whole message is handed
 * out at once: unordered ones as they complete, ordered ones by their SSN. {@link heldBytes} counts
 * everything that waits, overhead included; the receiver keeps it below its window.
 */
export class ReassemblyQueue {
  readonly #maxMessageBytes: number;
  readonly #onMessage: (message: ReceivedMessage) => void;
  readonly #onTooLarge: (streamId: number) => void;
  readonly #streams = new SparseMap<InboundStream>();
  /**
   * The unfinished runs by both of their ends, so that a chunk finds its neighbours without a
   * search.
   */
  #runsByFirst: Map<number, Run> | null = null;
  #runsByLast: Map<number, Run> | null = null;
  #heldBytes = 0;

  constructor(
    maxMessageBytes: number,
    onMessage: (message: ReceivedMessage) => void,
    onTooLarge: (streamId: number) => void,
  ) {
    this.#maxMessageBytes = maxMessageBytes;
    this.#onMessage = onMessage;
    this.#onTooLarge = onTooLarge;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Takes a chunk whose TSN is new. */
  add(chunk: DataChunk): void {
    if (chunk.isBegin && chunk.isEnd) {
      if (chunk.data.length > this.#maxMessageBytes) this.#deliver(chunk, null);
      else this.#deliver(chunk, chunk.data);
      return;
    }
    const run = this.#join(chunk);
    if (!run.isTooLarge && run.bytes > this.#maxMessageBytes) this.#releaseBytes(run);
    if (run.hasBegin && run.hasEnd) this.#complete(run);
  }

  /**
   * RFC 3758 §3.6: nothing up to `cumulativeTsn` will come any more, and the named SSNs are
   * skipped.
   */
  skip(
    cumulativeTsn: number,
    skipped: readonly { readonly streamId: number; readonly ssn: number }[],
  ): void {
    for (const run of this.#runsByFirst?.values() ?? [])
      if (serial32Lte(run.firstTsn, cumulativeTsn)) this.#forget(run);
    for (const [streamId, ssn] of largestSsns(skipped)) {
      const stream = this.#stream(streamId);
      // Messages that were whole and waited behind the gap are the peer's to keep, so they are
      // delivered on the way.
      for (const nearest of waitingUpTo(stream, ssn)) {
        if (serial16Lt(nearest, stream.nextSsn)) continue;
        stream.nextSsn = nearest;
        this.#flush(stream);
      }
      if (!serial16Lt(ssn, stream.nextSsn)) stream.nextSsn = serial16Add(ssn, 1);
      this.#flush(stream);
    }
  }

  /** RFC 6525 §5.2.2: the peer begins these streams (all of them when empty) with SSN 0 again. */
  resetStreams(streamIds: readonly number[]): void {
    for (const streamId of streamIds.length === 0 ? this.#streams.keys() : streamIds) {
      for (const message of this.#streams.get(streamId)?.waiting?.values() ?? [])
        this.#heldBytes -= waitingCost(message);
      this.#streams.delete(streamId);
    }
  }

  #join(chunk: DataChunk): Run {
    this.#runsByFirst ??= new Map();
    this.#runsByLast ??= new Map();
    const before = chunk.isBegin ? undefined : this.#runsByLast.get(serial32Add(chunk.tsn, -1));
    const after = chunk.isEnd ? undefined : this.#runsByFirst.get(serial32Add(chunk.tsn, 1));
    // A chunk is copied when it must wait: a view would keep its whole datagram alive.
    const kept = { ...chunk, data: chunk.data.slice() };
    let run: Run = {
      firstTsn: chunk.tsn,
      lastTsn: chunk.tsn,
      chunks: [kept],
      bytes: kept.data.length,
      hasBegin: chunk.isBegin,
      hasEnd: chunk.isEnd,
      isTooLarge: false,
    };
    this.#heldBytes += kept.data.length + CHUNK_OVERHEAD_BYTES;
    if (before !== undefined && !before.hasEnd && isSameMessage(before, run))
      run = this.#merge(before, run);
    if (after !== undefined && !after.hasBegin && isSameMessage(run, after))
      run = this.#merge(run, after);
    this.#runsByFirst.set(run.firstTsn, run);
    this.#runsByLast.set(run.lastTsn, run);
    return run;
  }

  /**
   * `right` follows `left`. The longer list is the one that is kept, so putting n chunks together
   * costs O(n log n) at worst.
   */
  #merge(left: Run, right: Run): Run {
    for (const run of [left, right]) {
      this.#runsByFirst?.delete(run.firstTsn);
      this.#runsByLast?.delete(run.lastTsn);
    }
    if (left.isTooLarge !== right.isTooLarge) this.#releaseBytes(left.isTooLarge ? right : left);
    if (left.chunks.length >= right.chunks.length) left.chunks.push(...right.chunks);
    else {
      right.chunks.unshift(...left.chunks);
      left.chunks = right.chunks;
    }
    left.bytes += right.bytes;
    left.lastTsn = right.lastTsn;
    left.hasEnd = right.hasEnd;
    if (left.isTooLarge) this.#releaseBytes(left);
    return left;
  }

  #complete(run: Run): void {
    const chunk = run.chunks[0];
    this.#forget(run);
    if (chunk === undefined) return;
    this.#deliver(chunk, run.isTooLarge ? null : concatBytes(run.chunks.map((part) => part.data)));
  }

  /**
   * Gives up the bytes of a message that is too large; one chunk stays to tell which message it
   * was.
   */
  #releaseBytes(run: Run): void {
    const [chunk] = run.chunks;
    this.#heldBytes -= runCost(run);
    run.isTooLarge = true;
    run.chunks = chunk === undefined ? [] : [{ ...chunk, data: chunk.data.slice(0, 0) }];
    this.#heldBytes += runCost(run);
  }

  #forget(run: Run): void {
    this.#runsByFirst?.delete(run.firstTsn);
    this.#runsByLast?.delete(run.lastTsn);
    this.#heldBytes -= runCost(run);
    if (this.#runsByFirst?.size === 0) {
      this.#runsByFirst = null;
      this.#runsByLast = null;
    }
  }

  /** A whole message; `data` is `null` when it was too large to keep. */
  #deliver(chunk: DataChunk, data: Uint8Array | null): void {
    if (data === null) this.#onTooLarge(chunk.streamId);
    const message =
      data === null
        ? null
        : { streamId: chunk.streamId, ppid: chunk.ppid, data, isUnordered: chunk.isUnordered };
    if (chunk.isUnordered) {
      if (message !== null) this.#onMessage(message);
      return;
    }
    const stream = this.#stream(chunk.streamId);
    if (chunk.ssn === stream.nextSsn) {
      stream.nextSsn = serial16Add(stream.nextSsn, 1);
      if (message !== null) this.#onMessage(message);
      this.#flush(stream);
      return;
    }
    // An SSN from the past, or one twice, comes from a broken sender only.
    if (serial16Lt(chunk.ssn, stream.nextSsn) || stream.waiting?.has(chunk.ssn) === true) return;
    stream.waiting ??= new Map();
    stream.waiting.set(
      chunk.ssn,
      message === null ? null : { ...message, data: message.data.slice() },
    );
    this.#heldBytes += waitingCost(message);
  }

  #flush(stream: InboundStream): void {
    for (;;) {
      const message = stream.waiting?.get(stream.nextSsn);
      if (message === undefined) return;
      stream.waiting?.delete(stream.nextSsn);
      if (stream.waiting?.size === 0) stream.waiting = null;
      stream.nextSsn = serial16Add(stream.nextSsn, 1);
      this.#heldBytes -= waitingCost(message);
      if (message !== null) this.#onMessage(message);
    }
  }

  #stream(streamId: number): InboundStream {
    let stream = this.#streams.get(streamId);
    if (stream === undefined) this.#streams.set(streamId, (stream = { nextSsn: 0, waiting: null }));
    return stream;
  }
}

/**
 * Whether two neighbouring runs belong to one message: a hostile sender may number fragments of two
 * as if they followed each other.
 */
function isSameMessage(left: Run, right: Run): boolean {
  const a = left.chunks[0];
  const b = right.chunks[0];
  return (
    a !== undefined &&
    b !== undefined &&
    a.streamId === b.streamId &&
    a.isUnordered === b.isUnordered &&
    (a.isUnordered || a.ssn === b.ssn)
  );
}

/** A run too large has `bytes` beyond what it holds, so the chunks are what counts. */
function runCost(run: Run): number {
  return run.isTooLarge
    ? run.chunks.length * CHUNK_OVERHEAD_BYTES
    : run.bytes + run.chunks.length * CHUNK_OVERHEAD_BYTES;
}

function waitingCost(message: ReceivedMessage | null): number {
  return CHUNK_OVERHEAD_BYTES + (message?.data.length ?? 0);
}

/**
 * RFC 3758 §3.2 wants the largest skipped SSN of each stream; of a stream that is named again and
 * again only that one is worth any work.
 */
function largestSsns(
  skipped: readonly { readonly streamId: number; readonly ssn: number }[],
): ReadonlyMap<number, number> {
  const largest = new Map<number, number>();
  for (const { streamId, ssn } of skipped) {
    const known = largest.get(streamId);
    if (known === undefined || serial16Lt(known, ssn)) largest.set(streamId, ssn);
  }
  return largest;
}

/** The waiting SSNs up to `ssn`, in order. */
function waitingUpTo(stream: InboundStream, ssn: number): readonly number[] {
  return [...(stream.waiting?.keys() ?? [])]
    .filter((candidate) => !serial16Lt(ssn, candidate))
    .toSorted((a, b) => (serial16Lt(a, b) ? -1 : 1));
}
