export type { DialTarget } from './mesh/dial-choice.ts';
export { LinkPolicy, type PolicyLink } from './mesh/link-policy.ts';
export { DEFAULT_MESH_BOUNDS, type MeshBounds } from './mesh/mesh-bounds.ts';
export { MeshCore } from './mesh/mesh-core.ts';
export type { MeshOutput } from './mesh/mesh-output.ts';
export { RelayDirectory } from './mesh/relay-directory.ts';
export type { JoinProofs } from './join-proofs.ts';
export { RelayCore, type RelayCoreOptions } from './relay-core.ts';
export type { RelayCounters, RelayOutput } from './relay-output.ts';
