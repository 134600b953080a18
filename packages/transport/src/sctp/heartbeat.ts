import { type Instant, type RandomBytes, TimerTable, bytesEqual, later } from '@lumamesh/base';
import { CHUNK_TYPE, type Chunk } from './chunk/packet.ts';

/**
 * RFC 9260 §16 has 30 s. HEARTBEAT ACK is the only authenticated sign of life of an idle peer, and
 * sessions end after 25 s without one, so it comes sooner; a little varied, so that a thousand
 * sessions do not beat together.
 */
const INTERVAL_MS = 10_000;
/** How long, besides the RTO, an unacknowledged HEARTBEAT waits before it counts as an error. */
const PATIENCE_MS = 5000;
const NONCE_BYTES = 8;
/** RFC 9260 §3.3.5: the sender's information is one parameter of type 1. */
const PARAMETER_HEADER_BYTES = 4;

/**
 * The path heartbeat (RFC 9260 §8.3): asks an idle peer whether it is there, one HEARTBEAT at a
 * time.
 */
export class Heartbeat {
  readonly #randomBytes: RandomBytes;
  readonly #timers = new TimerTable<'Heartbeat'>();
  #answers = 0;
  #pending: {
    readonly nonce: Uint8Array;
    readonly sentAt: Instant;
    readonly isAsked: boolean;
  } | null = null;

  constructor(randomBytes: RandomBytes) {
    this.#randomBytes = randomBytes;
  }

  get dueAt(): Instant | null {
    return this.#timers.next();
  }

  /** How many HEARTBEATs were acknowledged. */
  get answers(): number {
    return this.#answers;
  }

  /**
   * The HEARTBEAT that asks whether the peer is where it seems to be; an acknowledgement of one
   * before it counts for nothing.
   */
  ask(now: Instant, rtoMs: number): Chunk {
    return this.#make(now, rtoMs, true);
  }

  start(now: Instant): void {
    this.#arm(now, INTERVAL_MS);
  }

  stop(): void {
    this.#timers.disarmAll();
  }

  /**
   * @returns The HEARTBEAT to send when one is due at `now`, otherwise `null`; `isUnanswered` when
   * the one before it was not acknowledged.
   */
  takeDue(
    now: Instant,
    rtoMs: number,
  ): { readonly chunk: Chunk; readonly isUnanswered: boolean } | null {
    if (this.#timers.takeExpired(now) === null) return null;
    const isUnanswered = this.#pending !== null;
    return { chunk: this.#make(now, rtoMs, false), isUnanswered };
  }

  /**
   * @returns The round trip in milliseconds, and whether it was asked for by {@link ask}; or `null`
   * when this HEARTBEAT ACK acknowledges none of ours.
   */
  handleAck(
    now: Instant,
    chunk: Chunk,
  ): { readonly rttMs: number; readonly isAsked: boolean } | null {
    if (
      this.#pending === null ||
      !bytesEqual(chunk.value.subarray(PARAMETER_HEADER_BYTES), this.#pending.nonce)
    )
      return null;
    const { sentAt, isAsked } = this.#pending;
    this.#pending = null;
    this.#answers += 1;
    this.#arm(now, INTERVAL_MS);
    return { rttMs: now - sentAt, isAsked };
  }

  #make(now: Instant, rtoMs: number, isAsked: boolean): Chunk {
    const nonce = this.#randomBytes(NONCE_BYTES);
    this.#pending = { nonce, sentAt: now, isAsked };
    const value = new Uint8Array(PARAMETER_HEADER_BYTES + NONCE_BYTES);
    value.set([0, 1, 0, value.length]);
    value.set(nonce, PARAMETER_HEADER_BYTES);
    this.#arm(now, rtoMs + PATIENCE_MS);
    return { type: CHUNK_TYPE.heartbeat, flags: 0, value };
  }

  #arm(now: Instant, delayMs: number): void {
    const jitter = (this.#randomBytes(1)[0] ?? 0) / 255;
    this.#timers.arm('Heartbeat', later(now, delayMs * (0.8 + 0.4 * jitter)));
  }
}
