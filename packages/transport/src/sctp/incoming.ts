import { type Fifo, type Instant, later, serial32Diff } from '@lumamesh/base';
import type { DataChunk } from './chunk/data-chunk.ts';
import type { ForwardTsnChunk } from './chunk/forward-tsn-chunk.ts';
import type { SackChunk } from './chunk/sack-chunk.ts';
import { CHUNK_OVERHEAD_BYTES, ReassemblyQueue } from './queue/reassembly-queue.ts';
import { ReceivedTsns } from './queue/received-tsns.ts';
import type { SctpLimits, SctpOutput } from './sctp-types.ts';

/**
 * RFC 9260 §6.2: a SACK at the latest 200 ms behind the first unacknowledged DATA; the shell's
 * clock may be 10 ms late.
 */
export const SACK_DELAY_MS = 180;
/** RFC 9260 §6.2: at least every second packet is acknowledged. */
const PACKETS_PER_SACK = 2;
const MAX_GAP_BLOCKS_SENT = 32;

/**
 * The receiving half of an association: which TSNs arrived, what waits to be whole, and when a SACK
 * is due.
 */
export class Incoming {
  readonly #limits: SctpLimits;
  readonly #outputs: Fifo<SctpOutput>;
  readonly #tsns: ReceivedTsns;
  readonly #reassembly: ReassemblyQueue;
  #packetsUnacknowledged = 0;
  #sackDueAt: Instant | null = null;
  #isSackDueNow = false;

  constructor(initialTsn: number, limits: SctpLimits, outputs: Fifo<SctpOutput>) {
    this.#limits = limits;
    this.#outputs = outputs;
    this.#tsns = new ReceivedTsns(initialTsn);
    this.#reassembly = new ReassemblyQueue(
      limits.maxMessageBytes,
      (message) => outputs.push({ type: 'message', ...message }),
      (streamId) => outputs.push({ type: 'messageTooLarge', streamId }),
    );
  }

  get cumulativeTsn(): number {
    return this.#tsns.cumulativeTsn;
  }

  get isSackDueNow(): boolean {
    return this.#isSackDueNow;
  }

  get sackDueAt(): Instant | null {
    return this.#sackDueAt;
  }

  /** What waits to be whole or in order, at what it costs. */
  get heldBytes(): number {
    return this.#reassembly.heldBytes;
  }

  /** The window we announce: what is free of it (RFC 9260 §6.2). */
  get aRwnd(): number {
    return Math.max(0, this.#limits.receiveWindowBytes - this.#reassembly.heldBytes);
  }

  /**
   * Takes a DATA chunk. A dropped one is not acknowledged, so an honest sender sends it again.
   * @returns A drop reason, or `null`.
   */
  handleData(chunk: DataChunk): string | null {
    const verdict = this.#tsns.check(chunk.tsn);
    if (verdict === 'duplicate') {
      // RFC 9260 §6.2: duplicates are acknowledged at once.
      this.#isSackDueNow = true;
      return 'sctp.data.duplicate';
    }
    if (verdict !== 'new')
      return verdict === 'tooFar' ? 'sctp.data.tooFar' : 'sctp.data.tooManyGaps';
    const isNext = serial32Diff(chunk.tsn, this.#tsns.cumulativeTsn) === 1;
    // What fills the gap at the front lets held data go, so it may pass the window: our count is
    // above the sender's (overhead is in it), and refusing it would stop both for ever. An honest
    // message at the front is smaller than a second window.
    const needed = chunk.data.length + CHUNK_OVERHEAD_BYTES;
    const mayPass =
      isNext && this.#reassembly.heldBytes + needed <= 2 * this.#limits.receiveWindowBytes;
    if (needed > this.aRwnd && !mayPass) {
      this.#isSackDueNow = true;
      return 'sctp.data.window';
    }
    this.#tsns.add(chunk.tsn);
    // RFC 9260 §6.5: acknowledged, reported and thrown away.
    if (chunk.streamId >= this.#limits.maxStreams) return 'sctp.data.stream';
    this.#reassembly.add(chunk);
    if (chunk.isImmediate) this.#isSackDueNow = true;
    return null;
  }

  /** The end of a packet that held DATA: decides when it is acknowledged (RFC 9260 §6.2). */
  handlePacketEnd(now: Instant): void {
    this.#packetsUnacknowledged += 1;
    // RFC 9260 §6.7: a gap is reported at once.
    if (this.#tsns.hasGap || this.#packetsUnacknowledged >= PACKETS_PER_SACK)
      this.#isSackDueNow = true;
    else this.#sackDueAt ??= later(now, SACK_DELAY_MS);
  }

  handleForwardTsn(forward: ForwardTsnChunk): string | null {
    this.#isSackDueNow = true;
    const distance = serial32Diff(forward.newCumulativeTsn, this.#tsns.cumulativeTsn);
    // RFC 3758 §3.6: an out-of-date one gets a SACK and nothing else.
    if (distance <= 0) return 'sctp.forwardTsn.old';
    if (distance > 0xffff) return 'sctp.forwardTsn.tooFar';
    if (forward.skipped.some(({ streamId }) => streamId >= this.#limits.maxStreams))
      return 'sctp.forwardTsn.stream';
    this.#tsns.advance(forward.newCumulativeTsn);
    this.#reassembly.skip(forward.newCumulativeTsn, forward.skipped);
    return null;
  }

  handleSackTimer(): void {
    this.#sackDueAt = null;
    this.#isSackDueNow = true;
  }

  /** Whether there is anything that a SACK going out with other chunks would tell. */
  get hasUnacknowledged(): boolean {
    return this.#isSackDueNow || this.#sackDueAt !== null;
  }

  resetStreams(streamIds: readonly number[]): void {
    this.#reassembly.resetStreams(streamIds);
    this.#outputs.push({ type: 'streamsReset', streamIds });
  }

  takeSack(): SackChunk {
    this.#packetsUnacknowledged = 0;
    this.#sackDueAt = null;
    this.#isSackDueNow = false;
    return {
      cumulativeTsnAck: this.#tsns.cumulativeTsn,
      aRwnd: this.aRwnd,
      gapAckBlocks: this.#tsns.gapAckBlocks(MAX_GAP_BLOCKS_SENT),
      duplicateTsns: this.#tsns.takeDuplicates(),
    };
  }
}
