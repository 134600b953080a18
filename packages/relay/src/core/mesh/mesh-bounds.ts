/** What strangers may make a relay of the mesh do and hold, as far as its operator may choose. */
export interface MeshBounds {
  /** Bytes of members that other relays may show here, and as much again that waits to be sent to them. */
  readonly maxBytes: number;
  /** Relays that are dialled to see whether they answer, each second in the long run. */
  readonly checksPerSecond: number;
  /** TCP connections from one /24 or /48 of the internet. */
  readonly socketsPerNetwork: number;
}

/** Those of the settings' defaults. */
export const DEFAULT_MESH_BOUNDS: MeshBounds = {
  maxBytes: 64 * 1024 * 1024,
  checksPerSecond: 20,
  socketsPerNetwork: 24,
};
