import { type Instant, TokenBucket, instant, later } from '@lumamesh/base';
import { type ClientMessage, LIMITS, type RelayLimits } from '@lumamesh/protocol';
import type { JoinMessage } from '../room/channel-host.ts';

/** A room that a relay refused is asked for again after this, doubling. */
const RETRY_INITIAL_MS = 3000;
const RETRY_MAX_MS = 15_000;
/** What is sent evenly may arrive together: we stay below what is allowed. */
const SHARE = 0.9;
/** Refusals that may pass: a place becomes free; our own session of before counts for 25 s. */
const TRANSIENT = /^(ROOM_FULL|TOO_MANY_ROOMS|PEER_ID_IN_USE|RATE_LIMITED|NOT_IN_ROOM)$/;
/** Of these what concerns new presence in a room that we are in. */
const OF_PRESENCE = /^(TOO_MANY_ROOMS|RATE_LIMITED)$/;

export interface WantedRoom {
  readonly roomId: string | null;
  readonly _joinMessage: JoinMessage | null;
}

/** A room that the relay was asked for. */
interface Asked {
  /** What the relay was told of this page; `null` where that was refused. */
  presence: string | null;
  /** It has taken us in. */
  isJoined: boolean;
}

/**
 * The rooms of this page at one relay: it is told of what is wanted in the end, not of all that was
 * wanted meanwhile, and only as fast and as much as it allows.
 */
export class RelayRooms {
  readonly #joins: TokenBucket;
  #maxRooms: number;
  /** What the relay was asked for, and has not refused. */
  readonly #asked = new Map<string, Asked>();
  readonly #refusals = new Map<string, { readonly retryAt: Instant; readonly delayMs: number }>();

  /** @param limits what the relay says; relays of before say less. */
  constructor({ joinsPerSecond, joinsBurst, maxRoomsPerSession }: Partial<RelayLimits> = {}) {
    this.#joins = new TokenBucket(
      SHARE * positive(joinsPerSecond, LIMITS.joinsPerSecond),
      Math.max(1, SHARE * positive(joinsBurst, LIMITS.joinsBurst)),
    );
    this.#maxRooms = positive(maxRoomsPerSession, LIMITS.maxRoomsPerSession);
  }

  _has(roomId: string): boolean {
    return this.#asked.has(roomId);
  }

  /** Whether the relay has said who is in a room, or that it does not take us in. */
  _isAnswered(roomId: string): boolean {
    return this.#asked.get(roomId)?.isJoined ?? this.#refusals.has(roomId);
  }

  /** The relay has taken us in. */
  _handleJoined(roomId: string): void {
    this.#refusals.delete(roomId);
    const asked = this.#asked.get(roomId);
    if (asked !== undefined) asked.isJoined = true;
  }

  _handleRefused(roomId: string, code: string, now: Instant): void {
    const asked = this.#asked.get(roomId);
    // Of rooms that nobody has asked for nothing is kept.
    if (asked === undefined || !TRANSIENT.test(code)) return;
    if (asked.isJoined && OF_PRESENCE.test(code)) {
      // We are in: what it does not take is what this page says of itself now.
      asked.presence = null;
    } else {
      this.#asked.delete(roomId);
      // It has fewer places than it says.
      if (code === 'TOO_MANY_ROOMS') this.#maxRooms = Math.max(1, this.#asked.size);
    }
    const last = this.#refusals.get(roomId);
    // New presence is not answered: what was refused long ago was taken since.
    const isOld = last === undefined || now > later(last.retryAt, RETRY_MAX_MS);
    const delayMs = isOld ? RETRY_INITIAL_MS : Math.min(2 * last.delayMs, RETRY_MAX_MS);
    this.#refusals.set(roomId, { retryAt: later(now, delayMs), delayMs });
  }

  /**
   * Leaves, joins, and says what is new of this page.
   * @param wanted whom to serve first comes first
   * @param send returns false when the relay cannot be told now
   * @param refuse there is no place for a room
   */
  _sync<Room extends WantedRoom>(
    wanted: readonly Room[],
    now: Instant,
    send: (message: ClientMessage) => boolean,
    refuse: (room: Room) => void,
  ): void {
    const ids = new Set(wanted.map(({ roomId }) => roomId));
    for (const room of this.#asked.keys())
      if (!ids.has(room)) {
        send({ action: 'leave', room });
        this.#asked.delete(room);
      }
    /** Places of rooms that came first, and whose keys are not there yet. */
    let kept = 0;
    for (const room of wanted) {
      const { roomId, _joinMessage: message } = room;
      if (message === null || roomId === null) {
        kept += 1;
        continue;
      }
      const asked = this.#asked.get(roomId);
      if (asked?.presence === message.presence) continue;
      if (now < (this.#refusals.get(roomId)?.retryAt ?? instant(0))) continue;
      if (asked === undefined && this.#asked.size + kept >= this.#maxRooms) refuse(room);
      else if (this.#joins.take(now) && send(message))
        this.#asked.set(roomId, {
          presence: message.presence,
          isJoined: asked?.isJoined ?? false,
        });
    }
  }
}

function positive(value: unknown, standard: number): number {
  return typeof value === 'number' && value > 0 ? value : standard;
}
