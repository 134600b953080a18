export { DIRECTORY_LIMITS, RelayDirectory } from './mesh/relay-directory.ts';
export { HOME_LIMITS } from './mesh/home-table.ts';
export { type DialTarget, LINK_LIMITS, LinkPolicy } from './mesh/link-policy.ts';
export { MeshCore, type MeshCoreOptions, type MeshOutput } from './mesh/mesh-core.ts';
export { MESH_LIMITS, decodeMeshFrame } from './mesh/mesh-frame.ts';
export { FrameReader } from './mesh/frame-stream.ts';
export { RelayCore, type RelayCoreOptions, type RelayCounters, type RelayOutput } from './relay-core.ts';
