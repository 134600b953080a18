import { type Instant, serial32Add, serial32Diff } from '@lumamesh/base';
import { DATA_FIELDS_BYTES } from '../chunk/data-chunk.ts';
import type { ForwardTsnChunk } from '../chunk/forward-tsn-chunk.ts';
import { CHUNK_HEADER_BYTES } from '../chunk/packet.ts';
import type { SackChunk } from '../chunk/sack-chunk.ts';
import type { Fragment, OutgoingMessage } from './send-queue.ts';

/** RFC 9260 §7.2.4: three reports of a TSN as missing make it lost. */
const MISSING_REPORTS_FOR_LOSS = 3;
/**
 * What a chunk in flight costs on top of its bytes: itself, and its share of a message whose bytes
 * are in a buffer of their own. Measured by memory-cost.test.ts.
 */
export const OUTSTANDING_OVERHEAD_BYTES = 512;
/** Streams named in one FORWARD-TSN; what does not fit is skipped by a later one. */
const MAX_SKIPPED_STREAMS = 64;

export interface OutstandingChunk {
  readonly tsn: number;
  readonly message: OutgoingMessage;
  readonly offset: number;
  readonly length: number;
  readonly firstSentAt: Instant;
  sentAt: Instant;
  transmissions: number;
  missingReports: number;
  /** Sent again after three reports: another loss of it is T3's to find (RFC 9260 §7.2.4). */
  wasFastRetransmitted: boolean;
  state: 'inFlight' | 'lost' | 'acked' | 'abandoned';
}

export interface SackResult {
  /** Bytes that left the front: what congestion control grows by. */
  readonly ackedBytes: number;
  readonly cumulativeMoved: boolean;
  /** Round trip of the newest chunk acknowledged that was sent once only. */
  readonly rttMs: number | null;
  /** A chunk was reported missing for the third time. */
  readonly hasLoss: boolean;
  readonly highestTsn: number;
}

/**
 * Sent and not yet acknowledged by the cumulative TSN: consecutive TSNs, so a TSN is found by its
 * distance from the first.
 */
export class RetransmissionQueue {
  readonly #chunks: OutstandingChunk[] = [];
  #firstTsn: number;
  #flightSize = 0;
  #bytes = 0;
  #lostChunks = 0;
  /** No chunk before this place is lost. */
  #lostFrom = 0;

  constructor(initialTsn: number) {
    this.#firstTsn = initialTsn;
  }

  /** The first TSN that the cumulative acknowledgement has not covered. */
  get firstTsn(): number {
    return this.#firstTsn;
  }

  get nextTsn(): number {
    return serial32Add(this.#firstTsn, this.#chunks.length);
  }

  /**
   * Bytes in flight, chunk headers included (RFC 9260 §7.2 counts data; the headers keep tiny
   * chunks honest).
   */
  get flightSize(): number {
    return this.#flightSize;
  }

  /**
   * What all of this costs: every byte that was not acknowledged by the cumulative TSN, and those
   * of the first message that were, for a message is kept whole.
   */
  get heldBytes(): number {
    return (
      this.#bytes +
      (this.#chunks[0]?.offset ?? 0) +
      this.#chunks.length * OUTSTANDING_OVERHEAD_BYTES
    );
  }

  /** When the chunk that waits longest for its acknowledgement was first sent. */
  get oldestSentAt(): Instant | null {
    return this.#chunks[0]?.firstSentAt ?? null;
  }

  get isEmpty(): boolean {
    return this.#chunks.length === 0;
  }

  get size(): number {
    return this.#chunks.length;
  }

  get hasLost(): boolean {
    return this.#lostChunks > 0;
  }

  get hasInFlight(): boolean {
    return this.#flightSize > 0;
  }

  push(now: Instant, fragment: Fragment): OutstandingChunk {
    const chunk: OutstandingChunk = {
      ...fragment,
      tsn: this.nextTsn,
      firstSentAt: now,
      sentAt: now,
      transmissions: 1,
      missingReports: 0,
      wasFastRetransmitted: false,
      state: 'inFlight',
    };
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    this.#flightSize += costOf(chunk);
    return chunk;
  }

  /**
   * A message was given up when part of it was sent: it takes one more TSN, which is never sent, so
   * that the peer, which may have all of the others, can be told to skip it.
   */
  pushAbandoned(now: Instant, fragment: Fragment): void {
    this.#chunks.push({
      ...fragment,
      tsn: this.nextTsn,
      firstSentAt: now,
      sentAt: now,
      transmissions: 0,
      missingReports: 0,
      wasFastRetransmitted: false,
      state: 'abandoned',
    });
    this.#abandon(new Set([fragment.message]));
  }

