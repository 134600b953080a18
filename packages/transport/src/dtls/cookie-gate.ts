import {
  ByteReader,
  type Instant,
  type NamedGroup,
  type SyncCrypto,
  bytesEqual,
  concatBytes,
  dropOldest,
  later,
  utf8Encode,
} from '@lumamesh/base';
import { type Remote, fiveTupleKey } from '../five-tuple.ts';
import { chooseCipherSuite13 } from './cipher-suite-13.ts';
import { negotiate13 } from './client-hello-offer-13.ts';
import {
  type ClientHelloHead,
  decodeClientHello,
  decodeClientHelloHead,
} from './message/client-hello.ts';
import { EXTENSION, readUint16Vector } from './message/extensions.ts';
import {
  HANDSHAKE_TYPE,
  type HandshakeFragment,
  encodeHandshakeFragment,
  readHandshakeFragment,
} from './message/handshake-header.ts';
import { encodeHelloVerifyRequest } from './message/hello-verify-request.ts';
import {
  CONTENT_TYPE,
  VERSION_DTLS_1_3,
  decodeRecord,
  encodePlaintextRecord,
} from './record/record.ts';
import {
  COOKIE_PROOF_BYTES,
  encodeRetryRequest,
  encodeRetryState,
  helloHash,
  readCookie,
  retryState,
} from './retry-request.ts';
import { type SecurityOptions, groupsOf, speaks13 } from './security-options.ts';

const SECRET_BYTES = 32;
/** Each HelloVerifyRequest moves the client's numbering by one; nobody needs so many. */
const MAX_HELLO_SEQ = 15;
/** A cookie is good for one to two of these. */
const SECRET_LIFETIME_MS = 60_000;
/** First fragments that wait for a cookie in the second one, which follows at once. */
const MAX_HELD_FRAGMENTS = 64;

export type CookieVerdict =
  /**
   * A ClientHello with our cookie: the sender's address is proven. `before` is the datagram with
   * its first fragment, where the cookie is in a later one.
   */
  | {
      readonly kind: 'valid';
      readonly messageSeq: number;
      readonly before: Uint8Array | null;
    }
  /**
   * The first fragment of a ClientHello without it: send the request that `respond` makes and
   * forget the sender. `missingBytes` of the ClientHello are in other fragments, as this one
   * claims.
   */
  | {
      readonly kind: 'challenge';
      readonly random: Uint8Array;
      readonly missingBytes: number;
      /** Whether DTLS 1.3 will be spoken, and how large the whole ClientHello is. */
      readonly is13: boolean;
      readonly helloBytes: number;
      readonly respond: () => Uint8Array;
    }
  /** The first fragment of a second ClientHello, whose cookie may be in the next: `hold` keeps it. */
  | { readonly kind: 'incomplete'; readonly hold: () => void }
  /**
   * Anything else: a later fragment, or no ClientHello. Of use only to a session that has passed.
   */
  | { readonly kind: 'other'; readonly isHello: boolean };

const OTHER: CookieVerdict = { kind: 'other', isHello: false };
const OTHER_HELLO: CookieVerdict = { kind: 'other', isHello: true };

interface HeldFragment {
  readonly datagram: Uint8Array;
  readonly fragment: HandshakeFragment;
}

/**
 * The stateless cookie exchange, used when half-open handshakes pass a threshold, and where the
 * reply to a ClientHello would be too large for an address that nothing has proven: a
 * HelloVerifyRequest (RFC 6347 §4.2.1), or where DTLS 1.3 is offered a HelloRetryRequest (RFC 9147
 * §5.1).
 *
 * `random` and the cipher suites stand in the first fragment of every ClientHello, so the reply
 * needs no reassembly. In DTLS 1.3 the cookie is an extension, which browsers put anywhere: where
 * the first fragment of a second ClientHello does not show it, that fragment is held for a moment
 * (docs/adr/0065).
 */
export class CookieGate {
  readonly #crypto: SyncCrypto;
  readonly #speaks13: boolean;
  readonly #groups: readonly NamedGroup[];
  readonly #held = new Map<string, HeldFragment>();
  #current: Uint8Array;
  #previous: Uint8Array;
  #rotateAt: Instant;

  constructor(options: SecurityOptions & { readonly crypto: SyncCrypto }, now: Instant) {
    this.#crypto = options.crypto;
    this.#speaks13 = speaks13(options);
    this.#groups = groupsOf(options);
    this.#current = options.crypto.randomBytes(SECRET_BYTES);
    this.#previous = this.#current;
    this.#rotateAt = later(now, SECRET_LIFETIME_MS);
  }

  /** How many fragments are held. */
  get heldFragments(): number {
    return this.#held.size;
  }

