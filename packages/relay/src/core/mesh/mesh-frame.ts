import { type Decoded, decoded, dropped, utf8Encode } from '@lumamesh/base';
import {
  LIMITS,
  type RoomMember,
  type SignedRelayRecord,
  decodeRecordLine,
  encodeRecordLine,
  isId,
  isRoomMember,
  isSealed,
  parseJsonObject,
} from '@lumamesh/protocol';

/*
 * The frames between two relays of a mesh: one JSON object each behind its length, told apart by
 * `type` (docs/wire-protocol.md §7). Whoever sends them has proven its node key; what they say is a
 * stranger's word all the same.
 */
export type MeshFrame =
  /** First on every link: who speaks. */
  | { readonly type: 'hello'; readonly version: number; readonly record: SignedRelayRecord }
  /**
   * The record in your hello was dialled and is good: hints and room frames are taken from now on.
   */
  | { readonly type: 'ready' }
  | { readonly type: 'bye' }
  /**
   * These relays did not answer the sender: the receiver asks them itself, and believes what it
   * finds.
   */
  | { readonly type: 'suspect'; readonly relays: readonly string[] }
  | SyncFrame
  | HintFrame
  | RoomFrame
  /**
   * For a relay that the sender has no link to: the receiver, which has one, is asked to forward
   * it.
   */
  | ({ readonly type: 'forwardRequest'; readonly to: string } & SignedRoomFrame)
  /** What a `forwardRequest` becomes on its way to the relay it is for. */
  | ({ readonly type: 'forwarded'; readonly from: string } & SignedRoomFrame);

/**
 * A room frame that a third relay forwards: signed by its author over {@link forwardedBytes}, so
 * that the relay between can lose it and nothing else.
 */
export interface SignedRoomFrame {
  /** Grows with every frame from one author to one receiver. */
  readonly counter: number;
  readonly text: string;
  /** base64url Ed25519 signature of the author's node key. */
  readonly signature: string;
  /** What the text says; not on the wire. */
  readonly frame: RoomFrame;
}

/** Record sets compared by digests of buckets; see record-set.ts. */
export type SyncFrame =
  | { readonly type: 'summary'; readonly bits: number; readonly digests: readonly string[] }
  /** All ids of the sender's in these buckets: send what is missing, ask for what you miss. */
  | {
      readonly type: 'have';
      readonly bits: number;
      readonly buckets: readonly number[];
      readonly ids: readonly string[];
    }
  | { readonly type: 'want'; readonly ids: readonly string[] }
  | { readonly type: 'records'; readonly records: readonly SignedRelayRecord[] };

export type HintFrame =
  /**
   * The sender has members in these rooms, and takes the receiver for a home of theirs: it reports
   * them.
   */
  | { readonly type: 'hints'; readonly rooms: readonly string[] }
  | { readonly type: 'withdraw'; readonly rooms: readonly string[] }
  /** A home's answer: it has no place for these hints, or none any more. */
  | { readonly type: 'refused'; readonly rooms: readonly string[] }
  /** A home's answer: which other relays report a room, and which do no longer. */
  | {
      readonly type: 'reporters';
      readonly room: string;
      readonly add: readonly string[];
      readonly remove: readonly string[];
    };

export type RoomFrame =
  /**
   * Members of the sender's own sessions. `all`: and nobody else. `ask`: the sender knows nothing
   * of the receiver's members, and wants all of them.
   */
  | {
      readonly type: 'present';
      readonly room: string;
      readonly members: readonly RoomMember[];
      readonly all?: true;
      readonly ask?: true;
    }
  | { readonly type: 'absent'; readonly room: string; readonly peers: readonly string[] }
  /**
   * A digest of what the sender believes the receiver to know of its members; a receiver that knows
   * otherwise asks.
   */
  | { readonly type: 'check'; readonly room: string; readonly digest: string }
  | {
      readonly type: 'signal';
      readonly room: string;
      readonly from: string;
      readonly to: string;
      readonly data: string;
    };

export const MESH_VERSION = 1;

export const MESH_LIMITS = {
  /** One frame, as UTF-8. A larger one ends the link. */
  maxFrameBytes: 131_072,
  maxSummaryBits: 8,
  maxIds: 1024,
  maxRecords: 48,
  maxHints: 512,
  maxReporters: 64,
  maxMembers: 250,
  maxPeers: 512,
} as const;

const NODE_KEY = /^[A-Za-z0-9_-]{43}$/;
const SIGNATURE = /^[A-Za-z0-9_-]{86}$/;
const DIGEST = /^[0-9a-f]{16}$/;
const RECORD_ID = /^[0-9a-f]{32}$/;

export function encodeMeshFrame(frame: MeshFrame): string {
  if (frame.type === 'hello')
    return JSON.stringify({ ...frame, record: encodeRecordLine(frame.record) });
  if (frame.type === 'forwardRequest' || frame.type === 'forwarded') {
    const { frame: _parsed, ...onWire } = frame;
    return JSON.stringify(onWire);
  }
  if (frame.type === 'records')
    return JSON.stringify({ ...frame, records: frame.records.map(encodeRecordLine) });
  return JSON.stringify(frame);
}