  /**
   * Applies a SACK. One that acknowledges what was never sent, and one that came too late, change
   * nothing.
   */
  handleSack(now: Instant, sack: SackChunk): SackResult | 'unsent' | 'old' {
    const covered = serial32Diff(sack.cumulativeTsnAck, this.#firstTsn) + 1;
    const lastBlockEnd = sack.gapAckBlocks.at(-1)?.end ?? 0;
    if (covered + lastBlockEnd > this.#chunks.length) return 'unsent';
    if (covered < 0) return 'old';

    let ackedBytes = 0;
    let newest: OutstandingChunk | null = null;
    let highestNewlyAcked: number | null = null;
    const acknowledge = (chunk: OutstandingChunk): void => {
      // What was abandoned did not have to arrive: it tells nothing of the path.
      if (chunk.state === 'acked' || chunk.state === 'abandoned') return;
      highestNewlyAcked = chunk.tsn;
      if (chunk.state === 'inFlight') this.#flightSize -= costOf(chunk);
      if (chunk.state === 'lost') this.#lostChunks -= 1;
      ackedBytes += chunk.length;
      chunk.state = 'acked';
      if (chunk.transmissions === 1) newest = chunk;
    };
    for (const chunk of this.#chunks.splice(0, covered)) {
      acknowledge(chunk);
      this.#bytes -= chunk.length;
    }
    this.#firstTsn = serial32Add(this.#firstTsn, covered);
    this.#lostFrom = Math.max(0, this.#lostFrom - covered);

    for (const block of sack.gapAckBlocks) {
      // Offsets count from the cumulative TSN, whose successor is now the first chunk. Both bounds
      // lie within the list: checked above.
      for (let i = block.start - 1; i < block.end; i++) {
        const chunk = this.#chunks[i];
        if (chunk !== undefined) acknowledge(chunk);
      }
    }
    const hasLoss = this.#reportMissing(highestNewlyAcked);
    // TypeScript does not follow the assignment inside the closure.
    const measured = newest as OutstandingChunk | null;
    const rttMs = measured === null ? null : now - measured.sentAt;
    return {
      ackedBytes,
      cumulativeMoved: covered > 0,
      rttMs,
      hasLoss,
      highestTsn: serial32Add(this.nextTsn, -1),
    };
  }

  /**
   * RFC 9260 §7.2.4, the HTNA algorithm: only what lies below the highest TSN that this SACK newly
   * acknowledged counts as missing once more.
   */
  #reportMissing(highestNewlyAcked: number | null): boolean {
    let hasLoss = false;
    const end = highestNewlyAcked === null ? 0 : serial32Diff(highestNewlyAcked, this.#firstTsn);
    for (let i = 0; i < end; i++) {
      const chunk = this.#chunks[i];
      if (chunk?.state !== 'inFlight' || chunk.wasFastRetransmitted) continue;
      chunk.missingReports += 1;
      if (chunk.missingReports < MISSING_REPORTS_FOR_LOSS) continue;
      this.#markLost(chunk);
      this.#lostFrom = Math.min(this.#lostFrom, i);
      chunk.wasFastRetransmitted = true;
      hasLoss = true;
    }
    return hasLoss;
  }

  /** RFC 9260 §6.3.3 E3: with T3-rtx everything in flight counts as lost. */
  markAllLost(): void {
    this.#lostFrom = 0;
    for (const chunk of this.#chunks) {
      if (chunk.state === 'inFlight') this.#markLost(chunk);
      chunk.wasFastRetransmitted = false;
    }
  }

  #markLost(chunk: OutstandingChunk): void {
    this.#flightSize -= costOf(chunk);
    this.#lostChunks += 1;
    chunk.state = 'lost';
    chunk.missingReports = 0;
  }

  /** The first lost chunk of at most `maxBytes` bytes, now in flight again. */
  takeLost(now: Instant, maxBytes: number): OutstandingChunk | null {
    if (this.#lostChunks === 0) return null;
    while (this.#chunks[this.#lostFrom]?.state !== 'lost') {
      if (this.#lostFrom >= this.#chunks.length) return null;
      this.#lostFrom += 1;
    }
    const chunk = this.#chunks[this.#lostFrom];
    if (chunk === undefined || chunk.length > maxBytes) return null;
    chunk.state = 'inFlight';
    chunk.sentAt = now;
    chunk.transmissions += 1;
    this.#lostChunks -= 1;
    this.#flightSize += costOf(chunk);
    return chunk;
  }

  clear(): void {
    this.#chunks.length = 0;
    this.#bytes = 0;
    this.#flightSize = 0;
    this.#lostChunks = 0;
  }

  /**
   * RFC 3758 §3.5 A: gives up lost chunks whose message's limits are reached, and with them the
   * whole message.
   */
  abandonExpired(now: Instant): void {
    if (this.#lostChunks === 0) return;
    const over = new Set<OutgoingMessage>();
    for (const chunk of this.#chunks) {
      if (chunk.state !== 'lost') continue;
      const { message } = chunk;
      const isOver =
        message.isAbandoned ||
        (message.maxRetransmits !== null && chunk.transmissions > message.maxRetransmits) ||
        (message.expiresAt !== null && now >= message.expiresAt);
      if (isOver) over.add(message);
    }
    if (over.size > 0) this.#abandon(over);
  }

  #abandon(messages: ReadonlySet<OutgoingMessage>): void {
    for (const message of messages) message.isAbandoned = true;
    for (const chunk of this.#chunks) {
      if (!messages.has(chunk.message) || chunk.state === 'abandoned' || chunk.state === 'acked')
        continue;
      if (chunk.state === 'inFlight') this.#flightSize -= costOf(chunk);
      if (chunk.state === 'lost') this.#lostChunks -= 1;
      chunk.state = 'abandoned';
    }
  }

  /**
   * What a FORWARD-TSN should say now (RFC 3758 §3.5 C), or `null` when nothing at the front is
   * abandoned. The chunks stay until a SACK covers them.
   */
  forwardTsn(): ForwardTsnChunk | null {
    const skipped = new Map<number, number>();
    let newCumulativeTsn: number | null = null;
    for (const chunk of this.#chunks) {
      if (chunk.state !== 'abandoned') break;
      if (chunk.message.ssn !== null) {
        if (!skipped.has(chunk.message.streamId) && skipped.size === MAX_SKIPPED_STREAMS) break;
        skipped.set(chunk.message.streamId, chunk.message.ssn);
      }
      newCumulativeTsn = chunk.tsn;
    }
    return newCumulativeTsn === null
      ? null
      : { newCumulativeTsn, skipped: [...skipped].map(([streamId, ssn]) => ({ streamId, ssn })) };
  }
}

function costOf(chunk: OutstandingChunk): number {
  return chunk.length + DATA_FIELDS_BYTES + CHUNK_HEADER_BYTES;
}
