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
import { isDtls } from './dtls/record/record.ts';
import { type Remote, fiveTupleKey } from './five-tuple.ts';
import type { IceCredentials } from './ice/ice-credentials.ts';
import { IceLiteAgent } from './ice/ice-lite-agent.ts';
import {
  type NegotiatedChannel,
  Session,
  type SessionEvent,
  type SessionLimits,
} from './session.ts';
import { isStun } from './stun/message.ts';

/** Larger than any datagram of a browser; what exceeds it is not worth looking at. */
const MAX_DATAGRAM_RECEIVED_BYTES = 4096;
/** HelloVerifyRequests per second: an HMAC each, sent to whoever asks. */
const CHALLENGES_PER_SECOND = 5000;

/** New sessions per second that need no cookie, behind a burst of `cookieThreshold`. */
const UNPROVEN_PER_SECOND = 400;

export interface EndpointLimits {
  /** Sessions of peers that have proven their address. */
  readonly maxSessions: number;
  /** With so many sessions whose address nothing has proven, a check makes no session any more; a ClientHello with a cookie does. They do not count against `maxSessions`. */
  readonly cookieThreshold: number;
  /** Sessions with a proven address whose handshake is not done. */
  readonly maxHalfOpen: number;
}

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

interface Slot extends HeapEntry {
  readonly id: SessionId;
  readonly remote: Remote;
  readonly key: string;
  readonly session: Session;
  /** The ufrag of the peer that made the session. Others on the same five-tuple are answered, but do not keep it alive. */
  remoteUfrag: string | null;
  /** From the first check to a cookie or Finished. */
  isUnproven: boolean;
  isHalfOpen: boolean;
  isDirty: boolean;
}

/**
 * All sessions behind one socket: routes datagrams by five-tuple, makes sessions, keeps their timers in one heap, and bounds them.
 *
 *   STUN  ──▶ IceLiteAgent (stateless) ──valid check──▶ new session, below the threshold of half-open ones
 *   DTLS  ──▶ its session; without one ──▶ CookieGate (stateless) ──valid cookie──▶ new session
 *   other ──▶ dropped and counted
 */
export class Endpoint implements Machine<EndpointOutput> {
  readonly drops = new DropCounters();
  readonly #options: EndpointOptions;
  #limits: EndpointLimits;
  readonly #agent: IceLiteAgent;
  readonly #gate: CookieGate;
  readonly #challenges = new TokenBucket(CHALLENGES_PER_SECOND, CHALLENGES_PER_SECOND);
  readonly #unprovenBudget: TokenBucket;
  readonly #slotsByKey = new Map<string, Slot>();
  readonly #slotsById = new Map<SessionId, Slot>();
  readonly #heap = new TimerHeap<Slot>();
  readonly #dirty = new Fifo<Slot>();
  readonly #replies = new Fifo<EndpointOutput>();
  readonly #onDrop = (reason: string): void => this.drops.count(reason);
  #nextId = 1;
  #halfOpen = 0;
  #unproven = 0;

  constructor(now: Instant, options: EndpointOptions) {
    this.#options = options;
    this.#limits = options.limits;
    this.#agent = new IceLiteAgent(options.crypto, options.ice);
    this.#gate = new CookieGate(options.crypto, now);
    // A handshake that fails at once makes room at once: so their rate is bounded as well as their number.
    this.#unprovenBudget = new TokenBucket(UNPROVEN_PER_SECOND, options.limits.cookieThreshold);
  }

  /** Sessions by state: `halfOpen` are those whose handshake is not done. */
  get counts(): { readonly sessions: number; readonly halfOpen: number } {
    return { sessions: this.#slotsById.size, halfOpen: this.#halfOpen };
  }

  /** Limits that hold from now on; sessions beyond them stay. The burst of unproven sessions stays what it was at the start. */
  setLimits(limits: EndpointLimits): void {
    this.#limits = limits;
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

  /** Queues a message for a session. False when the session or channel is gone, or too much is waiting for it. */
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

  closeAll(now: Instant): void {
    for (const id of [...this.#slotsById.keys()]) this.close(now, id);
  }

  bufferedBytes(sessionId: SessionId): number {
    return this.#slotsById.get(sessionId)?.session.bufferedBytes ?? 0;
  }

  get deadline(): Instant | null {
    return this.#heap.peek()?.deadline ?? null;
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
      if (!this.#hasRoom()) return this.drops.count('endpoint.full');
      const isWithoutCookie =
        this.#unproven < this.#limits.cookieThreshold && this.#unprovenBudget.take(now);
      if (isWithoutCookie) slot = this.#create(now, remote, key, true);
    }
    this.#reply(remote, verdict.response);
    if (slot === undefined) return;
    // Checks are cheap to forge until the peer is known by its keys: what came before them binds nothing.
    if (slot.isHalfOpen)
      return slot.session.handleConsent(now, datagram.length, verdict.response.length);
    slot.remoteUfrag ??= verdict.remoteUfrag;
    if (slot.remoteUfrag === verdict.remoteUfrag)
      slot.session.handleConsent(now, datagram.length, verdict.response.length);
    else this.drops.count('endpoint.foreignUfrag');
  }

  #handleDtls(now: Instant, remote: Remote, datagram: Uint8Array): void {
    const key = fiveTupleKey(remote);
    const slot = this.#slotsByKey.get(key);
    if (slot !== undefined) return this.#deliver(now, slot, datagram);
    const verdict = this.#gate.inspect(now, remote, datagram);
    switch (verdict.kind) {
      case 'other':
        return this.drops.count('endpoint.unknownSession');
      case 'challenge':
        if (this.#challenges.take(now)) this.#reply(remote, verdict.response);
        else this.drops.count('endpoint.challengeBudget');
        return;
      case 'valid': {
        if (!this.#hasRoom()) return this.drops.count('endpoint.full');
        const created = this.#create(now, remote, key, false);
        created.session.markAddressProven();
        this.#deliver(now, created, datagram);
      }
    }
  }

  #deliver(now: Instant, slot: Slot, datagram: Uint8Array): void {
    slot.session.handleDatagram(now, datagram);
    this.#touch(slot);
  }

  #hasRoom(): boolean {
    const { maxSessions, maxHalfOpen } = this.#limits;
    return (
      this.#slotsById.size - this.#unproven < maxSessions &&
      this.#halfOpen - this.#unproven < maxHalfOpen
    );
  }

  #create(now: Instant, remote: Remote, key: string, isUnproven: boolean): Slot {
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
      isUnproven,
      isHalfOpen: true,
      isDirty: false,
      deadline: null,
      heapIndex: -1,
    };
    this.#slotsByKey.set(key, slot);
    this.#slotsById.set(id, slot);
    this.#halfOpen += 1;
    if (isUnproven) this.#unproven += 1;
    this.#touch(slot);
    return slot;
  }

  #follow(slot: Slot, event: SessionEvent): void {
    if (event.type === 'secure') this.#endUnproven(slot);
    if (event.type === 'connected' || event.type === 'closed') this.#endHalfOpen(slot);
  }

  #endUnproven(slot: Slot): void {
    if (!slot.isUnproven) return;
    slot.isUnproven = false;
    this.#unproven -= 1;
  }

  #endHalfOpen(slot: Slot): void {
    this.#endUnproven(slot);
    if (!slot.isHalfOpen) return;
    slot.isHalfOpen = false;
    this.#halfOpen -= 1;
  }

  #remove(slot: Slot): void {
    this.#endHalfOpen(slot);
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
