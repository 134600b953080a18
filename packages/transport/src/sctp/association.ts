import { Fifo, type Instant, type Machine, TimerTable, earlier, later } from '@lumamesh/base';
import { decodeDataChunk } from './chunk/data-chunk.ts';
import {
  ERROR_CAUSE,
  describeCauses,
  emptyChunk,
  encodeAbortChunk,
  encodeErrorChunk,
  invalidStreamCause,
  unrecognizedChunkCause,
} from './chunk/error-cause.ts';
import { decodeForwardTsnChunk } from './chunk/forward-tsn-chunk.ts';
import { type InitChunk, decodeInitChunk, encodeInitChunk } from './chunk/init-chunk.ts';
import {
  CHUNK_TYPE,
  type Chunk,
  type Packet,
  PacketBuilder,
  decodePacket,
} from './chunk/packet.ts';
import { decodeReConfigChunk } from './chunk/re-config-chunk.ts';
import { decodeSackChunk, encodeSackChunk } from './chunk/sack-chunk.ts';
import { decodeShutdownChunk, encodeShutdownChunk } from './chunk/shutdown-chunk.ts';
import { Heartbeat } from './heartbeat.ts';
import { Incoming } from './incoming.ts';
import { InitResponder, makeInit } from './init-responder.ts';
import { Outgoing } from './outgoing.ts';
import type { Reliability } from './queue/send-queue.ts';
import { RTO_INITIAL_MS, RtoEstimator } from './rto.ts';
import type { AssociationState } from './association-state.ts';
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

/** T1 and T2 double from the initial RTO to this; the whole handshake has 15 s. */
const T1_MAX_MS = 2000;
/** RFC 9260 §16: Max.Init.Retransmits and Association.Max.Retrans. */
const MAX_INIT_ATTEMPTS = 8;
const MAX_ERRORS = 10;
/** How long an INIT that crossed ours may wait for the answer to ours. */
const HELD_INIT_MS = 30;
/** Larger than any stack's HEARTBEAT. */
const MAX_HEARTBEAT_BYTES = 512;
/** Answers that wait to be sent; a peer that asks for more than fits into a few packets gets no more. */
const MAX_ANSWERS_WAITING = 32;
/** What a waiting message costs on top of its bytes, counted when it is asked whether another one fits. */
const MESSAGE_OVERHEAD_BYTES = 128;
/** A drain sends at most this many packets; the rest goes with the next. */
const MAX_PACKETS_PER_FLUSH = 256;

/** One SCTP association inside one DTLS association (RFC 8261). Both are as old as each other, so there is no restart (RFC 9260 §5.2.4.1). */
export class Association implements Machine<SctpOutput> {
  readonly #options: SctpOptions;
  readonly #outputs = new Fifo<SctpOutput>();
  readonly #timers = new TimerTable<'T1Init' | 'T1Cookie' | 'T2Shutdown' | 'HeldInit'>();
  readonly #rto = new RtoEstimator();
  readonly #outgoing: Outgoing;
  readonly #heartbeat: Heartbeat;
  readonly #control = new Fifo<Chunk>();
  readonly #ownInit: InitChunk;
  readonly #responder: InitResponder;
  #state: AssociationState = { name: 'closed' };
  #peer: Peer | null = null;
  #errors = 0;
  /** Streams to reset as soon as there is a peer. */
  readonly #earlyResets: number[] = [];
  #now: Instant;
  #mustFlush = false;

