import type { RoomMember, SignedRelayRecord } from '@lumamesh/protocol';

/**
 * What a relay knows of the rooms of its sessions beyond itself: the mesh, or {@link
 * NO_REMOTE_ROOMS}. Questions only, which change nothing; what the mesh is to be told is {@link
 * LocalRoomEvent}.
 */
export interface RemoteRooms {
  /** @returns The members of a room over other relays. */
  membersOf(room: string): readonly RoomMember[];
  has(room: string, peer: string): boolean;
  /** @returns What relays say of a peer: a few versions of its presence where they differ. */
  presencesOf(room: string, peer: string): readonly string[];
  /** @returns Whether there is a way to a relay over which the peer is in the room. */
  canReach(room: string, peer: string): boolean;
  /** @returns The relays that are responsible for the room, this one left out. */
  homesOf(room: string): readonly SignedRelayRecord[];
  /**
   * A page of the relays that are known.
   * @param after the `next` of an earlier page, or empty
   */
  nodes(limit: number, after: string): NodePage;
}

export interface NodePage {
  readonly nodes: readonly SignedRelayRecord[];
  readonly next?: string;
}

/**
 * What happened in rooms of this relay that concerns others: an output of RelayCore, and an input
 * of MeshCore.
 */
export type LocalRoomEvent =
  /** A peer is in a room over one of our sessions, or has changed its presence. */
  | {
      readonly type: 'localPresent';
      readonly room: string;
      readonly peer: string;
      readonly presence: string;
      /** Of the session's address. */
      readonly network: string;
    }
  /** The last of its sessions has left the room. */
  | { readonly type: 'localAbsent'; readonly room: string; readonly peer: string }
  /** A sealed signal for a member over another relay. */
  | {
      readonly type: 'localSignal';
      readonly room: string;
      readonly from: string;
      readonly to: string;
      readonly data: string;
    };

/** What happened in them over other relays: an output of MeshCore, and an input of RelayCore. */
export type RemoteRoomEvent =
  /** A peer is in a room over another relay, or its presence there is new. */
  | { readonly type: 'remotePresent'; readonly room: string; readonly member: RoomMember }
  | { readonly type: 'remoteAbsent'; readonly room: string; readonly peer: string }
  /** No home has a place for the room: members over other relays and those here may not meet. */
  | { readonly type: 'remoteRefused'; readonly room: string }
  /** A sealed signal that another relay passed on for a member here. */
  | {
      readonly type: 'remoteSignal';
      /** The node key of the relay that its sender is at. */
      readonly relay: string;
      readonly room: string;
      readonly from: string;
      readonly to: string;
      readonly data: string;
    };

/** A relay by itself. */
export const NO_REMOTE_ROOMS: RemoteRooms = {
  membersOf: () => [],
  has: () => false,
  presencesOf: () => [],
  canReach: () => false,
  homesOf: () => [],
  nodes: () => ({ nodes: [] }),
};
