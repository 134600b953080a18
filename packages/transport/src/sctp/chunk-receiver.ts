import { type Instant, readUint32 } from '@lumamesh/base';
import type { AssociationLifecycle } from './association-lifecycle.ts';
import { decodeDataChunk } from './chunk/data-chunk.ts';
import {
  describeCauses,
  encodeErrorChunk,
  invalidStreamCause,
  unrecognizedChunkCause,
} from './chunk/error-cause.ts';
import { decodeForwardTsnChunk } from './chunk/forward-tsn-chunk.ts';
import { decodeInitChunk } from './chunk/init-chunk.ts';
import { CHUNK_TYPE, type Chunk, type Packet } from './chunk/packet.ts';
import { decodeReConfigChunk } from './chunk/re-config-chunk.ts';
import { decodeSackChunk } from './chunk/sack-chunk.ts';
import { decodeShutdownChunk, encodeShutdownChunk } from './chunk/shutdown-chunk.ts';
import type { ErrorCounter } from './error-counter.ts';
import type { Heartbeat } from './heartbeat.ts';
import type { Incoming } from './incoming.ts';
import type { Outgoing } from './outgoing.ts';
import type { PacketAssembler } from './packet-assembler.ts';
import type { RtoEstimator } from './rto.ts';
import { SCTP_PORT } from './sctp-types.ts';
import type { StreamReset } from './stream-reset.ts';

/** Larger than any stack's HEARTBEAT, those that probe for the path's MTU included. */
const MAX_HEARTBEAT_BYTES = 1100;
/** The peer, once its INIT or INIT ACK is known. */
export interface Peer {
  readonly verificationTag: number;
  readonly incoming: Incoming;
  readonly streamReset: StreamReset;
  readonly outboundStreams: number;
  readonly supportsReConfig: boolean;
}

export interface ChunkOutcome {
  readonly drop: string | null;
  readonly stop: boolean;
}

/** The parts of an association that chunks are meant for. */
export interface ChunkHandlers {
  readonly lifecycle: AssociationLifecycle;
  readonly outgoing: Outgoing;
  readonly packets: PacketAssembler;
  readonly heartbeat: Heartbeat;
  readonly rto: RtoEstimator;
  readonly errors: ErrorCounter;
}

/**
 * Decodes the chunks of received packets and passes each to the part of the association that it is
 * meant for.
 */
export class ChunkReceiver {
  readonly #localTag: number;
  readonly #lifecycle: AssociationLifecycle;
  readonly #outgoing: Outgoing;
  readonly #packets: PacketAssembler;
  readonly #heartbeat: Heartbeat;
  readonly #rto: RtoEstimator;
  readonly #errors: ErrorCounter;
  /** A SACK of this packet was taken. */
  #hasSack = false;
  /** The same of a FORWARD-TSN. */
  #hasForwardTsn = false;

  constructor(localTag: number, handlers: ChunkHandlers) {
    this.#localTag = localTag;
    this.#lifecycle = handlers.lifecycle;
    this.#outgoing = handlers.outgoing;
    this.#packets = handlers.packets;
    this.#heartbeat = handlers.heartbeat;
    this.#rto = handlers.rto;
    this.#errors = handlers.errors;
  }

  /**
   * Checks the common header: the verification tag, with its exceptions for INIT, ABORT and
   * SHUTDOWN COMPLETE (RFC 9260 §8.5).
   * @returns A drop reason for the whole packet, or `null`.
   */
  checkHeader(packet: Packet, peer: Peer | null): string | null {
    this.#hasSack = false;
    this.#hasForwardTsn = false;
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
    const expected = isReflected ? peer?.verificationTag : this.#localTag;
    return packet.verificationTag === expected ? null : 'sctp.verificationTag';
  }

