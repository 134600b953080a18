/**
 * Bounds of the room protocol; docs/limits.md explains each. Sizes of texts are in characters of
 * base64url or ASCII, which are bytes.
 */
export const LIMITS = {
  /** One JSON frame, as UTF-8. */
  maxFrameBytes: 65_536,
  /** Room and peer ids are base64url of 12 to 32 bytes. */
  minIdLength: 16,
  maxIdLength: 43,
  maxPresenceLength: 2048,
  maxSignalLength: 32_768,
  maxRoomsPerSession: 48,
  /** Joining (and changing one's presence) is told to the whole room. */
  joinsPerSecond: 1,
  joinsBurst: 64,
  /** What the `challenge` of a welcome has at most. */
  maxChallengeLength: 64,
  /** How many records one `nodes` answer holds. */
  maxNodes: 64,
  /** `after` and `next` of `nodes`. */
  maxCursorLength: 32,
  /** Records in the `homes` of `joined`. */
  maxHomes: 4,
  /** Each of the two texts of the `turn` of `joined`. */
  maxTurnCredentialLength: 64,
  /** The `successor` of RELAY_CLOSING, in ms. */
  maxReturnMs: 2000,
} as const;

export const PROTOCOL_VERSION = 1;

/** The label and id of the one data channel between a browser and a relay. */
export const CHANNEL_LABEL = 'lumamesh';
export const CHANNEL_ID = 0;

/**
 * The one channel between a client and a relay, there from the start on both sides, as the
 * transport is told of it.
 */
export const LUMAMESH_CHANNEL = {
  id: CHANNEL_ID,
  properties: { label: CHANNEL_LABEL, subprotocol: '', isUnordered: false },
} as const;
