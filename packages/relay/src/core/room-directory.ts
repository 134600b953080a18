/**
 * One session's place in one room. A peer that comes back over another session before its old one
 * has expired stands twice for a while.
 */
export interface Membership<Session> {
  readonly session: Session;
  readonly peer: string;
  presence: string;
  /** Whether the session has shown that the peer's id is its own. */
  isProven: boolean;
}

/** Who is in which room. Everything lives in memory and ends with its members. */
export class RoomDirectory<Session> {
  readonly #rooms = new Map<string, Membership<Session>[]>();
  readonly #roomsOf = new Map<Session, Map<string, Membership<Session>>>();
  readonly #presenceLengths = new Map<Session, number>();
  #memberships = 0;

  get counts(): { readonly rooms: number; readonly members: number } {
    return { rooms: this.#rooms.size, members: this.#memberships };
  }

  sizeOf(room: string): number {
    return this.#rooms.get(room)?.length ?? 0;
  }

  roomCountOf(session: Session): number {
    return this.#roomsOf.get(session)?.size ?? 0;
  }

  /** What a session says of itself in all of its rooms, in characters. */
  presenceLengthOf(session: Session): number {
    return this.#presenceLengths.get(session) ?? 0;
  }

  setPresence(member: Membership<Session>, presence: string): void {
    this.#countPresence(member.session, presence.length - member.presence.length);
    member.presence = presence;
  }

  membersOf(room: string): readonly Membership<Session>[] {
    return this.#rooms.get(room) ?? [];
  }

  membershipOf(session: Session, room: string): Membership<Session> | null {
    return this.#roomsOf.get(session)?.get(room) ?? null;
  }

  /** The sessions that stand in the room as this peer. */
  membersAs(room: string, peer: string): readonly Membership<Session>[] {
    return this.membersOf(room).filter((member) => member.peer === peer);
  }

  /** The presence of a peer; of several sessions that of the newest. */
  presenceOf(room: string, peer: string): string | null {
    return this.membersOf(room).findLast((member) => member.peer === peer)?.presence ?? null;
  }

  /** How many they are. */
  sessionsAs(room: string, peer: string): number {
    return this.membersAs(room, peer).length;
  }

  add(room: string, membership: Membership<Session>): void {
    const { session } = membership;
    const members = this.#rooms.get(room);
    if (members === undefined) this.#rooms.set(room, [membership]);
    else members.push(membership);
    let rooms = this.#roomsOf.get(session);
    if (rooms === undefined) this.#roomsOf.set(session, (rooms = new Map()));
    rooms.set(room, membership);
    this.#memberships += 1;
    this.#countPresence(session, membership.presence.length);
  }

  /** Takes a session out of a room. @returns What it was there, or `null`. */
  remove(session: Session, room: string): Membership<Session> | null {
    const rooms = this.#roomsOf.get(session);
    const membership = rooms?.get(room);
    if (rooms === undefined || membership === undefined) return null;
    rooms.delete(room);
    if (rooms.size === 0) this.#roomsOf.delete(session);
    const members = this.#rooms.get(room);
    if (members !== undefined) {
      members.splice(members.indexOf(membership), 1);
      if (members.length === 0) this.#rooms.delete(room);
    }
    this.#memberships -= 1;
    this.#countPresence(session, -membership.presence.length);
    return membership;
  }

  /** The rooms a session is in. */
  roomsOf(session: Session): readonly string[] {
    return [...(this.#roomsOf.get(session)?.keys() ?? [])];
  }

  #countPresence(session: Session, length: number): void {
    const sum = this.presenceLengthOf(session) + length;
    if (sum === 0) this.#presenceLengths.delete(session);
    else this.#presenceLengths.set(session, sum);
  }
}
