import type { SignedRelayRecord } from '@lumamesh/protocol';
import type { RecordOrigin } from './candidate.ts';

/**
 * What a check found: `alive` proves address, fingerprint and node key; `full` all but the node key
 * (no session was free to say it), `unknown` nothing (this machine could not ask).
 */
export type CheckResult = 'alive' | 'full' | 'dead' | 'unknown';

/**
 * What became of a record that was offered. Only `taken` ones are passed on; `bad` ones are the
 * sender's fault.
 */
export type RecordVerdict = 'taken' | 'ignored' | 'bad';

export type DirectoryOutput =
  /** Connect as a browser would, and tell {@link RelayDirectory.handleChecked}. */
  | {
      readonly type: 'check';
      readonly id: string;
      readonly record: SignedRelayRecord;
      /** Nothing has answered at its places yet: all of them are to be dialled. */
      readonly isNew: boolean;
    }
  | {
      readonly type: 'verdict';
      readonly id: string;
      readonly verdict: RecordVerdict;
      readonly record: SignedRelayRecord;
      readonly origin: RecordOrigin;
      readonly reason: string;
    }
  /** The records that may be passed on, or used as homes, are others now. */
  | { readonly type: 'changed' }
  /** It did not answer: others may want to ask it, too. */
  | { readonly type: 'suspect'; readonly nk: string }
  | { readonly type: 'dead'; readonly nk: string }
  /** Somebody shows a record of our own node key that is newer than ours. */
  | { readonly type: 'ownRecord'; readonly record: SignedRelayRecord };
