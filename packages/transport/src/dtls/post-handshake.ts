import type { Instant } from '@lumamesh/base';
import type { HandshakeFragment } from './message/handshake-header.ts';

/** What the connection does about a handshake message that comes when the handshake is done. */
export type PostHandshakeStep =
  | { readonly type: 'drop'; readonly drop: string }
  | { readonly type: 'taken' }
  /** The record was of use, or had been before: the peer is told (RFC 9147 §7.1). */
  | { readonly type: 'acknowledge' }
  | { readonly type: 'warn'; readonly alert: number; readonly drop: string }
  | { readonly type: 'failed'; readonly alert: number; readonly reason: string };

/** What follows the handshake, in one version of DTLS. */
export interface PostHandshake {
  readonly version: '1.2' | '1.3';
  /** Takes a fragment of a record of this epoch, which has authenticated. */
  handleFragment(now: Instant, epoch: number, fragment: HandshakeFragment): PostHandshakeStep;
  /** @returns Why application data of this epoch is not taken, or `null`. */
  handleData(now: Instant, epoch: number): string | null;
  /** Changes our keys when they have sealed enough. */
  updateKeysInTime(now: Instant): void;
  /** All of our flight has arrived. */
  handleAcknowledged(now: Instant): void;
}
