import { HOMES_PER_ROOM, Rendezvous, mayBeHome } from '@lumamesh/protocol';
import { isOneMesh } from '../../net/relay-choice.ts';
import type { RelayBook } from '../../net/relay-book.ts';

/**
 * The homes of rooms. Everybody who knows the same relays finds the same ones by rendezvous
 * hashing, so members meet without asking anybody; where relays have named homes, those count.
 */
export class RoomHomes {
  readonly #book: RelayBook;
  /** By room, as relays named them. */
  readonly #named = new Map<string, readonly string[]>();

  constructor(book: RelayBook) {
    this.#book = book;
  }

  /** A relay has named homes of a room. */
  _name(roomId: string, homes: readonly string[]): void {
    const known = this.#named.get(roomId) ?? [];
    this.#named.set(roomId, [...new Set([...homes, ...known])].slice(0, 2 * HOMES_PER_ROOM));
  }

  /** The node keys of the relays to hold for rooms; what was named for others is forgotten. */
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
    for (const roomId of this.#named.keys()) if (!roomIds.has(roomId)) this.#named.delete(roomId);
    for (const roomId of roomIds) {
      const named = this.#named.get(roomId) ?? [];
      for (const nk of named) if ((this.#book.get(nk)?.failures ?? 1) < 2) wanted.add(nk);
      if (named.length === 0 || !isMesh)
        for (const { nk } of rendezvous.rank(roomId, HOMES_PER_ROOM)) wanted.add(nk);
    }
    return wanted;
  }
}
