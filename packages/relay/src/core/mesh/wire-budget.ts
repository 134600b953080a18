import { type Instant, TokenBucket } from '@lumamesh/base';
import { YAMUX_DATA, YAMUX_PING, YAMUX_SYN, type YamuxHeader } from './yamux-headers.ts';

/** Bytes until both sides have proven their keys: a greeting, two handshakes and no more. */
const MAX_HANDSHAKE_BYTES = 16_384;
/** Bytes and lines in which a stream chooses its protocol: a relay needs two lines. */
const MAX_NEGOTIATION_BYTES = 192;
const MAX_NEGOTIATION_LINES = 6;
/** Until the other relay has shown a record that answers: who it is, and what it gossips meanwhile. */
const UNPROVEN_BYTES_PER_SECOND = 8192;
const UNPROVEN_BYTES_BURST = 262_144;
/** Streams: one for frames, one for gossip, one to identify itself, and one to ask for a sign of life. */
const STREAMS_PER_SECOND = 0.2;
const STREAMS_BURST = 12;
const PINGS_PER_SECOND = 1;
const PINGS_BURST = 8;
/** Frames of the multiplexer, those without data besides. */
const FRAMES_PER_SECOND = 2000;
const FRAMES_BURST = 20_000;
const EMPTY_FRAMES_PER_SECOND = 200;
const EMPTY_FRAMES_BURST = 1000;
/** What comes on streams that are not for frames of the mesh: gossip of records. */
const GOSSIP_BYTES_PER_SECOND = 16_384;
const GOSSIP_BYTES_BURST = 262_144;
const NEWLINE = 0x0a;

/** Why a connection is given up. */
export type WireFault =
  | 'handshakeTooLong'
  | 'negotiationTooLong'
  | 'tooManyUnprovenBytes'
  | 'tooManyStreams'
  | 'tooManyPings'
  | 'tooManyFrames';

/**
 * What one connection to another relay may cost below the frames of the mesh, from its first byte
 * on: each bound is on what makes work, which bytes alone do not tell.
 */
export class WireBudget {
  readonly #unproven = new TokenBucket(UNPROVEN_BYTES_PER_SECOND, UNPROVEN_BYTES_BURST);
  readonly #streams = new TokenBucket(STREAMS_PER_SECOND, STREAMS_BURST);
  readonly #pings = new TokenBucket(PINGS_PER_SECOND, PINGS_BURST);
  readonly #frames = new TokenBucket(FRAMES_PER_SECOND, FRAMES_BURST);
  readonly #empty = new TokenBucket(EMPTY_FRAMES_PER_SECOND, EMPTY_FRAMES_BURST);
  readonly #gossip = new TokenBucket(GOSSIP_BYTES_PER_SECOND, GOSSIP_BYTES_BURST);
  #handshakeBytes = 0;
  /** The other relay has shown a record that answers. */
  isProven = false;

  /** Bytes as they come from the network, before the keys are proven. */
  takeHandshake(bytes: number): WireFault | null {
    this.#handshakeBytes += bytes;
    return this.#handshakeBytes > MAX_HANDSHAKE_BYTES ? 'handshakeTooLong' : null;
  }

  /** Bytes for the multiplexer. */
  takeBytes(now: Instant, bytes: number): WireFault | null {
    return this.isProven || this.#unproven.take(now, bytes) ? null : 'tooManyUnprovenBytes';
  }

  takeFrame(now: Instant, { type, flags, length }: YamuxHeader): WireFault | null {
    if (!this.#frames.take(now)) return 'tooManyFrames';
    if (type === YAMUX_PING) return this.#pings.take(now) ? null : 'tooManyPings';
    if ((flags & YAMUX_SYN) !== 0 && !this.#streams.take(now)) return 'tooManyStreams';
    const isEmpty = type !== YAMUX_DATA || length === 0;
    return isEmpty && !this.#empty.take(now) ? 'tooManyFrames' : null;
  }

  /** Whether bytes of gossip come no faster than they may; if not, reading is to pause. */
  takeGossip(now: Instant, bytes: number): boolean {
    return this.#gossip.take(now, bytes);
  }
}

/** What one stream says until its protocol is chosen. */
export class Negotiation {
  #bytes = 0;
  #lines = 0;

  take(chunk: Uint8Array): WireFault | null {
    this.#bytes += chunk.length;
    if (this.#bytes > MAX_NEGOTIATION_BYTES) return 'negotiationTooLong';
    for (const byte of chunk) if (byte === NEWLINE) this.#lines += 1;
    return this.#lines > MAX_NEGOTIATION_LINES ? 'negotiationTooLong' : null;
  }
}
