import { DropCounters, Fifo, type Instant, type Machine } from '@lumamesh/base';
import {
  type ClientMessage,
  LIMITS,
  PROTOCOL_VERSION,
  type RelayMessage,
  type SignedRelayRecord,
  joinProofText,
  parseClientMessage,
} from '@lumamesh/protocol';
import type { JoinProofs } from './join-proofs.ts';
import { LocalRooms, type RoomFault } from './local-rooms.ts';
import type { RelayCounters, RelayOutput } from './relay-output.ts';
import { NO_REMOTE_ROOMS, type RemoteRoomEvent, type RemoteRooms } from './remote-rooms.ts';
import { FRAME_BURST_SECONDS, type SessionBudget, SessionBudgets } from './session-budget.ts';

/** What the operator may change while the relay runs. */
export interface RelayCoreLimits {
  readonly maxSessions: number;
  readonly maxRoomSize: number;
  /** Frames per second that one session may send in the long run. */
  readonly messagesPerSecond: number;
}

export interface RelayCoreOptions<Session> extends RelayCoreLimits {
  /** Bytes that wait to be sent to a session. */
  readonly queuedBytes: (session: Session) => number;
  readonly joinProofs: JoinProofs;
}

const CLOSING = 'this relay is about to stop: go on by another one';

/**
 * The relay without its socket: rooms, presence, and the passing on of sealed signals
 * (docs/wire-protocol.md). It knows neither the names of rooms nor what is in presence and signals.
 */
export class RelayCore<Session> implements Machine<RelayOutput<Session>> {
  /** There is nothing that it waits for. */
  readonly deadline = null;
  readonly drops = new DropCounters();
  readonly counters: RelayCounters = { joins: 0, signals: 0, errors: 0 };
  readonly #rooms: LocalRooms<Session>;
  readonly #sessions = new Map<Session, SessionBudget>();
  readonly #outputs = new Fifo<RelayOutput<Session>>();
  readonly #remote: RemoteRooms;
  readonly #joinProofs: JoinProofs;
  readonly #budgets = new SessionBudgets();
  #limits: RelayCoreLimits;
  #record: SignedRelayRecord;
  #welcome: string;
  #isClosing = false;

  constructor(
    options: RelayCoreOptions<Session>,
    record: SignedRelayRecord,
    remote: RemoteRooms = NO_REMOTE_ROOMS,
  ) {
    this.#limits = options;
    this.#remote = remote;
    const { drops, counters } = this;
    const { queuedBytes, joinProofs } = options;
    this.#joinProofs = joinProofs;
    this.#rooms = new LocalRooms({ queuedBytes, remote, counters, drops }, this.#outputs);
    this.#record = record;
    this.#welcome = this.#encodeWelcome();
  }

  get counts(): { readonly sessions: number; readonly rooms: number; readonly members: number } {
    return { sessions: this.#sessions.size, ...this.#rooms.counts };
  }

  /** A new record of this relay (new address, new expiry). */
  setRecord(record: SignedRelayRecord): void {
    this.#record = record;
    this.#welcome = this.#encodeWelcome();
  }

  /**
   * Limits that hold from now on: for sessions and members to come, and for the frames of new
   * sessions.
   */
  setLimits(limits: RelayCoreLimits): void {
    this.#limits = limits;
    this.#welcome = this.#encodeWelcome();
  }

  /**
   * The relay is about to stop: sessions are told to go elsewhere, and new ones are turned away.
   */
  handleClosing(): void {
    this.#isClosing = true;
    for (const session of this.#sessions.keys()) this.#fail(session, 'RELAY_CLOSING', CLOSING);
  }

  handleSessionOpen(session: Session): void {
    if (this.#sessions.has(session)) return;
    if (this.#isClosing) {
      this.#fail(session, 'RELAY_CLOSING', CLOSING);
      this.#outputs.push({ type: 'close', session, reason: 'RELAY_CLOSING' });
      return;
    }
    if (this.#sessions.size >= this.#limits.maxSessions) {
      this.#fail(session, 'RELAY_FULL', 'this relay has no room for another session');
      this.#outputs.push({ type: 'close', session, reason: 'RELAY_FULL' });
      return;
    }
    const budget = this.#budgets.make(this.#limits.messagesPerSecond, this.#joinProofs.challenge());
    this.#sessions.set(session, budget);
    this.#sendWelcome(session, budget);
  }

  /** The session's channel is another one now; it hears the welcome there. */
  handleChannelMoved(session: Session): void {
    const budget = this.#sessions.get(session);
    if (budget !== undefined) this.#sendWelcome(session, budget);
  }

  handleSessionClosed(session: Session): void {
    this.#rooms.leaveAll(session);
    this.#sessions.delete(session);
  }

  handleFrame(now: Instant, session: Session, frame: string | Uint8Array): void {
    const budget = this.#sessions.get(session);
    if (budget === undefined) return this.drops.count('relay.unknownSession');
    if (!budget.frames.take(now))
      return this.#strike(
        now,
        session,
        budget,
        'RATE_LIMITED',
        `at most ${this.#limits.messagesPerSecond} frames a second`,
      );
    if (typeof frame !== 'string')
      return this.#strike(now, session, budget, 'BAD_FRAME', 'a frame is text');
    const result = parseClientMessage(frame);
    if (!result.ok)
      return this.#strike(
        now,
        session,
        budget,
        result.fault.code,
        result.fault.message,
        result.fault.room,
      );
    this.#handleMessage(now, session, budget, result.value);
  }

  /** A message larger than the transport takes was skipped. */
  handleOversizedFrame(now: Instant, session: Session): void {
    const budget = this.#sessions.get(session);
    if (budget !== undefined)
      this.#strike(
        now,
        session,
        budget,
        'FRAME_TOO_LARGE',
        `a frame has at most ${LIMITS.maxFrameBytes} bytes`,
      );
  }

