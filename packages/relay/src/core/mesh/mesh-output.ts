import type { SignedRelayRecord } from '@lumamesh/protocol';
import type { RemoteRoomEvent } from '../remote-rooms.ts';
import type { DialTarget } from './dial-choice.ts';
import type { DirectoryOutput } from './directory-output.ts';

/** What the mesh core wants done. */
export type MeshOutput =
  | { readonly type: 'frame'; readonly to: string; readonly text: string }
  | { readonly type: 'dial'; readonly target: DialTarget }
  | {
      readonly type: 'hangUp';
      readonly nk: string;
      readonly reason: string;
      readonly isBan: boolean;
    }
  /** The relay of a link has shown a record that answers. */
  | { readonly type: 'proven'; readonly nk: string }
  /** To all, by gossip. */
  | { readonly type: 'publish'; readonly record: SignedRelayRecord }
  /** What a gossiped record under this id is worth. */
  | {
      readonly type: 'verdict';
      readonly id: string;
      readonly verdict: 'accept' | 'ignore' | 'reject';
    }
  | Extract<DirectoryOutput, { readonly type: 'check' }>
  /** For RelayCore. */
  | RemoteRoomEvent
  /**
   * A relay kept a link for a while and never said that our record answers: it cannot reach us over
   * UDP, or has no place for us.
   */
  | { readonly type: 'unproven'; readonly nk: string }
  /** Worth writing to disk. */
  | { readonly type: 'save' }
  /**
   * Our own record, newer than ours: of this very place (our clock went back), or of another relay
   * with our key.
   */
  | {
      readonly type: 'ownRecord';
      readonly record: SignedRelayRecord;
      readonly isElsewhere: boolean;
    };
