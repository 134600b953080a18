import { type DropCounters, type Fifo, type Instant, TokenBucket } from '@lumamesh/base';
import { LIMITS } from '@lumamesh/protocol';
import { joinedPages } from './joined-pages.ts';
import type { RelayCounters, RelayOutput } from './relay-output.ts';
import type { LocalRoomEvent, RemoteRoomEvent, RemoteRooms } from './remote-rooms.ts';
import { type Membership, RoomDirectory } from './room-directory.ts';
import { type News, RoomNews } from './room-news.ts';
import { whoMakesRoom } from './room-places.ts';
import { SignalShares } from './signal-shares.ts';
import type { TurnAccess } from './turn-access.ts';

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
  /** What sessions of one address have in common. */
  readonly hostOf: (session: Session) => string;
  readonly networkOf: (session: Session) => string;
  /**
   * Charges a session for members that are to be told something. False when it may not cause that
   * much now.
   */
  readonly takeDeliveries: (session: Session, members: number) => boolean;
  readonly remote: RemoteRooms;
  /** For a relay that forwards. */
  readonly turn: TurnAccess<Session> | null;
  readonly counters: RelayCounters;
  readonly drops: DropCounters;
}

/** Its address may not cause more just now: a page waits, and joins again. */
export const TOO_MANY_JOINS: RoomFault = {
  code: 'RATE_LIMITED',
  message: 'too many join rooms from your address',
  isMistake: false,
};
/**
 * A peer that reconnects may stand twice until its old session has expired, and once more by bad
 * luck.
 */
