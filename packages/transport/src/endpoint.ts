import {
  DropCounters,
  Fifo,
  type Instant,
  type Machine,
  bytesEqual,
  earlier,
} from '@lumamesh/base';
import { Bandwidth, type Waiting } from './bandwidth.ts';
import { type Source, sourceOf } from './source.ts';
import { CookieGate } from './dtls/cookie-gate.ts';
import { protocolOf } from './demultiplex.ts';
import type { EndpointOptions, EndpointOutput } from './endpoint-types.ts';
import { mayAnswer } from './first-answer.ts';
import { type Remote, fiveTupleKey } from './five-tuple.ts';
import { HandshakeQueue } from './handshake-queue.ts';
import { IceLiteAgent } from './ice/ice-lite-agent.ts';
import type { AdmissionCounts, EndpointLimits } from './session-admission.ts';
import { SessionKeeper } from './session-keeper.ts';
import type { SessionId, SessionTable, Slot } from './session-table.ts';
import type { Session } from './session.ts';
import { stunTransactionId } from './stun/message.ts';
import { TurnServer } from './turn/turn-server.ts';

/**
 * All sessions behind one socket: routes datagrams by five-tuple, makes sessions, keeps their
 * timers in one heap, and bounds them.
 *
 *   STUN Binding ──▶ IceLiteAgent (stateless) ──valid check──▶ new session, below the threshold of unproven ones
 *   DTLS  ──▶ its session; without one ──▶ CookieGate (stateless) ──valid cookie──▶ new session
 *         (a ClientHello from an address that nothing has proven, when the reply to it would be
 *         more than three times what came: CookieGate as well ──valid cookie──▶ its session)
 *   what came for handshakes ──▶ HandshakeQueue, behind all that is open
 *   TURN  ──▶ TurnServer, where there is one
 *   other ──▶ dropped and counted
 */
export class Endpoint implements Machine<EndpointOutput> {
  readonly drops = new DropCounters();
  /** Forwards between browsers; `null` for a relay that introduces and drops out. */
  readonly turn: TurnServer | null;
  /** What everything shares, where that is bounded. */
  readonly bandwidth: Bandwidth | null;
  readonly #options: EndpointOptions;
  readonly #keeper: SessionKeeper;
  readonly #table: SessionTable;
  readonly #agent: IceLiteAgent;
  readonly #gate: CookieGate;
  readonly #handshakes = new HandshakeQueue();
  readonly #replies = new Fifo<EndpointOutput>();
  /** The transaction id of the question that our own program asks, which has its own budget. */
  #ownQuestion: Uint8Array = new Uint8Array(0);
  #isResting = false;

  constructor(now: Instant, options: EndpointOptions) {
    this.#keeper = new SessionKeeper(now, options, this.drops);
    this.#table = this.#keeper.table;
    this.#agent = new IceLiteAgent(options.crypto, options.ice);
    this.#options = options;
    this.#gate = new CookieGate({ ...options.security, crypto: options.crypto }, now);
    const { maxBandwidth, turn } = options;
    this.bandwidth = maxBandwidth === undefined ? null : new Bandwidth(now, maxBandwidth);
    this.turn =
      turn === undefined ? null : new TurnServer(options.crypto, turn, this.drops, this.bandwidth);
  }

  get counts(): AdmissionCounts {
    return this.#keeper.admission.counts;
  }

  /** What all sessions make us hold, at what it costs. */
  get heldBytes(): number {
    return this.#keeper.ledger.bytes;
  }

