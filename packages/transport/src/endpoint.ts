import {
  DropCounters,
  Fifo,
  type HeapEntry,
  type Instant,
  type Machine,
  type SyncCrypto,
  TimerHeap,
  TokenBucket,
} from '@lumamesh/base';
import { CookieGate } from './dtls/cookie-gate.ts';
import type { LocalCertificate } from './dtls/handshake.ts';
import { maxFirstFlightBytes } from './dtls/first-flight.ts';
import { isDtls } from './dtls/record/record.ts';
import { type Remote, fiveTupleKey } from './five-tuple.ts';
import type { IceCredentials } from './ice/ice-credentials.ts';
import { IceLiteAgent } from './ice/ice-lite-agent.ts';
import { type Admitted, type EndpointLimits, SessionAdmission } from './session-admission.ts';
import type { NegotiatedChannel, SessionEvent, SessionLimits } from './session-types.ts';
import { Session } from './session.ts';
import { isStun } from './stun/message.ts';

/** Larger than any datagram of a browser; what exceeds it is not worth looking at. */
const MAX_DATAGRAM_RECEIVED_BYTES = 4096;
/** HelloVerifyRequests per second: an HMAC each, sent to whoever asks. */
const CHALLENGES_PER_SECOND = 5000;

export interface EndpointOptions {
  readonly crypto: SyncCrypto;
  readonly ice: IceCredentials;
  readonly certificate: LocalCertificate;
  readonly requestClientCertificate: boolean;
  readonly negotiatedChannels: readonly NegotiatedChannel[];
  readonly limits: EndpointLimits;
  readonly sessionLimits: SessionLimits;
}

/** Names a session for as long as it lives; never used again. */
export type SessionId = number & { readonly __unit: 'session id' };

export type EndpointOutput =
  | { readonly type: 'transmit'; readonly remote: Remote; readonly data: Uint8Array }
  | { readonly type: 'event'; readonly sessionId: SessionId; readonly event: SessionEvent };

interface Slot extends HeapEntry, Admitted {
  readonly id: SessionId;
  readonly remote: Remote;
  readonly key: string;
  readonly session: Session;
  /**
   * The ufrag of the peer that made the session. Others on the same five-tuple get responses, but
   * do not keep it alive.
   */
  remoteUfrag: string | null;
  /**
   * A HelloVerifyRequest was sent, after which the client numbers its messages and expects ours
   * from 1: a flight for a repeated first ClientHello, from 0, would mislead it.
   */
  isChallenged: boolean;
  isDirty: boolean;
}

/**
 * All sessions behind one socket: routes datagrams by five-tuple, makes sessions, keeps their
 * timers in one heap, and bounds them.
 *
 *   STUN  ──▶ IceLiteAgent (stateless) ──valid check──▶ new session, below the threshold of unproven ones
 *   DTLS  ──▶ its session; without one ──▶ CookieGate (stateless) ──valid cookie──▶ new session
 *         (a ClientHello from an address that nothing has proven, when the reply to it would be
 *         more than three times what came: CookieGate as well ──valid cookie──▶ its session)
 *   other ──▶ dropped and counted
 */
export class Endpoint implements Machine<EndpointOutput> {
  readonly drops = new DropCounters();
  readonly #options: EndpointOptions;
  readonly #admission: SessionAdmission;
  readonly #agent: IceLiteAgent;
  readonly #gate: CookieGate;
  readonly #challenges = new TokenBucket(CHALLENGES_PER_SECOND, CHALLENGES_PER_SECOND);
  readonly #slotsByKey = new Map<string, Slot>();
  readonly #slotsById = new Map<SessionId, Slot>();
  readonly #heap = new TimerHeap<Slot>();
  readonly #dirty = new Fifo<Slot>();
  readonly #replies = new Fifo<EndpointOutput>();
  readonly #firstFlightBytes: number;
  readonly #onDrop = (reason: string): void => this.drops.count(reason);
  #nextId = 1;

  constructor(now: Instant, options: EndpointOptions) {
    this.#options = options;
    this.#admission = new SessionAdmission(options.limits);
    this.#agent = new IceLiteAgent(options.crypto, options.ice);
    this.#gate = new CookieGate(options.crypto, now);
    this.#firstFlightBytes = maxFirstFlightBytes(options);
  }

