import { type Instant, LumameshError, dropOldest, instant, later } from '@lumamesh/base';
import type { Api, Feature, PeerHandle, PeerPart, RoomHandle, RoomPart } from '../../feature.ts';
import { expectFields } from '../../options.ts';
import { type ForwardingPeer, Forwarder } from './forwarder.ts';
import { ForwardedPath } from './forwarded-path.ts';
import { PairCipher, type PairKeys, createPairKeys } from './pair-cipher.ts';

const MAX_REMEMBERED = 1024;
/** A direct path that takes longer than this is not waited for: somebody is asked to forward. */
const FORWARD_AFTER_MS = 6000;
/** How often a direct path is tried again while others forward. */
const DIRECT_RETRY_MS = 60_000;

export interface ForwardingOptions {
  /**
   * Whether this page forwards encrypted frames for two members that cannot reach each other (at
   * most 128 KB/s for each pair). Default `true`.
   */
  readonly forward?: boolean;
}

export interface ForwardingApi extends Api {
  readonly roomOptions: ForwardingOptions;
}

/** Two members without a direct path talk, end-to-end encrypted, through a third. */
export function forwarding(): Feature<ForwardingApi> {
  return { name: 'forwarding', room: forwardingOf };
}

/** What a member says of itself. */
interface ForwardingPresence {
  /** Base64url of a raw P-256 ECDH key. */
  readonly key: string;
  readonly isWilling: boolean;
}

/** What the room keeps for the peers' parts. */
interface Shared {
  readonly room: RoomHandle;
  /** `null` for a peer that does not take part in forwarding. */
  readonly cipherFor: (id: string) => Promise<PairCipher> | null;
  readonly peers: ReadonlyMap<string, ForwardedPeer>;
  readonly presences: ReadonlyMap<string, ForwardingPresence>;
  readonly forward: (
    from: ForwardedPeer,
    toId: string,
    bytes: Uint8Array,
    isReliable: boolean,
  ) => void;
}

function forwardingOf(room: RoomHandle): RoomPart {
  expectFields('joinRoom: ', room.options, 'forward', 'boolean', 'undefined');
  const isWilling = (room.options as ForwardingOptions).forward ?? true;
  const presences = new Map<string, ForwardingPresence>();
  const peers = new Map<string, ForwardedPeer>();
  /**
   * By peer and its key, for as long as the room lasts: a cipher that began anew would take for new
   * what was heard before.
   */
  const ciphers = new Map<string, Promise<PairCipher>>();
  const forwarder = new Forwarder(room.platform);
  let keys: PairKeys | null = null;

  const cipherFor = (id: string): Promise<PairCipher> | null => {
    const key = presences.get(id)?.key ?? '';
    if (keys === null || key === '' || room.roomId === null) return null;
    const name = `${id} ${key}`;
    const known = ciphers.get(name);
    if (known !== undefined) return known;
    const { crypto } = room.platform;
    const made = PairCipher.create(crypto, keys, key, room.roomId, room.selfId, id);
    dropOldest(ciphers, MAX_REMEMBERED);
    ciphers.set(name, made);
    return made;
  };

  const shared: Shared = {
    room,
    cipherFor,
    peers,
    presences,
    forward: (from, toId, bytes, isReliable) =>
      forwarder._forward(from, isWilling ? peers.get(toId) : undefined, toId, bytes, isReliable),
  };

  return {
    onStart: async () => {
      keys = await createPairKeys(room.platform.crypto).catch(() => null);
    },
    presence: () => ({ key: keys?.publicKey, isWilling }),
    onPresence: (id, presence) => {
      const said = (presence ?? {}) as Partial<Record<keyof ForwardingPresence, unknown>>;
      const key = typeof said.key === 'string' ? said.key : '';
      // Another key: the page was loaded anew, and what was agreed on with the one before is void.
      if ((presences.get(id)?.key ?? key) !== key) peers.get(id)?._dropPath();
      presences.delete(id);
      dropOldest(presences, MAX_REMEMBERED);
      presences.set(id, { key, isWilling: said.isWilling === true });
    },
    peer: (peer) => {
      const forwarded = new ForwardedPeer(peer, shared, () => peers.delete(peer.id));
      peers.set(peer.id, forwarded);
      return forwarded;
    },
  };
}

