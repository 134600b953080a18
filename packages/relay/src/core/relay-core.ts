import { DropCounters, Fifo, type Instant, TokenBucket } from '@lumamesh/base';
import {
  type ClientMessage,
  LIMITS,
  PROTOCOL_VERSION,
  type RelayMessage,
  type RoomMember,
  type SignedRelayRecord,
  parseClientMessage,
} from '@lumamesh/protocol';
import { type Membership, RoomDirectory } from './room-directory.ts';
import { NOWHERE_ELSE, type RoomsElsewhere } from './rooms-elsewhere.ts';

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

/** What the relay does next. `send` gives a frame for a session's channel; `close` ends a session after what was sent to it. */
export type RelayOutput<Session> =
  | { readonly type: 'send'; readonly session: Session; readonly frame: string }
  | { readonly type: 'close'; readonly session: Session; readonly reason: string }
  | { readonly type: 'timeout'; readonly at: null };

export interface RelayCounters {
  joins: number;
  signals: number;
  errors: number;
}

/** A session may make so many mistakes at once, and one more every ten seconds. */
const STRIKES_BURST = 20;
const STRIKES_PER_SECOND = 0.1;
/** Joining a room of 250 with ten candidates for each member is a burst of 2 500 frames. */
const MESSAGE_BURST_SECONDS = 10;
/** Joining (and changing one's presence) is told to the whole room, so it is dearer: this often in the long run, behind a burst. */
const JOINS_PER_SECOND = 1;
const JOINS_BURST = 2 * LIMITS.maxRoomsPerSession;
/** With so much waiting for it, a session is sent no further signals: what other members send must not fill the room that its own news need. */
const SIGNAL_HIGH_WATER_BYTES = 262_144;
/** A peer that reconnects may stand twice until its old session has expired, and once more by bad luck. */
const MAX_SESSIONS_PER_PEER = 3;

/** `{"peer":"","presence":""},` and the frame around. */
const MEMBER_OVERHEAD_BYTES = 26;
/** A home's record as JSON. */
const HOME_BYTES = 1600;
const MAX_PAGE_BYTES = LIMITS.maxFrameBytes - 200 - LIMITS.maxHomes * HOME_BYTES;
/** Sampling all known relays costs more than passing a signal on. */
const NODES_PER_SECOND = 0.2;
const NODES_BURST = 40;
/** All sessions together. */
const ALL_NODES_PER_SECOND = 50;
const ALL_NODES_BURST = 200;

const CLOSING = 'this relay is about to stop: go on by another one';

interface SessionState {
  readonly frames: TokenBucket;
  readonly strikes: TokenBucket;
  readonly joins: TokenBucket;
  readonly nodes: TokenBucket;
}

/**
 * The relay without its socket: rooms, presence, and the passing on of sealed signals (docs/wire-protocol.md). It knows neither names of rooms
 * nor what is in presence and signals. It follows the house contract; there is nothing it waits for, so its drain ends with `timeout: null`.
 */
export class RelayCore<Session> {
  readonly drops = new DropCounters();
  readonly counters: RelayCounters = { joins: 0, signals: 0, errors: 0 };
  readonly #options: RelayCoreOptions<Session>;
  readonly #rooms = new RoomDirectory<Session>();
  readonly #sessions = new Map<Session, SessionState>();
  readonly #outputs = new Fifo<RelayOutput<Session>>();
  readonly #elsewhere: RoomsElsewhere;
  readonly #allNodes = new TokenBucket(ALL_NODES_PER_SECOND, ALL_NODES_BURST);
  #limits: RelayCoreLimits;
  #record: SignedRelayRecord;
  #welcome: string;
  #isClosing = false;

