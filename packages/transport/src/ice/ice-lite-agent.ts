import { type SyncCrypto, utf8Decode } from '@lumamesh/base';
import { encodeErrorCode } from '../stun/attributes/error-code.ts';
import { addFingerprint, checkFingerprint } from '../stun/attributes/fingerprint-attribute.ts';
import {
  addMessageIntegrity,
  checkMessageIntegrity,
  protectedAttributes,
} from '../stun/attributes/message-integrity.ts';
import { encodeUnknownAttributes } from '../stun/attributes/unknown-attributes.ts';
import {
  type TransportAddress,
  encodeXorMappedAddress,
} from '../stun/attributes/xor-mapped-address.ts';
import {
  ATTRIBUTE,
  METHOD_BINDING,
  type RawAttribute,
  StunBuilder,
  type StunMessage,
  decodeStun,
  findAttribute,
} from '../stun/message.ts';
import { type IceCredentials, iceKey, isIceUfrag } from './ice-credentials.ts';

/*
 * What becomes of a datagram that looks like STUN (RFC 8445 §7.3, lite rules; RFC 8489 §6.3,
 * §9.1.3):
 *
 *   1. no STUN binding request, a bad FINGERPRINT               → drop
 *   2. no USERNAME: a plain STUN client                         → respond, sign nothing
 *   3. USERNAME neither "<our ufrag>:<theirs>" nor
 *      "<our ufrag>/<theirs before a restart>:<theirs>", integrity not valid
 *                                                               → drop; RFC 8489 has 400 or 401, but silence tells a scanner less
 *   4. authentic, with unknown comprehension-required attributes→ 420
 *   5. authentic, and the sender says it is controlled          → 487: a lite agent is never controlling (RFC 8445 §6.1.1)
 *   6. authentic                                                → success; the caller makes or refreshes the session
 */
export type StunVerdict =
  | {
      readonly kind: 'check';
      readonly remoteUfrag: string;
      /** Of the session that the sender goes on with, where it says so after an ICE restart. */
      readonly previousUfrag: string | null;
      readonly nominated: boolean;
      readonly response: Uint8Array;
    }
  | { readonly kind: 'respond'; readonly response: Uint8Array }
  | { readonly kind: 'drop'; readonly drop: string };

type UfragsOfCheck = Pick<Extract<StunVerdict, { kind: 'check' }>, 'remoteUfrag' | 'previousUfrag'>;

/** An ice-char (RFC 8839 §5.4). */
const RESTART_SEPARATOR = '/';

const KNOWN_REQUIRED = new Set<number>([
  ATTRIBUTE.username,
  ATTRIBUTE.messageIntegrity,
  ATTRIBUTE.priority,
  ATTRIBUTE.useCandidate,
  ATTRIBUTE.errorCode,
  ATTRIBUTE.unknownAttributes,
  ATTRIBUTE.xorMappedAddress,
]);

/**
 * The passive ICE agent of a relay: it has one candidate, responds to checks and sends none (RFC
 * 8445 §2.5). It keeps no state of any peer.
 */
export class IceLiteAgent {
  readonly #crypto: SyncCrypto;
  readonly #ufrag: string;
  readonly #key: Uint8Array;

  constructor(crypto: SyncCrypto, local: IceCredentials) {
    this.#crypto = crypto;
    this.#ufrag = local.ufrag;
    this.#key = iceKey(local.password);
  }

