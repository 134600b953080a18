import {
  type Fifo,
  type Instant,
  TimerTable,
  earlier,
  later,
  serial32Add,
  serial32Diff,
} from '@lumamesh/base';
import { type Chunk, type PacketBuilder } from './chunk/packet.ts';
import { DATA_FIELDS_BYTES, encodeDataChunk } from './chunk/data-chunk.ts';
import { encodeForwardTsnChunk } from './chunk/forward-tsn-chunk.ts';
import type { SackChunk } from './chunk/sack-chunk.ts';
import { CongestionWindow } from './congestion-window.ts';
import { type OutstandingChunk, RetransmissionQueue } from './queue/retransmission-queue.ts';
import { type Fragment, MESSAGE_OVERHEAD_BYTES, SendQueue } from './queue/send-queue.ts';
import type { RtoEstimator } from './rto.ts';
import type { SctpLimits, SctpOutput } from './sctp-types.ts';

/** Every SACK may walk over all of them. */
const MAX_OUTSTANDING_CHUNKS = 1024;
/**
 * So long a chunk may wait for the cumulative TSN to reach it. SACKs that acknowledge nothing, or
 * one chunk from time to time, are no progress: what is behind is kept here meanwhile.
 */
const PROGRESS_TIMEOUT_MS = 30_000;

/** What the sending half knows of its peer once the association is up. */
interface PeerState {
  readonly supportsForwardTsn: boolean;
  /** The peer's window less what is in flight (RFC 9260 §6.2.1). */
  rwnd: number;
}

/**
 * The sending half of an association: queues, congestion, loss, partial reliability (RFC 9260 §6.1,
 * §6.3, §7; RFC 3758).
 */
export class Outgoing {
  readonly queue = new SendQueue();
  readonly #outputs: Fifo<SctpOutput>;
  readonly #limits: SctpLimits;
  readonly #rto: RtoEstimator;
  readonly #timers = new TimerTable<'T3Rtx'>();
  readonly #outstanding: RetransmissionQueue;
  readonly #congestion: CongestionWindow;
  #peer: PeerState | null = null;
  /** RFC 9260 §7.2.4: no further reduction until this TSN is acknowledged. */
  #fastRecoveryExit: number | null = null;
  /**
   * The first retransmission after a loss may pass the congestion window (RFC 9260 §7.2.4 rule 3).
   */
  #mayExceedCwnd = false;
  #lastForwarded: number | null = null;
  /** A message was abandoned while this packet was filled: the FORWARD-TSN goes with the next. */
  #needsForwardTsn = false;

  constructor(
    initialTsn: number,
    limits: SctpLimits,
    maxPacketBytes: number,
    rto: RtoEstimator,
    outputs: Fifo<SctpOutput>,
  ) {
    this.#limits = limits;
    this.#rto = rto;
    this.#outputs = outputs;
    this.#outstanding = new RetransmissionQueue(initialTsn);
    this.#congestion = new CongestionWindow(maxPacketBytes);
  }

