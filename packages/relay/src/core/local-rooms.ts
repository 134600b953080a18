import type { DropCounters, Fifo } from '@lumamesh/base';
import { LIMITS, type RelayMessage } from '@lumamesh/protocol';
import { joinedPages } from './joined-pages.ts';
import type { RelayCounters, RelayOutput } from './relay-output.ts';
import type { LocalRoomEvent, RemoteRoomEvent, RemoteRooms } from './remote-rooms.ts';
import { type Membership, RoomDirectory } from './room-directory.ts';

/** Why something could not be done in a room: the `error` frame for the session. */
export interface RoomFault {
  readonly code: string;
  readonly message: string;
  /** A page that knows the protocol would not have asked. */
  readonly isMistake: boolean;
}

export interface LocalRoomsOptions<Session> {
  /** Bytes that wait to be sent to a session. */
  readonly queuedBytes: (session: Session) => number;
  readonly remote: RemoteRooms;
  readonly counters: RelayCounters;
  readonly drops: DropCounters;
}

/**
 * With so much waiting for it, a session is sent no further signals: what other members send must
 * not take the place that its own news need.
 */
const SIGNAL_HIGH_WATER_BYTES = 262_144;
/**
 * A peer that reconnects may stand twice until its old session has expired, and once more by bad
 * luck.
 */
const MAX_SESSIONS_PER_PEER = 3;

/** What a session says of itself when it joins. */
export interface Joining {
  readonly room: string;
  readonly peer: string;
  readonly presence: string;
  /** Whether it has shown that the peer's id is its own. */
  readonly isProven: boolean;
}

/** The rooms of this relay's sessions: who is told what when somebody joins, leaves or signals. */
export class LocalRooms<Session> {
  readonly #options: LocalRoomsOptions<Session>;
  readonly #outputs: Pick<Fifo<RelayOutput<Session>>, 'push'>;
  readonly #directory = new RoomDirectory<Session>();

  constructor(
    options: LocalRoomsOptions<Session>,
    outputs: Pick<Fifo<RelayOutput<Session>>, 'push'>,
  ) {
    this.#options = options;
    this.#outputs = outputs;
  }

  get counts(): RoomDirectory<Session>['counts'] {
    return this.#directory.counts;
  }

  /**
   * Joining again updates the presence; joining as another peer leaves first. Who has shown that the
   * id is its own takes the place of all who have not.
   */
  join(
    session: Session,
    { room, peer, presence, isProven }: Joining,
    maxRoomSize: number,
  ): RoomFault | null {
    const existing = this.#directory.membershipOf(session, room);
    if (existing !== null && existing.peer !== peer) this.leave(session, room);
    // The mesh forgets a room that nobody is in any more, also for a moment, and hears of it anew.
    const isForgotten = existing !== null && this.#directory.sizeOf(room) === 0;
    if (isProven) this.#dismissImpostors(session, room, peer);
    if (existing?.peer === peer) {
      existing.presence = presence;
      existing.isProven ||= isProven;
    } else {
      const fault = this.#faultOfJoining(session, room, peer, isProven, maxRoomSize);
      if (fault !== null) return fault;
      this.#directory.add(room, { session, peer, presence, isProven });
    }
    this.#options.counters.joins += 1;
    this.#outputs.push({ type: 'localPresent', room, peer, presence });
    const { remote } = this.#options;
    const others = this.#directory.membersOf(room).filter((member) => member.session !== session);
    const elsewhere = (isForgotten ? [] : remote.membersOf(room)).filter(
      (member) => this.#directory.sessionsAs(room, member.peer) === 0,
    );
    for (const page of joinedPages(room, [...others, ...elsewhere], remote.homesOf(room)))
      this.#outputs.push({ type: 'send', session, frame: JSON.stringify(page) });
    this.#broadcast(others, { action: 'peer-joined', room, peer, presence });
    return null;
  }

