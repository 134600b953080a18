import { LumameshError, toBase64Url } from '@lumamesh/base';
import type { WebCrypto, WebCryptoKeyPair } from '@lumamesh/protocol';
import { type Identity, type PeerIdentity, peerIdOf } from '../room/peer-identity.ts';
import { exportPublic, makePeerKeys } from './identity-keys.ts';
import type { IdentityStore } from './identity-store.ts';

/** Pages that are in a room with one identity at once, each as a peer that lasts. */
const MAX_PLACES = 8;

/**
 * `room`: a peer of its own in each room, so that neither relays nor members of two rooms can tell
 * that they are one. `global`: the same peer in all.
 */
export type IdentityScope = 'room' | 'global';

/** A peer of the identity that this page is now. */
interface Seat {
  readonly place: string;
  readonly peer: Omit<PeerIdentity, 'release'>;
  readonly free: () => void;
  /** The rooms that it is in. */
  readonly rooms: Set<string>;
}

/**
 * Who a page is beyond its visit.
 *
 * A place is a peer with keys of its own: in each room (or in all) there is a first, a second, …
 * The first page that comes has the first place, a further tab or frame the second, so that no two
 * pages ever are the same peer; a page that reloads has its own again.
 */
export class PageIdentity implements Identity {
  /** What a proof shows: base64url of SHA-256 over the long-lived public key. */
  readonly id: string;
  readonly scope: IdentityScope;
  /** Whether it will be there at the next visit. */
  readonly isKept: boolean;
  /** @internal */
  readonly _proofKeys: WebCryptoKeyPair;
  /** @internal */
  readonly _store: IdentityStore;
  readonly #crypto: WebCrypto;
  readonly #seats = new Map<string, Seat>();
  /** By room: the place of before. */
  readonly #places = new Map<string, string>();
  /** Pages join several rooms at once; places are taken one after another. */
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(
    crypto: WebCrypto,
    id: string,
    scope: IdentityScope,
    isKept: boolean,
    proofKeys: WebCryptoKeyPair,
    store: IdentityStore,
  ) {
    this.#crypto = crypto;
    this.id = id;
    this.scope = scope;
    this.isKept = isKept;
    this._proofKeys = proofKeys;
    this._store = store;
  }

  /** @internal */
  static async _of(
    crypto: WebCrypto,
    scope: IdentityScope,
    isKept: boolean,
    proofKeys: WebCryptoKeyPair,
    store: IdentityStore,
  ): Promise<PageIdentity> {
    const id = await identityIdOf(crypto, await exportPublic(crypto.subtle, proofKeys));
    return new PageIdentity(crypto, id, scope, isKept, proofKeys, store);
  }

  /** @internal The places that are this page's now, by room: what it should have again. */
  get _held(): Iterable<readonly [room: string, place: string]> {
    return [...this.#seats.values()].flatMap(({ place, rooms }) =>
      [...rooms].map((roomId) => [this.#roomOf(roomId), place] as const),
    );
  }

  /** Who to be in a room for this stay. Called by the net; pages have no need to. */
  async peerFor(roomId: string): Promise<PeerIdentity> {
    const seat = this.#queue.then(async () => this.#sit(roomId));
    this.#queue = seat.catch(() => undefined);
    const { place, peer, rooms, free } = await seat;
    let isReleased = false;
    const release = (): void => {
      if (isReleased) return;
      isReleased = true;
      rooms.delete(roomId);
      if (rooms.size > 0) return;
      this.#seats.delete(place);
      free();
    };
    return { ...peer, release };
  }

  async #sit(roomId: string): Promise<Seat> {
    const room = this.#roomOf(roomId);
    const before = this.#places.get(room) ?? this._store.recall(room);
    if (before !== null) {
      const seat = await this.#take(before, roomId, true);
      if (seat !== null) return seat;
    }
    for (let i = 0; i < MAX_PLACES; i++) {
      const seat = await this.#take(`${room} ${i}`, roomId, false);
      if (seat !== null) return seat;
    }
    // More pages than places, or nobody can tell who has one: a peer for this stay.
    const keys = await makePeerKeys(this.#crypto.subtle, false);
    return this.#seatOf(`${room} -`, roomId, keys, 0, () => undefined);
  }

  async #take(place: string, roomId: string, waits: boolean): Promise<Seat | null> {
    const own = this.#seats.get(place);
    if (own !== undefined) {
      // Twice in a room it would be one peer for two.
      if (own.rooms.has(roomId)) return null;
      own.rooms.add(roomId);
      return own;
    }
    const free = await this._store.hold(place, waits);
    if (free === null) return null;
    try {
      const { keys, counter } = await this._store.peer(place);
      const seat = await this.#seatOf(place, roomId, keys, counter, free);
      this.#seats.set(place, seat);
      this.#places.set(this.#roomOf(roomId), place);
      return seat;
    } catch (cause) {
      free();
      throw new LumameshError('BAD_IDENTITY', 'the keys of the identity cannot be used', { cause });
    }
  }

  async #seatOf(
    place: string,
    roomId: string,
    keys: WebCryptoKeyPair,
    counter: number,
    free: () => void,
  ): Promise<Seat> {
    const { subtle } = this.#crypto;
    const publicKey = await exportPublic(subtle, keys);
    const id = await peerIdOf(subtle, publicKey);
    const peer = { id, publicKey, privateKey: keys.privateKey, counter };
    return { place, peer, free, rooms: new Set([roomId]) };
  }

  #roomOf(roomId: string): string {
    return this.scope === 'global' ? '*' : roomId;
  }
}

/** The name of a long-lived key. */
export async function identityIdOf(
  { subtle }: WebCrypto,
  publicKey: Uint8Array<ArrayBuffer>,
): Promise<string> {
  return toBase64Url(new Uint8Array(await subtle.digest('SHA-256', publicKey)));
}
