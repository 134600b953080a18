import { type Decoded, decoded, dropped, utf8Encode } from '@lumamesh/base';
import { LIMITS } from './limits.ts';
import type { SignedRelayRecord } from './relay-record.ts';

/*
 * The frames between a browser and a relay: text, one JSON object each, told apart by `action` (docs/wire-protocol.md).
 * Further fields may be added, and unknown ones are ignored.
 */
export interface RoomMember {
  readonly peer: string;
  /** Sealed; empty when the peer gave none. */
  readonly presence: string;
}

export interface RelayLimits {
  readonly maxRoomSize: number;
  readonly maxRoomsPerSession: number;
  readonly maxFrameBytes: number;
  readonly maxPresenceLength: number;
  readonly maxSignalLength: number;
}

export type ClientMessage =
  | { readonly action: 'join'; readonly room: string; readonly peer: string; readonly presence: string }
  | { readonly action: 'leave'; readonly room: string }
  | { readonly action: 'signal'; readonly room: string; readonly to: string; readonly data: string }
  /** `after`: where the last answer ended. */
  | { readonly action: 'nodes'; readonly limit: number; readonly after: string }
  | { readonly action: 'ping' };

export type RelayMessage =
  | { readonly action: 'welcome'; readonly version: number; readonly node: SignedRelayRecord; readonly limits: RelayLimits }
  /** `more`: another `joined` with further members follows. `homes`: records of the relays that are responsible for the room, this one left out. */
  | { readonly action: 'joined'; readonly room: string; readonly members: readonly RoomMember[]; readonly more?: true; readonly homes?: readonly unknown[] }
  | ({ readonly action: 'peer-joined'; readonly room: string } & RoomMember)
  | { readonly action: 'peer-left'; readonly room: string; readonly peer: string }
  | { readonly action: 'signal'; readonly room: string; readonly from: string; readonly data: string }
  /** `next`: there are more, to be had by `after`. */
  | { readonly action: 'nodes'; readonly nodes: readonly unknown[]; readonly next?: string }
  | { readonly action: 'pong' }
  | { readonly action: 'error'; readonly code: string; readonly message: string; readonly room?: string };

/** A frame that could not be taken: what the relay answers. */
export interface FrameFault {
  readonly code: 'BAD_FRAME' | 'FRAME_TOO_LARGE' | 'UNKNOWN_ACTION';
  readonly message: string;
  readonly room?: string;
}

const ID = new RegExp(`^[A-Za-z0-9_-]{${LIMITS.minIdLength},${LIMITS.maxIdLength}}$`);
const SEALED = /^[A-Za-z0-9_-]*$/;

/** Room and peer ids: base64url, 16 to 43 characters. */
export function isId(value: unknown): value is string {
  return typeof value === 'string' && ID.test(value);
}

/** What only members can read: base64url. */
export function isSealed(value: unknown, maxLength: number): value is string {
  return typeof value === 'string' && value.length <= maxLength && SEALED.test(value);
}

