import type { Feature, NetHandle } from '../feature.ts';
import { holdLock, placeOf } from '../platform/exclusive.ts';
import type { Platform } from '../platform/platform.ts';
import {
  type PeerIdentity,
  createPeerIdentity,
  restorePeerIdentity,
  storePeerIdentity,
} from '../room/peer-identity.ts';

/** A tab that reloads is the same peer again. */
export function sessionIdentity(): Feature {
  return {
    name: 'sessionIdentity',
    net: (net: NetHandle) => {
      const store = new IdentityStore(net.platform);
      return {
        identityFor: async (roomId) => store._take(roomId),
        onPageHide: () => {
          for (const { roomId, counter } of net.stays)
            if (roomId !== null) store._keep(roomId, counter);
        },
      };
    },
  };
}

/** The places in storage that this document's nets speak for. */
const taken = new Set<string>();

/**
 * Who this page is in each room. Identities are written when the page goes and taken away when it
 * is back, so that a copy of the tab (which copies its session storage) finds none. Frames of a tab
 * share its storage, and nets of a page: each has a place of its own there. Where a copy was made
 * while one was stored, who is first is the peer; a lock says who that is.
 */
class IdentityStore {
  readonly #platform: Platform;
  readonly #storage: Storage | null;
  /** By room: where to keep the identity, and its text. */
  readonly #kept = new Map<string, readonly [key: string, text: string]>();

  constructor(platform: Platform) {
    this.#platform = platform;
    this.#storage = platform.storage('sessionStorage');
  }

  /** The identity for a room: that of before the reload, or a new one. */
  async _take(roomId: string): Promise<PeerIdentity> {
    const { crypto, scope } = this.#platform;
    const place = placeOf(scope);
    if (place === null || this.#storage === null) return createPeerIdentity(crypto.subtle);
    let key = `lumamesh:${roomId}${place}`;
    while (taken.has(key)) key += '+';
    taken.add(key);
    const restored = await this.#restore(key).catch(() => null);
    const identity = restored ?? (await createPeerIdentity(crypto.subtle));
    this.#kept.set(roomId, [key, await storePeerIdentity(crypto.subtle, identity)]);
    return {
      ...identity,
      release: () => {
        taken.delete(key);
        restored?.release?.();
      },
    };
  }

  /** Keeps the identity of a room over a reload. */
  _keep(roomId: string, counter: number): void {
    const [key, text] = this.#kept.get(roomId) ?? [];
    try {
      if (key !== undefined) this.#storage?.setItem(key, `${text} ${counter}`);
    } catch {
      // No place to keep it: the reloaded page is a new peer.
    }
  }

  /** What was kept, unless somebody else is it by now. Rejects at what is damaged. */
  async #restore(key: string): Promise<PeerIdentity | null> {
    const { crypto, scope } = this.#platform;
    const stored = this.#storage?.getItem(key) ?? null;
    if (stored === null) return null;
    this.#storage?.removeItem(key);
    const [text = '', counter] = stored.split(' ');
    const now = this.#platform.unixSeconds();
    const identity = await restorePeerIdentity(crypto.subtle, text, Number(counter), now);
    const release = await holdLock(scope, `lumamesh ${identity.id}`);
    return release && { ...identity, release };
  }
}