/** Decodes a frame. Signatures of records are not verified here. */
export function decodeMeshFrame(text: string): Decoded<MeshFrame> {
  const value = parseJsonObject(text);
  if (value === null) return dropped('mesh.frame.json');
  const { type } = value;
  switch (type) {
    case 'hello': {
      if (typeof value['version'] !== 'number' || typeof value['record'] !== 'string')
        return dropped('mesh.frame.hello');
      const record = decodeRecordLine(value['record']);
      return record.ok
        ? decoded({ type, version: value['version'], record: record.value })
        : dropped('mesh.frame.hello');
    }
    case 'ready':
    case 'bye':
      return decoded({ type });
    case 'suspect':
      return isList(value['relays'], MESH_LIMITS.maxReporters, isNodeKey)
        ? decoded({ type, relays: value['relays'] })
        : dropped('mesh.frame.suspect');
    case 'summary':
    case 'have':
    case 'want':
    case 'records':
      return decodeSyncFrame(type, value);
    case 'hints':
    case 'withdraw':
    case 'refused':
      return isList(value['rooms'], MESH_LIMITS.maxHints, isId)
        ? decoded({ type, rooms: value['rooms'] })
        : dropped('mesh.frame.hints');
    case 'reporters': {
      const { room, add, remove } = value;
      if (
        !isId(room) ||
        !isList(add, MESH_LIMITS.maxReporters, isNodeKey) ||
        !isList(remove, MESH_LIMITS.maxReporters, isNodeKey)
      )
        return dropped('mesh.frame.reporters');
      return decoded({ type, room, add, remove });
    }
    case 'forwardRequest':
    case 'forwarded': {
      const nk = value[type === 'forwardRequest' ? 'to' : 'from'];
      const { counter, text: inner, signature } = value;
      if (
        !isNodeKey(nk) ||
        !isCounter(counter) ||
        typeof inner !== 'string' ||
        typeof signature !== 'string' ||
        !SIGNATURE.test(signature)
      )
        return dropped('mesh.frame.forwarded');
      const frame = decodeForwarded(inner);
      if (!frame.ok) return frame;
      const signed = { counter, text: inner, signature, frame: frame.value };
      return decoded(
        type === 'forwardRequest' ? { type, to: nk, ...signed } : { type, from: nk, ...signed },
      );
    }
    default:
      return decodeRoomFrame(value);
  }
}

/** @returns What the signature of a forwarded frame covers. */
export function forwardedBytes(
  from: string,
  to: string,
  counter: number,
  text: string,
): Uint8Array<ArrayBuffer> {
  return utf8Encode(`lumamesh forwarded frame 1\n${from}\n${to}\n${counter}\n${text}`);
}

function decodeForwarded(text: string): Decoded<RoomFrame> {
  const value = parseJsonObject(text);
  return value === null ? dropped('mesh.frame.forwarded') : decodeRoomFrame(value);
}

function decodeSyncFrame(
  type: SyncFrame['type'],
  value: Record<string, unknown>,
): Decoded<MeshFrame> {
  const { bits, digests, buckets, ids, records } = value;
  switch (type) {
    case 'summary':
      if (!isBits(bits) || !isList(digests, 2 ** bits, isDigest) || digests.length !== 2 ** bits)
        return dropped('mesh.frame.summary');
      return decoded({ type, bits, digests });
    case 'have': {
      if (!isBits(bits) || !isList(ids, MESH_LIMITS.maxIds, isRecordId))
        return dropped('mesh.frame.have');
      const isBucket = (item: unknown): item is number =>
        typeof item === 'number' && Number.isInteger(item) && item >= 0 && item < 2 ** bits;
      return isList(buckets, 2 ** bits, isBucket)
        ? decoded({ type, bits, buckets, ids })
        : dropped('mesh.frame.have');
    }
    case 'want':
      return isList(ids, MESH_LIMITS.maxIds, isRecordId)
        ? decoded({ type, ids })
        : dropped('mesh.frame.want');
    case 'records': {
      if (!isList(records, MESH_LIMITS.maxRecords, isText)) return dropped('mesh.frame.records');
      const read = records.map(decodeRecordLine);
      return decoded({
        type,
        records: read.flatMap((record) => (record.ok ? [record.value] : [])),
      });
    }
  }
}

function decodeRoomFrame(value: Record<string, unknown>): Decoded<RoomFrame> {
  const { type, room, members, peers, from, to, data } = value;
  if (!isId(room)) return dropped('mesh.frame.room');
  switch (type) {
    case 'present':
      if (!isList(members, MESH_LIMITS.maxMembers, isRoomMember))
        return dropped('mesh.frame.present');
      return decoded({
        type,
        room,
        members: members.map(({ peer, presence }) => ({ peer, presence })),
        ...(value['all'] === true ? { all: true as const } : {}),
        ...(value['ask'] === true ? { ask: true as const } : {}),
      });
    case 'absent':
      return isList(peers, MESH_LIMITS.maxPeers, isId)
        ? decoded({ type, room, peers })
        : dropped('mesh.frame.absent');
    case 'check':
      return isDigest(value['digest'])
        ? decoded({ type, room, digest: value['digest'] })
        : dropped('mesh.frame.check');
    case 'signal':
      return isId(from) && isId(to) && isSealed(data, LIMITS.maxSignalLength)
        ? decoded({ type, room, from, to, data })
        : dropped('mesh.frame.signal');
    default:
      return dropped('mesh.frame.type');
  }
}

function isList<T>(
  value: unknown,
  maxLength: number,
  isItem: (item: unknown) => item is T,
): value is T[] {
  return Array.isArray(value) && value.length <= maxLength && value.every(isItem);
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function isBits(value: unknown): value is number {
  return value === 0 || value === 4 || value === MESH_LIMITS.maxSummaryBits;
}

function isCounter(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** Digests of rosters and of buckets. */
function isDigest(value: unknown): value is string {
  return typeof value === 'string' && DIGEST.test(value);
}

function isRecordId(value: unknown): value is string {
  return typeof value === 'string' && RECORD_ID.test(value);
}

/** base64url of an Ed25519 public key. */
function isNodeKey(value: unknown): value is string {
  return typeof value === 'string' && NODE_KEY.test(value);
}
