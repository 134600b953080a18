import {
  Fifo,
  type Instant,
  type Machine,
  type SyncCrypto,
  TimerTable,
  type Transmit,
  later,
  utf8Encode,
  writeUint32,
} from '@lumamesh/base';
import { decodeErrorCode } from '../stun/attributes/error-code.ts';
import { addFingerprint, checkFingerprint } from '../stun/attributes/fingerprint-attribute.ts';
import {
  addMessageIntegrity,
  checkMessageIntegrity,
} from '../stun/attributes/message-integrity.ts';
import {
  type TransportAddress,
  decodeXorMappedAddress,
} from '../stun/attributes/xor-mapped-address.ts';
import {
  ATTRIBUTE,
  METHOD_BINDING,
  StunBuilder,
  type StunMessage,
  TRANSACTION_ID_BYTES,
  decodeStun,
  findAttribute,
} from '../stun/message.ts';
import { type IceCredentials, iceKey } from './ice-credentials.ts';

/** RFC 8445 §14.3: RTO never below 500 ms in general; one pair to a known server may go faster, as browsers do. */
const CHECK_RTO_INITIAL_MS = 100;
const CHECK_RTO_MAX_MS = 1600;
/** About 8 s of trying. */
const CHECK_MAX_ATTEMPTS = 8;
/** RFC 7675 §5.1: every 5 s, randomised between 0.8 and 1.2 of that. */
const CONSENT_INTERVAL_MS = 5000;
/** RFC 7675 §5.1: consent expires after 30 s without a valid answer. */
const CONSENT_TIMEOUT_MS = 30_000;
/** RFC 8445 §5.1.2.1: type preference 110 (peer reflexive), local preference 65535, component 1. */
const CHECK_PRIORITY = 110 * 2 ** 24 + 65535 * 2 ** 8 + 255;

export type IceClientEvent =
  | { readonly type: 'connected'; readonly mappedAddress: TransportAddress; readonly rttMs: number }
  | { readonly type: 'failed'; readonly reason: 'noAnswer' | 'refused' | 'consentExpired' };

export type IceClientOutput = Transmit | IceClientEvent;

type State =
  | {
      readonly name: 'checking';
      readonly transactionIds: Uint8Array[];
      readonly startedAt: Instant[];
    }
  | { readonly name: 'connected'; transactionId: Uint8Array; consentUntil: Instant }
  | { readonly name: 'failed' };

/**
 * The controlling agent of a client that knows one remote candidate of an ice-lite server: it checks that one pair, nominates it at once
 * (RFC 8445 §8.1.1), and keeps consent fresh (RFC 7675).
 */
export class ControllingAgent implements Machine<IceClientOutput> {
  readonly #crypto: SyncCrypto;
  readonly #username: Uint8Array;
  readonly #remoteKey: Uint8Array;
  readonly #tieBreaker: Uint8Array;
  readonly #outputs = new Fifo<IceClientOutput>();
  readonly #timers = new TimerTable<'check' | 'consent'>();
  #state: State;

  constructor(now: Instant, crypto: SyncCrypto, localUfrag: string, remote: IceCredentials) {
    this.#crypto = crypto;
    this.#username = utf8Encode(`${remote.ufrag}:${localUfrag}`);
    this.#remoteKey = iceKey(remote.password);
    this.#tieBreaker = crypto.randomBytes(8);
    this.#state = { name: 'checking', transactionIds: [], startedAt: [] };
    this.#sendCheck(now);
  }

