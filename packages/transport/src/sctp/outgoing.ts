import { type Fifo, type Instant, TimerTable, later, serial32Diff } from '@lumamesh/base';
import { type Chunk, type PacketBuilder } from './chunk/packet.ts';
import { DATA_FIELDS_BYTES, encodeDataChunk } from './chunk/data-chunk.ts';
import { encodeForwardTsnChunk } from './chunk/forward-tsn-chunk.ts';
import type { SackChunk } from './chunk/sack-chunk.ts';
import { CongestionWindow } from './congestion-window.ts';
import { type OutstandingChunk, RetransmissionQueue } from './queue/retransmission-queue.ts';
import { type Fragment, SendQueue } from './queue/send-queue.ts';
import type { RtoEstimator } from './rto.ts';
import type { SctpLimits, SctpOutput } from './sctp-types.ts';

/** A gap block reaches 65 535 TSNs beyond the cumulative one (RFC 9260 §3.3.4), and every chunk in flight costs memory. */
const MAX_OUTSTANDING_CHUNKS = 4096;

/** What the sending half knows of its peer once the association is up. */
interface PeerState {
  readonly supportsForwardTsn: boolean;
  /** The peer's window less what is in flight (RFC 9260 §6.2.1). */
  rwnd: number;
}

/** The sending half of an association: queues, congestion, loss, partial reliability (RFC 9260 §6.1, §6.3, §7; RFC 3758). */
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
  /** The first retransmission after a loss may pass the congestion window (RFC 9260 §7.2.4 rule 3). */
  #mayBurst = false;
  #lastForwarded: number | null = null;
  /** A message was given up while this packet was filled: the FORWARD-TSN goes with the next. */
  #hasUntoldSkip = false;

  constructor(
    initialTsn: number,
    limits: SctpLimits,
    rto: RtoEstimator,
    outputs: Fifo<SctpOutput>,
  ) {
    this.#limits = limits;
    this.#rto = rto;
    this.#outputs = outputs;
    this.#outstanding = new RetransmissionQueue(initialTsn);
    this.#congestion = new CongestionWindow(limits.maxPacketBytes);
  }

  get nextTsn(): number {
    return this.#outstanding.nextTsn;
  }

  /** Whether the last packet left something behind that the next one must tell. */
  get hasUntoldSkip(): boolean {
    return this.#hasUntoldSkip;
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

  get nextTimeout(): Instant | null {
    return this.#timers.next();
  }

  /** The peer's window as it announced it last, as far as it is known. */
  get peerWindow(): number {
    return (this.#peer?.rwnd ?? 0) + this.#outstanding.flightSize;
  }

  /** Everything in flight goes again with the next packet: the COOKIE ECHO it rode on was lost. */
  markAllLost(): void {
    this.#outstanding.markAllLost();
    this.#mayBurst = true;
  }

  handlePeerReady(aRwnd: number, supportsForwardTsn: boolean): void {
    this.#peer = { rwnd: aRwnd, supportsForwardTsn };
  }

  /** Answers a drop reason, or `null`. */
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
      this.#mayBurst = true;
    }
    // RFC 9260 §6.3.2 R2, R3.
    if (this.#outstanding.isEmpty) this.#timers.disarm('T3Rtx');
    else if (result.cumulativeMoved) this.#armT3(now);
    return null;
  }

  /** True when T3-rtx expired: the path made an error (RFC 9260 §6.3.3, §8.1). */
  handleTimeout(now: Instant): boolean {
    if (this.#timers.takeExpired(now) === null) return false;
    this.#congestion.handleTimeout();
    this.#rto.backOff();
    this.#outstanding.markAllLost();
    this.#fastRecoveryExit = null;
    this.#mayBurst = true;
    this.#lastForwarded = null;
    return true;
  }

  /** Puts as much data into the packet as congestion, window and room allow. True when it put any. */
  fill(now: Instant, packet: PacketBuilder): boolean {
    const peer = this.#peer;
    if (peer === null) return false;
    const wasBuffered = this.queue.bufferedBytes;
    this.#hasUntoldSkip = false;
    let added = this.#addForwardTsn(now, peer, packet);
    for (
      let chunk = this.#next(now, peer, packet.room - DATA_FIELDS_BYTES);
      chunk !== null;
      chunk = this.#next(now, peer, packet.room - DATA_FIELDS_BYTES)
    ) {
      packet.add(this.#encode(chunk));
      added = true;
      if (!this.#timers.isArmed('T3Rtx')) this.#armT3(now);
    }
    this.#mayBurst = false;
    if (this.queue.bufferedBytes !== wasBuffered)
      this.#outputs.push({ type: 'bufferedAmountChanged' });
    return added;
  }

  #addForwardTsn(now: Instant, peer: PeerState, packet: PacketBuilder): boolean {
    if (!peer.supportsForwardTsn) return false;
    this.#outstanding.abandonExpired(now);
    const forward = this.#outstanding.forwardTsn();
    // Said once, and again when T3-rtx expired without a SACK for it (RFC 3758 §3.5 F3), which forgets that it was said.
    if (forward === null || forward.newCumulativeTsn === this.#lastForwarded) return false;
    const chunk = encodeForwardTsnChunk(forward);
    if (chunk.value.length > packet.room) return false;
    this.#lastForwarded = forward.newCumulativeTsn;
    packet.add(chunk);
    this.#armT3(now);
    return true;
  }

  /** The next chunk of at most `room` bytes: lost ones first (RFC 9260 §6.1 C), then new ones as congestion and the peer's window allow. */
  #next(now: Instant, peer: PeerState, room: number): OutstandingChunk | null {
    if (room < 1) return null;
    const isWindowOpen = this.#outstanding.flightSize < this.#congestion.cwnd;
    if (isWindowOpen || this.#mayBurst) {
      const lost = this.#outstanding.takeLost(now, room);
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
    if (nextBytes > room && room < this.#limits.maxPacketBytes / 2) return null;
    const wanted = Math.min(room, nextBytes);
    // RFC 9260 §6.1 A and B: a closed window is probed with one chunk; one that is nearly closed is not filled with crumbs.
    if (peer.rwnd < wanted && this.#outstanding.hasInFlight) return null;
    const fragment = this.#take(now, peer, peer.rwnd > 0 ? Math.min(wanted, peer.rwnd) : wanted);
    if (fragment === null) return null;
    peer.rwnd = Math.max(0, peer.rwnd - fragment.length);
    return this.#outstanding.push(now, fragment);
  }

  /** The next fragment with something in it. */
  #take(now: Instant, peer: PeerState, room: number): Fragment | null {
    for (;;) {
      const fragment = this.queue.take(now, room, peer.supportsForwardTsn);
      if (fragment === null || fragment.length > 0) return fragment;
      this.#outstanding.pushAbandoned(now, fragment);
      this.#hasUntoldSkip = true;
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
    this.#timers.disarmAll();
  }
}
