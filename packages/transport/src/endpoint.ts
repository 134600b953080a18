import {
  DropCounters,
  Fifo,
  type Instant,
  type Machine,
  TokenBucket,
  bytesEqual,
} from '@lumamesh/base';
import { type Source, sourceOf } from './source.ts';
import { CookieGate } from './dtls/cookie-gate.ts';
import { maxFirstFlightBytes } from './dtls/first-flight.ts';
import { isDtls } from './dtls/record/record.ts';
import type { EndpointOptions, EndpointOutput } from './endpoint-types.ts';
import { type Remote, fiveTupleKey } from './five-tuple.ts';
import { HeldLedger } from './held-ledger.ts';
import { IceLiteAgent } from './ice/ice-lite-agent.ts';
import {
  type AdmissionCounts,
  type EndpointLimits,
  SessionAdmission,
} from './session-admission.ts';
import { type SessionId, SessionTable, type Slot } from './session-table.ts';
import { Session } from './session.ts';
import { isStun, stunTransactionId } from './stun/message.ts';

/** Larger than any datagram of a browser; what exceeds it is not worth looking at. */
const MAX_DATAGRAM_RECEIVED_BYTES = 4096;
/** A browser checks every 50 ms while it connects, and every 2.5 s from then on. */
const CHECKS_PER_SECOND = 10;
const CHECKS_BURST = 100;

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
  readonly #admission: SessionAdmission<Slot>;
  readonly #ledger: HeldLedger<Slot>;
  readonly #agent: IceLiteAgent;
  readonly #gate: CookieGate;
  readonly #table = new SessionTable();
  readonly #replies = new Fifo<EndpointOutput>();
  readonly #firstFlightBytes: number;
  readonly #onDrop = (reason: string): void => this.drops.count(reason);
  #now: Instant;
  /** The transaction id of the question that our own program asks, which has its own budget. */
  #ownQuestion: Uint8Array = new Uint8Array(0);

  constructor(now: Instant, options: EndpointOptions) {
    this.#now = now;
    this.#options = options;
    this.#admission = new SessionAdmission(options.limits);
    this.#ledger = new HeldLedger(options.limits.maxHeldBytes ?? Infinity);
    this.#agent = new IceLiteAgent(options.crypto, options.ice);
    this.#gate = new CookieGate(options.crypto, now);
    this.#firstFlightBytes = maxFirstFlightBytes(options);
  }

  get counts(): AdmissionCounts {
    return this.#admission.counts;
  }

  /** What all sessions make us hold, at what it costs. */
  get heldBytes(): number {
    return this.#ledger.bytes;
  }

  get deadline(): Instant | null {
    return this.#table.deadline;
  }

  /**
   * Limits that hold from now on; sessions beyond them stay. The burst of unproven sessions stays
   * what it was at the start.
   */
  setLimits(limits: EndpointLimits): void {
    this.#admission.setLimits(limits);
    this.#ledger.setMaxBytes(limits.maxHeldBytes ?? Infinity);
  }

  /** STUN requests with this transaction id are answered whatever else is asked meanwhile. */
  expectQuestion(transactionId: Uint8Array): void {
    this.#ownQuestion = transactionId;
  }

  /** The source of a session's peer; that of nobody for a session that is gone. */
  sourceOf(sessionId: SessionId): Source {
    return this.#table.get(sessionId)?.source ?? sourceOf('');
  }

  /** Where a session's peer is, or `null` for a session that is gone. */
  remoteOf(sessionId: SessionId): Remote | null {
    return this.#table.get(sessionId)?.remote ?? null;
  }

  handleDatagram(now: Instant, remote: Remote, datagram: Uint8Array): void {
    this.#now = now;
    const first = datagram[0];
    if (first === undefined || datagram.length > MAX_DATAGRAM_RECEIVED_BYTES)
      this.drops.count('endpoint.size');
    else if (isDtls(first)) this.#handleDtls(now, remote, datagram);
    else if (isStun(first)) this.#handleStun(now, remote, datagram);
    else this.drops.count('endpoint.unknownProtocol');
  }

  handleTimeout(now: Instant): void {
    this.#now = now;
    for (let slot = this.#table.takeDue(now); slot !== null; slot = this.#table.takeDue(now)) {
      slot.session.handleTimeout(now);
      this.#table.touch(slot);
    }
  }

  /**
   * Queues a message for a session.
   * @returns False when the session or channel is gone, or too much is waiting for it.
   */
  send(now: Instant, sessionId: SessionId, channelId: number, data: string | Uint8Array): boolean {
    const slot = this.#table.get(sessionId);
    if (slot === undefined || !this.#ledger.allows(slot)) return false;
    this.#table.touch(slot);
    return slot.session.send(now, channelId, data);
  }

  /** Ends a session after what is queued for it was delivered. */
  closeGracefully(now: Instant, sessionId: SessionId): void {
    this.#touch(sessionId)?.closeGracefully(now);
  }

  close(now: Instant, sessionId: SessionId): void {
    this.#touch(sessionId)?.close(now);
  }

  /** Closes one channel of a session; the others stay. */
  closeChannel(now: Instant, sessionId: SessionId, channelId: number): void {
    this.#touch(sessionId)?.closeChannel(now, channelId);
  }

  closeAll(now: Instant): void {
    for (const { id } of this.#table.all()) this.close(now, id);
  }

  /**
   * What waits to be sent to a session or to be acknowledged by it, at what it costs; without end
   * while nothing more is kept for it.
   */
  sendingBytes(sessionId: SessionId): number {
    const slot = this.#table.get(sessionId);
    if (slot === undefined) return 0;
    return this.#ledger.allows(slot) ? slot.session.held.sendingBytes : Infinity;
  }

  poll(): EndpointOutput | null {
    for (;;) {
      const reply = this.#replies.shift();
      if (reply !== undefined) return reply;
      const slot = this.#table.nextDirty;
      if (slot === undefined) return null;
      const output = slot.session.poll();
      if (output === null) {
        this.#table.handleDrained(slot);
        if (slot.session.isClosed) this.#remove(slot);
        else this.#account(slot);
      } else if (output.type === 'transmit') {
        return { type: 'transmit', remote: slot.remote, data: output.data };
      } else if (output.type !== 'secure' || this.#admit(slot)) {
        return { type: 'event', sessionId: slot.id, event: output };
      }
    }
  }

  /** The session, which has to be drained. */
  #touch(sessionId: SessionId): Session | undefined {
    const slot = this.#table.get(sessionId);
    if (slot !== undefined) this.#table.touch(slot);
    return slot?.session;
  }

  #handleStun(now: Instant, remote: Remote, datagram: Uint8Array): void {
    const key = fiveTupleKey(remote);
    let slot = this.#table.at(key);
    const source = slot?.source ?? sourceOf(remote.address);
    const isWithin =
      slot === undefined ? this.#admission.rates.takeStun(now, source) : slot.checks.take(now);
    if (!isWithin && !bytesEqual(stunTransactionId(datagram), this.#ownQuestion))
      return this.drops.count('endpoint.stunBudget');
    const verdict = this.#agent.handleDatagram(remote, datagram);
    if (verdict.kind === 'drop') return this.drops.count(verdict.drop);
    if (verdict.kind === 'respond') return this.#reply(remote, verdict.response);
    if (slot === undefined) {
      const refusal = this.#admission.refusal(source);
      if (refusal !== null) return this.drops.count(refusal);
      if (this.#admission.takeUnproven(now, source))
        slot = this.#create(now, remote, key, 'unproven');
    }
    this.#reply(remote, verdict.response);
    slot?.session.amplification.count(datagram.length, verdict.response.length);
  }

  #handleDtls(now: Instant, remote: Remote, datagram: Uint8Array): void {
    const key = fiveTupleKey(remote);
    const slot = this.#table.at(key);
    if (slot?.session.amplification.isProven === true) return this.#deliver(now, slot, datagram);
    const verdict = this.#gate.inspect(now, remote, datagram);
    switch (verdict.kind) {
      case 'other':
        if (slot === undefined) return this.drops.count('endpoint.unknownSession');
        return this.#deliver(now, slot, datagram);
      case 'challenge': {
        const { random, missingBytes } = verdict;
        if (slot !== undefined && this.#mayAnswer(slot, random, datagram.length + missingBytes)) {
          slot.helloRandom ??= random.slice();
          return this.#deliver(now, slot, datagram);
        }
        if (!this.#admission.rates.takeChallenge(now, sourceOf(remote.address)))
          return this.drops.count('endpoint.challengeBudget');
        const response = verdict.respond();
        if (slot !== undefined) {
          slot.isChallenged = true;
          // Smaller than any ClientHello, so it may always be sent.
          slot.session.amplification.count(datagram.length, response.length);
        }
        return this.#reply(remote, response);
      }
      case 'valid': {
        const proven = this.#createProven(now, remote, key, slot);
        if (proven === null) return;
        proven.session.markAddressProven(verdict.messageSeq);
        this.#deliver(now, proven, datagram);
      }
    }
  }

  /**
   * A session for an address that has just been proven. What was there without proof, and may have
   * begun with a stranger's ClientHello, goes.
   */
  #createProven(now: Instant, remote: Remote, key: string, before: Slot | undefined): Slot | null {
    const source = sourceOf(remote.address);
    const refusal = this.#admission.refusalOfHandshake(now, source);
    if (refusal !== null) {
      this.drops.count(refusal);
      return null;
    }
    if (before !== undefined)
      this.#evict(before, before.helloRandom === null ? null : 'endpoint.replaced');
    const inTheWay = this.#admission.inTheWay(source);
    if (inTheWay !== null) this.#evict(inTheWay, 'endpoint.evicted');
    return this.#create(now, remote, key, 'proven');
  }

  /** Ends a session to make room; it counts nowhere from now on. */
  #evict(slot: Slot, reason: string | null): void {
    if (reason !== null) this.drops.count(reason);
    this.#admission.handleRemoved(slot);
    this.#ledger.update(slot, 0);
    slot.session.close(this.#now);
    this.#table.release(slot);
  }

  /**
   * Whether the session itself replies to a ClientHello of an unproven address: to the one it began
   * with, if three times what came is enough for it.
   */
  #mayAnswer(slot: Slot, random: Uint8Array, arrivingBytes: number): boolean {
    return (
      !slot.isChallenged &&
      (slot.helloRandom === null || bytesEqual(slot.helloRandom, random)) &&
      slot.session.amplification.allows(this.#firstFlightBytes, arrivingBytes)
    );
  }

  #deliver(now: Instant, slot: Slot, datagram: Uint8Array): void {
    slot.session.handleDatagram(now, datagram);
    this.#table.touch(slot);
  }

  #create(now: Instant, remote: Remote, key: string, admission: 'unproven' | 'proven'): Slot {
    const { crypto, certificate, requestClientCertificate, negotiatedChannels, sessionLimits } =
      this.#options;
    const session = Session.server(
      now,
      { crypto, certificate, requestClientCertificate, negotiatedChannels, limits: sessionLimits },
      this.#onDrop,
    );
    const slot: Slot = {
      id: this.#table.takeId(),
      remote,
      key,
      session,
      source: sourceOf(remote.address),
      checks: new TokenBucket(CHECKS_PER_SECOND, CHECKS_BURST),
      heldBytes: 0,
      helloRandom: null,
      admission,
      isChallenged: false,
      isDirty: false,
      deadline: null,
      heapIndex: -1,
    };
    this.#table.add(slot);
    this.#admission.handleCreated(slot);
    return slot;
  }

  /** The handshake is done. @returns Whether there is room for the session. */
  #admit(slot: Slot): boolean {
    const refusal = this.#admission.refusal(slot.source);
    // Thousands of sessions would keep it for nothing.
    slot.helloRandom = null;
    if (refusal === null) this.#admission.handleOpen(slot);
    else this.#evict(slot, refusal);
    return refusal === null;
  }

  /** Counts what the session makes us hold; ends the greediest while all hold too much. */
  #account(slot: Slot): void {
    this.#ledger.update(slot, slot.session.held.bytes);
    while (this.#ledger.isExceeded) {
      const greediest = this.#ledger.greediest(this.#table.all());
      if (greediest === null || greediest.heldBytes === 0) return;
      this.#evict(greediest, 'endpoint.shed');
    }
  }

  #remove(slot: Slot): void {
    this.#admission.handleRemoved(slot);
    this.#ledger.update(slot, 0);
    this.#table.remove(slot);
  }

  #reply(remote: Remote, data: Uint8Array): void {
    this.#replies.push({ type: 'transmit', remote, data });
  }
}
