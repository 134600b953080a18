import { createHash } from 'node:crypto';
import type { Instant } from '@lumamesh/base';
import { sourceOf } from '@lumamesh/transport';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { DEFAULT_MESH_BOUNDS, type MeshBounds, MeshCore, RelayCore } from '@lumamesh/relay/core';
import { VIRTUAL_MESH_ID, type VirtualRecords } from './virtual-records.ts';

export interface VirtualRelayOptions {
  /** Default: a network of its own for each relay. */
  readonly ip?: string;
  /** Relays to dial first, by their names. */
  readonly peers?: readonly string[];
  readonly mesh?: string;
  /** A relay that only dials out. */
  readonly isHidden?: boolean;
  /** What its clock is wrong by. */
  readonly skewSeconds?: number;
  /** Another relay's key. */
  readonly nk?: string;
  readonly maxRoomSize?: number;
  readonly bounds?: Partial<MeshBounds>;
  /** What its record asks of who comes in. */
  readonly access?: string;
  /** Its UDP port is not let through. */
  readonly isFirewalled?: boolean;
}

/** A relay of a virtual mesh, as tests see it. */
export interface VirtualRelay {
  readonly name: string;
  readonly nk: string;
  readonly core: MeshCore;
  readonly rooms: RelayCore<string>;
  readonly record: SignedRelayRecord;
  /** Frames that sessions were sent. */
  readonly heard: Map<string, Record<string, unknown>[]>;
  readonly bannedBy: Set<string>;
  readonly ownRecords: { readonly isElsewhere: boolean }[];
  /** Relays that never said that this one answers. */
  readonly unproven: string[];
  bytesOut: number;
  isAlive: boolean;
}

/** The same, as its network sees it. */
export interface VirtualNode extends VirtualRelay {
  readonly options: VirtualRelayOptions;
  readonly links: Map<string, VirtualNode>;
  readonly seenGossip: Set<string>;
  readonly waiters: Map<string, (verdict: string) => void>;
  readonly bans: Set<string>;
  wakeAt: Instant | null;
  roomsWakeAt: Instant | null;
}

/** The TCP port of every relay that can be dialled. */
export const VIRTUAL_MESH_PORT = 7402;

export interface VirtualNodeSetup {
  readonly name: string;
  readonly now: Instant;
  readonly unixSeconds: number;
  readonly record: SignedRelayRecord;
  readonly options: VirtualRelayOptions;
  /** The addresses of `options.peers`. */
  readonly peers: readonly { readonly host: string; readonly port: number }[];
  readonly records: VirtualRecords;
  readonly random: () => number;
}

/** The real {@link MeshCore} and {@link RelayCore}, with signatures that are hashes. */
export function makeVirtualNode(setup: VirtualNodeSetup): VirtualNode {
  const { name, now, unixSeconds, record, options, peers, records, random } = setup;
  const { nk } = record;
  const { maxRoomSize = 250 } = options;
  const core = new MeshCore(now, unixSeconds, {
    record,
    mesh: options.mesh ?? VIRTUAL_MESH_ID,
    peers,
    maxRoomSize,
    bounds: { ...DEFAULT_MESH_BOUNDS, ...options.bounds },
    hash: (algorithm, data) => createHash(algorithm).update(data).digest(),
    verify: (other) => records.verify(other),
    sign: (data) => createHash('sha512').update(nk).update(data).digest(),
    verifyBy: (other, data, signature) =>
      createHash('sha512').update(other).update(data).digest().equals(signature),
    firstCounter: now,
    random,
  });
  const limits = {
    maxSessions: 10_000,
    maxSessionsPerHost: 10_000,
    maxSessionsPerNetwork: 10_000,
    maxRoomSize,
    messagesPerSecond: 500,
    deliveriesPerSecond: 1e6,
    bytesPerSecond: 1e9,
    dialBacksPerMinute: 30,
  };
  return {
    name,
    nk,
    core,
    rooms: new RelayCore<string>(
      {
        ...limits,
        sourceOf,
        queuedBytes: () => 0,
        joinProofs: { challenge: () => 'c', verify: () => true },
      },
      record,
      core,
    ),
    record,
    options,
    heard: new Map(),
    bannedBy: new Set(),
    ownRecords: [],
    unproven: [],
    bytesOut: 0,
    isAlive: true,
    links: new Map(),
    seenGossip: new Set(),
    waiters: new Map(),
    bans: new Set(),
    wakeAt: null,
    roomsWakeAt: null,
  };
}

/** A session of the relay is sent a frame. */
export function hear(node: VirtualNode, session: string, frame: string): void {
  const heard = node.heard.get(session) ?? [];
  heard.push(JSON.parse(frame) as Record<string, unknown>);
  node.heard.set(session, heard);
}

/** The peers of a room that these frames show and do not take away again, sorted. */
export function peersIn(frames: readonly Record<string, unknown>[], room: string): string[] {
  const peers = new Set<string>();
  for (const frame of frames) {
    if (frame['room'] !== room) continue;
    if (frame['action'] === 'joined')
      for (const { peer } of frame['members'] as { peer: string }[]) peers.add(peer);
    if (frame['action'] === 'peer-joined') peers.add(String(frame['peer']));
    if (frame['action'] === 'peer-left') peers.delete(String(frame['peer']));
  }
  return [...peers].toSorted();
}

/** Ids are 16 to 43 characters of base64url. */
export function pad(text: string, length: number): string {
  return text.padEnd(length, '_');
}
