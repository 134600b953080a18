import { dropOldest } from '@lumamesh/base';
import { HOMES_PER_ROOM, Rendezvous, mayBeHome } from '@lumamesh/protocol';
import { isOneMesh } from '../../net/relay-choice.ts';
import type { RelayBook } from '../../net/relay-book.ts';

/** Relays that are held at a time name homes, and some that were. */
const MAX_ANNOUNCERS = 8;

/**
 * The homes of rooms. Everybody who knows the same relays finds the same ones by rendezvous
 * hashing, so members meet without asking anybody; where relays have named homes, those count.
 */
export class RoomHomes {
  readonly #book: RelayBook;
  /** By room and the relay that named them. */
  readonly #named = new Map<string, Map<string, readonly string[]>>();

  constructor(book: RelayBook) {
    this.#book = book;
  }

  /** A relay has named homes of a room, in the place of those that it named before. */
  _name(roomId: string, homes: readonly string[], announcer: string): void {
    if (homes.length === 0) return;
    const byAnnouncer = this.#named.get(roomId) ?? new Map<string, readonly string[]>();
    this.#named.set(roomId, byAnnouncer);
    byAnnouncer.delete(announcer);
    byAnnouncer.set(announcer, homes.slice(0, HOMES_PER_ROOM));
    dropOldest(byAnnouncer, MAX_ANNOUNCERS);
  }

  /**
   * The node keys of the relays to hold for rooms; what was named for others is forgotten. A home
   * that several relays name comes first. Of those that one relay alone names, a page holds no more
   * than a room has, whatever it names for how many rooms.
   */
  _of(roomIds: ReadonlySet<string>): ReadonlySet<string> {
    const { entries } = this.#book;
    const seeds = entries.filter(({ isSeed }) => isSeed);
    const isMesh = isOneMesh(seeds);
    // Relays of several meshes, or of none, pass nothing on to each other: then the page's own list
    // is what all its visitors share.
    const pool = isMesh
      ? entries.filter(
          ({ record, isProven, isSeed, sources }) =>
            mayBeHome(record) && (isProven || isSeed || sources.size > 1),
        )
      : seeds;
    // Who did not answer lately is passed over, as by everybody else.
    const rendezvous = new Rendezvous(
      pool.filter(({ failures }) => failures === 0).map(({ record }) => record),
    );
    const wanted = new Set<string>();
    const namedByOne: (readonly [nk: string, announcer: string])[] = [];
    for (const roomId of this.#named.keys()) if (!roomIds.has(roomId)) this.#named.delete(roomId);
    for (const roomId of roomIds) {
      const named = this.#named.get(roomId) ?? new Map<string, readonly string[]>();
      if (named.size === 0 || !isMesh)
        for (const { nk } of rendezvous.rank(roomId, HOMES_PER_ROOM)) wanted.add(nk);
      for (const [announcer, homes] of named)
        for (const nk of homes) {
          const entry = this.#book.get(nk);
          if ((entry?.failures ?? 1) >= 2) continue;
          const isShared =
            entry?.isSeed === true ||
            [...named].some(([other, theirs]) => other !== announcer && theirs.includes(nk));
          if (isShared) wanted.add(nk);
          else namedByOne.push([nk, announcer]);
        }
    }
    const quota = new Map<string, number>();
    for (const [nk, announcer] of namedByOne) {
      const count = (quota.get(announcer) ?? 0) + 1;
      quota.set(announcer, count);
      if (count <= HOMES_PER_ROOM) wanted.add(nk);
    }
    return wanted;
  }
}
