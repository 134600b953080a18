import { Fifo, type Instant, type Machine, earlier } from '@lumamesh/base';
import { decodeDataChunk } from './chunk/data-chunk.ts';
import {
  ERROR_CAUSE,
  describeCauses,
  encodeAbortChunk,
  encodeErrorChunk,
  invalidStreamCause,
  unrecognizedChunkCause,
} from './chunk/error-cause.ts';
import { decodeForwardTsnChunk } from './chunk/forward-tsn-chunk.ts';
import { type InitChunk, decodeInitChunk } from './chunk/init-chunk.ts';
import { CHUNK_TYPE, type Chunk, type Packet, decodePacket } from './chunk/packet.ts';
import { decodeReConfigChunk } from './chunk/re-config-chunk.ts';
import { decodeSackChunk } from './chunk/sack-chunk.ts';
import { decodeShutdownChunk, encodeShutdownChunk } from './chunk/shutdown-chunk.ts';
import { Heartbeat } from './heartbeat.ts';
import { Incoming } from './incoming.ts';
import { makeInit } from './init-responder.ts';
import { Outgoing } from './outgoing.ts';
import type { Reliability } from './queue/send-queue.ts';
import { RtoEstimator } from './rto.ts';
import { AssociationLifecycle } from './association-lifecycle.ts';
import { PacketAssembler } from './packet-assembler.ts';
import {
  SCTP_PORT,
  type SctpCloseReason,
  type SctpOptions,
  type SctpOutput,
} from './sctp-types.ts';
import { StreamReset } from './stream-reset.ts';

/** The peer, once its INIT or INIT ACK is known. */
interface Peer {
  readonly verificationTag: number;
  readonly incoming: Incoming;
  readonly streamReset: StreamReset;
  readonly outboundStreams: number;
  readonly supportsReConfig: boolean;
}

/** RFC 9260 §16: Association.Max.Retrans. */
const MAX_ERRORS = 10;
/** Larger than any stack's HEARTBEAT. */
const MAX_HEARTBEAT_BYTES = 512;
/** What a waiting message costs on top of its bytes, counted when it is asked whether another one fits. */
const MESSAGE_OVERHEAD_BYTES = 128;
/** A drain sends at most this many packets; the rest goes with the next. */
const MAX_PACKETS_PER_FLUSH = 256;

/**
 * One SCTP association inside one DTLS association (RFC 8261). Both are as old as each other, so there is no restart
 * (RFC 9260 §5.2.4.1). It checks and dispatches chunks, and routes what its parts want of each other:
 *
 *   AssociationLifecycle  setup and shutdown        Incoming   received TSNs, reassembly, when a SACK is due
 *   StreamReset           RE-CONFIG                 Outgoing   send queue, retransmission, congestion
 *   Heartbeat             path supervision          PacketAssembler   chunks into packets
 */
export class Association implements Machine<SctpOutput> {
  readonly #options: SctpOptions;
  readonly #outputs = new Fifo<SctpOutput>();
  readonly #rto = new RtoEstimator();
  readonly #outgoing: Outgoing;
  readonly #packets: PacketAssembler;
  readonly #heartbeat: Heartbeat;
  readonly #ownInit: InitChunk;
  readonly #lifecycle: AssociationLifecycle;
  #peer: Peer | null = null;
  #errors = 0;
  /** Streams to reset as soon as there is a peer. */
  readonly #earlyResets: number[] = [];
  #now: Instant;
  #mustFlush = false;