  /** Rooms of this relay have changed over other relays. */
  handleRemoteRooms(event: RemoteRoomEvent): void {
    this.#rooms.handleRemote(event);
  }

  handleTimeout(): void {
    // It has no deadline.
  }

  poll(): RelayOutput<Session> | null {
    return this.#outputs.shift() ?? null;
  }

  #handleMessage(
    now: Instant,
    session: Session,
    budget: SessionBudget,
    message: ClientMessage,
  ): void {
    switch (message.action) {
      case 'join': {
        const { room, peer, presence, proof } = message;
        if (!budget.joins.take(now))
          return this.#strike(now, session, budget, 'RATE_LIMITED', 'joining too often', room);
        const { maxRoomSize } = this.#limits;
        const isProven = proof !== undefined;
        if (
          proof !== undefined &&
          !this.#joinProofs.verify(
            peer,
            proof,
            joinProofText(this.#record.nk, budget.challenge, room, peer),
          )
        )
          return this.#strike(now, session, budget, 'BAD_PROOF', 'the id is not proven', room);
        const fault = this.#rooms.join(session, { room, peer, presence, isProven }, maxRoomSize);
        return this.#report(now, session, budget, fault, room);
      }
      case 'leave':
        return this.#rooms.leave(session, message.room);
      case 'signal': {
        const { room, to, data } = message;
        const fault = this.#rooms.signal(session, room, to, data);
        return this.#report(now, session, budget, fault, room);
      }
      case 'nodes':
        return this.#nodes(now, session, budget, message.limit, message.after);
      case 'ping':
        return this.#send(session, { action: 'pong' });
    }
  }

  #nodes(
    now: Instant,
    session: Session,
    budget: SessionBudget,
    limit: number,
    after: string,
  ): void {
    const charge = this.#budgets.takeNodes(now, budget);
    if (charge === 'sessionExceeded')
      return this.#strike(now, session, budget, 'RATE_LIMITED', 'asking for nodes too often');
    if (charge === 'allExceeded')
      return this.#fail(session, 'RATE_LIMITED', 'too many ask for nodes just now');
    const { nodes, next } = this.#remote.nodes(limit, after);
    this.#send(session, {
      action: 'nodes',
      nodes: nodes.length === 0 ? [this.#record] : nodes,
      ...(next === undefined ? {} : { next }),
    });
  }

  #report(
    now: Instant,
    session: Session,
    budget: SessionBudget,
    fault: RoomFault | null,
    room: string,
  ): void {
    if (fault === null) return;
    const { code, message } = fault;
    if (fault.isMistake) this.#strike(now, session, budget, code, message, room);
    else this.#fail(session, code, message, room);
  }

  #send(session: Session, message: RelayMessage): void {
    this.#outputs.push({ type: 'send', session, frame: JSON.stringify(message) });
  }

  #fail(session: Session, code: string, message: string, room?: string): void {
    this.counters.errors += 1;
    this.drops.count(`relay.${code}`);
    this.#send(session, {
      action: 'error',
      code,
      message,
      ...(room === undefined ? {} : { room }),
    });
  }

  #strike(
    now: Instant,
    session: Session,
    budget: SessionBudget,
    code: string,
    message: string,
    room?: string,
  ): void {
    if (budget.strikes.take(now)) return this.#fail(session, code, message, room);
    this.#fail(session, 'TOO_MANY_ERRORS', 'too many frames that could not be taken');
    this.handleSessionClosed(session);
    this.#outputs.push({ type: 'close', session, reason: 'TOO_MANY_ERRORS' });
  }

  /** One text for all, but for the challenge. */
  #sendWelcome(session: Session, { challenge }: SessionBudget): void {
    const frame = `${this.#welcome.slice(0, -1)},"challenge":"${challenge}"}`;
    this.#outputs.push({ type: 'send', session, frame });
  }

  #encodeWelcome(): string {
    const { maxRoomSize, messagesPerSecond } = this.#limits;
    const limits = {
      maxRoomSize,
      maxRoomsPerSession: LIMITS.maxRoomsPerSession,
      maxFrameBytes: LIMITS.maxFrameBytes,
      maxPresenceLength: LIMITS.maxPresenceLength,
      maxSignalLength: LIMITS.maxSignalLength,
      joinsPerSecond: LIMITS.joinsPerSecond,
      joinsBurst: LIMITS.joinsBurst,
      framesPerSecond: messagesPerSecond,
      framesBurst: messagesPerSecond * FRAME_BURST_SECONDS,
    };
    const message: RelayMessage = {
      action: 'welcome',
      version: PROTOCOL_VERSION,
      node: this.#record,
      limits,
    };
    return JSON.stringify(message);
  }
}
