import { DropCounters, Fifo, type Instant, type Machine, earlier, instant } from '@lumamesh/base';
import { type Rate, type Source, SourceBudget } from '@lumamesh/transport';
import {
  type ClientMessage,
  type DialledBack,
  LIMITS,
  type RelayMessage,
  type SignedRelayRecord,
  joinProofText,
  parseClientMessage,
} from '@lumamesh/protocol';
import { AccessGate, type AccessTokens, EVERYBODY } from './access-gate.ts';
import { DialBacks } from './dial-backs.ts';
import type { JoinProofs } from './join-proofs.ts';
import { LocalRooms, type RoomFault, TOO_MANY_JOINS } from './local-rooms.ts';
import type { RelayCounters, RelayOutput } from './relay-output.ts';
import { NO_REMOTE_ROOMS, type RemoteRoomEvent, type RemoteRooms } from './remote-rooms.ts';
import { type SessionBudget, SessionBudgets } from './session-budget.ts';
import { type PlaceLimits, type PlaceRefusal, SourcePlaces } from './source-places.ts';
import type { TurnAccess } from './turn-access.ts';
import { encodeWelcome } from './welcome.ts';

/** What the operator may change while the relay runs. */
export interface RelayCoreLimits extends PlaceLimits {
  readonly maxRoomSize: number;
  /** Frames per second that one session may send in the long run. */
  readonly messagesPerSecond: number;
  /** Members that joins and new presence of one address are told to, in the long run. */
  readonly deliveriesPerSecond: number;
  /** Frames taken from one address, in the long run. */
  readonly bytesPerSecond: number;
  /** Relays dialled because they asked to be; 0: none. */
  readonly dialBacksPerMinute: number;
}

export interface RelayCoreOptions<Session> extends RelayCoreLimits {
  /** Bytes that wait to be sent to a session. */
  readonly queuedBytes: (session: Session) => number;
  readonly joinProofs: JoinProofs;
  /** Who is let in; everybody without it. */
  readonly access?: AccessTokens;
  readonly sourceOf: (session: Session) => Source;
  /** Where the relay forwards between browsers. */
  readonly turn?: TurnAccess<Session>;
}

/** To verify a signature costs what so many frames do. */
const DELIVERIES_PER_PROOF = 4;
/** What an address may do at once is what it may do in so long. */
const SOURCE_BURST_SECONDS = 10;
const PRIVATE = 'this relay is private: it lets in who shows a token of its operator';
const CLOSING = 'this relay takes no sessions any more: go on by another one';
/**
 * So many are welcome at once; of more each has a millisecond, which is what a set-up costs a core
 * (docs/performance.md).
 */
const RETURN_AT_ONCE = 250;
const HANDED_OVER = 'another process of this relay goes on: dial it again';

/**
 * The relay without its socket: rooms, presence, and the passing on of sealed signals
 * (docs/wire-protocol.md). It knows neither the names of rooms nor what is in presence and signals.
 */
export class RelayCore<Session> implements Machine<RelayOutput<Session>> {
  readonly drops = new DropCounters();
  readonly counters: RelayCounters = {
    joins: 0,
    signals: 0,
    errors: 0,
    accessDenied: 0,
    dialBacks: { reached: 0, unreached: 0, unknown: 0 },
  };
  readonly #rooms: LocalRooms<Session>;
  readonly #sessions = new Map<Session, SessionBudget>();
  readonly #outputs = new Fifo<RelayOutput<Session>>();
  readonly #remote: RemoteRooms;
  readonly #joinProofs: JoinProofs;
  readonly #budgets = new SessionBudgets();
  readonly #places = new SourcePlaces();
  readonly #dialBacks: DialBacks<Session>;
  readonly #access: AccessGate<Session>;
  readonly #deliveries: SourceBudget;
  readonly #bytes: SourceBudget;
  readonly #sourceOf: (session: Session) => Source;
  #limits: RelayCoreLimits;
  #record: SignedRelayRecord;
  #welcome: string;
  #isClosing = false;
  #now = instant(0);

