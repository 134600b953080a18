import {
  type PeerIdentity,
  createPeerIdentity,
  restorePeerIdentity,
  storePeerIdentity,
} from '../../core/peer-identity.ts';
import type { Platform } from '../platform.ts';

/**
 * Who this page is in each room. A tab that reloads is the same peer again: identities are written when the page goes and taken away when it is back,
 * so that a copy of the tab (which copies its session storage) never finds one.
 */
export class IdentityStore {
  readonly #platform: Platform;
  readonly #storage: Storage | null;
  readonly #texts = new Map<string, string>();

  constructor(platform: Platform, storage: Storage | null) {
    this.#platform = platform;
    this.#storage = storage;
  }

  /** The identity for a room: that of before the reload, or a new one. */
  async take(roomId: string): Promise<PeerIdentity> {
    const { subtle } = this.#platform.crypto;
    const [text = '', counter] = this.#takeText(roomId).split(' ');
    const restored =
      text === ''
        ? null
        : await restorePeerIdentity(subtle, text, Number(counter)).catch(() => null);
    const identity = restored ?? (await createPeerIdentity(subtle));
    this.#texts.set(roomId, await storePeerIdentity(subtle, identity));
    return identity;
  }

  /** Keeps the identity of a room over a reload. */
  keep(roomId: string, counter: number): void {
    try {
      this.#storage?.setItem(keyOf(roomId), `${this.#texts.get(roomId) ?? ''} ${counter}`);
    } catch {
      // No place to keep it: the reloaded page is a new peer.
    }
  }

  #takeText(roomId: string): string {
    try {
      const text = this.#storage?.getItem(keyOf(roomId)) ?? '';
      this.#storage?.removeItem(keyOf(roomId));
      return text;
    } catch {
      return '';
    }
  }
}

function keyOf(roomId: string): string {
  return `lumamesh:${roomId}`;
}