  leave(session: Session, room: string): void {
    const membership = this.#directory.remove(session, room);
    if (membership === null) return;
    const { peer } = membership;
    // Whoever came back over another session is still there.
    if (this.#directory.sessionsAs(room, peer) > 0) return;
    this.#outputs.push({ type: 'localAbsent', room, peer });
    if (this.#options.remote.has(room, peer)) return;
    this.#broadcast(this.#directory.membersOf(room), { action: 'peer-left', room, peer });
  }

  leaveAll(session: Session): void {
    for (const room of this.#directory.roomsOf(session)) this.leave(session, room);
  }

  signal(session: Session, room: string, to: string, data: string): RoomFault | null {
    const sender = this.#directory.membershipOf(session, room);
    if (sender === null)
      return {
        code: 'NOT_IN_ROOM',
        message: 'join the room before signaling in it',
        isMistake: true,
      };
    const { peer: from } = sender;
    const receivers = this.#directory.membersAs(room, to);
    if (receivers.length === 0) return this.#signalElsewhere({ room, from, to, data });
    const reachable = this.#reachable(receivers);
    if (reachable.length === 0)
      return fault('PEER_BUSY', 'too much is waiting for the peer already');
    this.#options.counters.signals += 1;
    this.#broadcast(reachable, { action: 'signal', room, from, data });
    return null;
  }

  /** A room has changed over other relays. */
  handleRemote(event: RemoteRoomEvent): void {
    const { room } = event;
    switch (event.type) {
      case 'remotePresent':
        if (this.#directory.sessionsAs(room, event.member.peer) > 0) return;
        return this.#broadcast(this.#directory.membersOf(room), {
          action: 'peer-joined',
          room,
          ...event.member,
        });
      case 'remoteAbsent': {
        const { peer } = event;
        if (this.#directory.sessionsAs(room, peer) > 0 || this.#options.remote.has(room, peer))
          return;
        return this.#broadcast(this.#directory.membersOf(room), {
          action: 'peer-left',
          room,
          peer,
        });
      }
      case 'remoteSignal': {
        const receivers = this.#reachable(this.#directory.membersAs(room, event.to));
        if (receivers.length === 0)
          return this.#options.drops.count('relay.remoteSignal.noReceiver');
        this.#options.counters.signals += 1;
        const { from, data } = event;
        return this.#broadcast(receivers, { action: 'signal', room, from, data });
      }
    }
  }

  #faultOfJoining(
    session: Session,
    room: string,
    peer: string,
    isProven: boolean,
    maxRoomSize: number,
  ): RoomFault | null {
    const { maxRoomsPerSession } = LIMITS;
    if (this.#directory.roomCountOf(session) >= maxRoomsPerSession)
      return fault('TOO_MANY_ROOMS', `a session is in at most ${maxRoomsPerSession} rooms`);
    if (this.#directory.sizeOf(room) >= maxRoomSize)
      return fault('ROOM_FULL', `a room has at most ${maxRoomSize} members`);
    const others = this.#directory.membersAs(room, peer);
    if (!isProven && others.some((other) => other.isProven))
      return fault('PEER_ID_IN_USE', 'this peer is in the room, and has shown that it is');
    if (others.length >= MAX_SESSIONS_PER_PEER)
      return fault('PEER_ID_IN_USE', 'this peer is in the room over other sessions');
    return null;
  }

  #signalElsewhere(
    signal: Omit<Extract<LocalRoomEvent, { readonly type: 'localSignal' }>, 'type'>,
  ): RoomFault | null {
    // The other one has just left: nobody's mistake, and the sender is told by peer-left.
    if (!this.#options.remote.canReach(signal.room, signal.to))
      return fault('PEER_GONE', 'the peer is not in the room');
    this.#outputs.push({ type: 'localSignal', ...signal });
    this.#options.counters.signals += 1;
    return null;
  }

  /** Whoever has taken an id that another session has shown to be its own is in the room no more. */
  #dismissImpostors(session: Session, room: string, peer: string): void {
    const { code, message } = fault('PEER_ID_IN_USE', 'another session has shown to be this peer');
    for (const member of this.#directory.membersAs(room, peer)) {
      if (member.isProven || member.session === session) continue;
      this.#directory.remove(member.session, room);
      this.#broadcast([member], { action: 'error', code, message, room });
    }
  }

  /** Those that are not behind with reading already. */
  #reachable(members: readonly Membership<Session>[]): readonly Membership<Session>[] {
    const { queuedBytes } = this.#options;
    return members.filter(({ session }) => queuedBytes(session) < SIGNAL_HIGH_WATER_BYTES);
  }

  #broadcast(members: readonly Membership<Session>[], message: RelayMessage): void {
    if (members.length === 0) return;
    const frame = JSON.stringify(message);
    for (const { session } of members) this.#outputs.push({ type: 'send', session, frame });
  }
}

/** What may happen to any page. */
function fault(code: string, message: string): RoomFault {
  return { code, message, isMistake: false };
}
