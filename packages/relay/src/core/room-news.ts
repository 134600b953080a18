import { type Instant, earlier, later } from '@lumamesh/base';
import type { RelayMessage } from '@lumamesh/protocol';
import { Turns } from './turns.ts';

/** What a session is to hear of a peer: it was not told of it, of its presence, or that it left. */
export type News = 'new' | 'changed' | 'left';

/** With so much waiting for it, a session hears the news later, and only what is still true. */
const NEWS_HIGH_WATER_BYTES = 131_072;
/** How long news wait that could not be told, or not yet. */
const TICK_MS = 200;
const CHANGES_PER_STEP = 16;
/**
 * News of all rooms together: what is told at once holds up everything else for some 10 ms at most,
 * and what is told in the long run takes a part of one core.
 */
const BYTES_PER_SECOND = 4_000_000;
const BYTES_BURST = 262_144;
/** When that is used up, the next ones are told so much later. */
const PAUSE_MS = 20;

interface PendingRoom {
  /** The rest of the list of members. */
  pages: Iterator<RelayMessage> | null;
  readonly changes: Map<string, News>;
}

export interface RoomNewsOptions<Session> {
  /** Bytes that wait to be sent to a session. */
  readonly queuedBytes: (session: Session) => number;
  readonly networkOf: (session: Session) => string;
  /** What is said of a peer in a room: several versions where relays differ, none when it is gone. */
  readonly presencesOf: (room: string, peer: string) => readonly string[];
  readonly send: (session: Session, frame: string) => void;
}

/**
 * Tells sessions who is in their rooms, as fast as they read. Of what a session has not been told
 * yet only the latest of each peer is kept, by its name: it takes no bytes of the session's queue,
 * and who came and went meanwhile is not told at all. Networks take turns.
 */
export class RoomNews<Session> {
  readonly #options: RoomNewsOptions<Session>;
  readonly #pending = new Map<Session, Map<string, PendingRoom>>();
  /** Those of them that may be told more now. */
  readonly #ready = new Turns<Session>();
  /** Bytes that may be told now; below zero after a page that was larger. */
  #allowance = BYTES_BURST;
  #countedAt: Instant | null = null;
  #tickAt: Instant | null = null;

  constructor(options: RoomNewsOptions<Session>) {
    this.#options = options;
  }

  get deadline(): Instant | null {
    return this.#tickAt;
  }

  /** A session has joined a room: it is told the members. */
  list(session: Session, room: string, pages: Iterator<RelayMessage>): void {
    this.#room(session, room).pages = pages;
    this.#mayGoOn(session);
  }

  /** @param isPaced the news wait for those that come in the same fifth of a second */
  tell(
    now: Instant,
    sessions: Iterable<Session>,
    room: string,
    peer: string,
    news: News,
    isPaced = false,
  ): void {
    const frames = isPaced ? null : this.#frames(room, peer, news);
    this.#refill(now);
    for (const session of sessions) {
      const isBehind =
        frames === null ||
        this.#pending.get(session)?.has(room) === true ||
        this.#options.queuedBytes(session) >= NEWS_HIGH_WATER_BYTES ||
        this.#allowance <= 0;
      if (isBehind) this.#keep(now, session, room, peer, news);
      else for (const frame of frames) this.#send(session, frame);
    }
  }

  /** The session has left the room. */
  forget(session: Session, room: string): void {
    const rooms = this.#pending.get(session);
    rooms?.delete(room);
    if (rooms?.size === 0) this.#pending.delete(session);
  }

  handleTimeout(now: Instant): void {
    if (this.#tickAt === null || now < this.#tickAt) return;
    this.#tickAt = null;
    for (const session of this.#pending.keys()) this.#mayGoOn(session);
  }

  /** Sends a little of what waits; to be called again, once that is under way, while it does. */
  advance(now: Instant): boolean {
    this.#refill(now);
    while (!this.#ready.isEmpty) {
      if (this.#allowance <= 0) {
        this.#tickAt = earlier(this.#tickAt, later(now, PAUSE_MS));
        return false;
      }
      const session = this.#ready.take();
      if (session === undefined) break;
      const rooms = this.#pending.get(session);
      const next = rooms?.entries().next().value;
      if (rooms === undefined || next === undefined) continue;
      if (this.#options.queuedBytes(session) >= NEWS_HIGH_WATER_BYTES) {
        this.#tickAt ??= later(now, TICK_MS);
        continue;
      }
      const [room, pending] = next;
      this.#step(session, room, pending);
      if (pending.pages === null && pending.changes.size === 0) this.forget(session, room);
      this.#mayGoOn(session);
      return true;
    }
    return false;
  }

  #mayGoOn(session: Session): void {
    this.#ready.add(session, this.#options.networkOf(session));
  }

  #step(session: Session, room: string, pending: PendingRoom): void {
    if (pending.pages !== null) {
      const { value, done } = pending.pages.next();
      if (done === true) pending.pages = null;
      else this.#send(session, JSON.stringify(value));
      return;
    }
    let told = 0;
    for (const [peer, news] of pending.changes) {
      pending.changes.delete(peer);
      for (const frame of this.#frames(room, peer, news)) this.#send(session, frame);
      told += 1;
      if (told === CHANGES_PER_STEP) return;
    }
  }

  #send(session: Session, frame: string): void {
    this.#allowance -= frame.length;
    this.#options.send(session, frame);
  }

  #refill(now: Instant): void {
    const elapsedMs = now - (this.#countedAt ?? now);
    this.#countedAt = now;
    this.#allowance = Math.min(
      BYTES_BURST,
      this.#allowance + (elapsedMs * BYTES_PER_SECOND) / 1000,
    );
  }

  #keep(now: Instant, session: Session, room: string, peer: string, news: News): void {
    const { changes } = this.#room(session, room);
    const before = changes.get(peer);
    if (before === 'new' && news === 'left') changes.delete(peer);
    else if (before === undefined || news === 'left') changes.set(peer, news);
    else if (before === 'left') changes.set(peer, 'changed');
    this.#tickAt ??= later(now, TICK_MS);
  }

  #frames(room: string, peer: string, news: News): readonly string[] {
    if (news === 'left') return [JSON.stringify({ action: 'peer-left', room, peer })];
    return this.#options
      .presencesOf(room, peer)
      .map((presence) => JSON.stringify({ action: 'peer-joined', room, peer, presence }));
  }

  #room(session: Session, room: string): PendingRoom {
    let rooms = this.#pending.get(session);
    if (rooms === undefined) this.#pending.set(session, (rooms = new Map()));
    let pending = rooms.get(room);
    if (pending === undefined) rooms.set(room, (pending = { pages: null, changes: new Map() }));
    return pending;
  }
}