  constructor(now: Instant, options: SctpOptions) {
    const { limits, randomBytes } = options;
    this.#now = now;
    this.#options = options;
    this.#ownInit = makeInit(options);
    this.#heartbeat = new Heartbeat(randomBytes);
    this.#outgoing = new Outgoing(this.#ownInit.initialTsn, limits, this.#rto, this.#outputs);
    this.#packets = new PacketAssembler(limits.maxPacketBytes, this.#outgoing, this.#outputs);
    this.#lifecycle = new AssociationLifecycle(
      options,
      this.#ownInit,
      this.#packets,
      () => this.#peer?.incoming.cumulativeTsn ?? 0,
    );
  }

  get smoothedRttMs(): number {
    return this.#rto.smoothedRttMs;
  }

  get bufferedBytes(): number {
    return this.#outgoing.queue.bufferedBytes;
  }

  bufferedBytesOf(streamId: number): number {
    return this.#outgoing.queue.bufferedBytesOf(streamId);
  }

  /** How many streams the peer lets us use; ours before we know. */
  get outboundStreams(): number {
    return this.#peer?.outboundStreams ?? this.#options.limits.maxStreams;
  }

  get deadline(): Instant | null {
    const { state } = this.#lifecycle;
    if (state === 'ended') return null;
    let next = earlier(this.#lifecycle.deadline, this.#heartbeat.dueAt);
    // While the COOKIE ECHO is unacknowledged, T1 decides for the DATA bundled with it as well.
    if (state !== 'cookieEchoed') next = earlier(next, this.#outgoing.retransmissionDueAt);
    if (this.#peer === null) return next;
    return earlier(next, earlier(this.#peer.incoming.sackDueAt, this.#peer.streamReset.deadline));
  }

  /** Sends an INIT, whatever the peer does at the same time. */
  connect(now: Instant): void {
    this.#touch(now);
    this.#lifecycle.connect(now);
  }

  /** Queues a message; before the association is up it waits, and rides on the COOKIE ECHO. False when the queue is full or the end has begun. */
  send(
    now: Instant,
    streamId: number,
    ppid: number,
    data: Uint8Array,
    isUnordered: boolean,
    reliability: Reliability,
  ): boolean {
    const waiting = this.bufferedBytes + this.#outgoing.queue.messages * MESSAGE_OVERHEAD_BYTES;
    // An empty message is the data channel's to encode (RFC 8831 §6.6): SCTP has none.
    if (
      this.#lifecycle.isEnding ||
      data.length === 0 ||
      waiting + data.length > this.#options.limits.maxBufferedBytes
    )
      return false;
    this.#touch(now);
    this.#outgoing.queue.push(now, streamId, ppid, data, isUnordered, reliability);
    return true;
  }

  /** Resets our side of these streams once what was queued on them is sent (RFC 8831 §6.7). */
  resetStreams(now: Instant, streamIds: readonly number[]): void {
    this.#touch(now);
    if (this.#peer?.supportsReConfig === false) {
      // Nobody to tell, and nobody who will tell us: the ids are free at once.
      this.#outputs.push({ type: 'resetDone', streamIds, isOneSided: true });
      return;
    }
    for (const streamId of streamIds) this.#outgoing.queue.pause(streamId);
    if (this.#peer === null) this.#earlyResets.push(...streamIds);
    else this.#peer.streamReset.reset(streamIds);
  }

  /** Ends gracefully: what is queued is sent and acknowledged first. */
  shutdown(now: Instant): void {
    this.#touch(now);
    this.#lifecycle.shutdown();
    if (!this.#lifecycle.isEnding) this.abort(now, 'closed before it was established');
  }

  abort(now: Instant, text: string): void {
    this.#touch(now);
    if (this.#isEnded) return;
    if (this.#peer !== null)
      this.#packets.transmitAlone(
        encodeAbortChunk(ERROR_CAUSE.userInitiatedAbort, text),
        this.#peer.verificationTag,
      );
    this.#end('localAbort', text);
  }

  /**
   * Takes an SCTP packet.
   * @returns The first drop reason in it, or `null` when all of it was of use.
   */
  handleDatagram(now: Instant, bytes: Uint8Array): string | null {
    if (this.#isEnded) return 'sctp.ended';
    const decoded = decodePacket(bytes);
    if (!decoded.ok) return decoded.drop;
    this.#touch(now);
    const packet = decoded.value;
    const refusal = this.#checkHeader(packet);
    if (refusal !== null) return refusal;
    let drop: string | null = null;
    let hasData = false;
    for (const chunk of packet.chunks) {
      // The state may change from chunk to chunk: an ABORT ends the walk.
      if (this.#isEnded) break;
      hasData ||= chunk.type === CHUNK_TYPE.data;
      const outcome = this.#handleChunk(now, chunk);
      drop ??= outcome.drop;
      if (outcome.stop) break;
    }
    if (this.#isEnded) return drop;
    if (hasData) this.#receiving()?.handlePacketEnd(now);
    // RFC 9260 §9.2: while our SHUTDOWN is unacknowledged, DATA gets it again at once.
    if (hasData && this.#lifecycle.state === 'shutdownSent')
      this.#packets.queue(encodeShutdownChunk(this.#peer?.incoming.cumulativeTsn ?? 0));
    this.#advanceStreamReset(now);
    return drop;
  }

  handleTimeout(now: Instant): void {
    this.#touch(now);
    this.#lifecycle.handleTimeout(now);
    this.#routeLifecycle();
    this.#handleHeartbeatTimer(now);
    const incoming = this.#peer?.incoming;
    const sackDueAt = incoming?.sackDueAt ?? null;
    if (sackDueAt !== null && now >= sackDueAt) incoming?.handleSackTimer();
    this.#peer?.streamReset.handleTimeout(now);
    this.#routeStreamReset();
    if (this.#lifecycle.state !== 'cookieEchoed' && this.#outgoing.handleRetransmissionTimer(now))
      this.#countError();
  }

  poll(): SctpOutput | null {
    // Events go first: what a listener sends on hearing of one shares a packet with the SACK.
    const output = this.#outputs.shift();
    if (output !== undefined) return output;
    if (!this.#mustFlush) return null;
    this.#mustFlush = false;
    this.#flush(this.#now);
    return this.#outputs.shift() ?? null;
  }

  get #isEnded(): boolean {
    return this.#lifecycle.state === 'ended';
  }

  #touch(now: Instant): void {
    this.#now = now;
    this.#mustFlush = true;
  }

  /** RFC 9260 §8.5: the verification tag, with its exceptions for INIT, ABORT and SHUTDOWN COMPLETE. */
  #checkHeader(packet: Packet): string | null {
    if (packet.sourcePort !== SCTP_PORT || packet.destinationPort !== SCTP_PORT) return 'sctp.port';
    const first = packet.chunks[0];
    if (packet.chunks.some((chunk) => chunk.type === CHUNK_TYPE.init)) {
      return packet.chunks.length === 1 && packet.verificationTag === 0
        ? null
        : 'sctp.init.bundled';
    }
    const isReflected =
      (first?.type === CHUNK_TYPE.abort || first?.type === CHUNK_TYPE.shutdownComplete) &&
      (first.flags & 1) !== 0;
    const expected = isReflected ? this.#peer?.verificationTag : this.#ownInit.initiateTag;
    return packet.verificationTag === expected ? null : 'sctp.verificationTag';
  }

  #handleChunk(
    now: Instant,
    chunk: Chunk,
  ): { readonly drop: string | null; readonly stop: boolean } {
    switch (chunk.type) {
      case CHUNK_TYPE.data:
        return go(this.#handleData(chunk));
      case CHUNK_TYPE.sack:
        return go(this.#handleSack(now, chunk));
      case CHUNK_TYPE.init:
      case CHUNK_TYPE.initAck:
      case CHUNK_TYPE.cookieEcho:
      case CHUNK_TYPE.cookieAck:
      case CHUNK_TYPE.shutdown:
      case CHUNK_TYPE.shutdownAck:
      case CHUNK_TYPE.shutdownComplete:
        return go(this.#handleLifecycleChunk(now, chunk));
      case CHUNK_TYPE.heartbeat:
        return go(this.#handleHeartbeat(chunk));
      case CHUNK_TYPE.heartbeatAck:
        return go(this.#handleHeartbeatAck(now, chunk));
      case CHUNK_TYPE.abort:
        this.#end('remoteAbort', describeCauses(chunk));
        return { drop: null, stop: true };
      case CHUNK_TYPE.error:
        return go(null);
      case CHUNK_TYPE.forwardTsn:
        return go(this.#handleForwardTsn(chunk));
      case CHUNK_TYPE.reConfig:
        return go(this.#handleReConfig(chunk));
      default:
        return this.#handleUnknownChunk(chunk);
    }
  }

  /** RFC 9260 §8.3: its reply carries what it carried; a copy, for a view would keep its datagram. */
  #handleHeartbeat(chunk: Chunk): string | null {
    if (this.#peer === null) return 'sctp.heartbeat.unexpected';
    if (chunk.value.length > MAX_HEARTBEAT_BYTES) return 'sctp.heartbeat.tooLarge';
    return this.#packets.queueReply({
      type: CHUNK_TYPE.heartbeatAck,
      flags: 0,
      value: chunk.value.slice(),
    });
  }

  /** RFC 9260 §3.2: the two highest bits say whether to go on and whether to report. */
  #handleUnknownChunk(chunk: Chunk): { readonly drop: string; readonly stop: boolean } {
    if ((chunk.type & 0x40) !== 0 && this.#peer !== null)
      this.#packets.queueReply(encodeErrorChunk(unrecognizedChunkCause(chunk)));
    return { drop: 'sctp.chunk.unknown', stop: (chunk.type & 0x80) === 0 };
  }

  #handleLifecycleChunk(now: Instant, chunk: Chunk): string | null {
    const drop = this.#tellLifecycle(now, chunk);
    this.#routeLifecycle();
    return drop;
  }

  #tellLifecycle(now: Instant, chunk: Chunk): string | null {
    switch (chunk.type) {
      case CHUNK_TYPE.init: {
        const init = decodeInitChunk(chunk);
        return init.ok ? this.#lifecycle.handleInit(now, init.value) : init.drop;
      }
      case CHUNK_TYPE.initAck: {
        const init = decodeInitChunk(chunk);
        return init.ok ? this.#lifecycle.handleInitAck(now, init.value) : init.drop;
      }
      case CHUNK_TYPE.cookieEcho:
        return this.#lifecycle.handleCookieEcho(chunk.value);
      case CHUNK_TYPE.cookieAck:
        return this.#lifecycle.handleCookieAck();
      case CHUNK_TYPE.shutdown:
        return this.#handleShutdown(now, chunk);
      case CHUNK_TYPE.shutdownAck:
        return this.#lifecycle.handleShutdownAck();
      default:
        return this.#lifecycle.handleShutdownComplete();
    }
  }

  #handleShutdown(now: Instant, chunk: Chunk): string | null {
    const cumulativeTsnAck = decodeShutdownChunk(chunk);
    if (cumulativeTsnAck === null) return 'sctp.shutdown.malformed';
    if (!this.#lifecycle.acceptsShutdown) return 'sctp.shutdown.unexpected';
    // It acknowledges like a SACK and says nothing of the window.
    const drop = this.#outgoing.handleSack(now, {
      cumulativeTsnAck,
      aRwnd: this.#outgoing.peerWindow,
      gapAckBlocks: [],
      duplicateTsns: [],
    });
    if (drop === 'sctp.sack.unsentTsn') return drop;
    this.#lifecycle.handleShutdown(now);
    return null;
  }

  #handleData(chunk: Chunk): string | null {
    const data = decodeDataChunk(chunk);
    if (!data.ok) return data.drop;
    const incoming = this.#receiving();
    if (incoming === null) return 'sctp.data.unexpected';
    const drop = incoming.handleData(data.value);
    if (drop === 'sctp.data.stream')
      this.#packets.queueReply(encodeErrorChunk(invalidStreamCause(data.value.streamId)));
    return drop;
  }

  #handleSack(now: Instant, chunk: Chunk): string | null {
    const sack = decodeSackChunk(chunk);
    if (!sack.ok) return sack.drop;
    if (this.#peer === null) return 'sctp.sack.unexpected';
    const drop = this.#outgoing.handleSack(now, sack.value);
    // RFC 9260 §6.1 A: while SACKs come, even those that close the window, the peer is there.
    if (drop === null) this.#errors = 0;
    return drop;
  }

  #handleForwardTsn(chunk: Chunk): string | null {
    const forward = decodeForwardTsnChunk(chunk);
    if (!forward.ok) return forward.drop;
    return this.#receiving()?.handleForwardTsn(forward.value) ?? null;
  }

  #handleReConfig(chunk: Chunk): string | null {
    const parameters = decodeReConfigChunk(chunk);
    if (!parameters.ok) return parameters.drop;
    this.#peer?.streamReset.handleParameters(parameters.value);
    return null;
  }

  #handleHeartbeatTimer(now: Instant): void {
    const due = this.#heartbeat.takeDue(now, this.#rto.rtoMs);
    if (due === null) return;
    if (due.isUnanswered) this.#countError();
    if (!this.#isEnded) this.#packets.queue(due.chunk);
  }

  #handleHeartbeatAck(now: Instant, chunk: Chunk): string | null {
    const rttMs = this.#heartbeat.handleAck(now, chunk);
    if (rttMs === null) return 'sctp.heartbeatAck.unexpected';
    this.#rto.measure(rttMs);
    this.#errors = 0;
    return null;
  }

  /** RFC 9260 §8.1. */
  #countError(): void {
    this.#errors += 1;
    if (this.#errors <= MAX_ERRORS) return;
    this.#end('peerUnreachable', `${this.#errors} timeouts without an answer`);
  }

  #receiving(): Incoming | null {
    const canReceive = ['established', 'shutdownPending', 'shutdownSent'].includes(
      this.#lifecycle.state,
    );
    return canReceive ? (this.#peer?.incoming ?? null) : null;
  }

  #routeLifecycle(): void {
    const lifecycle = this.#lifecycle;
    for (let output = lifecycle.poll(); output !== null; output = lifecycle.poll()) {
      switch (output.type) {
        case 'peerKnown':
          this.#setPeer(output.init);
          break;
        case 'established':
          this.#errors = 0;
          this.#heartbeat.start(this.#now);
          this.#outputs.push({ type: 'connected' });
          break;
        case 'cookieEchoLost':
          this.#outgoing.markAllLost();
          break;
        case 'ended':
          this.#heartbeat.stop();
          this.#outgoing.clear();
          this.#peer?.streamReset.clear();
          this.#outputs.push({ type: 'closed', reason: output.reason, detail: output.detail });
          break;
      }
    }
  }

  #setPeer(init: InitChunk): void {
    const { limits } = this.#options;
    const incoming = new Incoming(init.initialTsn, limits, this.#outputs);
    this.#peer = {
      verificationTag: init.initiateTag,
      incoming,
      streamReset: new StreamReset(
        { incoming, outgoing: this.#outgoing, rto: this.#rto },
        this.#ownInit.initialTsn,
        init.initialTsn,
      ),
      outboundStreams: Math.min(init.inboundStreams, limits.maxStreams),
      supportsReConfig: init.supportsReConfig,
    };
    this.#outgoing.handlePeerReady(init.aRwnd, init.supportsForwardTsn);
    if (this.#earlyResets.length > 0) this.resetStreams(this.#now, this.#earlyResets.splice(0));
  }

  #advanceStreamReset(now: Instant): void {
    this.#peer?.streamReset.handleProgress(now);
    this.#routeStreamReset();
  }

  #routeStreamReset(): void {
    const peer = this.#peer;
    if (peer === null) return;
    const { streamReset } = peer;
    for (let output = streamReset.poll(); output !== null; output = streamReset.poll()) {
      switch (output.type) {
        case 'request':
          this.#packets.queue(output.chunk);
          break;
        case 'response':
          // One that finds no place is lost: the peer repeats its request.
          this.#packets.queueReply(output.chunk);
          break;
        case 'incomingReset':
          peer.incoming.resetStreams(output.streamIds);
          break;
        case 'outgoingResetDone': {
          const { streamIds, wasPerformed } = output;
          for (const streamId of streamIds) this.#outgoing.queue.restart(streamId, wasPerformed);
          this.#outputs.push({ type: 'resetDone', streamIds, isOneSided: !wasPerformed });
          break;
        }
        case 'unanswered':
          this.#countError();
          break;
      }
    }
  }

  #flush(now: Instant): void {
    const peer = this.#peer;
    if (peer === null || this.#isEnded) return;
    for (let i = 0; i < MAX_PACKETS_PER_FLUSH; i++) {
      this.#queueDueControl(now);
      if (this.#packets.transmitNext(now, peer, this.#lifecycle.state)) continue;
      // Filling may have dropped what was too old, and so brought on the end of a stream or of everything.
      this.#queueDueControl(now);
      if (this.#packets.isIdle) return;
    }
    // Not everything fitted into one flush: the same drain goes on with another.
    this.#mustFlush = true;
  }

  #queueDueControl(now: Instant): void {
    if (this.#outgoing.isIdle) this.#lifecycle.handleAllAcknowledged(now);
    this.#advanceStreamReset(now);
  }

  #end(reason: SctpCloseReason, detail: string): void {
    this.#lifecycle.end(reason, detail);
    this.#routeLifecycle();
  }
}

function go(drop: string | null): { readonly drop: string | null; readonly stop: boolean } {
  return { drop, stop: false };
}