  /** Acts on one chunk. Behind `stop` the rest of the packet means nothing. */
  handle(now: Instant, chunk: Chunk, peer: Peer | null): ChunkOutcome {
    switch (chunk.type) {
      case CHUNK_TYPE.data:
        return go(this.#handleData(chunk, peer));
      case CHUNK_TYPE.sack:
        return go(this.#handleSack(now, chunk, peer));
      case CHUNK_TYPE.init:
      case CHUNK_TYPE.initAck:
      case CHUNK_TYPE.cookieEcho:
      case CHUNK_TYPE.cookieAck:
      case CHUNK_TYPE.shutdown:
      case CHUNK_TYPE.shutdownAck:
      case CHUNK_TYPE.shutdownComplete:
        return go(this.#handleLifecycleChunk(now, chunk));
      case CHUNK_TYPE.heartbeat:
        return go(this.#handleHeartbeat(chunk, peer));
      case CHUNK_TYPE.heartbeatAck:
        return go(this.#handleHeartbeatAck(now, chunk));
      case CHUNK_TYPE.abort:
        this.#lifecycle.end('remoteAbort', describeCauses(chunk));
        return { drop: null, stop: true };
      case CHUNK_TYPE.error:
        return go(null);
      case CHUNK_TYPE.forwardTsn:
        return go(this.#handleForwardTsn(chunk, peer));
      case CHUNK_TYPE.reConfig:
        return go(this.#handleReConfig(chunk, peer));
      default:
        return this.#handleUnknownChunk(chunk, peer);
    }
  }

  /**
   * RFC 9260 §8.3: its reply carries what it carried; a copy, for a view would keep its datagram.
   */
  #handleHeartbeat(chunk: Chunk, peer: Peer | null): string | null {
    if (peer === null) return 'sctp.heartbeat.unexpected';
    if (chunk.value.length > MAX_HEARTBEAT_BYTES) return 'sctp.heartbeat.tooLarge';
    return this.#packets.queueReply({
      type: CHUNK_TYPE.heartbeatAck,
      flags: 0,
      value: chunk.value.slice(),
    });
  }

  /** RFC 9260 §3.2: the two highest bits say whether to go on and whether to report. */
  #handleUnknownChunk(
    chunk: Chunk,
    peer: Peer | null,
  ): { readonly drop: string; readonly stop: boolean } {
    if ((chunk.type & 0x40) !== 0 && peer !== null)
      this.#packets.queueReply(encodeErrorChunk(unrecognizedChunkCause(chunk)));
    return { drop: 'sctp.chunk.unknown', stop: (chunk.type & 0x80) === 0 };
  }

  #handleLifecycleChunk(now: Instant, chunk: Chunk): string | null {
    switch (chunk.type) {
      case CHUNK_TYPE.init: {
        const init = decodeInitChunk(chunk);
        return init.ok
          ? this.#lifecycle.handleInit(now, init.value)
          : this.#refuseInit(chunk, init.drop);
      }
      case CHUNK_TYPE.initAck: {
        const init = decodeInitChunk(chunk);
        return init.ok
          ? this.#lifecycle.handleInitAck(now, init.value)
          : this.#refuseInit(chunk, init.drop);
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

  /** RFC 9260 §3.3.2: one with tag 0 is passed over in silence; there is nobody to tell. */
  #refuseInit(chunk: Chunk, drop: string): string {
    const initiateTag = chunk.value.length < 4 ? 0 : readUint32(chunk.value, 0);
    if (drop === 'sctp.init.invalid' && initiateTag !== 0) this.#lifecycle.refuseInit(initiateTag);
    return drop;
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

  /** The end of a packet that held DATA: decides when it is acknowledged. */
  handlePacketEnd(now: Instant, peer: Peer | null): void {
    this.#receiving(peer)?.handlePacketEnd(now);
    // RFC 9260 §9.2: while our SHUTDOWN is unacknowledged, DATA gets it again at once.
    if (this.#lifecycle.state === 'shutdownSent')
      this.#packets.queue(encodeShutdownChunk(peer?.incoming.cumulativeTsn ?? 0));
  }

  #handleData(chunk: Chunk, peer: Peer | null): string | null {
    const data = decodeDataChunk(chunk);
    if (!data.ok) return data.drop;
    const incoming = this.#receiving(peer);
    if (incoming === null) return 'sctp.data.unexpected';
    const drop = incoming.handleData(data.value);
    if (drop === 'sctp.data.stream')
      this.#packets.queueReply(encodeErrorChunk(invalidStreamCause(data.value.streamId)));
    return drop;
  }

  #handleSack(now: Instant, chunk: Chunk, peer: Peer | null): string | null {
    const sack = decodeSackChunk(chunk);
    if (!sack.ok) return sack.drop;
    if (peer === null) return 'sctp.sack.unexpected';
    // RFC 9260 §6.10 bundles one; each of many would walk over all that is in flight.
    if (this.#hasSack) return 'sctp.sack.repeated';
    this.#hasSack = true;
    const before = this.#outgoing.firstUnacknowledgedTsn;
    const drop = this.#outgoing.handleSack(now, sack.value);
    // RFC 9260 §8.1: "The counter shall be reset to 0 each time a DATA chunk sent to that peer
    // endpoint is acknowledged". One that acknowledges none is no sign of anything.
    if (this.#outgoing.firstUnacknowledgedTsn !== before) this.#errors.reset();
    return drop;
  }

  #handleForwardTsn(chunk: Chunk, peer: Peer | null): string | null {
    // One says all that there is to skip; each of many would look through all that waits.
    if (this.#hasForwardTsn) return 'sctp.forwardTsn.repeated';
    this.#hasForwardTsn = true;
    const forward = decodeForwardTsnChunk(chunk);
    if (!forward.ok) return forward.drop;
    return this.#receiving(peer)?.handleForwardTsn(forward.value) ?? null;
  }

  #handleReConfig(chunk: Chunk, peer: Peer | null): string | null {
    const parameters = decodeReConfigChunk(chunk);
    if (!parameters.ok) return parameters.drop;
    peer?.streamReset.handleParameters(parameters.value);
    return null;
  }

  #handleHeartbeatAck(now: Instant, chunk: Chunk): string | null {
    const answer = this.#heartbeat.handleAck(now, chunk);
    if (answer === null) return 'sctp.heartbeatAck.unexpected';
    this.#rto.measure(answer.rttMs);
    this.#errors.reset();
    // What is in flight went where the peer was before; T3-rtx, doubled there, says nothing of here.
    if (answer.isAsked) this.#outgoing.markAllLost();
    return null;
  }

  #receiving(peer: Peer | null): Incoming | null {
    const canReceive = ['established', 'shutdownPending', 'shutdownSent'].includes(
      this.#lifecycle.state,
    );
    return canReceive ? (peer?.incoming ?? null) : null;
  }
}

function go(drop: string | null): ChunkOutcome {
  return { drop, stop: false };
}