  /** The last TSN that was assigned. */
  get lastAssignedTsn(): number {
    return serial32Add(this.#outstanding.nextTsn, -1);
  }

  get firstUnacknowledgedTsn(): number {
    return this.#outstanding.firstTsn;
  }

  /**
   * Whether a message was abandoned while the last packet was filled: the next packet must say so.
   */
  get needsForwardTsn(): boolean {
    return this.#needsForwardTsn;
  }

  /** Whether a packet could carry data now. */
  get canSend(): boolean {
    return (
      this.#outstanding.hasLost ||
      (this.queue.hasData && this.#outstanding.flightSize < this.#congestion.cwnd)
    );
  }

  /** Whether the peer has everything up to this TSN. */
  isAcknowledged(tsn: number): boolean {
    return serial32Diff(tsn, this.#outstanding.firstTsn) < 0;
  }

  /** Nothing waits and everything sent was acknowledged. */
  get isIdle(): boolean {
    return this.queue.bufferedBytes === 0 && this.#outstanding.isEmpty;
  }

  /** What everything that waits or was not acknowledged costs. */
  get heldBytes(): number {
    return this.queue.heldBytes + this.#outstanding.heldBytes;
  }

  get deadline(): Instant | null {
    return earlier(this.#timers.next(), this.#progressDueAt);
  }

  /** The peer's window as it announced it last, as far as it is known. */
  get peerWindow(): number {
    return (this.#peer?.rwnd ?? 0) + this.#outstanding.flightSize;
  }

  /** Everything in flight goes again with the next packet: the COOKIE ECHO it rode on was lost. */
  markAllLost(): void {
    this.#outstanding.markAllLost();
    this.#mayExceedCwnd = true;
  }

  handlePeerReady(aRwnd: number, supportsForwardTsn: boolean): void {
    this.#peer = { rwnd: aRwnd, supportsForwardTsn };
  }

  /** Whether one more message fits into what may be held. */
  hasRoomFor(bytes: number): boolean {
    return this.heldBytes + MESSAGE_OVERHEAD_BYTES + bytes <= this.#limits.maxBufferedBytes;
  }

  /** @returns A drop reason, or `null`. */
  handleSack(now: Instant, sack: SackChunk): string | null {
    const flightBefore = this.#outstanding.flightSize;
    const result = this.#outstanding.handleSack(now, sack);
    if (result === 'unsent') return 'sctp.sack.unsentTsn';
    // RFC 9260 §6.2.1 D: one that came late says nothing that is still true.
    if (result === 'old') return 'sctp.sack.old';
    if (this.#peer !== null)
      this.#peer.rwnd = Math.max(0, sack.aRwnd - this.#outstanding.flightSize);
    if (result.rttMs !== null) this.#rto.measure(result.rttMs);
    if (
      this.#fastRecoveryExit !== null &&
      serial32Diff(sack.cumulativeTsnAck, this.#fastRecoveryExit) >= 0
    )
      this.#fastRecoveryExit = null;
    // RFC 9260 §7.2.4: the window does not grow during fast recovery.
    if (result.cumulativeMoved && this.#fastRecoveryExit === null)
      this.#congestion.handleAck(result.ackedBytes, flightBefore);
    if (result.hasLoss && this.#fastRecoveryExit === null) {
      this.#congestion.handleFastRetransmit();
      this.#fastRecoveryExit = result.highestTsn;
      this.#mayExceedCwnd = true;
    }
    // RFC 9260 §6.3.2 R2, R3.
    if (this.#outstanding.isEmpty) this.#timers.disarm('T3Rtx');
    else if (result.cumulativeMoved) this.#armT3(now);
    return null;
  }

  /**
   * @returns `retransmission` when T3-rtx has expired, which is an error of the path (RFC 9260
   * §6.3.3, §8.1); `progress` when the peer is to be given up.
   */
  handleTimeout(now: Instant): 'retransmission' | 'progress' | null {
    if (this.#progressDueAt !== null && now >= this.#progressDueAt) return 'progress';
    if (this.#timers.takeExpired(now) === null) return null;
    this.#congestion.handleRetransmissionTimeout();
    this.#rto.backOff();
    this.#outstanding.markAllLost();
    this.#fastRecoveryExit = null;
    this.#mayExceedCwnd = true;
    this.#lastForwarded = null;
    return 'retransmission';
  }

  get #progressDueAt(): Instant | null {
    const sentAt = this.#outstanding.oldestSentAt;
    return sentAt === null ? null : later(sentAt, PROGRESS_TIMEOUT_MS);
  }

  /** Adds as much data to the packet as congestion window, peer's window and packet size allow. */
  fill(now: Instant, packet: PacketBuilder): void {
    const peer = this.#peer;
    if (peer === null) return;
    const wasBuffered = this.queue.bufferedBytes;
    this.#needsForwardTsn = false;
    this.#addForwardTsn(now, peer, packet);
    for (
      let chunk = this.#next(now, peer, packet.remainingBytes - DATA_FIELDS_BYTES);
      chunk !== null;
      chunk = this.#next(now, peer, packet.remainingBytes - DATA_FIELDS_BYTES)
    ) {
      packet.add(this.#encode(chunk));
      if (!this.#timers.isArmed('T3Rtx')) this.#armT3(now);
    }
    this.#mayExceedCwnd = false;
    if (this.queue.bufferedBytes !== wasBuffered)
      this.#outputs.push({ type: 'bufferedAmountChanged' });
  }

  #addForwardTsn(now: Instant, peer: PeerState, packet: PacketBuilder): void {
    if (!peer.supportsForwardTsn) return;
    this.#outstanding.abandonExpired(now);
    const forward = this.#outstanding.forwardTsn();
    // Said once, and again when T3-rtx expired without a SACK for it (RFC 3758 §3.5 F3), which
    // forgets that it was said.
    if (forward === null || forward.newCumulativeTsn === this.#lastForwarded) return;
    const chunk = encodeForwardTsnChunk(forward);
    if (chunk.value.length > packet.remainingBytes) return;
    this.#lastForwarded = forward.newCumulativeTsn;
    packet.add(chunk);
    this.#armT3(now);
  }

  /**
   * The next chunk of at most `maxBytes` bytes: lost ones first (RFC 9260 §6.1 C), then new ones as
   * congestion and the peer's window allow.
   */
  #next(now: Instant, peer: PeerState, maxBytes: number): OutstandingChunk | null {
    if (maxBytes < 1) return null;
    const isWindowOpen = this.#outstanding.flightSize < this.#congestion.cwnd;
    if (isWindowOpen || this.#mayExceedCwnd) {
      const lost = this.#outstanding.takeLost(now, maxBytes);
      if (lost !== null) {
        // RFC 9260 §7.2.4 rule 4: what is sent again has the whole of T3-rtx to arrive.
        this.#armT3(now);
        return lost;
      }
    }
    if (
      !isWindowOpen ||
      this.#outstanding.hasLost ||
      this.#outstanding.size >= MAX_OUTSTANDING_CHUNKS
    )
      return null;
    const nextBytes = this.queue.nextBytes;
    // Rather a whole message in the next packet than two halves in two.
    if (nextBytes > maxBytes && maxBytes < this.#congestion.maxPacketBytes / 2) return null;
    const wanted = Math.min(maxBytes, nextBytes);
    // RFC 9260 §6.1 A and B: a closed window is probed with one chunk; one that is nearly closed is
    // not filled with crumbs.
    if (peer.rwnd < wanted && this.#outstanding.hasInFlight) return null;
    const fragment = this.#take(now, peer, peer.rwnd > 0 ? Math.min(wanted, peer.rwnd) : wanted);
    if (fragment === null) return null;
    peer.rwnd = Math.max(0, peer.rwnd - fragment.length);
    return this.#outstanding.push(now, fragment);
  }

  /** The next fragment with something in it. */
  #take(now: Instant, peer: PeerState, maxBytes: number): Fragment | null {
    for (;;) {
      const fragment = this.queue.take(now, maxBytes, peer.supportsForwardTsn);
      if (fragment === null || fragment.length > 0) return fragment;
      this.#outstanding.pushAbandoned(now, fragment);
      this.#needsForwardTsn = true;
    }
  }

  #encode(chunk: OutstandingChunk): Chunk {
    const { message, offset, length } = chunk;
    return encodeDataChunk({
      tsn: chunk.tsn,
      streamId: message.streamId,
      ssn: message.ssn ?? 0,
      ppid: message.ppid,
      isBegin: offset === 0,
      isEnd: offset + length === message.data.length,
      isUnordered: message.isUnordered,
      isImmediate: false,
      data: message.data.subarray(offset, offset + length),
    });
  }

  #armT3(now: Instant): void {
    this.#timers.arm('T3Rtx', later(now, this.#rto.rtoMs));
  }

  clear(): void {
    this.queue.clear();
    this.#outstanding.clear();
    this.#timers.disarmAll();
  }
}
