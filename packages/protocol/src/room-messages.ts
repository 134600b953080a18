import { type Decoded, decoded, dropped, parseJson, utf8Encode } from '@lumamesh/base';
import { ACCESS_PROOF_LENGTH } from './access.ts';
import { type JoinProof, isJoinProof } from './join-proof.ts';
import { LIMITS } from './limits.ts';
import { type SignedRelayRecord, parseRecordJson } from './relay-record.ts';

/*
 * The frames between a browser and a relay: text, one JSON object each, told apart by `action`
 * (docs/wire-protocol.md). Further fields may be added, and unknown ones are ignored.
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
  /** `join` frames of a session in the long run, and at once. */
  readonly joinsPerSecond: number;
  readonly joinsBurst: number;
  /** Frames of any kind. */
  readonly framesPerSecond: number;
  readonly framesBurst: number;
}

/**
 * Ephemeral credentials of a relay's TURN server (RFC 8489 §9.2), for one session in one room: they
 * hold while it is there, and a minute longer. Both texts are base64url.
 */
export interface TurnCredentials {
  readonly username: string;
  readonly password: string;
}

export type ClientMessage =
  | {
      readonly action: 'join';
      readonly room: string;
      readonly peer: string;
      readonly presence: string;
      /** That the peer's id is this session's; without it others may have it as well. */
      readonly proof?: JoinProof;
    }
  | { readonly action: 'leave'; readonly room: string }
  /** At a private relay, before all else: that this page has a token of it (access.ts). */
  | { readonly action: 'access'; readonly proof: string }
  | { readonly action: 'signal'; readonly room: string; readonly to: string; readonly data: string }
  /** `after`: where the last answer ended. */
  | { readonly action: 'nodes'; readonly limit: number; readonly after: string }
  /** Of relays: the record of the one that asks. */
  | { readonly action: 'dial-back'; readonly record: SignedRelayRecord }
  | { readonly action: 'ping' };

export type RelayMessage =
  | {
      readonly action: 'welcome';
      readonly version: number;
      readonly node: SignedRelayRecord;
      readonly limits: RelayLimits;
      /** What a {@link JoinProof} of this session signs; relays of before ask for none. */
      readonly challenge?: string;
    }
  /**
   * `more`: another `joined` with further members follows. `homes`: records of the relays that are
   * responsible for the room, this one left out. `turn`: for relays that forward. Both come with
   * the last one.
   */
  | {
      readonly action: 'joined';
      readonly room: string;
      readonly members: readonly RoomMember[];
      readonly more?: true;
      readonly homes?: readonly unknown[];
      readonly turn?: TurnCredentials;
    }
  | ({ readonly action: 'peer-joined'; readonly room: string } & RoomMember)
  | { readonly action: 'peer-left'; readonly room: string; readonly peer: string }
  | {
      readonly action: 'signal';
      readonly room: string;
      readonly from: string;
      readonly data: string;
    }
  /** `next`: there are more, to be had by `after`. */
  | { readonly action: 'nodes'; readonly nodes: readonly unknown[]; readonly next?: string }
  | { readonly action: 'pong' }
  | {
      readonly action: 'error';
      readonly code: string;
      readonly message: string;
      readonly room?: string;
      /**
       * With RELAY_CLOSING: another process of the same relay goes on at once, and is to be dialled
       * within so many ms, at a time of each session's own choice.
       */
      readonly successor?: number;
    };

/** A frame that could not be taken: what the relay replies. */
export interface FrameFault {
  readonly code: 'BAD_FRAME' | 'FRAME_TOO_LARGE' | 'UNKNOWN_ACTION';
  readonly message: string;
  readonly room?: string;
}

const ID = new RegExp(`^[A-Za-z0-9_-]{${LIMITS.minIdLength},${LIMITS.maxIdLength}}$`);
const SEALED = /^[A-Za-z0-9_-]*$/;
/**
 * What relays say (docs/errors.md, "From a relay"), by how it begins: what pages find out themselves
 * is none of theirs.
 */