  /** Takes a STUN datagram; answers a drop reason, or `null` when it was of use. */
  handleDatagram(now: Instant, datagram: Uint8Array): string | null {
    const result = decodeStun(datagram);
    if (!result.ok) return result.drop;
    const message = result.value;
    if (
      message.method !== METHOD_BINDING ||
      (message.messageClass !== 'success' && message.messageClass !== 'error')
    )
      return 'ice.notResponse';
    if (checkFingerprint(datagram, message) === 'mismatch') return 'stun.fingerprint';
    const sentAt = this.#sentAt(message);
    if (sentAt === null) return 'ice.unknownTransaction';
    if (checkMessageIntegrity(datagram, message, this.#crypto, this.#remoteKey) !== 'valid')
      return 'ice.integrity';
    if (message.messageClass === 'error') return this.#handleError(message);
    const attribute = findAttribute(message, ATTRIBUTE.xorMappedAddress);
    const mappedAddress =
      attribute === null ? null : decodeXorMappedAddress(attribute.value, message.transactionId);
    if (mappedAddress === null) return 'ice.mappedAddress';
    if (this.#state.name === 'checking') {
      this.#timers.disarm('check');
      this.#state = {
        name: 'connected',
        transactionId: new Uint8Array(0),
        consentUntil: later(now, CONSENT_TIMEOUT_MS),
      };
      this.#outputs.push({ type: 'connected', mappedAddress, rttMs: now - sentAt });
      this.#armConsent(now);
    } else if (this.#state.name === 'connected') {
      this.#state.consentUntil = later(now, CONSENT_TIMEOUT_MS);
    }
    return null;
  }

  handleTimeout(now: Instant): void {
    for (
      let name = this.#timers.takeExpired(now);
      name !== null;
      name = this.#timers.takeExpired(now)
    ) {
      if (name === 'check') this.#handleCheckTimeout(now);
      else this.#handleConsentTimer(now);
    }
  }

  get deadline(): Instant | null {
    return this.#timers.next();
  }

  poll(): IceClientOutput | null {
    return this.#outputs.shift() ?? null;
  }

  #handleCheckTimeout(now: Instant): void {
    if (this.#state.name !== 'checking') return;
    if (this.#state.transactionIds.length >= CHECK_MAX_ATTEMPTS) this.#fail('noAnswer');
    else this.#sendCheck(now);
  }

  #handleConsentTimer(now: Instant): void {
    if (this.#state.name !== 'connected') return;
    if (now >= this.#state.consentUntil) return this.#fail('consentExpired');
    this.#state.transactionId = this.#sendRequest();
    this.#armConsent(now);
  }

  #armConsent(now: Instant): void {
    const jitter = 0.8 + (0.4 * (this.#crypto.randomBytes(1)[0] ?? 0)) / 255;
    this.#timers.arm('consent', later(now, CONSENT_INTERVAL_MS * jitter));
  }

  #sendCheck(now: Instant): void {
    if (this.#state.name !== 'checking') return;
    const attempt = this.#state.transactionIds.length;
    this.#state.transactionIds.push(this.#sendRequest());
    this.#state.startedAt.push(now);
    this.#timers.arm(
      'check',
      later(now, Math.min(CHECK_RTO_INITIAL_MS * 2 ** attempt, CHECK_RTO_MAX_MS)),
    );
  }

  #sendRequest(): Uint8Array {
    const transactionId = this.#crypto.randomBytes(TRANSACTION_ID_BYTES);
    const priority = new Uint8Array(4);
    writeUint32(priority, 0, CHECK_PRIORITY);
    const builder = new StunBuilder('request', METHOD_BINDING, transactionId)
      .attribute(ATTRIBUTE.username, this.#username)
      .attribute(ATTRIBUTE.priority, priority)
      .attribute(ATTRIBUTE.iceControlling, this.#tieBreaker)
      .attribute(ATTRIBUTE.useCandidate, new Uint8Array(0));
    this.#outputs.push({
      type: 'transmit',
      data: addFingerprint(addMessageIntegrity(builder, this.#crypto, this.#remoteKey)).finish(),
    });
    return transactionId;
  }

  #sentAt(message: StunMessage): Instant | null {
    const isSame = (id: Uint8Array): boolean =>
      id.length === TRANSACTION_ID_BYTES &&
      id.every((byte, i) => byte === message.transactionId[i]);
    if (this.#state.name === 'checking') {
      const index = this.#state.transactionIds.findIndex(isSame);
      return this.#state.startedAt[index] ?? null;
    }
    // Only whether it is ours matters once the pair is up; its age is not used.
    return this.#state.name === 'connected' && isSame(this.#state.transactionId)
      ? (0 as Instant)
      : null;
  }

  #handleError(message: StunMessage): string | null {
    const attribute = findAttribute(message, ATTRIBUTE.errorCode);
    if (attribute === null || decodeErrorCode(attribute.value) === null) return 'ice.errorCode';
    this.#fail('refused');
    return null;
  }

  #fail(reason: 'noAnswer' | 'refused' | 'consentExpired'): void {
    this.#timers.disarmAll();
    this.#state = { name: 'failed' };
    this.#outputs.push({ type: 'failed', reason });
  }
}