const MAX_SESSIONS_PER_PEER = 3;
/** Of all rooms of a session: it is kept for as long as the session is there. */
const MAX_PRESENCE_LENGTH = 65_536;
/** Of a nick and a key, sealed. */
const ORDINARY_PRESENCE_LENGTH = 600;
/** So many members in a list, or looked at for who makes room, cost what one frame does. */
const MEMBERS_PER_DELIVERY = 8;
/** New presence in one room that is told at once; what comes faster is told together. */
const PRESENCES_PER_SECOND = 10;
const PRESENCES_BURST = 50;

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
  readonly #news: RoomNews<Session>;
  readonly #shares = new SignalShares<Session>();
  /** Of rooms in which presence has changed. */
  readonly #presences = new Map<string, TokenBucket>();
  /** Rooms that sessions were put out of, and whose signals may still be on their way. */
  readonly #putOutOf = new Map<Session, Set<string>>();
  #now: Instant;

  constructor(
    now: Instant,
    options: LocalRoomsOptions<Session>,
    outputs: Pick<Fifo<RelayOutput<Session>>, 'push'>,
  ) {
    this.#now = now;
    this.#options = options;
    this.#outputs = outputs;
    this.#news = new RoomNews({
      queuedBytes: options.queuedBytes,
      networkOf: options.networkOf,
      presencesOf: (room, peer) => {
        const presence = this.#directory.presenceOf(room, peer);
        const here = presence === null ? [] : [presence];
        if (this.#isProvenHere(room, peer)) return here;
        return [...new Set([...here, ...options.remote.presencesOf(room, peer)])];
      },
      send: (session, frame) => outputs.push({ type: 'send', session, frame }),
    });
  }

  get deadline(): Instant | null {
    return this.#news.deadline;
  }

  /** What happens from now on happens at `now`. */
  handleTimeout(now: Instant): void {
    this.#now = now;
    this.#news.handleTimeout(now);
  }

  /** Tells sessions a little of what they have not been told; false when there is nothing. */
  advance(): boolean {
    return this.#news.advance(this.#now);
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
    const isNew = this.#directory.sessionsAs(room, peer) === 0;
    if (existing?.peer === peer) return this.#change(existing, room, presence, isProven);
    if (existing !== null) this.leave(session, room);
    // The mesh forgets a room that nobody is in any more, also for a moment, and hears of it anew.
    const isForgotten = existing !== null && this.#directory.sizeOf(room) === 0;
    const impostors = isProven ? this.#impostorsOf(session, room, peer) : [];
    const refusal =
      this.#faultOfPresence(session, presence.length) ??
      this.#faultOfJoining(session, room, peer, isProven, impostors.length);
    if (refusal !== null) return refusal;
    const { remote, turn, takeDeliveries, counters } = this.#options;
    const here = this.#directory.membersOf(room);
    const isFull = here.length - impostors.length >= maxRoomSize;
    // Everybody is looked at, whether or not somebody makes room.
    if (isFull && !takeDeliveries(session, here.length / MEMBERS_PER_DELIVERY))
      return TOO_MANY_JOINS;
    const squatter = isFull ? whoMakesRoom(here, session, this.#options) : null;
    if (isFull && squatter === null)
      return fault('ROOM_FULL', `a room has at most ${maxRoomSize} members`);
    const others = here.filter((member) => member !== squatter && !impostors.includes(member));
    const elsewhere = (isForgotten ? [] : remote.membersOf(room)).filter(
      (member) => !this.#isProvenHere(room, member.peer),
    );
    // They are told of its coming and its going; the list is a few frames.
    const listed = others.length + elsewhere.length;
    const tellings = squatter === null ? 2 : 3;
    const cost = tellings * others.length + listed / MEMBERS_PER_DELIVERY;
    if (!takeDeliveries(session, cost * weightOf(presence))) return TOO_MANY_JOINS;
    // Not before it is sure to stand in their place: others are told nothing of their going.
    this.#dismiss(impostors, room);
    if (squatter !== null) this.#putOut(squatter, room);
    const credentials = turn?.grant(session, room) ?? null;
    const members = [...others, ...elsewhere];
    const pages = joinedPages(room, members, remote.homesOf(room), credentials);
    this.#news.list(session, room, pages[Symbol.iterator]());
    this.#putOutOf.get(session)?.delete(room);
    this.#directory.add(room, { session, peer, presence, isProven });
    counters.joins += 1;
    const network = this.#options.networkOf(session);
    this.#outputs.push({ type: 'localPresent', room, peer, presence, network });
    this.#tell(room, peer, isNew ? 'new' : 'changed', session);
    return null;
  }

  leave(session: Session, room: string): void {
    const membership = this.#directory.remove(session, room);
    if (membership === null) return;
    this.#options.turn?.revoke(session, room);
    this.#news.forget(session, room);
    if (this.#directory.sizeOf(room) === 0) this.#presences.delete(room);
    const { peer } = membership;
    // Whoever came back over another session is still there.
    if (this.#directory.sessionsAs(room, peer) > 0) return;
    this.#outputs.push({ type: 'localAbsent', room, peer });
    if (this.#options.remote.has(room, peer)) return;
    this.#tell(room, peer, 'left');
  }

  leaveAll(session: Session): void {
    for (const room of this.#directory.roomsOf(session)) this.leave(session, room);
    this.#putOutOf.delete(session);
    this.#shares.forget(session);
  }

  signal(session: Session, room: string, to: string, data: string): RoomFault | null {
    const sender = this.#directory.membershipOf(session, room);
    if (sender === null)
      return {
        code: 'NOT_IN_ROOM',
        message: 'join the room before signaling in it',
        isMistake: this.#putOutOf.get(session)?.has(room) !== true,
      };
    const { peer: from } = sender;
    const receivers = this.#directory.membersAs(room, to);
    if (receivers.length === 0) return this.#signalElsewhere({ room, from, to, data });
    const host = this.#options.hostOf(session);
    const isPassed = this.#pass(receivers, host, { room, from, data });
    const isElsewhere =
      !this.#isProvenHere(room, to) && this.#signalElsewhere({ room, from, to, data }) === null;
    return isPassed || isElsewhere
      ? null
      : fault('PEER_BUSY', 'too much is waiting for the peer already');
  }

  /** A room has changed over other relays. */
  handleRemote(event: RemoteRoomEvent): void {
    const { room } = event;
    switch (event.type) {
      case 'remotePresent':
        if (this.#isProvenHere(room, event.member.peer)) return;
        return this.#tell(room, event.member.peer, 'changed');
      case 'remoteAbsent': {
        const { peer } = event;
        if (this.#directory.sessionsAs(room, peer) > 0 || this.#options.remote.has(room, peer))
          return;
        return this.#tell(room, peer, 'left');
      }
      case 'remoteRefused':
        return this.#tellNotShared(room);
      case 'remoteSignal': {
        const { relay, from, to, data } = event;
        const receivers = this.#directory.membersAs(room, to);
        // Peers cost a relay nothing: all that it brings is one sender.
        if (!this.#pass(receivers, `relay ${relay}`, { room, from, data }))
          this.#options.drops.count('relay.remoteSignal.noReceiver');
      }
    }
  }

  /** A member says its presence again. It has the list, and hears of changes to it. */
  #change(
    member: Membership<Session>,
    room: string,
    presence: string,
    isProven: boolean,
  ): RoomFault | null {
    if (isProven && !member.isProven) {
      member.isProven = true;
      this.#dismiss(this.#impostorsOf(member.session, room, member.peer), room);
    }
    if (member.presence === presence) return null;
    const grown = presence.length - member.presence.length;
    const fault = this.#faultOfPresence(member.session, grown);
    if (fault !== null) return fault;
    const { takeDeliveries, counters } = this.#options;
    const cost = this.#directory.sizeOf(room) * weightOf(presence);
    if (!takeDeliveries(member.session, cost)) return TOO_MANY_JOINS;
    this.#directory.setPresence(member, presence);
    counters.joins += 1;
    const { peer } = member;
    const network = this.#options.networkOf(member.session);
    this.#outputs.push({ type: 'localPresent', room, peer, presence, network });
    let budget = this.#presences.get(room);
    if (budget === undefined)
      this.#presences.set(room, (budget = new TokenBucket(PRESENCES_PER_SECOND, PRESENCES_BURST)));
    this.#tell(room, peer, 'changed', member.session, !budget.take(this.#now));
    return null;
  }

  /** @param more how much longer what the session says of itself would be */
  #faultOfPresence(session: Session, more: number): RoomFault | null {
    return more > 0 && this.#directory.presenceLengthOf(session) + more > MAX_PRESENCE_LENGTH
      ? fault('TOO_MANY_ROOMS', `presence in all rooms has at most ${MAX_PRESENCE_LENGTH} bytes`)
      : null;
  }

  #faultOfJoining(
    session: Session,
    room: string,
    peer: string,
    isProven: boolean,
    leaving: number,
  ): RoomFault | null {
    const { maxRoomsPerSession } = LIMITS;
    if (this.#directory.roomCountOf(session) >= maxRoomsPerSession)
      return fault('TOO_MANY_ROOMS', `a session is in at most ${maxRoomsPerSession} rooms`);
    const others = this.#directory.membersAs(room, peer);
    if (!isProven && others.some((other) => other.isProven))
      return fault('PEER_ID_IN_USE', 'this peer is in the room, and has shown that it is');
    if (others.length - leaving >= MAX_SESSIONS_PER_PEER)
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

  /** Who has taken an id that `session` has shown to be its own. */
  #impostorsOf(session: Session, room: string, peer: string): Membership<Session>[] {
    return this.#directory
      .membersAs(room, peer)
      .filter((member) => !member.isProven && member.session !== session);
  }

  /** Such members are in the room no more. */
  #dismiss(impostors: readonly Membership<Session>[], room: string): void {
    const { code, message } = fault('PEER_ID_IN_USE', 'another session has shown to be this peer');
    for (const member of impostors) {
      this.#directory.remove(member.session, room);
      this.#options.turn?.revoke(member.session, room);
      this.#news.forget(member.session, room);
      const frame = JSON.stringify({ action: 'error', code, message, room });
      this.#outputs.push({ type: 'send', session: member.session, frame });
    }
  }

  /** A member of a crowd makes room for a newcomer. */
  #putOut({ session }: Membership<Session>, room: string): void {
    this.leave(session, room);
    const rooms = this.#putOutOf.get(session) ?? new Set();
    this.#putOutOf.set(session, rooms.add(room));
    const message = 'others of your network have more than their share of a full room';
    const frame = JSON.stringify({ action: 'error', code: 'ROOM_FULL', message, room });
    this.#outputs.push({ type: 'send', session, frame });
  }

  /** Whoever only says that it is a peer takes nothing from the one that other relays show. */
  #isProvenHere(room: string, peer: string): boolean {
    return this.#directory.membersAs(room, peer).some(({ isProven }) => isProven);
  }

  #tellNotShared(room: string): void {
    const message = 'other relays have no place for this room: some of its members may not be met';
    const frame = JSON.stringify({ action: 'error', code: 'ROOM_NOT_SHARED', message, room });
    for (const { session } of this.#directory.membersOf(room))
      this.#outputs.push({ type: 'send', session, frame });
  }

  /** Tells the sessions in a room, but for one. */
  #tell(room: string, peer: string, news: News, except?: Session, isPaced = false): void {
    const sessions = this.#directory
      .membersOf(room)
      .flatMap(({ session }) => (session === except ? [] : [session]));
    this.#news.tell(this.#now, sessions, room, peer, news, isPaced);
  }

  /**
   * Sends a signal to those who have place for one more of this sender.
   * @returns Whether there was one.
   */
  #pass(
    receivers: readonly Membership<Session>[],
    sender: string,
    signal: { readonly room: string; readonly from: string; readonly data: string },
  ): boolean {
    const { queuedBytes, counters } = this.#options;
    const frame = JSON.stringify({ action: 'signal', ...signal });
    const reachable = receivers.filter(({ session }) =>
      this.#shares.take(session, sender, frame.length, queuedBytes(session)),
    );
    if (reachable.length === 0) return false;
    counters.signals += 1;
    for (const { session } of reachable) this.#outputs.push({ type: 'send', session, frame });
    return true;
  }
}

/** What may happen to any page. */
function fault(code: string, message: string): RoomFault {
  return { code, message, isMistake: false };
}

/** What telling it costs, as a multiple of what telling an ordinary one does. */
function weightOf(presence: string): number {
  return Math.max(1, presence.length / ORDINARY_PRESENCE_LENGTH);
}
