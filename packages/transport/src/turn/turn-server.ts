import {
  type DropCounters,
  Fifo,
  type Instant,
  type Machine,
  type SyncCrypto,
  earlier,
  later,
  readUint32,
  utf8Encode,
} from '@lumamesh/base';
import type { Bandwidth } from '../bandwidth.ts';
import type { Remote } from '../five-tuple.ts';
import type { SessionId } from '../session-table.ts';
import { sourceOf } from '../source.ts';
import { checkFingerprint } from '../stun/attributes/fingerprint-attribute.ts';
import { protectedAttributes } from '../stun/attributes/message-integrity.ts';
import { encodeXorMappedAddress } from '../stun/attributes/xor-mapped-address.ts';
import { ATTRIBUTE, type StunMessage, decodeStun, findAttribute } from '../stun/message.ts';
import { AllocationTable } from './allocation-table.ts';
import { Allocation } from './allocation.ts';
import { PeerRequests } from './peer-requests.ts';
import { TurnAuthentication } from './turn-authentication.ts';
import { FAMILY_IPV4, PROTOCOL_UDP, TURN_ATTRIBUTE, TURN_METHOD } from './turn-codes.ts';
import { TurnForwarding } from './turn-forwarding.ts';
import { TURN_REALM, type TurnCredentials, type TurnGrant, TurnGrants } from './turn-grants.ts';
import type { TurnLimits } from './turn-limits.ts';
import type { TurnOutput } from './turn-output.ts';
import {
  badRequestResponse,
  challengeResponse,
  encodeLifetime,
  errorResponse,
  successResponse,
} from './turn-response.ts';

/** RFC 8656 §7.2: the default, and all that anyone gets. */
const LIFETIME_SECONDS = 600;
/** What comes unauthenticated is answered by so many times its bytes at most. */
const AMPLIFICATION_LIMIT = 3;
/**
 * Firefox repeats its Allocate after 100 ms; what comes so soon after the first one is a repetition.
 */
const REPETITION_MS = 5000;

const KNOWN_REQUIRED = new Set<number>([
  ATTRIBUTE.username,
  ATTRIBUTE.messageIntegrity,
  ...Object.values(TURN_ATTRIBUTE),
]);

export interface TurnCounts {
  readonly credentials: number;
  readonly allocations: number;
  readonly forwardedDatagrams: number;
  readonly forwardedBytes: number;
}

/** A request of who has shown who he is. */
interface Authentic {
  readonly now: Instant;
  readonly remote: Remote;
  readonly message: StunMessage;
  /** The same with those attributes only that MESSAGE-INTEGRITY covers. */
  readonly covered: StunMessage;
  readonly grant: TurnGrant;
  readonly key: Uint8Array;
}

/**
 * A TURN server (RFC 8656) whose relayed addresses are bound to no socket: it forwards between two
 * of its own allocations, when the sessions that they were granted to are in one room, and sends
 * nothing to anybody but on the five-tuple that an allocation was made on.
 *
 *   Allocate, Refresh                      ──▶ here
 *   CreatePermission, ChannelBind          ──▶ PeerRequests
 *   Send indication, ChannelData           ──▶ TurnForwarding ──▶ Data indication, ChannelData
 */
export class TurnServer implements Machine<TurnOutput> {
  readonly #crypto: SyncCrypto;
  readonly #drops: DropCounters;
  readonly #bandwidth: Bandwidth | null;
  readonly #grants: TurnGrants;
  readonly #authentication: TurnAuthentication;
  readonly #table: AllocationTable;
  readonly #peers: PeerRequests;
  readonly #forwarding: TurnForwarding;
  readonly #outputs = new Fifo<TurnOutput>();
  readonly #realm = utf8Encode(TURN_REALM);

  /** @param bandwidth what the endpoint as a whole may use, where that is bounded */
  constructor(
    crypto: SyncCrypto,
    limits: TurnLimits,
    drops: DropCounters,
    bandwidth: Bandwidth | null = null,
  ) {
    this.#crypto = crypto;
    this.#drops = drops;
    this.#bandwidth = bandwidth;
    this.#grants = new TurnGrants(crypto);
    this.#authentication = new TurnAuthentication(crypto, this.#grants);
    this.#table = new AllocationTable(limits);
    this.#forwarding = new TurnForwarding(crypto, this.#table, limits, bandwidth);
    this.#peers = new PeerRequests(this.#table, () => this.#forwarding.newPair());
  }

  get counts(): TurnCounts {
    const { datagrams, bytes } = this.#forwarding;
    return {
      credentials: this.#grants.size,
      allocations: this.#table.size,
      forwardedDatagrams: datagrams,
      forwardedBytes: bytes,
    };
  }