/** Reads a frame that a browser sent. */
export function parseClientMessage(frame: string): { readonly ok: true; readonly value: ClientMessage } | { readonly ok: false; readonly fault: FrameFault } {
  // A UTF-16 length is never above the UTF-8 one, so the costly count is made only where it can matter.
  if (frame.length > LIMITS.maxFrameBytes || (frame.length > LIMITS.maxFrameBytes / 3 && utf8Encode(frame).length > LIMITS.maxFrameBytes)) {
    return fault('FRAME_TOO_LARGE', `a frame has at most ${LIMITS.maxFrameBytes} bytes`);
  }
  const fields = parseJsonObject(frame);
  if (fields === null) return fault('BAD_FRAME', 'a frame is a JSON object');
  const { action, room, peer, presence, to, data, limit, after } = fields;
  const inRoom = isId(room) ? { room } : {};
  switch (action) {
    case 'join':
      if (!isId(room) || !isId(peer)) return fault('BAD_FRAME', 'join: room and peer are base64url ids of 16 to 43 characters', inRoom);
      if (presence !== undefined && !isSealed(presence, LIMITS.maxPresenceLength))
        return fault('BAD_FRAME', `join: presence is base64url of at most ${LIMITS.maxPresenceLength} characters`, inRoom);
      return { ok: true, value: { action, room, peer, presence: presence ?? '' } };
    case 'leave':
      return isId(room) ? { ok: true, value: { action, room } } : fault('BAD_FRAME', 'leave: room is a base64url id of 16 to 43 characters');
    case 'signal':
      if (!isId(room) || !isId(to)) return fault('BAD_FRAME', 'signal: room and to are base64url ids of 16 to 43 characters', inRoom);
      if (!isSealed(data, LIMITS.maxSignalLength))
        return fault('BAD_FRAME', `signal: data is base64url of at most ${LIMITS.maxSignalLength} characters`, inRoom);
      return { ok: true, value: { action, room, to, data } };
    case 'nodes':
      if (limit !== undefined && !(typeof limit === 'number' && Number.isInteger(limit) && limit > 0))
        return fault('BAD_FRAME', 'nodes: limit is a whole number above zero');
      if (after !== undefined && !(typeof after === 'string' && after.length <= LIMITS.maxCursorLength))
        return fault('BAD_FRAME', `nodes: after is the "next" of an answer, at most ${LIMITS.maxCursorLength} characters`);
      return { ok: true, value: { action, limit: Math.min(limit ?? LIMITS.maxNodes, LIMITS.maxNodes), after: after ?? '' } };
    case 'ping':
      return { ok: true, value: { action } };
    default:
      return typeof action === 'string'
        ? fault('UNKNOWN_ACTION', 'this relay does not know the action', inRoom)
        : fault('BAD_FRAME', 'a frame has an action', inRoom);
  }
}

/** Reads a frame that a relay sent; what a newer relay may say is `protocol.unknownAction`. */
export function parseRelayMessage(frame: string): Decoded<RelayMessage> {
  const fields = parseJsonObject(frame);
  if (fields === null) return dropped('protocol.frame');
  const { action, version, node, limits, room, members, peer, presence, from, data, nodes, homes, next, code, message } = fields;
  switch (action) {
    case 'welcome': {
      if (typeof version !== 'number' || typeof node !== 'object' || node === null) return dropped('protocol.welcome');
      // The record is checked field by field and by signature before it is used; the limits are advice.
      return decoded({ action, version, node: node as SignedRelayRecord, limits: (limits ?? {}) as RelayLimits });
    }
    case 'joined': {
      if (!isId(room) || !Array.isArray(members)) return dropped('protocol.joined');
      return decoded({
        action,
        room,
        members: members.filter(isRoomMember),
        ...(fields['more'] === true ? { more: true as const } : {}),
        ...(Array.isArray(homes) ? { homes: homes.slice(0, LIMITS.maxHomes) as unknown[] } : {}),
      });
    }
    case 'peer-joined': {
      const member = { peer, presence: presence ?? '' };
      return isId(room) && isRoomMember(member) ? decoded({ action, room, ...member }) : dropped('protocol.peerJoined');
    }
    case 'peer-left':
      return isId(room) && isId(peer) ? decoded({ action, room, peer }) : dropped('protocol.peerLeft');
    case 'signal':
      return isId(room) && isId(from) && isSealed(data, LIMITS.maxSignalLength) ? decoded({ action, room, from, data }) : dropped('protocol.signal');
    case 'nodes':
      if (!Array.isArray(nodes)) return dropped('protocol.nodes');
      return decoded({ action, nodes: nodes.slice(0, LIMITS.maxNodes) as unknown[], ...(typeof next === 'string' ? { next } : {}) });
    case 'pong':
      return decoded({ action });
    case 'error':
      if (typeof code !== 'string' || typeof message !== 'string') return dropped('protocol.error');
      return decoded({ action, code, message, ...(isId(room) ? { room } : {}) });
    default:
      return dropped('protocol.unknownAction');
  }
}

export function isRoomMember(value: unknown): value is RoomMember {
  if (typeof value !== 'object' || value === null) return false;
  const { peer, presence } = value as Record<string, unknown>;
  return isId(peer) && isSealed(presence, LIMITS.maxPresenceLength);
}

/** The JSON object that a text is, or `null`: what strangers send does not throw. */
export function parseJsonObject(frame: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(frame);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

function fault(code: FrameFault['code'], message: string, room: { readonly room?: string } = {}): { readonly ok: false; readonly fault: FrameFault } {
  return { ok: false, fault: { code, message, ...room } };
}
