import type { RandomBytes, Transmit } from '@lumamesh/base';

/** Bounds of one association; docs/limits.md has the memory they add up to. */
export interface SctpLimits {
  /**
   * The largest user message taken, in bytes; larger ones are skipped and told by
   * `messageTooLarge`.
   */
  readonly maxMessageBytes: number;
  /**
   * What may wait here to be whole or in order: the window announced to the peer. At least twice
   * `maxMessageBytes`.
   */
  readonly receiveWindowBytes: number;
  /** What may wait here to be sent; `send` returns false beyond it. */
  readonly maxBufferedBytes: number;
  /** Streams in each direction. */
  readonly maxStreams: number;
}

export interface SctpOptions {
  readonly randomBytes: RandomBytes;
  readonly limits: SctpLimits;
  /** The largest SCTP packet we send, before DTLS seals it. */
  readonly maxPacketBytes: number;
  /**
   * Whether an INIT that crosses ours waits a moment for the INIT ACK to ours. For one side only:
   * if both did, both would wait.
   */
  readonly holdsCrossingInit: boolean;
}

export type SctpCloseReason =
  | 'localAbort'
  | 'remoteAbort'
  | 'shutdown'
  | 'initTimeout'
  /** The peer's INIT or INIT ACK is none that RFC 9260 §3.3.2 allows. */
  | 'initInvalid'
  | 'peerUnreachable';

export type SctpEvent =
  | { readonly type: 'connected' }
  | {
      readonly type: 'message';
      readonly streamId: number;
      readonly ppid: number;
      readonly data: Uint8Array;
      readonly isUnordered: boolean;
    }
  /** A message beyond `maxMessageBytes` was skipped. */
  | { readonly type: 'messageTooLarge'; readonly streamId: number }
  /** The peer reset its outgoing side of these streams; empty means all. */
  | { readonly type: 'streamsReset'; readonly streamIds: readonly number[] }
  /**
   * Our own reset of these streams is over: their ids may be used again. `isOneSided`: the peer
   * cannot, or will not, reset its side.
   */
  | {
      readonly type: 'resetDone';
      readonly streamIds: readonly number[];
      readonly isOneSided: boolean;
    }
  /** Data left the send queue. */
  | { readonly type: 'bufferedAmountChanged' }
  | { readonly type: 'closed'; readonly reason: SctpCloseReason; readonly detail: string };

/** Packets for DTLS to seal, and events. */
export type SctpOutput = Transmit | SctpEvent;

/** RFC 8831 §6.5 and RFC 8261 §4: both browsers use this port on both sides. */
export const SCTP_PORT = 5000;