  get deadline(): Instant | null {
    const sessions = earlier(this.#table.deadline, this.#keeper.paths.deadline);
    const others = earlier(this.turn?.deadline ?? null, this.bandwidth?.deadline ?? null);
    return earlier(sessions, others);
  }

  /**
   * Limits that hold from now on; sessions beyond them stay. The burst of unproven sessions stays
   * what it was at the start.
   */
  setLimits(limits: EndpointLimits): void {
    this.#keeper.admission.setLimits(limits);
    this.#keeper.ledger.setMaxBytes(limits.maxHeldBytes ?? Infinity);
  }

  /** While it rests, nobody is answered but the sessions that there are. */
  setResting(isResting: boolean): void {
    this.#isResting = isResting;
  }

  /** STUN requests with this transaction id are answered whatever else is asked meanwhile. */
  expectQuestion(transactionId: Uint8Array): void {
    this.#ownQuestion = transactionId;
  }

  /** The source of a session's peer; that of nobody for a session that is gone. */
  sourceOf(sessionId: SessionId): Source {
    return this.#table.get(sessionId)?.source ?? sourceOf('');
  }

  /** Where a session is sent to, or `null` for a session that is gone. */
  remoteOf(sessionId: SessionId): Remote | null {
    return this.#table.get(sessionId)?.remote ?? null;
  }

  /** Where a session's peer has shown that it is: what is done to that address, it has asked for. */
  provenRemoteOf(sessionId: SessionId): Remote | null {
    const slot = this.#table.get(sessionId);
    return slot === undefined ? null : this.#keeper.paths.provenRemote(slot);
  }

  /** Whether there is a session or an allocation on a five-tuple. */
  knows(remote: Remote): boolean {
    const key = fiveTupleKey(remote);
    return this.#table.at(key) !== undefined || this.turn?.holds(key) === true;
  }

  /** @param datagram from now on the endpoint's: it may write to its memory, and send from it */
  handleDatagram(now: Instant, remote: Remote, datagram: Uint8Array): void {
    this.#keeper.now = now;
    this.bandwidth?.handleReceived(now, datagram.length);
    const protocol = protocolOf(datagram, this.turn !== null);
    switch (protocol) {
      case 'dtls':
        return this.#handleDtls(now, remote, datagram);
      case 'binding':
        return this.#handleBinding(now, remote, datagram);
      case 'turn':
        return this.#handleTurn(now, remote, datagram);
      case 'channelData':
        return this.turn?.handleChannelData(now, fiveTupleKey(remote), datagram);
      default:
        this.drops.count(protocol);
    }
  }

  /**
   * The connection of a five-tuple has ended, which may be another's soon. An allocation ends with
   * it, and a session that is not open yet; one that is may go on from elsewhere.
   */
  handleDisconnected(now: Instant, remote: Remote): void {
    const key = fiveTupleKey(remote);
    this.turn?.handleDisconnected(key);
    const slot = this.#table.at(key);
    if (slot === undefined) return;
    if (slot.admission === 'open') this.#table.leave(slot);
    else this.close(now, slot.id);
  }

  handleTimeout(now: Instant): void {
    this.#keeper.now = now;
    this.turn?.handleTimeout(now);
    this.#keeper.paths.handleTimeout(now);
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
    if (slot === undefined || !this.#keeper.ledger.allows(slot)) return false;
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
    return this.#keeper.ledger.allows(slot) ? slot.session.held.sendingBytes : Infinity;
  }

  /** Whether handshakes wait to go on. */
  get hasHandshakes(): boolean {
    return !this.#handshakes.isEmpty;
  }

  /** Goes on with the next handshake that waits. @returns Whether there was one. */
  takeHandshake(now: Instant): boolean {
    const next = this.#handshakes.take();
    if (next === null) return false;
    this.#keeper.now = now;
    const { slot, datagram } = next;
    if (this.#table.get(slot.id) === slot) this.#hand(now, slot, datagram);
    return true;
  }

  /**
   * @param withHandshakes whether handshakes go on as well; else they wait for {@link takeHandshake},
   * as who has other things to do wants it
   */
  poll(withHandshakes = true): EndpointOutput | null {
    for (;;) {
      const reply = this.#replies.shift() ?? this.turn?.poll() ?? undefined;
      if (reply !== undefined) return reply;
      const waiting = this.bandwidth?.poll(this.#keeper.now) ?? null;
      if (waiting !== null) return this.#release(waiting);
      const slot = this.#table.nextDirty;
      if (slot === undefined) {
        if (withHandshakes && this.takeHandshake(this.#keeper.now)) continue;
        return null;
      }
      if (this.bandwidth !== null) slot.session.hold(this.bandwidth.holds(slot.key));
      const output = slot.session.poll();
      if (output === null) {
        this.#table.handleDrained(slot);
        if (slot.session.isClosed) this.#keeper.remove(slot);
        else this.#keeper.account(slot);
      } else if (output.type === 'transmit') {
        const { remote } = slot;
        if (!this.#keeper.paths.admits(slot, output.data.length))
          this.drops.count('endpoint.pathLimit');
        else if (this.#mayLeave(slot, output.data))
          return { type: 'transmit', remote, data: output.data };
      } else if (output.type !== 'secure' || this.#keeper.admit(slot)) {
        return { type: 'event', sessionId: slot.id, event: output };
      }
    }
  }

  /** Whether a session's datagram is sent at once: it may wait, or be lost as on any full line. */
  #mayLeave({ remote }: Slot, data: Uint8Array): boolean {
    const verdict = this.bandwidth?.offer(this.#keeper.now, remote, data) ?? 'send';
    if (verdict === 'drop') this.drops.count('endpoint.bandwidthQueue');
    return verdict === 'send';
  }

  /** Something that waited has left: its session goes on when it was the last. */
  #release(waiting: Waiting): Waiting {
    const slot = this.#table.at(fiveTupleKey(waiting.remote));
    if (slot !== undefined && this.bandwidth?.holds(slot.key) === false) this.#table.touch(slot);
    return waiting;
  }

  /** @returns Why nobody is answered who has no session: a drop reason, or `null`. */
  #refusalOfStrangers(now: Instant): string | null {
    if (this.#isResting) return 'endpoint.resting';
    return this.bandwidth?.admitsNewcomers(now) === false ? 'endpoint.bandwidth' : null;
  }

  /** The session, which has to be drained. */
  #touch(sessionId: SessionId): Session | undefined {
    const slot = this.#table.get(sessionId);
    if (slot !== undefined) this.#table.touch(slot);
    return slot?.session;
  }

  #handleBinding(now: Instant, remote: Remote, datagram: Uint8Array): void {
    const key = fiveTupleKey(remote);
    let slot = this.#table.at(key);
    const source = slot?.source ?? sourceOf(remote.address);
    const isOwn = bytesEqual(stunTransactionId(datagram), this.#ownQuestion);
    const { rates } = this.#keeper.admission;
    if (slot === undefined && !rates.takeStun(now, source, isTcp(remote)) && !isOwn)
      return this.drops.count('endpoint.stunBudget');
    const refusalOfStrangers = slot === undefined && !isOwn ? this.#refusalOfStrangers(now) : null;
    const refusal = (ufrag: string | null): string | null =>
      slot === undefined || this.#keeper.takeCheck(slot, ufrag) ? null : 'endpoint.stunBudget';
    const verdict = this.#agent.handleDatagram(remote, datagram, refusal);
    if (verdict.kind === 'drop') return this.drops.count(verdict.drop);
    if (verdict.kind === 'respond') {
      if (refusalOfStrangers !== null) return this.drops.count(refusalOfStrangers);
      return this.#reply(remote, verdict.response);
    }
    const { paths } = this.#keeper;
    const { remoteUfrag, previousUfrag } = verdict;
    if (slot !== undefined) paths.handleOwnCheck(slot, remoteUfrag);
    // Who goes on with a session has no use for another one.
    else if (!paths.handleCheck(now, remote, key, previousUfrag ?? remoteUfrag)) {
      if (previousUfrag !== null) return this.drops.count('endpoint.unknownSession');
      const refusal = refusalOfStrangers ?? this.#keeper.admission.refusal(source);
      if (refusal !== null) return this.drops.count(refusal);
      if (this.#keeper.admission.takeUnproven(now, source)) {
        slot = this.#keeper.create(now, remote, key, 'unproven');
        paths.handleOwnCheck(slot, remoteUfrag);
      }
    }
    this.#reply(remote, verdict.response);
    slot?.session.amplification.count(datagram.length, verdict.response.length);
  }

  /** What strangers ask is within the budget of all STUN requests. */
  #handleTurn(now: Instant, remote: Remote, datagram: Uint8Array): void {
    const key = fiveTupleKey(remote);
    if (this.turn?.holds(key) !== true) {
      const refusal = this.#refusalOfStrangers(now);
      if (refusal !== null) return this.drops.count(refusal);
      const { rates } = this.#keeper.admission;
      if (!rates.takeTurn(now, sourceOf(remote.address), isTcp(remote)))
        return this.drops.count('endpoint.stunBudget');
    }
    this.turn?.handleStun(now, remote, key, datagram);
  }

  #handleDtls(now: Instant, remote: Remote, datagram: Uint8Array): void {
    const key = fiveTupleKey(remote);
    const slot = this.#table.at(key);
    if (slot?.session.amplification.isProven === true) return this.#deliver(now, slot, datagram);
    const verdict = this.#gate.inspect(now, remote, datagram);
    const refusal =
      slot === undefined && verdict.kind !== 'other' ? this.#refusalOfStrangers(now) : null;
    if (refusal !== null) return this.drops.count(refusal);
    switch (verdict.kind) {
      case 'other':
        if (slot === undefined) {
          if (!this.#keeper.paths.handleRecord(now, remote, key, datagram))
            this.drops.count('endpoint.unknownSession');
          return;
        }
        // Only the cookie moves it on: a later fragment of the first ClientHello would get the
        // flight for whichever this session began with, numbered as the client does not expect.
        if (verdict.isHello && slot.isChallenged) return this.drops.count('endpoint.challenged');
        return this.#deliver(now, slot, datagram);
      case 'challenge': {
        if (slot !== undefined && mayAnswer(slot, verdict, datagram.length, this.#options)) {
          slot.helloRandom ??= verdict.random.slice();
          return this.#deliver(now, slot, datagram);
        }
        if (!this.#takeChallenge(now, remote)) return this.drops.count('endpoint.challengeBudget');
        const response = verdict.respond();
        if (slot !== undefined) {
          slot.isChallenged = true;
          // Less than twice the smallest ClientHello, so it may always be sent.
          slot.session.amplification.count(datagram.length, response.length);
        }
        return this.#reply(remote, response);
      }
      case 'incomplete':
        // The answer to a HelloRetryRequest of the session's own.
        if (slot !== undefined && !slot.isChallenged) return this.#deliver(now, slot, datagram);
        if (!this.#takeChallenge(now, remote)) return this.drops.count('endpoint.challengeBudget');
        return verdict.hold();
      case 'valid': {
        const proven = this.#keeper.createProven(now, remote, key, slot);
        if (proven === null) return;
        proven.session.markAddressProven(verdict.messageSeq);
        if (verdict.before !== null) this.#deliver(now, proven, verdict.before);
        this.#deliver(now, proven, datagram);
      }
    }
  }

  #takeChallenge(now: Instant, remote: Remote): boolean {
    const source = sourceOf(remote.address);
    return this.#keeper.admission.rates.takeChallenge(now, source, isTcp(remote));
  }

  #deliver(now: Instant, slot: Slot, datagram: Uint8Array): void {
    if (slot.admission === 'open' && !this.#handshakes.holds(slot))
      return this.#hand(now, slot, datagram);
    const lost = this.#handshakes.add(slot, datagram);
    if (lost !== null) this.drops.count(`endpoint.handshakes.${lost}`);
  }

  #hand(now: Instant, slot: Slot, datagram: Uint8Array): void {
    slot.session.handleDatagram(now, datagram);
    this.#keeper.paths.handleDelivered(slot, datagram.length);
    this.#table.touch(slot);
  }

  #reply(remote: Remote, data: Uint8Array): void {
    this.bandwidth?.spend(this.#keeper.now, data.length);
    this.#replies.push({ type: 'transmit', remote, data });
  }
}

function isTcp({ transport }: Remote): boolean {
  return transport !== undefined;
}
