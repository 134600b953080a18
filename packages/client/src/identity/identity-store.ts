import type { WebCrypto, WebCryptoKeyPair } from '@lumamesh/protocol';
import { COUNTERS_PER_SECOND } from '../room/peer-identity.ts';
import { makePeerKeys } from './identity-keys.ts';

/** Keys of a peer, and the first counter that it may use now. */
export interface StoredPeer {
  readonly keys: WebCryptoKeyPair;
  readonly counter: number;
}

/** Where the keys of an identity are, and who may use them now. */
export interface IdentityStore {
  /**
   * The peer of a place, made when there is none. Its counters are above all that were handed out
   * before, wherever the clock stood then.
   */
  peer(place: string): Promise<StoredPeer>;
  /** The place is this page's alone until it is released; `null`: another page has it. */
  hold(place: string, waits: boolean): Promise<(() => void) | null>;
  /** Which place this tab had before it was reloaded, in a room; it is forgotten. */
  recall(room: string): string | null;
}

/** Counters that are set aside for one stay: a quarter of an hour of the clock's. */
const RESERVED = 900 * COUNTERS_PER_SECOND;

/** Where a stay begins, and from where on the next one may. */
export function reserveCounters(
  unixSeconds: number,
  next: unknown,
): { readonly counter: number; readonly next: number } {
  const stored = typeof next === 'number' && next < 2 ** 47 ? next : 0;
  const counter = Math.max(Math.floor(unixSeconds * COUNTERS_PER_SECOND), stored);
  return { counter, next: counter + RESERVED };
}

export interface MemoryPeer {
  readonly keys: WebCryptoKeyPair;
  readonly next: number;
}

/** Keys that last as long as the program, which may export them. All of them are its own. */
export class MemoryStore implements IdentityStore {
  readonly peers: Map<string, MemoryPeer>;
  readonly #crypto: WebCrypto;
  readonly #isExtractable: boolean;
  readonly #unixSeconds: () => number;

  constructor(
    crypto: WebCrypto,
    isExtractable: boolean,
    unixSeconds: () => number,
    peers: Map<string, MemoryPeer> = new Map(),
  ) {
    this.#crypto = crypto;
    this.#isExtractable = isExtractable;
    this.#unixSeconds = unixSeconds;
    this.peers = peers;
  }

  async peer(place: string): Promise<StoredPeer> {
    const known = this.peers.get(place);
    const keys = known?.keys ?? (await makePeerKeys(this.#crypto.subtle, this.#isExtractable));
    const { counter, next } = reserveCounters(this.#unixSeconds(), known?.next);
    this.peers.set(place, { keys, next });
    return { keys, counter };
  }

  async hold(_place: string): Promise<(() => void) | null> {
    return () => undefined;
  }

  recall(_room: string): string | null {
    return null;
  }
}