  inspect(now: Instant, remote: Remote, datagram: Uint8Array): CookieVerdict {
    this.#rotate(now);
    const record = decodeRecord(datagram, 0);
    if (
      !record.ok ||
      record.value.epoch !== 0 ||
      record.value.contentType !== CONTENT_TYPE.handshake
    )
      return OTHER;
    const reader = new ByteReader(record.value.fragment);
    const fragment = readHandshakeFragment(reader);
    if (!reader.ok || fragment.type !== HANDSHAKE_TYPE.clientHello) return OTHER;
    if (fragment.messageSeq > MAX_HELLO_SEQ) return OTHER_HELLO;
    if (fragment.fragmentOffset > 0) return this.#inspectLater(remote, fragment);
    const head = decodeClientHelloHead(fragment.fragment);
    if (!head.ok) return OTHER_HELLO;
    const is13 = this.#speaks13 && mayOffer13(head.value);
    const { messageSeq } = fragment;
    if (this.#hasCookie(remote, head.value, is13))
      return { kind: 'valid', messageSeq, before: null };
    if (is13 && messageSeq > 0 && !head.value.hasAllExtensions)
      return { kind: 'incomplete', hold: () => this.#hold(remote, datagram) };
    return {
      kind: 'challenge',
      random: head.value.random,
      missingBytes: fragment.length - fragment.fragment.length,
      is13,
      helloBytes: fragment.length,
      respond: () => this.#request(remote, head.value, fragment, is13, record.value),
    };
  }

  /** The fragment behind one that is held: together they may show the cookie. */
  #inspectLater(
    remote: Remote,
    { messageSeq, fragmentOffset, fragment }: HandshakeFragment,
  ): CookieVerdict {
    const key = fiveTupleKey(remote);
    const held = this.#held.get(key);
    if (
      held === undefined ||
      held.fragment.messageSeq !== messageSeq ||
      held.fragment.fragment.length !== fragmentOffset
    )
      return OTHER_HELLO;
    const head = decodeClientHelloHead(concatBytes([held.fragment.fragment, fragment]));
    if (!head.ok || !this.#hasCookie(remote, head.value, true)) return OTHER_HELLO;
    this.#held.delete(key);
    return { kind: 'valid', messageSeq, before: held.datagram };
  }

  #hold(remote: Remote, datagram: Uint8Array): void {
    const copy = datagram.slice();
    const record = decodeRecord(copy, 0);
    if (!record.ok) return;
    const fragment = readHandshakeFragment(new ByteReader(record.value.fragment));
    const key = fiveTupleKey(remote);
    this.#held.delete(key);
    dropOldest(this.#held, MAX_HELD_FRAGMENTS);
    this.#held.set(key, { datagram: copy, fragment });
  }

  #hasCookie(remote: Remote, head: ClientHelloHead, is13: boolean): boolean {
    const extension = head.extensions.get(EXTENSION.cookie);
    const inExtension = extension === undefined ? null : readCookie(extension);
    const cookie = is13 ? inExtension : head.cookie;
    if (cookie === null || cookie.length === 0) return false;
    const state = is13 ? retryState(cookie) : new Uint8Array(0);
    if (state === null) return false;
    return [this.#current, this.#previous].some((secret) =>
      bytesEqual(this.#cookie(secret, remote, head.random, state), cookie),
    );
  }

  #request(
    remote: Remote,
    head: ClientHelloHead,
    { messageSeq, length, fragment }: HandshakeFragment,
    is13: boolean,
    { recordSequenceNumber }: { readonly recordSequenceNumber: number },
  ): Uint8Array {
    const cookieOf = (state: Uint8Array): Uint8Array =>
      this.#cookie(this.#current, remote, head.random, state);
    const suite = chooseCipherSuite13(head.cipherSuites);
    if (!is13 || suite === null) {
      const body = encodeHelloVerifyRequest(cookieOf(new Uint8Array(0)));
      return request(HANDSHAKE_TYPE.helloVerifyRequest, body, messageSeq, recordSequenceNumber);
    }
    const isWhole = fragment.length === length;
    const group = isWhole ? this.#missingGroup(fragment) : null;
    const state = isWhole
      ? encodeRetryState(group, helloHash(this.#crypto, suite.hash, fragment))
      : new Uint8Array(0);
    const body = encodeRetryRequest({ suiteId: suite.id, group, cookie: cookieOf(state) });
    return request(HANDSHAKE_TYPE.serverHello, body, messageSeq, recordSequenceNumber);
  }

  /** The group that a whole ClientHello has no share of, though it would be chosen. */
  #missingGroup(body: Uint8Array): NamedGroup | null {
    const hello = decodeClientHello(body);
    const negotiated = hello.ok ? negotiate13(hello.value, this.#groups) : null;
    if (negotiated === null || !negotiated.ok || negotiated.value.share !== null) return null;
    return negotiated.value.group;
  }

  /** Bound to address and ClientHello; what stands behind the proof is covered by it. */
  #cookie(secret: Uint8Array, remote: Remote, random: Uint8Array, state: Uint8Array): Uint8Array {
    const bound = concatBytes([random, state, utf8Encode(fiveTupleKey(remote))]);
    const proof = this.#crypto.hmac('sha256', secret, bound).subarray(0, COOKIE_PROOF_BYTES);
    return state.length === 0 ? proof : concatBytes([proof, state]);
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
 * Whether a ClientHello offers DTLS 1.3, as far as its first fragment shows. supported_versions may
 * be in another one, but only who offers 1.3 has cipher suites of it.
 */
function mayOffer13({ cipherSuites, extensions, hasAllExtensions }: ClientHelloHead): boolean {
  if (chooseCipherSuite13(cipherSuites) === null) return false;
  const versions = extensions.get(EXTENSION.supportedVersions);
  if (versions === undefined) return !hasAllExtensions;
  return readUint16Vector(new ByteReader(versions), 1)?.includes(VERSION_DTLS_1_3) === true;
}

/**
 * RFC 6347 §4.2.1, RFC 9147 §5.1: with the record sequence number of the ClientHello it replies to.
 * message_seq is the ClientHello's as well: 0, but for one whose cookie is too old, whose sender
 * has numbered on and drops what comes with a number that it has seen.
 */
function request(
  type: number,
  body: Uint8Array,
  messageSeq: number,
  recordSequenceNumber: number,
): Uint8Array {
  const message = encodeHandshakeFragment(type, body.length, messageSeq, 0, body);
  return encodePlaintextRecord(CONTENT_TYPE.handshake, 0, recordSequenceNumber, message);
}