  constructor(
    options: RelayCoreOptions<Session>,
    record: SignedRelayRecord,
    elsewhere: RoomsElsewhere = NOWHERE_ELSE,
  ) {
    this.#options = options;
    this.#limits = options;
    this.#elsewhere = elsewhere;
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
    const { messagesPerSecond } = this.#limits;
    this.#sessions.set(session, {
      frames: new TokenBucket(messagesPerSecond, messagesPerSecond * MESSAGE_BURST_SECONDS),
      strikes: new TokenBucket(STRIKES_PER_SECOND, STRIKES_BURST),
      joins: new TokenBucket(JOINS_PER_SECOND, JOINS_BURST),
      nodes: new TokenBucket(NODES_PER_SECOND, NODES_BURST),
    });
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
    const state = this.#sessions.get(session);
    if (state === undefined) return this.drops.count('relay.unknownSession');
    if (!state.frames.take(now))
      return this.#strike(
        now,
        session,
        state,
        'RATE_LIMITED',
        `at most ${this.#limits.messagesPerSecond} frames a second`,
      );
    if (typeof frame !== 'string')
      return this.#strike(now, session, state, 'BAD_FRAME', 'a frame is text');
    const result = parseClientMessage(frame);
    if (!result.ok)
      return this.#strike(
        now,
        session,
        state,
        result.fault.code,
        result.fault.message,
        result.fault.room,
      );
    this.#handleMessage(now, session, state, result.value);
  }

  /** A message larger than the transport takes was skipped. */
  handleOversizedFrame(now: Instant, session: Session): void {
    const state = this.#sessions.get(session);
    if (state !== undefined)
      this.#strike(
        now,
        session,
        state,
        'FRAME_TOO_LARGE',
        `a frame has at most ${LIMITS.maxFrameBytes} bytes`,
      );
  }

  /** A peer is in a room over another relay, or its presence there is new. */
  handleRemotePresent(room: string, { peer, presence }: RoomMember): void {
    if (this.#rooms.sessionsAs(room, peer) > 0) return;
    this.#broadcast(this.#rooms.membersOf(room), { action: 'peer-joined', room, peer, presence });
  }

  handleRemoteAbsent(room: string, peer: string): void {
    if (this.#isInRoom(room, peer)) return;
    this.#broadcast(this.#rooms.membersOf(room), { action: 'peer-left', room, peer });
  }

  /** A sealed signal that another relay passed on for a member here. */
  handleRemoteSignal(room: string, from: string, to: string, data: string): void {
    const receivers = this.#reachable(
      this.#rooms.membersOf(room).filter((member) => member.peer === to),
    );
    if (receivers.length === 0) return this.drops.count('relay.remoteSignal.noReceiver');
    this.counters.signals += 1;
    this.#broadcast(receivers, { action: 'signal', room, from, data });
  }

  poll(): RelayOutput<Session> {
    return this.#outputs.shift() ?? { type: 'timeout', at: null };
  }

  #handleMessage(
    now: Instant,
    session: Session,
    state: SessionState,
    message: ClientMessage,
  ): void {
    switch (message.action) {
      case 'join':
        if (!state.joins.take(now))
          return this.#strike(
            now,
            session,
            state,
            'RATE_LIMITED',
            'joining too often',
            message.room,
          );
        return this.#join(now, session, message.room, message.peer, message.presence);
      case 'leave':
        return this.#leave(session, message.room);
      case 'signal':
        return this.#signal(now, session, state, message);
      case 'nodes':
        if (!state.nodes.take(now))
          return this.#strike(now, session, state, 'RATE_LIMITED', 'asking for nodes too often');
        if (!this.#allNodes.take(now))
          return this.#fail(session, 'RATE_LIMITED', 'too many ask for nodes just now');
        return this.#sendNodes(session, message.limit, message.after);
      case 'ping':
        return this.#send(session, { action: 'pong' });
    }
  }

  /** Joining again updates the presence; joining as another peer leaves first. */
  #join(now: Instant, session: Session, room: string, peer: string, presence: string): void {
    const existing = this.#rooms.membershipOf(session, room);
    if (existing !== null && existing.peer !== peer) this.#leave(session, room);
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
    this.#elsewhere.handleLocalPresent(now, room, peer, presence);
    const others = this.#others(session, room);
    this.#sendMembers(session, room, [
      ...others,
      ...this.#elsewhere
        .membersOf(room)
        .filter((member) => this.#rooms.sessionsAs(room, member.peer) === 0),
    ]);
    this.#broadcast(others, { action: 'peer-joined', room, peer, presence });
  }

  #leave(session: Session, room: string): void {
    const membership = this.#rooms.remove(session, room);
    // Whoever came back over another session is still there.
    if (membership === null || this.#rooms.sessionsAs(room, membership.peer) > 0) return;
    this.#elsewhere.handleLocalAbsent(room, membership.peer);
    if (this.#elsewhere.has(room, membership.peer)) return;
    this.#broadcast(this.#rooms.membersOf(room), {
      action: 'peer-left',
      room,
      peer: membership.peer,
    });
  }

  #signal(
    now: Instant,
    session: Session,
    state: SessionState,
    message: Extract<ClientMessage, { action: 'signal' }>,
  ): void {
    const { room, to, data } = message;
    const sender = this.#rooms.membershipOf(session, room);
    if (sender === null)
      return this.#strike(
        now,
        session,
        state,
        'NOT_IN_ROOM',
        'join the room before signaling in it',
        room,
      );
    const receivers = this.#rooms.membersOf(room).filter((member) => member.peer === to);
    if (receivers.length === 0) {
      // The other one has just left: nobody's mistake, and the sender is told by peer-left.
      if (!this.#elsewhere.sendSignal(room, sender.peer, to, data))
        return this.#fail(session, 'PEER_GONE', 'the peer is not in the room', room);
      this.counters.signals += 1;
      return;
    }
    const reachable = this.#reachable(receivers);
    if (reachable.length === 0)
      return this.#fail(session, 'PEER_BUSY', 'too much is waiting for the peer already', room);
    this.counters.signals += 1;
    this.#broadcast(reachable, { action: 'signal', room, from: sender.peer, data });
  }

  /** The members of a room, in as many `joined` frames as it takes; all but the last say that more follow. */
  #sendMembers(session: Session, room: string, members: readonly RoomMember[]): void {
    let page: RoomMember[] = [];
    let bytes = 0;
    for (const { peer, presence } of members) {
      const cost = peer.length + presence.length + MEMBER_OVERHEAD_BYTES;
      if (bytes + cost > MAX_PAGE_BYTES) {
        this.#send(session, { action: 'joined', room, members: page, more: true });
        page = [];
        bytes = 0;
      }
      page.push({ peer, presence });
      bytes += cost;
    }
    const homes = this.#elsewhere.homesOf(room);
    this.#send(session, {
      action: 'joined',
      room,
      members: page,
      ...(homes.length === 0 ? {} : { homes }),
    });
  }

  #sendNodes(session: Session, limit: number, after: string): void {
    const { nodes, next } = this.#elsewhere.nodes(limit, after);
    this.#send(session, {
      action: 'nodes',
      nodes: nodes.length === 0 ? [this.#record] : nodes,
      ...(next === undefined ? {} : { next }),
    });
  }

  #isInRoom(room: string, peer: string): boolean {
    return this.#rooms.sessionsAs(room, peer) > 0 || this.#elsewhere.has(room, peer);
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
    state: SessionState,
    code: string,
    message: string,
    room?: string,
  ): void {
    if (state.strikes.take(now)) return this.#fail(session, code, message, room);
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
