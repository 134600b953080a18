import { DropCounters, Fifo, type Instant, type Machine } from '@lumamesh/base';
import {
  type ClientMessage,
  LIMITS,
  PROTOCOL_VERSION,
  type RelayMessage,
  type SignedRelayRecord,
  parseClientMessage,
} from '@lumamesh/protocol';
import { joinedPages } from './joined-pages.ts';
import {
  type LocalRoomEvent,
  NO_REMOTE_ROOMS,
  type RemoteRoomEvent,
  type RemoteRooms,
} from './remote-rooms.ts';
import { type Membership, RoomDirectory } from './room-directory.ts';
import { type SessionBudget, SessionBudgets } from './session-budget.ts';

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
}

/**
 * What the relay does next. `send` gives a frame for a session's channel; `close` ends a session after
 * what was sent to it; a {@link LocalRoomEvent} is for the mesh, where there is one.
 */
export type RelayOutput<Session> =
  | { readonly type: 'send'; readonly session: Session; readonly frame: string }
  | { readonly type: 'close'; readonly session: Session; readonly reason: string }
  | LocalRoomEvent;

export interface RelayCounters {
  joins: number;
  signals: number;
  errors: number;
}

/**
 * With so much waiting for it, a session is sent no further signals: what other members send must not
 * take the place that its own news need.
 */