  /**
   * @param refusal why what claims to be a check of this ufrag, or none (`null`), is not to be looked
   * at further: asked before anything dear is computed
   */
  handleDatagram(
    remote: TransportAddress,
    datagram: Uint8Array,
    refusal: (remoteUfrag: string | null) => string | null = () => null,
  ): StunVerdict {
    const result = decodeStun(datagram);
    if (!result.ok) return { kind: 'drop', drop: result.drop };
    const message = result.value;
    if (message.method !== METHOD_BINDING) return drop('stun.method');
    if (message.messageClass !== 'request') return drop('stun.notRequest');
    const fingerprint = checkFingerprint(datagram, message);
    if (fingerprint === 'mismatch') return drop('stun.fingerprint');

    const username = findAttribute(message, ATTRIBUTE.username);
    const ufrags = username === null ? null : this.#ufragsIn(username);
    const refused = refusal(ufrags?.remoteUfrag ?? null);
    if (refused !== null) return drop(refused);
    if (username === null) return this.#respondToPlainRequest(remote, message);
    // RFC 8445 §7.1: a connectivity check carries FINGERPRINT.
    if (fingerprint === 'missing') return drop('ice.fingerprintMissing');
    if (ufrags === null) return drop('ice.username');
    const integrity = checkMessageIntegrity(datagram, message, this.#crypto, this.#key);
    if (integrity !== 'valid') return drop(`ice.integrity.${integrity}`);
    return this.#respondToCheck(remote, message, ufrags);
  }

  #respondToCheck(
    remote: TransportAddress,
    message: StunMessage,
    ufrags: UfragsOfCheck,
  ): StunVerdict {
    const attributes = protectedAttributes(message);
    const unknown = unknownRequired(attributes);
    if (unknown.length > 0) {
      return { kind: 'respond', response: this.#error(message, 420, 'Unknown Attribute', unknown) };
    }
    const has = (type: number): boolean => attributes.some((attribute) => attribute.type === type);
    if (has(ATTRIBUTE.iceControlled))
      return { kind: 'respond', response: this.#error(message, 487, 'Role Conflict') };
    const mapped = encodeXorMappedAddress(remote, message.transactionId);
    if (mapped === null) return drop('ice.remoteAddress');
    const builder = new StunBuilder('success', METHOD_BINDING, message.transactionId).attribute(
      ATTRIBUTE.xorMappedAddress,
      mapped,
    );
    const response = addFingerprint(addMessageIntegrity(builder, this.#crypto, this.#key)).finish();
    return { kind: 'check', ...ufrags, nominated: has(ATTRIBUTE.useCandidate), response };
  }

  #respondToPlainRequest(remote: TransportAddress, message: StunMessage): StunVerdict {
    // RFC 8489 §6.3.1: unknown comprehension-required attributes get a 420. It could be larger than
    // the request, and no browser sends any.
    if (unknownRequired(message.attributes).length > 0) return drop('stun.plain.unknownAttribute');
    const mapped = encodeXorMappedAddress(remote, message.transactionId);
    if (mapped === null) return drop('stun.plain.remoteAddress');
    const builder = new StunBuilder('success', METHOD_BINDING, message.transactionId).attribute(
      ATTRIBUTE.xorMappedAddress,
      mapped,
    );
    // RFC 8489 §14.7: FINGERPRINT goes with the response where the request had it.
    if (message.attributes.at(-1)?.type === ATTRIBUTE.fingerprint) addFingerprint(builder);
    // The smallest request (20 B), which is what browsers send, gets 32 B over IPv4 and 44 B, 2.2
    // times as much, over IPv6. Without it an IPv6 visitor would have no address to tell: browsers
    // hide those of their interfaces.
    return { kind: 'respond', response: builder.finish() };
  }

  #error(
    message: StunMessage,
    code: number,
    reason: string,
    unknown?: readonly number[],
  ): Uint8Array {
    const builder = new StunBuilder('error', METHOD_BINDING, message.transactionId);
    builder.attribute(ATTRIBUTE.errorCode, encodeErrorCode({ code, reason }));
    if (unknown !== undefined)
      builder.attribute(ATTRIBUTE.unknownAttributes, encodeUnknownAttributes(unknown));
    return addFingerprint(addMessageIntegrity(builder, this.#crypto, this.#key)).finish();
  }

  /**
   * RFC 8445 §7.2.2: USERNAME is "<recipient's ufrag>:<sender's ufrag>". A restart changes both
   * (§9): ours then goes on with "/" and the ufrag that the sender had before.
   */
  #ufragsIn(username: RawAttribute): UfragsOfCheck | null {
    const text = utf8Decode(username.value);
    if (text === null || !text.startsWith(this.#ufrag)) return null;
    // No ufrag has a colon in it.
    const [own = '', remoteUfrag = '', ...more] = text.split(':');
    if (more.length > 0 || !isIceUfrag(remoteUfrag)) return null;
    const suffix = own.slice(this.#ufrag.length);
    if (suffix === '') return { remoteUfrag, previousUfrag: null };
    const previousUfrag = suffix.slice(1);
    return suffix.startsWith(RESTART_SEPARATOR) && isIceUfrag(previousUfrag)
      ? { remoteUfrag, previousUfrag }
      : null;
  }
}

/** RFC 8489 §14: types 0x0000–0x7FFF must be understood. */
function unknownRequired(attributes: readonly RawAttribute[]): number[] {
  return attributes
    .map((attribute) => attribute.type)
    .filter((type) => type < 0x8000 && !KNOWN_REQUIRED.has(type));
}

function drop(reason: string): StunVerdict {
  return { kind: 'drop', drop: reason };
}