const ERROR_CODE =
  /^((BAD|TOO|NOT_IN|RATE|FRAME|UNKNOWN|DIAL|ACCESS)_|PEER_[IGB]|ROOM_(FULL|NOT)|RELAY_(C|FU|P))[A-Z_]{0,20}$/;

/** Room and peer ids: base64url, 16 to 43 characters. */
export function isId(value: unknown): value is string {
  return typeof value === 'string' && ID.test(value);
}

/** What only members can read: base64url. */
export function isSealed(value: unknown, maxLength: number): value is string {
  return typeof value === 'string' && value.length <= maxLength && SEALED.test(value);
}

/** Reads a frame that a browser sent. */
export function parseClientMessage(
  frame: string,
):
  | { readonly ok: true; readonly value: ClientMessage }
  | { readonly ok: false; readonly fault: FrameFault } {
  // A UTF-16 length is never above the UTF-8 one, so the costly count is made only where it can
  // matter.
  if (
    frame.length > LIMITS.maxFrameBytes ||
    (frame.length > LIMITS.maxFrameBytes / 3 && utf8Encode(frame).length > LIMITS.maxFrameBytes)
  ) {
    return fault('FRAME_TOO_LARGE', `a frame has at most ${LIMITS.maxFrameBytes} bytes`);
  }
  const fields = parseJsonObject(frame);
  if (fields === null) return fault('BAD_FRAME', 'a frame is a JSON object');
  const { action, room, peer, presence, proof, to, data, limit, after } = fields;
  const inRoom = isId(room) ? { room } : {};
  switch (action) {
    case 'join':
      if (!isId(room) || !isId(peer))
        return fault(
          'BAD_FRAME',
          'join: room and peer are base64url ids of 16 to 43 characters',
          inRoom,
        );
      if (presence !== undefined && !isSealed(presence, LIMITS.maxPresenceLength))
        return fault(
          'BAD_FRAME',
          `join: presence is base64url of at most ${LIMITS.maxPresenceLength} characters`,
          inRoom,
        );
      if (proof !== undefined && !isJoinProof(proof))
        return fault('BAD_FRAME', 'join: proof is a key and a signature in base64url', inRoom);
      return {
        ok: true,
        value: {
          action,
          room,
          peer,
          presence: presence ?? '',
          ...(proof === undefined ? {} : { proof }),
        },
      };
    case 'access':
      return isSealed(proof, ACCESS_PROOF_LENGTH) && proof.length === ACCESS_PROOF_LENGTH
        ? { ok: true, value: { action, proof } }
        : fault('BAD_FRAME', `access: proof is base64url of ${ACCESS_PROOF_LENGTH} characters`);
    case 'leave':
      return isId(room)
        ? { ok: true, value: { action, room } }
        : fault('BAD_FRAME', 'leave: room is a base64url id of 16 to 43 characters');
    case 'signal':
      if (!isId(room) || !isId(to))
        return fault(
          'BAD_FRAME',
          'signal: room and to are base64url ids of 16 to 43 characters',
          inRoom,
        );
      if (!isSealed(data, LIMITS.maxSignalLength))
        return fault(
          'BAD_FRAME',
          `signal: data is base64url of at most ${LIMITS.maxSignalLength} characters`,
          inRoom,
        );
      return { ok: true, value: { action, room, to, data } };
    case 'nodes':
      if (
        limit !== undefined &&
        !(typeof limit === 'number' && Number.isInteger(limit) && limit > 0)
      )
        return fault('BAD_FRAME', 'nodes: limit is a whole number above zero');
      if (
        after !== undefined &&
        !(typeof after === 'string' && after.length <= LIMITS.maxCursorLength)
      )
        return fault(
          'BAD_FRAME',
          `nodes: after is the "next" of an answer, at most ${LIMITS.maxCursorLength} characters`,
        );
      return {
        ok: true,
        value: {
          action,
          limit: Math.min(limit ?? LIMITS.maxNodes, LIMITS.maxNodes),
          after: after ?? '',
        },
      };
    case 'dial-back': {
      const record = parseRecordJson(fields['record']);
      return record.ok
        ? { ok: true, value: { action, record: record.value } }
        : fault('BAD_FRAME', `dial-back: ${record.drop}`);
    }
    case 'ping':
      return { ok: true, value: { action } };
    default:
      return typeof action === 'string'
        ? fault('UNKNOWN_ACTION', 'this relay does not know the action', inRoom)
        : fault('BAD_FRAME', 'a frame has an action', inRoom);
  }
}

