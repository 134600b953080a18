import type { Feature, NetHandle } from '../feature.ts';
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
      const store = new IdentityStore(net.platform, net.platform.storage('sessionStorage'));
      return {
        identityFor: async (roomId) => store._take(roomId),
        onPageHide: () => {
          for (const { roomId, counter } of net.rooms)
            if (roomId !== null) store._keep(roomId, counter);
        },
      };
    },
  };
}

/**
 * Who this page is in each room. Identities are written when the page goes and taken away when it
 * is back, so that a copy of the tab (which copies its session storage) never finds one.
 */
class IdentityStore {
  readonly #platform: Platform;
  readonly #storage: Storage | null;
  readonly #texts = new Map<string, string>();

  constructor(platform: Platform, storage: Storage | null) {
    this.#platform = platform;
    this.#storage = storage;
  }

  /** The identity for a room: that of before the reload, or a new one. */
  async _take(roomId: string): Promise<PeerIdentity> {
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
  _keep(roomId: string, counter: number): void {
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