/** One peer: reached through others, or one that forwards. */
class ForwardedPeer implements ForwardingPeer, PeerPart {
  readonly #peer: PeerHandle;
  readonly #shared: Shared;
  readonly #handleClosed: () => void;
  readonly #bornAt: Instant;
  #path: ForwardedPath | null = null;
  #isMakingPath = false;
  #retryDirectAt: Instant = instant(0);
  #hasSaidUnreachable = false;
  readonly frames: NonNullable<PeerPart['frames']>;

  constructor(peer: PeerHandle, shared: Shared, handleClosed: () => void) {
    this.#peer = peer;
    this.#shared = shared;
    this.#handleClosed = handleClosed;
    this.#bornAt = peer.platform.now();
    const ofOthers =
      (handle: (id: string, bytes: Uint8Array, isReliable: boolean) => void) =>
      (value: unknown, id: string, isReliable: boolean): void => {
        // Only who is reached directly forwards, and nobody for itself.
        if (value instanceof Uint8Array && this.isDirect && id !== this.id)
          handle(id, value, isReliable);
      };
    this.frames = {
      forward: {
        handle: ofOthers((id, bytes, isReliable) => shared.forward(this, id, bytes, isReliable)),
      },
      forwarded: {
        handle: ofOthers((id, bytes) => void shared.peers.get(id)?._handleForwarded(this, bytes)),
      },
      notForwarded: {
        handle: (_value, id) => shared.peers.get(id)?._handleNotForwarded(this.id),
      },
    };
  }

  get id(): string {
    return this.#peer.id;
  }

  get isDirect(): boolean {
    return this.#peer.isDirect;
  }

  get isWilling(): boolean {
    return this.#shared.presences.get(this.id)?.isWilling ?? false;
  }

  get requestBytes(): number {
    return this.#peer.requestBytes;
  }

  sendFrame(...values: Parameters<ForwardingPeer['sendFrame']>): Promise<boolean> {
    return this.#peer.sendFrame(...values);
  }

  onTick(now: Instant): void {
    const peer = this.#peer;
    if (peer.isDirect || /^(closed|idle)$/.test(peer.state)) return;
    const { hasNoDirectPath, isEnded } = peer.link;
    const isLate =
      hasNoDirectPath ||
      (peer.state !== 'connecting' && !peer.isOpen) ||
      now - this.#bornAt > FORWARD_AFTER_MS;
    const others = [...this.#shared.peers.values()].filter(({ isDirect }) => isDirect);
    if (isLate) void this.#makePath().then((path) => path?._seek(now, others));
    if (hasNoDirectPath && this.#path?.isOpen !== true && others.length === 0)
      this.#reportUnreachable();
    // The queue of who forwards has become short without anybody telling.
    peer.pump();
    if (!isEnded || now < this.#retryDirectAt) return;
    this.#retryDirectAt = later(now, DIRECT_RETRY_MS);
    peer.restartConnection();
  }

  onClose(): void {
    this.#path?._close();
    this.#handleClosed();
  }

  /** What was agreed on with this peer is void. */
  _dropPath(): void {
    this.#path?._close();
    this.#path = null;
    this.#peer.setAlternatePath(null);
  }

  /** A sealed frame of this peer, forwarded by another. */
  async _handleForwarded(via: ForwardingPeer, bytes: Uint8Array): Promise<void> {
    (await this.#makePath())?._handleSealed(via, bytes);
  }

  /** `viaId` forwards nothing to this peer (any more). */
  _handleNotForwarded(viaId: string): void {
    this.#path?._handleRefused(viaId);
  }

  #reportUnreachable(): void {
    if (this.#hasSaidUnreachable) return;
    this.#hasSaidUnreachable = true;
    const { nick, id } = this.#peer;
    this.#shared.room.reportError(
      new LumameshError('NEEDS_TURN', `no path to ${nick || id} was found: it takes a TURN server`),
    );
  }

  async #makePath(): Promise<ForwardedPath | null> {
    if (this.#path !== null || this.#isMakingPath) return this.#path;
    this.#isMakingPath = true;
    const peer = this.#peer;
    try {
      const cipher = await this.#shared.cipherFor(peer.id);
      if (cipher === null || peer.state === 'closed') return null;
      const path: ForwardedPath = new ForwardedPath(peer.platform, peer.id, cipher, {
        _frame: (frame, lane) =>
          peer.receiveFrame(path, lane, typeof frame === 'string' ? frame : frame.buffer),
        _change: (isOpen) => peer.setAlternatePath(isOpen ? path : null),
        _low: () => peer.pump(),
      });
      this.#path = path;
      return path;
    } catch {
      // Its presence has no key that is one.
      return null;
    } finally {
      this.#isMakingPath = false;
    }
  }
}