  constructor(
    options: RelayCoreOptions<Session>,
    record: SignedRelayRecord,
    remote: RemoteRooms = NO_REMOTE_ROOMS,
  ) {
    this.#limits = options;
    this.#remote = remote;
    const { drops, counters } = this;
    const { queuedBytes, sourceOf, joinProofs } = options;
    this.#joinProofs = joinProofs;
    this.#sourceOf = sourceOf;
    this.#deliveries = new SourceBudget(burstOf(options.deliveriesPerSecond));
    this.#bytes = new SourceBudget(burstOf(options.bytesPerSecond));
    this.#dialBacks = new DialBacks(options.dialBacksPerMinute);
    this.#access = new AccessGate(options.access ?? EVERYBODY);
    const hostOf = (session: Session): string => this.#sessions.get(session)?.source.host ?? '';
    const networkOf = (session: Session): string =>
      this.#sessions.get(session)?.source.network ?? '';
    const takeDeliveries = (session: Session, members: number): boolean => {
      const source = this.#sessions.get(session)?.source;
      return source !== undefined && this.#deliveries.take(this.#now, source, members);
    };
    this.#rooms = new LocalRooms(
      this.#now,
      {
        queuedBytes,
        hostOf,
        networkOf,
        takeDeliveries,
        remote,
        counters,
        drops,
        turn: options.turn ?? null,
      },
      this.#outputs,
    );
    this.#record = record;
    this.#welcome = encodeWelcome(this.#record, this.#limits);
  }

  get deadline(): Instant | null {
    return earlier(this.#rooms.deadline, this.#access.deadline);
  }

  /** Tokens that let in, `null` where everybody comes in; and sessions that have not shown one yet. */
  get access(): { readonly tokens: number | null; readonly waiting: number } {
    return this.#access.counts;
  }

  get counts(): { readonly sessions: number; readonly rooms: number; readonly members: number } {
    return { sessions: this.#sessions.size, ...this.#rooms.counts };
  }

  /** A new record of this relay (new address, new expiry). */
  setRecord(record: SignedRelayRecord): void {
    this.#record = record;
    this.#welcome = encodeWelcome(this.#record, this.#limits);
  }

  /**
   * Limits that hold from now on: for sessions and members to come, and for the frames of new
   * sessions.
   */
  setLimits(limits: RelayCoreLimits): void {
    this.#limits = limits;
    this.#deliveries.setRate(burstOf(limits.deliveriesPerSecond));
    this.#bytes.setRate(burstOf(limits.bytesPerSecond));
    this.#dialBacks.setRate(limits.dialBacksPerMinute);
    this.#welcome = encodeWelcome(this.#record, this.#limits);
  }

  /** Who is let in from now on. Sessions that came in by a token that is gone end. */
  setAccess(tokens: AccessTokens): void {
    for (const session of this.#access.setTokens(this.#now, tokens, this.#sessions))
      this.#end(
        session,
        'ACCESS_DENIED',
        'the token by which you came in holds no longer',
        'RELAY_PRIVATE',
      );
  }

  /**
   * The relay is about to stop, or to rest: sessions are told to go elsewhere, and new ones are
   * turned away.
   * @param hasSuccessor whether another process takes over: then they are to come back at once, or
   *   one after another where there are many
   */
  handleClosing(hasSuccessor = false): void {
    this.#isClosing = true;
    const { size } = this.#sessions;
    const successor = size <= RETURN_AT_ONCE ? 0 : Math.min(size, LIMITS.maxReturnMs);
    for (const session of this.#sessions.keys()) {
      if (!hasSuccessor) this.#fail(session, 'RELAY_CLOSING', CLOSING);
      else
        this.#send(session, {
          action: 'error',
          code: 'RELAY_CLOSING',
          message: HANDED_OVER,
          successor,
        });
    }
  }

  /** It has rested: new sessions are welcome. */
  handleReopened(): void {
    this.#isClosing = false;
  }

  handleSessionOpen(session: Session): void {
    if (this.#sessions.has(session)) return;
    if (this.#isClosing) {
      this.#fail(session, 'RELAY_CLOSING', CLOSING);
      this.#outputs.push({ type: 'close', session, reason: 'RELAY_CLOSING' });
      return;
    }
    const source = this.#sourceOf(session);
    const refusal = this.#refusal(source);
    if (refusal !== null) {
      this.#fail(session, 'RELAY_FULL', refusal.message);
      const reason = refusal.of === 'address' ? 'ADDRESS_FULL' : 'RELAY_FULL';
      this.#outputs.push({ type: 'close', session, reason });
      return;
    }
    this.#places.change(source, 1);
    const challenge = this.#joinProofs.challenge();
    const budget = this.#budgets.make(this.#limits.messagesPerSecond, source, challenge);
    this.#sessions.set(session, budget);
    this.#access.handleOpen(this.#now, session, source);
    this.#sendWelcome(session, budget);
  }

  /** The session's channel is another one now; it hears the welcome there. */
  handleChannelMoved(session: Session): void {
    const budget = this.#sessions.get(session);
    if (budget !== undefined) this.#sendWelcome(session, budget);
  }

  handleSessionClosed(session: Session): void {
    const budget = this.#sessions.get(session);
    if (budget === undefined) return;
    this.#rooms.leaveAll(session);
    this.#sessions.delete(session);
    this.#access.handleClosed(session);
    this.#places.change(budget.source, -1);
  }

  handleFrame(now: Instant, session: Session, frame: string | Uint8Array): void {
    this.handleTimeout(now);
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
    // Others of its address may have sent them: no mistake of this session.
    if (!this.#bytes.take(now, budget.source, frame.length))
      return this.#fail(session, 'RATE_LIMITED', 'too many bytes come from your address');
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

  /** What came of the `dialBack` of a session, which may be gone meanwhile. */
  handleDialledBack(session: Session, { result, address }: Omit<DialledBack, 'action'>): void {
    if (!this.#dialBacks.finish(session)) return;
    this.counters.dialBacks[result] += 1;
    const answer: DialledBack = { action: 'dialled-back', result, address };
    if (this.#sessions.has(session)) this.#send(session, answer);
  }

  /** Rooms of this relay have changed over other relays. */
  handleRemoteRooms(event: RemoteRoomEvent): void {
    this.#rooms.handleRemote(event);
  }

  handleTimeout(now: Instant): void {
    this.#now = now;
    for (const session of this.#access.takeLate(now)) this.#end(session, 'RELAY_PRIVATE', PRIVATE);
    this.#rooms.handleTimeout(now);
  }

  poll(): RelayOutput<Session> | null {
    // Before more is said, what was said before is on its way: it counts for its receiver.
    while (this.#outputs.size === 0 && this.#rooms.advance());
    return this.#outputs.shift() ?? null;
  }

  /** @returns Why there is no place for a session, also when who has shown no token gives way. */
  #refusal(source: Source): PlaceRefusal | null {
    const refusal = this.#places.refusal(source, this.#limits);
    const stranger = refusal?.of === 'relay' ? this.#access.inTheWay(source) : null;
    if (stranger === null) return refusal;
    this.drops.count('relay.strangerPutOut');
    this.handleSessionClosed(stranger);
    const reason = 'RELAY_PRIVATE';
    this.#outputs.push({ type: 'close', session: stranger, reason, isAbrupt: true });
    return this.#places.refusal(source, this.#limits);
  }

  #handleMessage(
    now: Instant,
    session: Session,
    budget: SessionBudget,
    message: ClientMessage,
  ): void {
    const { action } = message;
    if (action === 'access') return this.#prove(now, session, budget, message.proof);
    if (action !== 'ping' && !this.#access.has(session))
      return this.#strike(
        now,
        session,
        budget,
        'RELAY_PRIVATE',
        PRIVATE,
        'room' in message ? message.room : undefined,
      );
    switch (message.action) {
      case 'join': {
        const { room, peer, presence, proof } = message;
        if (!budget.joins.take(now))
          return this.#strike(now, session, budget, 'RATE_LIMITED', 'joining too often', room);
        const { maxRoomSize } = this.#limits;
        const isProven = proof !== undefined;
        if (isProven && !this.#deliveries.take(now, budget.source, DELIVERIES_PER_PROOF))
          return this.#report(now, session, budget, TOO_MANY_JOINS, room);
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
      case 'dial-back':
        return this.#dialBack(now, session, budget, message.record);
      case 'ping':
        return this.#send(session, { action: 'pong' });
    }
  }

  /** One guess is all that a session has. */
  #prove(now: Instant, session: Session, budget: SessionBudget, proof: string): void {
    const { source, challenge } = budget;
    const verdict = this.#access.prove(now, session, source, challenge, proof);
    if (verdict === 'admitted') return;
    this.counters.accessDenied += 1;
    const why = {
      wrong: 'this relay does not know your token',
      revoked: 'your token holds no longer',
      tooMany: 'too many wrong tokens came from your address: try again in some minutes',
    }[verdict];
    // A guess is what its address has done; that others guess is not.
    this.#end(
      session,
      'ACCESS_DENIED',
      why,
      verdict === 'wrong' ? 'ACCESS_DENIED' : 'RELAY_PRIVATE',
    );
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
    if (charge === 'othersExceeded')
      return this.#fail(session, 'RATE_LIMITED', 'too many ask for nodes just now');
    const { nodes, next } = this.#remote.nodes(limit, after);
    this.#send(session, {
      action: 'nodes',
      nodes: nodes.length === 0 ? [this.#record] : nodes,
      ...(next === undefined ? {} : { next }),
    });
  }

  #dialBack(
    now: Instant,
    session: Session,
    budget: SessionBudget,
    record: SignedRelayRecord,
  ): void {
    const charge = this.#dialBacks.take(now, session, budget.source);
    if (charge === 'taken') this.#outputs.push({ type: 'dialBack', session, record });
    else if (charge === 'off') this.#fail(session, 'DIAL_BACK_OFF', 'this relay dials nobody back');
    else if (charge === 'othersExceeded')
      this.#fail(session, 'RATE_LIMITED', 'too many ask to be dialled back just now');
    else this.#strike(now, session, budget, 'RATE_LIMITED', 'asking to be dialled back too often');
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

  #send(session: Session, message: RelayMessage | DialledBack): void {
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
    this.#end(session, 'TOO_MANY_ERRORS', 'too many frames that could not be taken');
  }

  /** Tells a session why it ends, and ends it. */
  #end(session: Session, code: string, message: string, reason = code): void {
    this.#fail(session, code, message);
    this.handleSessionClosed(session);
    this.#outputs.push({ type: 'close', session, reason });
  }

  /** One text for all, but for the challenge. */
  #sendWelcome(session: Session, { challenge }: SessionBudget): void {
    const frame = `${this.#welcome.slice(0, -1)},"challenge":"${challenge}"}`;
    this.#outputs.push({ type: 'send', session, frame });
  }
}

function burstOf(perSecond: number): Rate {
  return { perSecond, burst: perSecond * SOURCE_BURST_SECONDS };
}
