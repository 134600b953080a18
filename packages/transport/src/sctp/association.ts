import { Fifo, type Instant, type Machine, earlier } from '@lumamesh/base';
import { AssociationLifecycle } from './association-lifecycle.ts';
import { ERROR_CAUSE, encodeAbortChunk } from './chunk/error-cause.ts';
import type { InitChunk } from './chunk/init-chunk.ts';
import { CHUNK_TYPE, decodePacket } from './chunk/packet.ts';
import { ChunkReceiver, type Peer } from './chunk-receiver.ts';
import { ErrorCounter } from './error-counter.ts';
import { Heartbeat } from './heartbeat.ts';
import { Incoming } from './incoming.ts';
import { makeInit } from './init-responder.ts';
import { Outgoing } from './outgoing.ts';
import { PacketAssembler } from './packet-assembler.ts';
import type { Reliability } from './queue/send-queue.ts';
import { RtoEstimator } from './rto.ts';
import type { SctpCloseReason, SctpLimits, SctpOptions, SctpOutput } from './sctp-types.ts';
import { StreamReset } from './stream-reset.ts';

/** A drain sends at most this many packets; the rest goes with the next. */
const MAX_PACKETS_PER_FLUSH = 256;

/**
 * One SCTP association inside one DTLS association (RFC 8261). Both are as old as each other, so
 * there is no restart (RFC 9260 §5.2.4.1). It owns the parts and routes what they want of each
 * other:
 *
 *   AssociationLifecycle  setup and shutdown        Incoming   received TSNs, reassembly, when a SACK is due
 *   StreamReset           RE-CONFIG                 Outgoing   send queue, retransmission, congestion
 *   ChunkReceiver         packets into chunks       PacketAssembler   chunks into packets
 *   Heartbeat, ErrorCounter, RtoEstimator   the path
 */
export class Association implements Machine<SctpOutput> {
  readonly #limits: SctpLimits;
  readonly #outputs = new Fifo<SctpOutput>();
  readonly #rto = new RtoEstimator();
  readonly #outgoing: Outgoing;
  readonly #packets: PacketAssembler;
  readonly #heartbeat: Heartbeat;
  readonly #ownInit: InitChunk;
  readonly #lifecycle: AssociationLifecycle;
  readonly #receiver: ChunkReceiver;
  #peer: Peer | null = null;
  readonly #errors = new ErrorCounter();
  /** Streams to reset as soon as there is a peer. */
  readonly #earlyResets: number[] = [];
  #now: Instant;
  /** While what was sent before waits for its turn on the line, nothing more is sent. */
  isHeld = false;
  #mustFlush = false;

