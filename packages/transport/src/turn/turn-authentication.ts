import {
  type Instant,
  type SyncCrypto,
  bytesEqual,
  toBase64Url,
  utf8Decode,
  utf8Encode,
} from '@lumamesh/base';
import { type Remote, fiveTupleKey } from '../five-tuple.ts';
import { checkMessageIntegrity } from '../stun/attributes/message-integrity.ts';
import { ATTRIBUTE, type StunMessage, findAttribute } from '../stun/message.ts';
import { TURN_ATTRIBUTE } from './turn-codes.ts';
import { TURN_REALM, type TurnGrant, type TurnGrants } from './turn-grants.ts';

/** A nonce holds for one to two of these; a browser gets the next one by a 438, and goes on. */
const NONCE_PERIOD_MS = 30 * 60_000;
/** Six bytes: what it shows is only that its sender has heard of it. */
const NONCE_BYTES = 6;

export type AuthenticationVerdict =
  | { readonly kind: 'valid'; readonly grant: TurnGrant; readonly key: Uint8Array }
  /** 400: something is missing. 401: try again with credentials. 438: again with this nonce. */
  | { readonly kind: 'refused'; readonly code: 400 | 401 | 438 };

/**
 * Long-term credentials with SHA-1 (RFC 8489 §9.2), which is what browsers send to servers that do
 * not say that they know more. The nonce is an HMAC of time and five-tuple: nothing is kept for who
 * has not shown who he is.
 */
export class TurnAuthentication {
  readonly #crypto: SyncCrypto;
  readonly #grants: TurnGrants;
  readonly #secret: Uint8Array;

  constructor(crypto: SyncCrypto, grants: TurnGrants) {
    this.#crypto = crypto;
    this.#grants = grants;
    this.#secret = crypto.randomBytes(32);
  }

  /** The order of RFC 8489 §9.2.4. */
  check(
    now: Instant,
    remote: Remote,
    datagram: Uint8Array,
    message: StunMessage,
  ): AuthenticationVerdict {
    if (findAttribute(message, ATTRIBUTE.messageIntegrity) === null) return refused(401);
    const username = textOf(message, ATTRIBUTE.username);
    const realm = textOf(message, TURN_ATTRIBUTE.realm);
    const nonce = findAttribute(message, TURN_ATTRIBUTE.nonce)?.value;
    if (username === null || realm === null || nonce === undefined) return refused(400);
    // One who has not heard the nonce gets no work of ours out of guessing.
    if (!this.#isCurrent(now, remote, nonce)) return refused(438);
    const grant = this.#grants.find(username);
    if (grant === null || realm !== TURN_REALM) return refused(401);
    const key = this.#grants.keyOf(grant);
    const integrity = checkMessageIntegrity(datagram, message, this.#crypto, key);
    return integrity === 'valid' ? { kind: 'valid', grant, key } : refused(401);
  }

  /** The nonce of a five-tuple, as text of eight characters. */
  nonceFor(now: Instant, remote: Remote): Uint8Array {
    return this.#nonceOf(periodOf(now), remote);
  }

  #isCurrent(now: Instant, remote: Remote, nonce: Uint8Array): boolean {
    const period = periodOf(now);
    return (
      bytesEqual(nonce, this.#nonceOf(period, remote)) ||
      bytesEqual(nonce, this.#nonceOf(period - 1, remote))
    );
  }

  #nonceOf(period: number, remote: Remote): Uint8Array {
    const text = utf8Encode(`${period}\n${fiveTupleKey(remote)}`);
    const mac = this.#crypto.hmac('sha256', this.#secret, text);
    return utf8Encode(toBase64Url(mac.subarray(0, NONCE_BYTES)));
  }
}

function periodOf(now: Instant): number {
  return Math.floor(now / NONCE_PERIOD_MS);
}

function textOf(message: StunMessage, type: number): string | null {
  const attribute = findAttribute(message, type);
  return attribute === null ? null : utf8Decode(attribute.value);
}

function refused(code: 400 | 401 | 438): AuthenticationVerdict {
  return { kind: 'refused', code };
}
