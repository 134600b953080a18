import type { MissReason } from '../api.ts';
import { LumameshError } from '@lumamesh/base';
import type { Api, Feature, RoomHandle, RoomPart } from '../feature.ts';

/** Relays have this long to say who is there, once one of them has. */
const LISTING_MS = 2000;
/** And members this long to be reached: one may begin again and again. */
const SETTLING_MS = 60_000;

/** Who of a room is reached, by their ids. */
export interface RoomReach {
  readonly reached: readonly string[];
  /** Those to whom a path is still sought. */
  readonly trying: readonly string[];
  /** Those who are there and no peers, and why. */
  readonly missed: ReadonlyMap<string, MissReason>;
  /** Whether anybody is there who is not reached. */
  readonly isPartial: boolean;
}

export interface ReachRoom {
  /** Who of those that are there now is reached. */
  readonly reach: RoomReach;
  /**
   * Resolves when everybody who was there when this page came is reached, or given up (`left` among
   * the reasons), after a minute at the latest: `trying` has those to whom a path is still sought. An
   * empty room is settled when all relays have said so, 2 s after the first one at the latest. Rejects
   * with `ROOM_LEFT`.
   */
  readonly settled: Promise<RoomReach>;
}

/** Events of the room. */
export type ReachEvents = {
  /** Who is reached, or why somebody is not, has changed. */
  reach: [reach: RoomReach];
};

export interface ReachApi extends Api {
  readonly room: ReachRoom;
  readonly roomEvents: ReachEvents;
}

/** Whether everybody is reached: `room.settled`, `room.reach`, and an event of that name. */
export function reach(): Feature<ReachApi> {
  return { name: 'reach', room: reachOf };
}

function reachOf(room: RoomHandle): RoomPart {
  const settled = Promise.withResolvers<RoomReach>();
  // Whoever waits for it hears of it; until somebody does it is no unhandled rejection.
  settled.promise.catch(() => undefined);
  /** Who was there when this page came; no longer needed once that is settled. */
  const first = new Set<string>();
  let isListed = false;
  let isLate = false;
  let isSettled = false;
  let cancel: (() => void) | null = null;

  const reachNow = (ids: Iterable<string>): RoomReach => {
    const members = new Set(room.memberIds);
    const reached: string[] = [];
    const trying: string[] = [];
    const missed = new Map<string, MissReason>();
    for (const id of ids) {
      const peer = room.peer(id);
      const why = peer?.state === 'idle' ? 'observer' : room.whyMissed(id);
      if (peer?.isOpen === true) reached.push(id);
      else if (why !== undefined) missed.set(id, why);
      else if (peer !== undefined || members.has(id)) trying.push(id);
      else missed.set(id, 'left');
    }
    return { reached, trying, missed, isPartial: trying.length + missed.size > 0 };
  };

  const everybody = (): RoomReach =>
    reachNow(new Set([...room.memberIds, ...room.peers.map(({ id }) => id)]));

  /** What listeners were told last. */
  let told = '';
  const tell = (): void => {
    if (!room.has('reach')) return;
    const now = everybody();
    const text = JSON.stringify([now.reached, now.trying, [...now.missed]]);
    if (text !== told) room.emit('reach', now);
    told = text;
  };

  const look = (): void => {
    tell();
    if (isSettled || room.state !== 'joined') return;
    if (!isListed) {
      for (const id of room.memberIds) first.add(id);
      cancel ??= room.platform.setTimer(LISTING_MS, () => {
        isListed = true;
        cancel = room.platform.setTimer(SETTLING_MS, () => {
          isLate = true;
          look();
        });
        look();
      });
      isListed ||= room.isListed;
    }
    if (!isListed) return;
    const now = reachNow(first);
    if (now.trying.length > 0 && !isLate) return;
    isSettled = true;
    cancel?.();
    settled.resolve(now);
  };

  const api: ReachRoom = {
    get reach() {
      return everybody();
    },
    settled: settled.promise,
  };
  return {
    api,
    events: ['reach'],
    onMembers: look,
    peer: (peer) => {
      peer.on('status', look);
      return {};
    },
    onLeave: () => {
      cancel?.();
      settled.reject(new LumameshError('ROOM_LEFT', 'it was left before it was settled'));
    },
  };
}
