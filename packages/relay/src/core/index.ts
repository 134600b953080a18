export { type DialTarget } from './mesh/dial-choice.ts';
export { LinkPolicy, type PolicyLink } from './mesh/link-policy.ts';
export { MeshCore } from './mesh/mesh-core.ts';
export type { MeshOutput } from './mesh/mesh-output.ts';
export { RelayDirectory } from './mesh/relay-directory.ts';
export {
  RelayCore,
  type RelayCoreOptions,
  type RelayCounters,
  type RelayOutput,
} from './relay-core.ts';
