import type { WebCryptoKeyPair } from '@lumamesh/protocol';
import { makePeerKeys } from '../../identity/identity-keys.ts';
import {
  type IdentityStore,
  type StoredPeer,
  reserveCounters,
} from '../../identity/identity-store.ts';
import { holdFreeLock, holdLock, placeOf } from '../exclusive.ts';
import type { Platform } from '../platform.ts';

const DATABASE = 'lumamesh';
/** By name: the long-lived keys. */
const IDENTITIES = 'identities';
/** By name and place: the keys of its peers. */
const PEERS = 'peers';
/** Peers that were not used for longest are forgotten beyond this. */
const MAX_PEERS = 2000;

interface PeerRecord {
  readonly keys: WebCryptoKeyPair;
  /** No counter from here on was handed out; it grows, so it also says which was used last. */
  readonly next: number;
}

/**
 * Keys in the IndexedDB of the page's origin, none of which can be exported. Every call opens the
 * database for itself, so that nobody who wants to delete it waits.
 */
export class IdentityDatabase implements IdentityStore {
  readonly #name: string;
  readonly #platform: Platform;

  constructor(name: string, platform: Platform) {
    this.#name = name;
    this.#platform = platform;
  }

  /** The long-lived keys: those that are stored, or `made`. Rejects where nothing can be stored. */
  async proofKeys(made: WebCryptoKeyPair): Promise<WebCryptoKeyPair> {
    return inDatabase(IDENTITIES, async (store) => {
      // Two pages may be here for the first time at once: the one whose transaction is first wins.
      const stored: unknown = await resultOf(store.get(this.#name));
      if (isPair(stored)) return stored;
      await resultOf(store.put(made, this.#name));
      return made;
    });
  }

  async peer(place: string): Promise<StoredPeer> {
    const { crypto, unixSeconds } = this.#platform;
    // Made in any case: a transaction does not outlive the time that it takes.
    const made = await makePeerKeys(crypto.subtle, false);
    const now = unixSeconds();
    try {
      return await inDatabase(PEERS, async (store) => {
        const key = [this.#name, place];
        const stored = (await resultOf(store.get(key))) as Partial<PeerRecord> | undefined;
        const { counter, next } = reserveCounters(now, stored?.next);
        const keys = isPair(stored?.keys) ? stored.keys : made;
        await resultOf(store.put({ keys, next } satisfies PeerRecord, key));
        if ((await resultOf(store.count())) > MAX_PEERS) await dropOldest(store);
        return { keys, counter };
      });
    } catch {
      // Full, or gone meanwhile: a peer for this stay.
      return { keys: made, counter: reserveCounters(now, 0).counter };
    }
  }

  async hold(place: string, waits: boolean): Promise<(() => void) | null> {
    const { scope } = this.#platform;
    if (scope.navigator?.locks === undefined) return null;
    const name = `lumamesh ${this.#name} ${place}`;
    return waits ? holdLock(scope, name) : holdFreeLock(scope, name);
  }

  recall(room: string): string | null {
    const [place = null, ...others] = this.#remembered(room);
    this.#remember(room, others);
    return place;
  }

  /** Notes which places this tab has, for after a reload. */
  keep(held: Iterable<readonly [room: string, place: string]>): void {
    const places = new Map<string, string[]>();
    for (const [room, place] of held) places.set(room, [...(places.get(room) ?? []), place]);
    for (const [room, list] of places) this.#remember(room, list);
  }

  #remembered(room: string): readonly string[] {
    try {
      const text = this.#platform.storage('sessionStorage')?.getItem(this.#keyOf(room) ?? '');
      const list: unknown = JSON.parse(text ?? '[]');
      return Array.isArray(list) ? list.filter((place) => typeof place === 'string') : [];
    } catch {
      return [];
    }
  }

  #remember(room: string, places: readonly string[]): void {
    const key = this.#keyOf(room);
    if (key === null) return;
    try {
      const storage = this.#platform.storage('sessionStorage');
      if (places.length === 0) storage?.removeItem(key);
      else storage?.setItem(key, JSON.stringify(places));
    } catch {
      // Then it takes the first place that is free.
    }
  }

  #keyOf(room: string): string | null {
    const frame = placeOf(this.#platform.scope);
    return frame === null ? null : `lumamesh identity:${JSON.stringify([this.#name, room, frame])}`;
  }
}

/** Removes an identity and all its peers. Nothing happens where nothing can be stored. */
export async function removeIdentity(name: string): Promise<void> {
  await inDatabase(IDENTITIES, async (store) => resultOf(store.delete(name)));
  const all = IDBKeyRange.bound([name], [name, []]);
  await inDatabase(PEERS, async (store) => resultOf(store.delete(all)));
}

/** Runs in one transaction; resolves when it is written. Rejects when anything goes wrong. */
async function inDatabase<T>(name: string, run: (store: IDBObjectStore) => Promise<T>): Promise<T> {
  const opening = indexedDB.open(DATABASE, 1);
  opening.addEventListener('upgradeneeded', () => {
    opening.result.createObjectStore(IDENTITIES);
    opening.result.createObjectStore(PEERS).createIndex('next', 'next');
  });
  const database = await resultOf(opening);
  try {
    const transaction = database.transaction(name, 'readwrite');
    const isWritten = new Promise<void>((resolve, reject) => {
      transaction.addEventListener('complete', () => resolve());
      transaction.addEventListener('abort', () => reject(transaction.error));
    });
    const [result] = await Promise.all([run(transaction.objectStore(name)), isWritten]);
    return result;
  } finally {
    database.close();
  }
}

async function resultOf<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.addEventListener('success', () => resolve(request.result));
    request.addEventListener('error', () => reject(request.error));
  });
}

async function dropOldest(store: IDBObjectStore): Promise<void> {
  const cursor = await resultOf(store.index('next').openCursor());
  if (cursor !== null) await resultOf(cursor.delete());
}

/** Whatever an older version, or the page itself, has stored there. */
function isPair(value: unknown): value is WebCryptoKeyPair {
  const { publicKey, privateKey } = (value ?? {}) as Partial<CryptoKeyPair>;
  return publicKey instanceof CryptoKey && privateKey instanceof CryptoKey;
}