  constructor(now: Instant, options: SctpOptions) {
    this.#now = now;
    this.#options = options;
    this.#ownInit = makeInit(options);
    this.#responder = new InitResponder(options.randomBytes, this.#ownInit);
    this.#heartbeat = new Heartbeat(options.randomBytes);
    this.#outgoing = new Outgoing(
      this.#ownInit.initialTsn,
      options.limits,
      this.#rto,
      this.#outputs,
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

  /** Sends an INIT, whatever the peer does at the same time. */
  connect(now: Instant): void {
    this.#touch(now);
    if (this.#state.name !== 'closed') return;
    this.#state = { name: 'cookieWait', attempt: 0 };
    this.#sendInit(now);
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
    const canQueue = ['closed', 'cookieWait', 'cookieEchoed', 'established'].includes(
      this.#state.name,
    );
    const waiting = this.bufferedBytes + this.#outgoing.queue.messages * MESSAGE_OVERHEAD_BYTES;
    // An empty message is the data channel's to encode (RFC 8831 §6.6): SCTP has none.
    if (
      !canQueue ||
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
    if (this.#state.name === 'established') this.#state = { name: 'shutdownPending' };
    else if (!this.#isEnding) this.abort(now, 'closed before it was established');
  }

  abort(now: Instant, text: string): void {
    this.#touch(now);
    if (this.#state.name === 'ended') return;
    if (this.#peer !== null)
      this.#transmitAlone(
        encodeAbortChunk(ERROR_CAUSE.userInitiatedAbort, text),
        this.#peer.verificationTag,
      );
    this.#end('localAbort', text);
  }

  /** Takes an SCTP packet; answers the first drop reason in it, or `null`. */
  handleDatagram(now: Instant, bytes: Uint8Array): string | null {
    if (this.#state.name === 'ended') return 'sctp.ended';
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
      if (this.#isEnded()) break;
      hasData ||= chunk.type === CHUNK_TYPE.data;
      const outcome = this.#handleChunk(now, chunk);
      drop ??= outcome.drop;
      if (outcome.stop) break;
    }
    if (this.#isEnded()) return drop;
    if (hasData) this.#receiving()?.handlePacketEnd(now);
    // RFC 9260 §9.2: while our SHUTDOWN waits for its answer, DATA is answered by it at once.
    if (hasData && this.#state.name === 'shutdownSent')
      this.#control.push(encodeShutdownChunk(this.#peer?.incoming.cumulativeTsn ?? 0));
    this.#peer?.streamReset.handleProgress();
    return drop;
  }

  handleTimeout(now: Instant): void {
    this.#touch(now);
    for (
      let name = this.#timers.takeExpired(now);
      name !== null;
      name = this.#timers.takeExpired(now)
    ) {
      const held = name === 'HeldInit' ? this.#responder.takeHeld() : null;
      // Our own INIT found no answer in time, so the peer's is answered.
      if (held !== null) this.#answerInit(held);
      else if (name !== 'HeldInit') this.#handleHandshakeTimer(now);
    }
    this.#handleHeartbeatTimer(now);
    const incoming = this.#peer?.incoming;
    const sackDueAt = incoming?.sackDueAt ?? null;
    if (sackDueAt !== null && now >= sackDueAt) incoming?.handleSackTimer();
    this.#peer?.streamReset.handleTimeout(now);
    // While the COOKIE ECHO is unanswered, T1 decides for the data that rides on it as well.
    if (this.#state.name !== 'cookieEchoed' && this.#outgoing.handleTimeout(now))
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

  get #isEnding(): boolean {
    return this.#state.name.startsWith('shutdown') || this.#state.name === 'ended';
  }

  #isEnded(): boolean {
    return this.#state.name === 'ended';
  }

  #touch(now: Instant): void {
    this.#now = now;
    this.#mustFlush = true;
  }

  get deadline(): Instant | null {
    if (this.#state.name === 'ended') return null;
    const peer = this.#peer;
    let next = earlier(
      this.#timers.next(),
      this.#state.name === 'cookieEchoed' ? null : this.#outgoing.nextTimeout,
    );
    next = earlier(next, this.#heartbeat.nextTimeout);
    if (peer !== null)
      next = earlier(next, earlier(peer.incoming.sackDueAt, peer.streamReset.nextTimeout));
    return next;
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
        return go(this.#handleInit(now, chunk));
      case CHUNK_TYPE.initAck:
        return go(this.#handleInitAck(now, chunk));
      case CHUNK_TYPE.cookieEcho:
        return go(this.#handleCookieEcho(now, chunk));
      case CHUNK_TYPE.cookieAck:
        return go(this.#handleCookieAck(now));
      case CHUNK_TYPE.heartbeat:
        return go(this.#handleHeartbeat(chunk));
      case CHUNK_TYPE.heartbeatAck:
        return go(this.#handleHeartbeatAck(now, chunk));
      case CHUNK_TYPE.abort:
        this.#end('remoteAbort', describeCauses(chunk));
        return { drop: null, stop: true };
      case CHUNK_TYPE.error:
        return go(null);
      case CHUNK_TYPE.shutdown:
      case CHUNK_TYPE.shutdownAck:
      case CHUNK_TYPE.shutdownComplete:
        return go(this.#handleShutdownChunk(now, chunk));
      case CHUNK_TYPE.forwardTsn:
        return go(this.#handleForwardTsn(chunk));
      case CHUNK_TYPE.reConfig:
        return go(this.#handleReConfig(chunk));
      default:
        return this.#handleUnknownChunk(chunk);
    }
  }

  /** RFC 9260 §8.3: answered with what it carries; a copy, for a view would keep its datagram. */
  #handleHeartbeat(chunk: Chunk): string | null {
    if (this.#peer === null) return 'sctp.heartbeat.unexpected';
    if (chunk.value.length > MAX_HEARTBEAT_BYTES) return 'sctp.heartbeat.tooLarge';
    return this.#answer({ type: CHUNK_TYPE.heartbeatAck, flags: 0, value: chunk.value.slice() });
  }

  /** Queues an answer that a peer could ask for without end. */
  #answer(chunk: Chunk): string | null {
    if (this.#control.size >= MAX_ANSWERS_WAITING) return 'sctp.tooManyAnswers';
    this.#control.push(chunk);
    return null;
  }

  /** RFC 9260 §3.2: the two highest bits say whether to go on and whether to report. */
  #handleUnknownChunk(chunk: Chunk): { readonly drop: string; readonly stop: boolean } {
    if ((chunk.type & 0x40) !== 0 && this.#peer !== null)
      this.#answer(encodeErrorChunk(unrecognizedChunkCause(chunk)));
    return { drop: 'sctp.chunk.unknown', stop: (chunk.type & 0x80) === 0 };
  }

  #handleInit(now: Instant, chunk: Chunk): string | null {
    const init = decodeInitChunk(chunk);
    if (!init.ok) return init.drop;
    // Within one DTLS association the peer cannot have been restarted, so a late INIT is an old one, or an attempt to overwrite our state.
    if (!['closed', 'cookieWait', 'cookieEchoed'].includes(this.#state.name))
      return 'sctp.init.unexpected';
    if (
      this.#state.name === 'cookieWait' &&
      this.#options.holdsCrossingInit &&
      this.#responder.hold(init.value)
    ) {
      this.#timers.arm('HeldInit', later(now, HELD_INIT_MS));
      return null;
    }
    return this.#answerInit(init.value);
  }

  #answerInit(init: InitChunk): string | null {
    this.#timers.disarm('HeldInit');
    return this.#transmitAlone(this.#responder.answer(init), init.initiateTag)
      ? null
      : 'sctp.init.tooLarge';
  }

  #handleInitAck(now: Instant, chunk: Chunk): string | null {
    if (this.#state.name !== 'cookieWait') return 'sctp.initAck.unexpected';
    const init = decodeInitChunk(chunk);
    if (!init.ok) return init.drop;
    if (init.value.stateCookie === null) return 'sctp.initAck.noCookie';
    this.#timers.disarm('T1Init');
    this.#timers.disarm('HeldInit');
    this.#setPeer(init.value);
    this.#state = { name: 'cookieEchoed', cookie: init.value.stateCookie, attempt: 0 };
    this.#sendCookieEcho(now);
    return null;
  }

  #handleCookieEcho(now: Instant, chunk: Chunk): string | null {
    const init = this.#responder.find(chunk.value);
    if (init === null) return 'sctp.cookie.unknown';
    switch (this.#state.name) {
      case 'closed':
      case 'cookieWait':
      case 'cookieEchoed':
        // RFC 9260 §5.2.4: in cookieEchoed the peer is known from its INIT ACK, and must be the one of the INIT (action D).
        if (this.#peer !== null && this.#peer.verificationTag !== init.initiateTag)
          return 'sctp.cookie.otherPeer';
        this.#setPeer(init);
        this.#establish(now);
        break;
      case 'ended':
        return 'sctp.ended';
      default:
        // Our COOKIE ACK was lost, or both sides opened: the answer is the same.
        if (this.#peer?.verificationTag !== init.initiateTag) return 'sctp.cookie.otherPeer';
    }
    return this.#answer(emptyChunk(CHUNK_TYPE.cookieAck));
  }

  #handleCookieAck(now: Instant): string | null {
    if (this.#state.name !== 'cookieEchoed') return 'sctp.cookieAck.unexpected';
    this.#establish(now);
    return null;
  }

  #handleData(chunk: Chunk): string | null {
    const data = decodeDataChunk(chunk);
    if (!data.ok) return data.drop;
    const incoming = this.#receiving();
    if (incoming === null) return 'sctp.data.unexpected';
    const drop = incoming.handleData(data.value);
    if (drop === 'sctp.data.stream')
      this.#answer(encodeErrorChunk(invalidStreamCause(data.value.streamId)));
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

  #handleShutdownChunk(now: Instant, chunk: Chunk): string | null {
    const { name } = this.#state;
    if (chunk.type === CHUNK_TYPE.shutdownComplete) {
      if (name !== 'shutdownAckSent') return 'sctp.shutdownComplete.unexpected';
      this.#end('shutdown', '');
      return null;
    }
    if (chunk.type === CHUNK_TYPE.shutdownAck) {
      if (name !== 'shutdownSent' && name !== 'shutdownAckSent')
        return 'sctp.shutdownAck.unexpected';
      if (this.#peer !== null)
        this.#transmitAlone(emptyChunk(CHUNK_TYPE.shutdownComplete), this.#peer.verificationTag);
      this.#end('shutdown', '');
      return null;
    }
    const cumulativeTsnAck = decodeShutdownChunk(chunk);
    if (cumulativeTsnAck === null) return 'sctp.shutdown.malformed';
    if (
      name !== 'established' &&
      name !== 'shutdownPending' &&
      name !== 'shutdownSent' &&
      name !== 'shutdownReceived'
    )
      return 'sctp.shutdown.unexpected';
    // It acknowledges like a SACK and says nothing of the window.
    const drop = this.#outgoing.handleSack(now, {
      cumulativeTsnAck,
      aRwnd: this.#outgoing.peerWindow,
      gapAckBlocks: [],
      duplicateTsns: [],
    });
    if (drop === 'sctp.sack.unsentTsn') return drop;
    if (name === 'shutdownSent') this.#sendShutdownAck(now);
    else this.#state = { name: 'shutdownReceived' };
    return null;
  }

  #handleHandshakeTimer(now: Instant): void {
    const state = this.#state;
    if (!('attempt' in state)) return;
    if (state.attempt >= MAX_INIT_ATTEMPTS)
      return this.#end(
        state.name.startsWith('shutdown') ? 'shutdown' : 'initTimeout',
        `no answer in ${state.name}`,
      );
    switch (state.name) {
      case 'cookieWait':
        return this.#sendInit(now);
      case 'cookieEchoed':
        this.#outgoing.markAllLost();
        return this.#sendCookieEcho(now);
      case 'shutdownSent':
        return this.#sendShutdown(now, state.attempt);
      case 'shutdownAckSent':
        return this.#sendShutdownAck(now, state.attempt);
    }
  }

  #handleHeartbeatTimer(now: Instant): void {
    const due = this.#heartbeat.handleTimeout(now, this.#rto.rtoMs);
    if (due === null) return;
    if (due.isUnanswered) this.#countError();
    if (!this.#isEnded()) this.#control.push(due.chunk);
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
      this.#state.name,
    );
    return canReceive ? (this.#peer?.incoming ?? null) : null;
  }

  #setPeer(init: InitChunk): void {
    if (this.#peer !== null) return;
    const incoming = new Incoming(init.initialTsn, this.#options.limits, this.#outputs);
    const outgoing = this.#outgoing;
    const rto = this.#rto;
    const outputs = this.#outputs;
    const streamReset = new StreamReset(
      {
        get lastAssignedTsn() {
          return (outgoing.nextTsn - 1) >>> 0;
        },
        get cumulativeTsn() {
          return incoming.cumulativeTsn;
        },
        get rtoMs() {
          return rto.rtoMs;
        },
        isDrained: (streamId) => outgoing.queue.isDrained(streamId),
        handleIncomingReset: (streamIds) => incoming.resetStreams(streamIds),
        isAcknowledged: (tsn) => outgoing.isAcknowledged(tsn),
        handleOutgoingResetDone: (streamIds, wasPerformed) => {
          for (const streamId of streamIds) outgoing.queue.restart(streamId, wasPerformed);
          outputs.push({ type: 'resetDone', streamIds, isOneSided: !wasPerformed });
        },
        handleUnanswered: () => this.#countError(),
      },
      this.#ownInit.initialTsn,
      init.initialTsn,
    );
    const outboundStreams = Math.min(init.inboundStreams, this.#options.limits.maxStreams);
    this.#peer = {
      verificationTag: init.initiateTag,
      incoming,
      streamReset,
      outboundStreams,
      supportsReConfig: init.supportsReConfig,
    };
    this.#outgoing.handlePeerReady(init.aRwnd, init.supportsForwardTsn);
    if (this.#earlyResets.length > 0) this.resetStreams(this.#now, this.#earlyResets.splice(0));
  }

  #establish(now: Instant): void {
    this.#timers.disarm('T1Init');
    this.#timers.disarm('T1Cookie');
    this.#state = { name: 'established' };
    this.#errors = 0;
    this.#heartbeat.start(now);
    this.#outputs.push({ type: 'connected' });
  }

  #sendInit(now: Instant): void {
    if (this.#state.name !== 'cookieWait') return;
    this.#state.attempt += 1;
    this.#timers.arm('T1Init', later(now, handshakeDelayMs(this.#state.attempt)));
    // RFC 9260 §8.5.1 A: an INIT carries tag 0.
    this.#transmitAlone(encodeInitChunk(CHUNK_TYPE.init, this.#ownInit), 0);
  }

  #sendCookieEcho(now: Instant): void {
    if (this.#state.name !== 'cookieEchoed') return;
    this.#state.attempt += 1;
    this.#timers.arm('T1Cookie', later(now, handshakeDelayMs(this.#state.attempt)));
    // RFC 9260 §5.1 C: COOKIE ECHO is the first chunk of its packet, and outbound DATA may follow it.
    this.#control.push({ type: CHUNK_TYPE.cookieEcho, flags: 0, value: this.#state.cookie });
  }

  #sendShutdown(now: Instant, attempt = 0): void {
    this.#state = { name: 'shutdownSent', attempt: attempt + 1 };
    this.#timers.arm('T2Shutdown', later(now, handshakeDelayMs(attempt + 1)));
    this.#control.push(encodeShutdownChunk(this.#peer?.incoming.cumulativeTsn ?? 0));
  }

  #sendShutdownAck(now: Instant, attempt = 0): void {
    this.#state = { name: 'shutdownAckSent', attempt: attempt + 1 };
    this.#timers.arm('T2Shutdown', later(now, handshakeDelayMs(attempt + 1)));
    this.#control.push(emptyChunk(CHUNK_TYPE.shutdownAck));
  }

  /** A chunk in a packet of its own, at once. False when it is too large for one. */
  #transmitAlone(chunk: Chunk, verificationTag: number): boolean {
    const packet = new PacketBuilder(this.#options.limits.maxPacketBytes);
    if (chunk.value.length > packet.room) return false;
    packet.add(chunk);
    this.#outputs.push({
      type: 'transmit',
      data: packet.finish(SCTP_PORT, SCTP_PORT, verificationTag),
    });
    return true;
  }

  #flush(now: Instant): void {
    const peer = this.#peer;
    if (peer === null || this.#isEnded()) return;
    for (let i = 0; i < MAX_PACKETS_PER_FLUSH; i++) {
      this.#queueControl(now, peer);
      const packet = new PacketBuilder(this.#options.limits.maxPacketBytes);
      this.#fill(now, peer, packet);
      if (!packet.isEmpty)
        this.#outputs.push({
          type: 'transmit',
          data: packet.finish(SCTP_PORT, SCTP_PORT, peer.verificationTag),
        });
      else {
        // Filling may have thrown away what was too old, and so made room for the end of a stream or of everything.
        this.#queueControl(now, peer);
        if (this.#control.size === 0 && !this.#outgoing.hasUntoldSkip) return;
      }
    }
    // Not everything fitted into one flush: the same drain goes on with another.
    this.#mustFlush = true;
  }

  #queueControl(now: Instant, peer: Peer): void {
    if (this.#outgoing.isIdle && this.#state.name === 'shutdownPending') this.#sendShutdown(now);
    else if (this.#outgoing.isIdle && this.#state.name === 'shutdownReceived')
      this.#sendShutdownAck(now);
    for (const chunk of peer.streamReset.takeChunks(now)) this.#control.push(chunk);
  }

  #fill(now: Instant, peer: Peer, packet: PacketBuilder): void {
    let hasCookieEcho = false;
    for (
      let chunk = this.#control.peek();
      chunk !== undefined && chunk.value.length <= packet.room;
      chunk = this.#control.peek()
    ) {
      this.#control.shift();
      hasCookieEcho ||= chunk.type === CHUNK_TYPE.cookieEcho;
      packet.add(chunk);
    }
    const maySendData =
      hasCookieEcho ||
      this.#state.name === 'established' ||
      this.#state.name === 'shutdownPending' ||
      this.#state.name === 'shutdownReceived';
    const isAckUseful =
      peer.incoming.isSackDueNow ||
      (maySendData && peer.incoming.hasUnacknowledged && this.#outgoing.canSend);
    if (isAckUseful && this.#state.name !== 'cookieEchoed') {
      const sack = encodeSackChunk(peer.incoming.takeSack());
      if (sack.value.length <= packet.room) packet.add(sack);
      else this.#control.push(sack);
    }
    if (maySendData) this.#outgoing.fill(now, packet);
  }

  #end(reason: SctpCloseReason, detail: string): void {
    if (this.#state.name === 'ended') return;
    this.#state = { name: 'ended' };
    this.#timers.disarmAll();
    this.#heartbeat.stop();
    this.#outgoing.clear();
    this.#peer?.streamReset.clear();
    this.#outputs.push({ type: 'closed', reason, detail });
  }
}

/** How long the `attempt`th transmission (from 1) waits for its answer. */
function handshakeDelayMs(attempt: number): number {
  return Math.min(RTO_INITIAL_MS * 2 ** (attempt - 1), T1_MAX_MS);
}

function go(drop: string | null): { readonly drop: string | null; readonly stop: boolean } {
  return { drop, stop: false };
}