const SIGNAL_HIGH_WATER_BYTES = 262_144;
/** A peer that reconnects may stand twice until its old session has expired, and once more by bad luck. */
const MAX_SESSIONS_PER_PEER = 3;

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
  readonly #options: RelayCoreOptions<Session>;
  readonly #rooms = new RoomDirectory<Session>();
  readonly #sessions = new Map<Session, SessionBudget>();
  readonly #outputs = new Fifo<RelayOutput<Session>>();
  readonly #remote: RemoteRooms;
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
    this.#options = options;
    this.#limits = options;
    this.#remote = remote;
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

  /** Limits that hold from now on: for sessions and members to come, and for the frames of new sessions. */
  setLimits(limits: RelayCoreLimits): void {
    this.#limits = limits;
    this.#welcome = this.#encodeWelcome();
  }

  /** The relay is about to stop: sessions are told to go elsewhere, and new ones are turned away. */
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
    this.#sessions.set(session, this.#budgets.make(this.#limits.messagesPerSecond));
    this.#outputs.push({ type: 'send', session, frame: this.#welcome });
  }

  /** The session's channel is another one now; it hears the welcome there. */
  handleChannelMoved(session: Session): void {
    if (this.#sessions.has(session))
      this.#outputs.push({ type: 'send', session, frame: this.#welcome });
  }

  handleSessionClosed(session: Session): void {
    for (const room of this.#rooms.roomsOf(session)) this.#leave(session, room);
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
    const { room } = event;
    switch (event.type) {
      case 'remotePresent':
        if (this.#rooms.sessionsAs(room, event.member.peer) > 0) return;
        return this.#broadcast(this.#rooms.membersOf(room), {
          action: 'peer-joined',
          room,
          ...event.member,
        });
      case 'remoteAbsent':
        if (this.#rooms.sessionsAs(room, event.peer) > 0 || this.#remote.has(room, event.peer))
          return;
        return this.#broadcast(this.#rooms.membersOf(room), {
          action: 'peer-left',
          room,
          peer: event.peer,
        });
      case 'remoteSignal':
        return this.#handleRemoteSignal(event);
    }
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
      case 'join':
        if (!budget.joins.take(now))
          return this.#strike(
            now,
            session,
            budget,
            'RATE_LIMITED',
            'joining too often',
            message.room,
          );
        return this.#join(session, message.room, message.peer, message.presence);
      case 'leave':
        return this.#leave(session, message.room);
      case 'signal':
        return this.#signal(now, session, budget, message);
      case 'nodes':
        return this.#nodes(now, session, budget, message.limit, message.after);
      case 'ping':
        return this.#send(session, { action: 'pong' });
    }
  }

  /** Joining again updates the presence; joining as another peer leaves first. */
  #join(session: Session, room: string, peer: string, presence: string): void {
    const existing = this.#rooms.membershipOf(session, room);
    if (existing !== null && existing.peer !== peer) this.#leave(session, room);
    // The mesh forgets a room that nobody is in any more, also for a moment, and hears of it anew.
    const isForgotten = existing !== null && this.#rooms.sizeOf(room) === 0;
    if (existing?.peer === peer) existing.presence = presence;
    else {
      if (this.#rooms.roomCountOf(session) >= LIMITS.maxRoomsPerSession)
        return this.#fail(
          session,
          'TOO_MANY_ROOMS',
          `a session is in at most ${LIMITS.maxRoomsPerSession} rooms`,
          room,
        );
      if (this.#rooms.sizeOf(room) >= this.#limits.maxRoomSize)
        return this.#fail(
          session,
          'ROOM_FULL',
          `a room has at most ${this.#limits.maxRoomSize} members`,
          room,
        );
      if (this.#rooms.sessionsAs(room, peer) >= MAX_SESSIONS_PER_PEER)
        return this.#fail(
          session,
          'PEER_ID_IN_USE',
          'this peer is in the room over other sessions',
          room,
        );
      this.#rooms.add(session, room, peer, presence);
    }
    this.counters.joins += 1;
    this.#outputs.push({ type: 'localPresent', room, peer, presence });
    const others = this.#others(session, room);
    const remote = isForgotten ? [] : this.#remote.membersOf(room);
    const members = [
      ...others,
      ...remote.filter((member) => this.#rooms.sessionsAs(room, member.peer) === 0),
    ];
    for (const page of joinedPages(room, members, this.#remote.homesOf(room)))
      this.#send(session, page);
    this.#broadcast(others, { action: 'peer-joined', room, peer, presence });
  }

  #leave(session: Session, room: string): void {
    const membership = this.#rooms.remove(session, room);
    // Whoever came back over another session is still there.
    if (membership === null || this.#rooms.sessionsAs(room, membership.peer) > 0) return;
    this.#outputs.push({ type: 'localAbsent', room, peer: membership.peer });
    if (this.#remote.has(room, membership.peer)) return;
    this.#broadcast(this.#rooms.membersOf(room), {
      action: 'peer-left',
      room,
      peer: membership.peer,
    });
  }

  #signal(
    now: Instant,
    session: Session,
    budget: SessionBudget,
    message: Extract<ClientMessage, { action: 'signal' }>,
  ): void {
    const { room, to, data } = message;
    const sender = this.#rooms.membershipOf(session, room);
    if (sender === null)
      return this.#strike(
        now,
        session,
        budget,
        'NOT_IN_ROOM',
        'join the room before signaling in it',
        room,
      );
    const receivers = this.#rooms.membersOf(room).filter((member) => member.peer === to);
    if (receivers.length === 0) {
      // The other one has just left: nobody's mistake, and the sender is told by peer-left.
      if (!this.#remote.canReach(room, to))
        return this.#fail(session, 'PEER_GONE', 'the peer is not in the room', room);
      this.#outputs.push({ type: 'localSignal', room, from: sender.peer, to, data });
      this.counters.signals += 1;
      return;
    }
    const reachable = this.#reachable(receivers);
    if (reachable.length === 0)
      return this.#fail(session, 'PEER_BUSY', 'too much is waiting for the peer already', room);
    this.counters.signals += 1;
    this.#broadcast(reachable, { action: 'signal', room, from: sender.peer, data });
  }

  #handleRemoteSignal({
    room,
    from,
    to,
    data,
  }: Extract<RemoteRoomEvent, { readonly type: 'remoteSignal' }>): void {
    const receivers = this.#reachable(
      this.#rooms.membersOf(room).filter((member) => member.peer === to),
    );
    if (receivers.length === 0) return this.drops.count('relay.remoteSignal.noReceiver');
    this.counters.signals += 1;
    this.#broadcast(receivers, { action: 'signal', room, from, data });
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

  /** Those that are not behind with reading already. */
  #reachable(members: readonly Membership<Session>[]): readonly Membership<Session>[] {
    return members.filter(
      ({ session }) => this.#options.queuedBytes(session) < SIGNAL_HIGH_WATER_BYTES,
    );
  }

  #others(session: Session, room: string): readonly Membership<Session>[] {
    return this.#rooms.membersOf(room).filter((member) => member.session !== session);
  }

  #broadcast(members: readonly Membership<Session>[], message: RelayMessage): void {
    if (members.length === 0) return;
    const frame = JSON.stringify(message);
    for (const { session } of members) this.#outputs.push({ type: 'send', session, frame });
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

  #encodeWelcome(): string {
    const { maxRoomSize } = this.#limits;
    const { maxRoomsPerSession, maxFrameBytes, maxPresenceLength, maxSignalLength } = LIMITS;
    const limits = {
      maxRoomSize,
      maxRoomsPerSession,
      maxFrameBytes,
      maxPresenceLength,
      maxSignalLength,
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
