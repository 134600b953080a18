import { Endings } from '@lumamesh/base';
import type { Peer, Room } from 'lumamesh';
import type { Bytes } from './frames.ts';
import type { Clock } from './clock.ts';
import type { Post } from './link.ts';
import { neighboursOf } from './ring.ts';

/** Members come one after another; whom to connect to is decided when there is a pause. */
const SETTLE_MS = 50;
/** One of two connects; where it does not, the other does. */
const OTHER_CONNECTS_MS = 2000;

/** What is done with members, as they come and go. */
export interface RoomUser {
  readonly _clock: Clock;
  /** A member can be talked to, and is to be. */
  readonly _handleMember: (id: string, post: Post) => void;
  readonly _handleGone: (id: string) => void;
  /** @param post answers it */
  readonly _handleFrame: (id: string, frame: Bytes, post: Post) => void;
  readonly _handleProgress: (id: string) => void;
}

/** The members of a room, and bytes to and from each, as an action of that room. */
export class RoomLinks {
  readonly #room: Room;
  readonly #maxConnections: number;
  readonly #user: RoomUser;
  readonly #send: (peer: Peer) => Post;
  readonly #listening = new Endings<Room | Peer>();
  #isClosed = false;
  #cancelChoice: (() => void) | null = null;

  /** @param action its name */
  constructor(room: Room, action: string, maxConnections: number, user: RoomUser) {
    this.#room = room;
    this.#maxConnections = maxConnections;
    this.#user = user;
    const [send, on] = room.action<Uint8Array>(action);
    this.#send =
      (to) =>
      (frame, isUrgent): Promise<unknown> =>
        send(frame, isUrgent ? { to, lane: 'requests' } : { to });
    this.#listening.set(
      room,
      on((value: unknown, peer) => {
        if (value instanceof Uint8Array)
          user._handleFrame(peer.id, value as Bytes, this.#send(peer));
      }),
      room.on('peer', (peer) => this.#watch(peer)),
      room.on('leave', (peer) => {
        this.#listening.forget(peer);
        user._handleGone(peer.id);
        this.#chooseSoon();
      }),
    );
    for (const peer of room.peers) this.#watch(peer);
    this.#choose();
  }

  get _selfId(): string {
    return this.#room.selfId;
  }

  /** The ids of all other members. */
  get _members(): readonly string[] {
    return this.#room.peers.map(({ id }) => id);
  }

  _close(): void {
    this.#isClosed = true;
    this.#cancelChoice?.();
    this.#listening.end();
  }

  #watch(peer: Peer): void {
    this.#listening.set(
      peer,
      peer.on('open', () => this.#choose()),
      peer.on('progress', () => this.#user._handleProgress(peer.id)),
    );
    this.#chooseSoon();
  }

  #chooseSoon(): void {
    this.#cancelChoice ??= this.#user._clock.setTimer(SETTLE_MS, () => {
      this.#cancelChoice = null;
      this.#choose(true);
    });
  }

  /** Talks to those that we are to talk to, and (`connects`) connects to the rest of them. */
  #choose(connects = false): void {
    const { peers, selfId } = this.#room;
    const ids = peers.map(({ id }) => id);
    const wanted = neighboursOf(selfId, ids, this.#maxConnections);
    for (const peer of peers) {
      if (!wanted.has(peer.id)) continue;
      if (peer.isOpen || peer.state === 'reconnecting')
        this.#user._handleMember(peer.id, this.#send(peer));
      else if (!connects || peer.state !== 'idle') continue;
      else if (selfId < peer.id) peer.connect();
      else
        this.#user._clock.setTimer(OTHER_CONNECTS_MS, () => {
          if (!this.#isClosed && peer.state === 'idle') peer.connect();
        });
    }
  }
}