  /**
   * All sessions, and those of them that are half-open: the handshake is not done, whether or not
   * the address is proven.
   */
  get counts(): { readonly sessions: number; readonly halfOpen: number } {
    return this.#admission.counts;
  }

  get deadline(): Instant | null {
    return this.#heap.peek()?.deadline ?? null;
  }

  /**
   * Limits that hold from now on; sessions beyond them stay. The burst of unproven sessions stays
   * what it was at the start.
   */
  setLimits(limits: EndpointLimits): void {
    this.#admission.setLimits(limits);
  }

  /** Where a session's peer is, or `null` for a session that is gone. */
  remoteOf(sessionId: SessionId): Remote | null {
    return this.#slotsById.get(sessionId)?.remote ?? null;
  }

  handleDatagram(now: Instant, remote: Remote, datagram: Uint8Array): void {
    const first = datagram[0];
    if (first === undefined || datagram.length > MAX_DATAGRAM_RECEIVED_BYTES)
      this.drops.count('endpoint.size');
    else if (isDtls(first)) this.#handleDtls(now, remote, datagram);
    else if (isStun(first)) this.#handleStun(now, remote, datagram);
    else this.drops.count('endpoint.unknownProtocol');
  }

  handleTimeout(now: Instant): void {
    for (
      let slot = this.#heap.peek();
      slot !== null && slot.deadline !== null && slot.deadline <= now;
      slot = this.#heap.peek()
    ) {
      // The drain sets the deadline again; until then the slot must not be found here once more.
      this.#heap.set(slot, null);
      slot.session.handleTimeout(now);
      this.#touch(slot);
    }
  }

  /**
   * Queues a message for a session.
   * @returns False when the session or channel is gone, or too much is waiting for it.
   */
  send(now: Instant, sessionId: SessionId, channelId: number, data: string | Uint8Array): boolean {
    const slot = this.#slotsById.get(sessionId);
    if (slot === undefined) return false;
    this.#touch(slot);
    return slot.session.send(now, channelId, data);
  }

  /** Ends a session after what is queued for it was delivered. */
  closeGracefully(now: Instant, sessionId: SessionId): void {
    const slot = this.#slotsById.get(sessionId);
    if (slot === undefined) return;
    this.#touch(slot);
    slot.session.closeGracefully(now);
  }

  close(now: Instant, sessionId: SessionId): void {
    const slot = this.#slotsById.get(sessionId);
    if (slot === undefined) return;
    this.#touch(slot);
    slot.session.close(now);
  }

  /** Closes one channel of a session; the others stay. */
  closeChannel(now: Instant, sessionId: SessionId, channelId: number): void {
    const slot = this.#slotsById.get(sessionId);
    if (slot === undefined) return;
    this.#touch(slot);
    slot.session.closeChannel(now, channelId);
  }

