import {
  LIMITS,
  type RelayMessage,
  type RoomMember,
  type SignedRelayRecord,
  type TurnCredentials,
} from '@lumamesh/protocol';

/** `{"peer":"","presence":""},` and the frame around. */
const MEMBER_OVERHEAD_BYTES = 26;
/** A home's record as JSON. */
const HOME_BYTES = 1600;
const TURN_BYTES = 2 * LIMITS.maxTurnCredentialLength + 50;
const MAX_PAGE_BYTES = LIMITS.maxFrameBytes - 200 - LIMITS.maxHomes * HOME_BYTES - TURN_BYTES;

/**
 * The members of a room, in as many `joined` frames as it takes; all but the last say that more
 * follow. Homes and credentials come with the last.
 */
export function* joinedPages(
  room: string,
  members: Iterable<RoomMember>,
  homes: readonly SignedRelayRecord[],
  turn: TurnCredentials | null,
): Iterable<RelayMessage> {
  let page: RoomMember[] = [];
  let bytes = 0;
  for (const { peer, presence } of members) {
    const cost = peer.length + presence.length + MEMBER_OVERHEAD_BYTES;
    if (bytes + cost > MAX_PAGE_BYTES) {
      yield { action: 'joined', room, members: page, more: true };
      page = [];
      bytes = 0;
    }
    page.push({ peer, presence });
    bytes += cost;
  }
  yield {
    action: 'joined',
    room,
    members: page,
    ...(homes.length === 0 ? {} : { homes }),
    ...(turn === null ? {} : { turn }),
  };
}
