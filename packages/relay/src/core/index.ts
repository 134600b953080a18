export { LinkPolicy, type DialTarget } from './mesh/link-policy.ts';
export { MeshCore, type MeshOutput } from './mesh/mesh-core.ts';
export { RelayDirectory } from './mesh/relay-directory.ts';
export {
  RelayCore,
  type RelayCoreOptions,
  type RelayCounters,
  type RelayOutput,
} from './relay-core.ts';
