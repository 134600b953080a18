/*
 * Frames between two peers (docs/wire-protocol.md, "Between peers"), and the lanes they travel in.
 * Each lane is an ordered channel of its own, so that nothing waits behind what is larger or less
 * urgent; beside them there is one channel whose frames may be lost.
 */
export type Frame = string | Uint8Array<ArrayBuffer>;

/** What two pages say before either has let the other in, and what concerns the connection. */
export const CONTROL = 0;
/** Questions, their answers, and what is as urgent. */
export const REQUESTS = 1;
export const VALUES = 2;
/** Large values and files. */
export const BULK = 3;
/** Frames that are sent once, in no order. */
export const UNORDERED = 4;

/** The ordered lanes. */
export const LANES = [CONTROL, REQUESTS, VALUES, BULK] as const;
/** Those that a page may choose. */
export const LANE_BY_NAME = { requests: REQUESTS, values: VALUES, bulk: BULK } as const;
export type Lane = (typeof LANES)[number];

/** Every browser takes a message of this size. */
export const MAX_FRAME_BYTES = 65_536;
/** Of a large value: while one of its frames is on its way, nothing else is. */
export const CHUNK_BYTES = 16_384;
/** A value of more than this goes by {@link BULK}, where smaller ones overtake it. */
export const BULK_BYTES = 16_777_216;
/**
 * What may wait in a lane before `send` refuses more: one value of any size, or many small ones.
 */
export const MAX_PENDING_BYTES = 16_777_216;
/**
 * The browser's own queue of a lane is filled up to here; what comes later waits with us, where it
 * can be taken back.
 */
export const HIGH_WATER_BYTES = 262_144;

/** Of the frame's name and its argument; longer ones are of no use to anybody here. */
export const MAX_TAG_LENGTH = 128;

export interface SendOptions {
  /**
   * `false`: sent once, unordered, and lost when the network loses it; for positions and the like.
   * Default `true`.
   */
  readonly reliable?: boolean;
  /**
   * `received`: the promise waits until the other page has the value. `sent`: until all of it has
   * been given to the network. Default `received`.
   */
  readonly delivery?: 'received' | 'sent';
  /**
   * Values of one lane arrive in the order they were sent, and delay no other lane. Default: `bulk`
   * for values of more than 16 MB, else `values`.
   */
  readonly lane?: 'requests' | 'values' | 'bulk';
  /** Takes back what has not been sent yet. */
  readonly signal?: AbortSignal;
  /** Hears how much of the value has been given to the network. */
  readonly onProgress?: (sentBytes: number, totalBytes: number) => void;
}

/** Where frames go: a direct connection, or a path that a feature has. */
export interface FrameSink {
  readonly isOpen: boolean;
  /** What waits in the queue of a lane, in bytes. */
  queuedBytes(lane: number): number;
  /** @param lane one of {@link LANES}, or {@link UNORDERED} */
  send(frame: Frame, lane: number): void;
}
