import type { KnownRelay } from '../net/relay-source.ts';

/** What tells how a connection is, as a browser's `RTCPeerConnection` does. */
export type Measurable = Pick<RTCPeerConnection, 'getStats'>;

/** A message channel to a relay, as a browser or a Node program opens it. */
export interface RelayChannel {
  /** `null` while there is none. */
  readonly connection: Measurable | null;
  /** Returns false when it is not open. */
  send(frame: string): boolean;
  /**
   * The relay does not answer: looks for another way to it, for the same channel. Absent where the
   * channel goes on by itself.
   */
  restart?(): void;
  /** No event follows. */
  close(): void;
}

export interface RelayChannelEvents {
  /** @param isTcp whether it goes over TCP */
  open(isTcp: boolean): void;
  frame(text: string): void;
  /** Once, at the end: a code of docs/errors.md and what was seen. */
  closed(code: string, text: string, cause?: unknown): void;
}

/**
 * Opens a channel to a relay. No event is reported before it has returned.
 * @param tcpAfterMs how long UDP may find nobody before TCP is tried as well
 */
export type DialRelay = (
  relay: KnownRelay,
  addresses: readonly string[],
  events: RelayChannelEvents,
  tcpAfterMs: number,
) => RelayChannel;
