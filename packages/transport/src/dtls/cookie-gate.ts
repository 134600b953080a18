import {
  ByteReader,
  type Instant,
  type SyncCrypto,
  bytesEqual,
  concatBytes,
  later,
  utf8Encode,
} from '@lumamesh/base';
import { type Remote, fiveTupleKey } from '../five-tuple.ts';
import { decodeClientHelloHead } from './message/client-hello.ts';
import {
  HANDSHAKE_TYPE,
  encodeHandshakeFragment,
  readHandshakeFragment,
} from './message/handshake-header.ts';
import { encodeHelloVerifyRequest } from './message/hello-verify-request.ts';
import { CONTENT_TYPE, decodeRecord, encodePlaintextRecord } from './record/record.ts';

const COOKIE_BYTES = 20;
const SECRET_BYTES = 32;
/** Each HelloVerifyRequest moves the client's numbering by one; nobody needs so many. */
const MAX_HELLO_SEQ = 15;
/** A cookie is good for one to two of these. */
const SECRET_LIFETIME_MS = 60_000;

export type CookieVerdict =
  /** The first fragment of a ClientHello with our cookie: the sender's address is proven. */
  | { readonly kind: 'valid'; readonly messageSeq: number }
  /**
   * The first fragment of a ClientHello without it: send the HelloVerifyRequest that `respond`
   * makes and forget the sender. `missingBytes` of the ClientHello are in other fragments, as this
   * one claims.
   */
  | {
      readonly kind: 'challenge';
      readonly random: Uint8Array;
      readonly missingBytes: number;
      readonly respond: () => Uint8Array;
    }
  /**
   * Anything else: a later fragment, or no ClientHello. Of use only to a session that has passed.
   */
  | { readonly kind: 'other' };

/**
 * The stateless cookie exchange (RFC 6347 §4.2.1), used when half-open handshakes pass a threshold,
 * and where the reply to a ClientHello would be too large for an address that nothing has proven.
 * `random` and `cookie` of every ClientHello stand in its first fragment, so the reply needs no
 * reassembly; it is smaller than any ClientHello, so nothing is amplified.
 */
export class CookieGate {
  readonly #crypto: SyncCrypto;
  #current: Uint8Array;
  #previous: Uint8Array;
  #rotateAt: Instant;

  constructor(crypto: SyncCrypto, now: Instant) {
    this.#crypto = crypto;
    this.#current = crypto.randomBytes(SECRET_BYTES);
    this.#previous = this.#current;
    this.#rotateAt = later(now, SECRET_LIFETIME_MS);
  }

  inspect(now: Instant, remote: Remote, datagram: Uint8Array): CookieVerdict {
    this.#rotate(now);
    const record = decodeRecord(datagram, 0);
    if (
      !record.ok ||
      record.value.epoch !== 0 ||
      record.value.contentType !== CONTENT_TYPE.handshake
    )
      return { kind: 'other' };
    const reader = new ByteReader(record.value.fragment);
    const fragment = readHandshakeFragment(reader);
    if (!reader.ok || fragment.type !== HANDSHAKE_TYPE.clientHello || fragment.fragmentOffset !== 0)
      return { kind: 'other' };
    const { messageSeq } = fragment;
    if (messageSeq > MAX_HELLO_SEQ) return { kind: 'other' };
    const head = decodeClientHelloHead(fragment.fragment);
    if (!head.ok) return { kind: 'other' };
    const { random, cookie } = head.value;
    const isOurs = (secret: Uint8Array): boolean =>
      bytesEqual(this.#cookie(secret, remote, random), cookie);
    if (cookie.length > 0 && (isOurs(this.#current) || isOurs(this.#previous)))
      return { kind: 'valid', messageSeq };
    return {
      kind: 'challenge',
      random,
      missingBytes: fragment.length - fragment.fragment.length,
      respond: () =>
        helloVerifyRequest(
          this.#cookie(this.#current, remote, random),
          messageSeq,
          record.value.recordSequenceNumber,
        ),
    };
  }

  #cookie(secret: Uint8Array, remote: Remote, random: Uint8Array): Uint8Array {
    return this.#crypto
      .hmac('sha256', secret, concatBytes([random, utf8Encode(fiveTupleKey(remote))]))
      .subarray(0, COOKIE_BYTES);
  }

  #rotate(now: Instant): void {
    if (now < this.#rotateAt) return;
    // After a long silence both secrets are too old.
    const isFresh = now < this.#rotateAt + SECRET_LIFETIME_MS;
    const next = this.#crypto.randomBytes(SECRET_BYTES);
    this.#previous = isFresh ? this.#current : next;
    this.#current = next;
    this.#rotateAt = later(now, SECRET_LIFETIME_MS);
  }
}

/**
 * RFC 6347 §4.2.1: with the record sequence number of the ClientHello it replies to. message_seq is
 * the ClientHello's as well: 0, but for one whose cookie is too old, whose sender has numbered on
 * and drops what comes with a number that it has seen.
 */
function helloVerifyRequest(
  cookie: Uint8Array,
  messageSeq: number,
  recordSequenceNumber: number,
): Uint8Array {
  const body = encodeHelloVerifyRequest(cookie);
  const message = encodeHandshakeFragment(
    HANDSHAKE_TYPE.helloVerifyRequest,
    body.length,
    messageSeq,
    0,
    body,
  );
  return encodePlaintextRecord(CONTENT_TYPE.handshake, 0, recordSequenceNumber, message);
}
