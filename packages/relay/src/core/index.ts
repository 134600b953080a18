export { RelayCore, type RelayCoreOptions, type RelayCounters, type RelayOutput } from './relay-core.ts';