  get deadline(): Instant | null {
    return earlier(this.#table.deadline, this.#grants.deadline);
  }

  /** The credentials of a session for a room, which hold until {@link revoke} and a minute longer. */
  grant(sessionId: SessionId, roomId: string): TurnCredentials {
    return this.#grants.grant(sessionId, roomId);
  }

  revoke(now: Instant, sessionId: SessionId, roomId: string): void {
    this.#grants.revoke(now, sessionId, roomId);
  }

  /** Whether an allocation was made on a five-tuple. */
  holds(key: string): boolean {
    return this.#table.at(key) !== undefined;
  }

  /** @param datagram whose memory may be written to, and sent on */
  handleChannelData(now: Instant, key: string, datagram: Uint8Array): void {
    const from = this.#table.at(key);
    if (from === undefined) return this.#drops.count('turn.channelData.noAllocation');
    this.#take(this.#forwarding.handleChannelData(now, from, datagram));
  }

  /** What has a method other than Binding. `datagram` as for {@link handleChannelData}. */
  handleStun(now: Instant, remote: Remote, key: string, datagram: Uint8Array): void {
    const decoded = decodeStun(datagram);
    if (!decoded.ok) return this.#drops.count(decoded.drop);
    const message = decoded.value;
    const allocation = this.#table.at(key);
    if (message.messageClass === 'indication') {
      if (message.method !== TURN_METHOD.send || allocation === undefined)
        return this.#drops.count('turn.indication');
      return this.#take(this.#forwarding.handleSend(now, allocation, datagram, message));
    }
    if (message.messageClass !== 'request' || !isRequestMethod(message.method))
      return this.#drops.count('turn.notRequest');
    if (checkFingerprint(datagram, message) === 'mismatch')
      return this.#drops.count('stun.fingerprint');
    const nonce = findAttribute(message, TURN_ATTRIBUTE.nonce)?.value;
    if (allocation?.takeRequest(now, nonce) === false)
      return this.#drops.count('turn.requestBudget');
    const verdict = this.#authentication.check(now, remote, datagram, message);
    if (verdict.kind === 'refused') {
      // Its client hears the next one.
      if (verdict.code === 438 && allocation?.knows(nonce) === true)
        allocation.nonce = this.#authentication.nonceFor(now, remote);
      return this.#refuse(now, remote, datagram.length, message, verdict.code);
    }
    if (allocation !== undefined && nonce !== undefined) allocation.nonce = nonce.slice();
    const { grant, key: integrityKey } = verdict;
    const covered = { ...message, attributes: protectedAttributes(message) };
    const request = { now, remote, message, covered, grant, key: integrityKey };
    this.#respond(now, remote, this.#answer(request, key, allocation));
  }

  /** The connection of a five-tuple has ended, and the allocation on it. */
  handleDisconnected(key: string): void {
    const allocation = this.#table.at(key);
    if (allocation !== undefined) this.#table.remove(allocation);
  }

  handleTimeout(now: Instant): void {
    for (let grant = this.#grants.takeEnded(now); grant !== null;) {
      for (const allocation of this.#table.of(grant)) this.#table.remove(allocation);
      grant = this.#grants.takeEnded(now);
    }
    for (let expired = this.#table.takeExpired(now); expired !== null;) {
      this.#table.remove(expired);
      expired = this.#table.takeExpired(now);
    }
  }

  poll(): TurnOutput | null {
    return this.#outputs.shift() ?? null;
  }

  #answer(request: Authentic, key: string, allocation: Allocation | undefined): Uint8Array {
    const { message, covered, grant, now } = request;
    const unknown = covered.attributes
      .map(({ type }) => type)
      .filter((type) => type < 0x8000 && !KNOWN_REQUIRED.has(type));
    if (unknown.length > 0) return errorResponse(this.#crypto, request.key, message, 420, unknown);
    if (message.method === TURN_METHOD.allocate) return this.#allocate(request, key, allocation);
    // RFC 8656 §5: 437 without an allocation, 441 with one that has other credentials.
    if (allocation === undefined) return this.#error(request, 437);
    if (allocation.grant !== grant) return this.#error(request, 441);
    if (message.method === TURN_METHOD.refresh) return this.#refresh(request, allocation);
    const refusal =
      message.method === TURN_METHOD.channelBind
        ? this.#peers.bindChannel(now, allocation, covered)
        : this.#peers.createPermission(now, allocation, covered);
    return refusal === null ? this.#success(request) : this.#error(request, refusal);
  }

  /** RFC 8656 §7.2. */
  #allocate(request: Authentic, key: string, existing: Allocation | undefined): Uint8Array {
    const { now, remote, covered, grant } = request;
    if (existing !== undefined) {
      const isRepeated = existing.grant === grant && now - existing.createdAt < REPETITION_MS;
      return isRepeated ? this.#allocated(request, existing) : this.#error(request, 437);
    }
    const transport = findAttribute(covered, TURN_ATTRIBUTE.requestedTransport)?.value;
    if (transport?.length !== 4) return this.#error(request, 400);
    if (transport[0] !== PROTOCOL_UDP) return this.#error(request, 442);
    const family = findAttribute(covered, TURN_ATTRIBUTE.requestedAddressFamily)?.value;
    if (family !== undefined && family[0] !== FAMILY_IPV4) return this.#error(request, 440);
    // Addresses that are made up cannot be reserved in pairs.
    if (
      findAttribute(covered, TURN_ATTRIBUTE.reservationToken) !== null ||
      findAttribute(covered, TURN_ATTRIBUTE.evenPort) !== null
    )
      return this.#error(request, 508);
    const source = sourceOf(remote.address);
    const refusal = this.#table.refusal(grant, source);
    if (refusal !== null) return this.#error(request, refusal);
    const inTheWay = this.#table.inTheWay(source);
    if (inTheWay !== null) {
      this.#drops.count('turn.evicted');
      this.#table.remove(inTheWay);
    }
    const relayed = this.#table.newRelayedAddress(this.#crypto.randomBytes);
    const xorRelayed = encodeXorMappedAddress(relayed, covered.transactionId);
    if (xorRelayed === null) return this.#error(request, 508);
    const allocation = new Allocation({
      remote,
      key,
      source,
      grant,
      relayed,
      xorRelayed,
      createdAt: now,
      expiresAt: later(now, LIFETIME_SECONDS * 1000),
      nonce: this.#authentication.nonceFor(now, remote),
    });
    this.#table.add(allocation);
    return this.#allocated(request, allocation);
  }

  #allocated(request: Authentic, { xorRelayed, expiresAt }: Allocation): Uint8Array {
    const { now, remote, message } = request;
    const mapped = encodeXorMappedAddress(remote, message.transactionId);
    const lifetime = encodeLifetime(Math.max(0, Math.floor((expiresAt - now) / 1000)));
    return this.#success(request, [
      [TURN_ATTRIBUTE.xorRelayedAddress, xorRelayed],
      [TURN_ATTRIBUTE.lifetime, lifetime],
      ...(mapped === null ? [] : [[ATTRIBUTE.xorMappedAddress, mapped] as const]),
    ]);
  }

  /** RFC 8656 §8.2: zero ends the allocation. */
  #refresh(request: Authentic, allocation: Allocation): Uint8Array {
    const { now, covered } = request;
    const family = findAttribute(covered, TURN_ATTRIBUTE.requestedAddressFamily)?.value;
    if (family !== undefined && family[0] !== FAMILY_IPV4) return this.#error(request, 443);
    const asked = findAttribute(covered, TURN_ATTRIBUTE.lifetime)?.value;
    const isOver = asked?.length === 4 && readUint32(asked, 0) === 0;
    if (isOver) this.#table.remove(allocation);
    else {
      allocation.expiresAt = later(now, LIFETIME_SECONDS * 1000);
      this.#table.handleRefreshed(allocation);
    }
    return this.#success(request, [
      [TURN_ATTRIBUTE.lifetime, encodeLifetime(isOver ? 0 : LIFETIME_SECONDS)],
    ]);
  }

  #refuse(
    now: Instant,
    remote: Remote,
    requestBytes: number,
    message: StunMessage,
    code: 400 | 401 | 438,
  ): void {
    this.#drops.count(`turn.refused.${code}`);
    const response =
      code === 400
        ? badRequestResponse(message)
        : challengeResponse(message, code, this.#realm, this.#authentication.nonceFor(now, remote));
    if (response.length <= AMPLIFICATION_LIMIT * requestBytes) this.#respond(now, remote, response);
  }

  #success(
    { key, message }: Authentic,
    attributes: readonly (readonly [number, Uint8Array])[] = [],
  ): Uint8Array {
    return successResponse(this.#crypto, key, message, attributes);
  }

  #error({ key, message }: Authentic, code: Parameters<typeof errorResponse>[3]): Uint8Array {
    this.#drops.count(`turn.error.${code}`);
    return errorResponse(this.#crypto, key, message, code);
  }

  #respond(now: Instant, remote: Remote, data: Uint8Array): void {
    this.#bandwidth?.spend(now, data.length);
    this.#outputs.push({ type: 'transmit', remote, data });
  }

  /** What is forwarded, or why it is not. */
  #take(result: TurnOutput | string): void {
    if (typeof result === 'string') this.#drops.count(result);
    else this.#outputs.push(result);
  }
}

function isRequestMethod(method: number): boolean {
  return (
    method === TURN_METHOD.allocate ||
    method === TURN_METHOD.refresh ||
    method === TURN_METHOD.createPermission ||
    method === TURN_METHOD.channelBind
  );
}