/**
 * The fields of each frame of a relay, and what they must be. A welcome's record is checked field
 * by field and by signature before it is used.
 */
const RELAY_FIELDS: Readonly<
  Record<RelayMessage['action'], Readonly<Record<string, (value: unknown) => boolean>>>
> = {
  welcome: { version: isNumber, node: isObject },
  joined: { room: isId, members: Array.isArray },
  'peer-joined': { room: isId, peer: isId, presence: isPresence },
  'peer-left': { room: isId, peer: isId },
  signal: { room: isId, from: isId, data: (value) => isSealed(value, LIMITS.maxSignalLength) },
  nodes: { nodes: Array.isArray },
  pong: {},
  error: { code: (value) => isText(value) && ERROR_CODE.test(value), message: isText },
};

const OPTIONAL_FIELDS: Readonly<Record<string, (value: unknown) => boolean>> = {
  room: isId,
  more: (value) => value === true,
  successor: (value) => isNumber(value) && value >= 0 && value <= LIMITS.maxReturnMs,
  homes: (value) => Array.isArray(value) && value.length <= LIMITS.maxHomes,
  next: isText,
  limits: isObject,
  challenge: (value) => isText(value) && value.length <= LIMITS.maxChallengeLength,
  turn: (value) =>
    isObject(value) && isTurnText(value['username']) && isTurnText(value['password']),
};

/** Reads a frame that a relay sent; what a newer relay may say is `protocol.unknownAction`. */
export function parseRelayMessage(frame: string): Decoded<RelayMessage> {
  const fields = parseJsonObject(frame);
  if (fields === null) return dropped('protocol.frame');
  const { action } = fields;
  const rules =
    isText(action) && Object.hasOwn(RELAY_FIELDS, action)
      ? RELAY_FIELDS[action as RelayMessage['action']]
      : null;
  if (rules === null) return dropped('protocol.unknownAction');
  if (action === 'peer-joined') fields['presence'] ??= '';
  const wrong = Object.keys(rules).find((name) => rules[name]?.(fields[name]) !== true);
  if (wrong !== undefined) return dropped(`protocol.${wrong}`);
  // What may be left out is left out where it is not what it should be.
  for (const [name, isValid] of Object.entries(OPTIONAL_FIELDS))
    if (!isValid(fields[name])) delete fields[name];
  const message = fields as unknown as RelayMessage;
  if (message.action === 'joined')
    return decoded({ ...message, members: message.members.filter(isRoomMember) });
  return decoded(
    message.action === 'nodes'
      ? { ...message, nodes: message.nodes.slice(0, LIMITS.maxNodes) }
      : message,
  );
}

export function isRoomMember(value: unknown): value is RoomMember {
  return isObject(value) && isId(value['peer']) && isPresence(value['presence']);
}

function isTurnText(value: unknown): value is string {
  return value !== '' && isSealed(value, LIMITS.maxTurnCredentialLength);
}

function isPresence(value: unknown): value is string {
  return isSealed(value, LIMITS.maxPresenceLength);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number';
}

/** The JSON object that a text is, or `null`: what strangers send does not throw. */
export function parseJsonObject(frame: string): Record<string, unknown> | null {
  const value = parseJson(frame);
  return isObject(value) && !Array.isArray(value) ? value : null;
}

function fault(
  code: FrameFault['code'],
  message: string,
  room: { readonly room?: string } = {},
): { readonly ok: false; readonly fault: FrameFault } {
  return { ok: false, fault: { code, message, ...room } };
}