  closeAll(now: Instant): void {
    for (const id of [...this.#slotsById.keys()]) this.close(now, id);
  }

  /** What waits to be sent to a session or to be acknowledged by it, at what it costs. */
  sendingBytes(sessionId: SessionId): number {
    return this.#slotsById.get(sessionId)?.session.held.sendingBytes ?? 0;
  }

  poll(): EndpointOutput | null {
    for (;;) {
      const reply = this.#replies.shift();
      if (reply !== undefined) return reply;
      const slot = this.#dirty.peek();
      if (slot === undefined) return null;
      const output = slot.session.poll();
      if (output === null) {
        this.#dirty.shift();
        slot.isDirty = false;
        this.#heap.set(slot, slot.session.deadline);
        if (slot.session.isClosed) this.#remove(slot);
      } else if (output.type === 'transmit') {
        return { type: 'transmit', remote: slot.remote, data: output.data };
      } else {
        this.#follow(slot, output);
        return { type: 'event', sessionId: slot.id, event: output };
      }
    }
  }

  #handleStun(now: Instant, remote: Remote, datagram: Uint8Array): void {
    const verdict = this.#agent.handleDatagram(now, remote, datagram);
    if (verdict.kind === 'drop') return this.drops.count(verdict.drop);
    if (verdict.kind === 'respond') return this.#reply(remote, verdict.response);
    const key = fiveTupleKey(remote);
    let slot = this.#slotsByKey.get(key);
    if (slot === undefined) {
      if (!this.#admission.hasCapacity) return this.drops.count('endpoint.full');
      if (this.#admission.takeUnproven(now)) slot = this.#create(now, remote, key, 'unproven');
    }
    this.#reply(remote, verdict.response);
    if (slot === undefined) return;
    // Checks are cheap to forge until the peer is known by its keys: what came before them binds
    // nothing.
    if (slot.admission !== 'open')
      return slot.session.handleConsent(now, datagram.length, verdict.response.length);
    slot.remoteUfrag ??= verdict.remoteUfrag;
    if (slot.remoteUfrag === verdict.remoteUfrag)
      slot.session.handleConsent(now, datagram.length, verdict.response.length);
    else this.drops.count('endpoint.foreignUfrag');
  }

  #handleDtls(now: Instant, remote: Remote, datagram: Uint8Array): void {
    const key = fiveTupleKey(remote);
    const slot = this.#slotsByKey.get(key);
    if (slot?.session.amplification.isProven === true) return this.#deliver(now, slot, datagram);
    const verdict = this.#gate.inspect(now, remote, datagram);
    switch (verdict.kind) {
      case 'other':
        if (slot === undefined) return this.drops.count('endpoint.unknownSession');
        return this.#deliver(now, slot, datagram);
      case 'challenge': {
        const arriving = datagram.length + verdict.missingBytes;
        if (slot?.isChallenged === false && this.#mayAnswer(slot, arriving))
          return this.#deliver(now, slot, datagram);
        if (!this.#challenges.take(now)) return this.drops.count('endpoint.challengeBudget');
        if (slot !== undefined) {
          slot.isChallenged = true;
          // Smaller than any ClientHello, so it may always be sent.
          slot.session.amplification.count(datagram.length, verdict.response.length);
        }
        return this.#reply(remote, verdict.response);
      }
      case 'valid': {
        if (!this.#admission.hasCapacity) return this.drops.count('endpoint.full');
        const proven = slot ?? this.#create(now, remote, key, 'proven');
        this.#admission.handleProven(proven);
        proven.session.markAddressProven(verdict.messageSeq);
        this.#deliver(now, proven, datagram);
      }
    }
  }

  #mayAnswer(slot: Slot, arrivingBytes: number): boolean {
    return slot.session.amplification.allows(this.#firstFlightBytes, arrivingBytes);
  }

  #deliver(now: Instant, slot: Slot, datagram: Uint8Array): void {
    slot.session.handleDatagram(now, datagram);
    this.#touch(slot);
  }

  #create(now: Instant, remote: Remote, key: string, admission: 'unproven' | 'proven'): Slot {
    const { crypto, certificate, requestClientCertificate, negotiatedChannels, sessionLimits } =
      this.#options;
    const session = Session.server(
      now,
      { crypto, certificate, requestClientCertificate, negotiatedChannels, limits: sessionLimits },
      this.#onDrop,
    );
    // Numbers last for 2^53 sessions.
    const id = this.#nextId as SessionId;
    this.#nextId += 1;
    const slot: Slot = {
      id,
      remote,
      key,
      session,
      remoteUfrag: null,
      admission,
      isChallenged: false,
      isDirty: false,
      deadline: null,
      heapIndex: -1,
    };
    this.#slotsByKey.set(key, slot);
    this.#slotsById.set(id, slot);
    this.#admission.handleCreated(slot);
    this.#touch(slot);
    return slot;
  }

  #follow(slot: Slot, event: SessionEvent): void {
    if (event.type === 'secure') this.#admission.handleProven(slot);
    if (event.type === 'connected' || event.type === 'closed') this.#admission.handleOpen(slot);
  }

  #remove(slot: Slot): void {
    this.#admission.handleRemoved(slot);
    this.#heap.set(slot, null);
    this.#slotsById.delete(slot.id);
    if (this.#slotsByKey.get(slot.key) === slot) this.#slotsByKey.delete(slot.key);
  }

  #touch(slot: Slot): void {
    if (slot.isDirty) return;
    slot.isDirty = true;
    this.#dirty.push(slot);
  }

  #reply(remote: Remote, data: Uint8Array): void {
    this.#replies.push({ type: 'transmit', remote, data });
  }
}
