import type { Instant } from '@lumamesh/base';
import type { RoomMember, SignedRelayRecord } from '@lumamesh/protocol';

/** What a relay knows of other relays, and asks of them, for the rooms of its own sessions: the mesh, or {@link NOWHERE_ELSE}. */
export interface RoomsElsewhere {
  /** A peer is in a room over one of our sessions, or has changed its presence. */
  handleLocalPresent(now: Instant, room: string, peer: string, presence: string): void;
  /** The last of its sessions has left the room. */
  handleLocalAbsent(room: string, peer: string): void;
  /** Members of a room over other relays. */
  membersOf(room: string): readonly RoomMember[];
  has(room: string, peer: string): boolean;
  /** Passes a sealed signal on; false when nobody is there, or there is no way to it. */
  sendSignal(room: string, from: string, to: string, data: string): boolean;
  /** Relays that are responsible for the room, this one left out. */
  homesOf(room: string): readonly SignedRelayRecord[];
  /** Some of the relays that are known: `after` is where an earlier answer ended, or empty. */
  nodes(
    limit: number,
    after: string,
  ): { readonly nodes: readonly SignedRelayRecord[]; readonly next?: string };
}

/** A relay by itself. */
export const NOWHERE_ELSE: RoomsElsewhere = {
  handleLocalPresent: () => undefined,
  handleLocalAbsent: () => undefined,
  membersOf: () => [],
  has: () => false,
  sendSignal: () => false,
  homesOf: () => [],
  nodes: () => ({ nodes: [] }),
};
