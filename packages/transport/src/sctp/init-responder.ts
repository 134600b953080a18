import { type RandomBytes, bytesEqual, randomNonZeroUint32 } from '@lumamesh/base';
import { type InitChunk, encodeInitChunk } from './chunk/init-chunk.ts';
import { CHUNK_TYPE, type Chunk } from './chunk/packet.ts';
import type { SctpOptions } from './sctp-types.ts';

const COOKIE_BYTES = 16;

/**
 * Acknowledges the peer’s INIT (RFC 9260 §5.1 B). The association exists already, inside its DTLS
 * session, so the state cookie need not carry it: it is a random name for the INIT that was
 * acknowledged, and good in this association only.
 */
export class InitResponder {
  readonly #randomBytes: RandomBytes;
  readonly #ownInit: InitChunk;
  #acknowledged: { readonly init: InitChunk; readonly cookie: Uint8Array } | null = null;
  #held: InitChunk | null = null;

  constructor(randomBytes: RandomBytes, ownInit: InitChunk) {
    this.#randomBytes = randomBytes;
    this.#ownInit = ownInit;
  }

  /**
   * Keeps an INIT that crossed ours unacknowledged: the INIT ACK to ours is on its way, and with it
   * the other handshake is not needed. False for a second one, which is to be acknowledged.
   */
  hold(init: InitChunk): boolean {
    if (this.#held !== null || this.#acknowledged !== null) return false;
    this.#held = init;
    return true;
  }

  /** The INIT that was held, once. */
  takeHeld(): InitChunk | null {
    const held = this.#held;
    this.#held = null;
    return held;
  }

  /**
   * The INIT ACK. RFC 9260 §5.2.1: whatever the state, it has the same tag and TSN as our own INIT;
   * they are the association's. A repeated INIT gets the same cookie, another one replaces it.
   */
  acknowledge(init: InitChunk): Chunk {
    this.#held = null;
    const previous = this.#acknowledged;
    const isRepeated =
      previous !== null &&
      previous.init.initiateTag === init.initiateTag &&
      previous.init.initialTsn === init.initialTsn;
    const cookie = isRepeated ? previous.cookie : this.#randomBytes(COOKIE_BYTES);
    // What is kept for as long as the association lives holds no view of a datagram.
    this.#acknowledged = { init: { ...init, stateCookie: null, unrecognized: [] }, cookie };
    return encodeInitChunk(CHUNK_TYPE.initAck, {
      ...this.#ownInit,
      stateCookie: cookie,
      unrecognized: init.unrecognized,
    });
  }

  /** The INIT that a COOKIE ECHO belongs to, or `null`. */
  find(cookie: Uint8Array): InitChunk | null {
    return this.#acknowledged !== null && bytesEqual(this.#acknowledged.cookie, cookie)
      ? this.#acknowledged.init
      : null;
  }
}

/** Our own INIT: the tag and the TSN of the whole association. */
export function makeInit({ randomBytes, limits }: SctpOptions): InitChunk {
  return {
    initiateTag: randomNonZeroUint32(randomBytes),
    aRwnd: limits.receiveWindowBytes,
    outboundStreams: limits.maxStreams,
    inboundStreams: limits.maxStreams,
    initialTsn: randomNonZeroUint32(randomBytes),
    supportsForwardTsn: true,
    supportsReConfig: true,
    stateCookie: null,
    unrecognized: [],
  };
}