  constructor(now: Instant, options: SctpOptions) {
    const { limits, maxPacketBytes, randomBytes } = options;
    this.#now = now;
    this.#limits = limits;
    this.#ownInit = makeInit(options);
    this.#heartbeat = new Heartbeat(randomBytes);
    this.#outgoing = new Outgoing(
      this.#ownInit.initialTsn,
      limits,
      maxPacketBytes,
      this.#rto,
      this.#outputs,
    );
    this.#packets = new PacketAssembler(maxPacketBytes, this.#outgoing, this.#outputs);
    this.#lifecycle = new AssociationLifecycle(
      options,
      this.#ownInit,
      this.#packets,
      () => this.#peer?.incoming.cumulativeTsn ?? 0,
    );
    this.#receiver = new ChunkReceiver(this.#ownInit.initiateTag, {
      lifecycle: this.#lifecycle,
      outgoing: this.#outgoing,
      packets: this.#packets,
      heartbeat: this.#heartbeat,
      rto: this.#rto,
      errors: this.#errors,
    });
  }

  get smoothedRttMs(): number {
    return this.#rto.smoothedRttMs;
  }

  /** What the peer makes us hold, at what it costs; of it, what is on its way to the peer. */
  get held(): { readonly bytes: number; readonly sendingBytes: number } {
    const sendingBytes = this.#outgoing.heldBytes;
    return { bytes: sendingBytes + (this.#peer?.incoming.heldBytes ?? 0), sendingBytes };
  }

  bufferedBytesOf(streamId: number): number {
    return this.#outgoing.queue.bufferedBytesOf(streamId);
  }

  /** How many streams the peer lets us use; ours before we know. */
  get outboundStreams(): number {
    return this.#peer?.outboundStreams ?? this.#limits.maxStreams;
  }

  get deadline(): Instant | null {
    const { state } = this.#lifecycle;
    if (state === 'ended') return null;
    let next = earlier(this.#lifecycle.deadline, this.#heartbeat.dueAt);
    // While the COOKIE ECHO is unacknowledged, T1 decides for the DATA bundled with it as well.
    if (state !== 'cookieEchoed') next = earlier(next, this.#outgoing.deadline);
    if (this.#peer === null) return next;
    return earlier(next, earlier(this.#peer.incoming.sackDueAt, this.#peer.streamReset.deadline));
  }

  /** Sends an INIT, whatever the peer does at the same time. */
  connect(now: Instant): void {
    this.#touch(now);
    this.#lifecycle.connect(now);
  }

  /**
   * Queues a message; before the association is up it waits, and is bundled with the COOKIE ECHO.
   * @param data at least one byte: SCTP has no empty messages (RFC 8831 §6.6).
   * @returns False when the queue is full or the association is ending.
   */
  send(
    now: Instant,
    streamId: number,
    ppid: number,
    data: Uint8Array,
    isUnordered: boolean,
    reliability: Reliability,
  ): boolean {
    // An empty message is the data channel's to encode (RFC 8831 §6.6): SCTP has none.
    if (this.#lifecycle.isEnding || data.length === 0 || !this.#outgoing.hasRoomFor(data.length))
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
    const refusal = this.#receiver.checkHeader(packet, this.#peer);
    if (refusal !== null) return refusal;
    let drop: string | null = null;
    let hasData = false;
    for (const chunk of packet.chunks) {
      // The state may change from chunk to chunk: an ABORT ends the walk.
      if (this.#isEnded) break;
      hasData ||= chunk.type === CHUNK_TYPE.data;
      const outcome = this.#receiver.handle(now, chunk, this.#peer);
      this.#routeLifecycle();
      this.#routeStreamReset();
      drop ??= outcome.drop;
      if (outcome.stop) break;
    }
    if (this.#isEnded) return drop;
    if (hasData) this.#receiver.handlePacketEnd(now, this.#peer);
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
    if (this.#lifecycle.state === 'cookieEchoed') return;
    const expired = this.#outgoing.handleTimeout(now);
    if (expired === 'progress') this.#end('peerUnreachable', 'it does not acknowledge');
    if (expired === 'retransmission') this.#countError();
  }

  poll(): SctpOutput | null {
    // Events go first: what a listener sends on hearing of one shares a packet with the SACK.
    const output = this.#outputs.shift();
    if (output !== undefined) return output;
    if (!this.#mustFlush || this.isHeld) return null;
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

  /**
   * Asks by a HEARTBEAT whether the peer is where it seems to be: at once, and in a packet of its
   * own, which fits where little may be sent. Once it is answered, all that is in flight goes again.
   */
  askForHeartbeat(now: Instant): void {
    if (this.#peer === null || this.#lifecycle.state !== 'established') return;
    const chunk = this.#heartbeat.ask(now, this.#rto.rtoMs);
    this.#packets.transmitAlone(chunk, this.#peer.verificationTag);
  }

  get heartbeatAnswers(): number {
    return this.#heartbeat.answers;
  }

  #handleHeartbeatTimer(now: Instant): void {
    const due = this.#heartbeat.takeDue(now, this.#rto.rtoMs);
    if (due === null) return;
    if (due.isUnanswered) this.#countError();
    if (!this.#isEnded) this.#packets.queue(due.chunk);
  }

  #countError(): void {
    if (this.#errors.add())
      this.#end('peerUnreachable', `${this.#errors.count} timeouts without an answer`);
  }

  #routeLifecycle(): void {
    const lifecycle = this.#lifecycle;
    for (let output = lifecycle.poll(); output !== null; output = lifecycle.poll()) {
      switch (output.type) {
        case 'peerKnown':
          this.#setPeer(output.init);
          break;
        case 'established':
          this.#errors.reset();
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
    const limits = this.#limits;
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
      // Filling may have dropped what was too old, and so brought on the end of a stream or of
      // everything.
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
