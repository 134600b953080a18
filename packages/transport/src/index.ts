export { Endpoint } from './endpoint.ts';
export type { EndpointOptions, EndpointOutput } from './endpoint-types.ts';
export type { EndpointLimits } from './session-admission.ts';
export type { SessionId } from './session-table.ts';
export { DEFAULT_SOURCE_LIMITS, type SourceLimits } from './source-limits.ts';
export { type Remote, fiveTupleKey } from './five-tuple.ts';
export { HalfOpenPool } from './half-open-pool.ts';
export { type IceCredentials, isIcePassword, isIceUfrag } from './ice/ice-credentials.ts';
export type { LocalCertificate, NegotiatedSecurity } from './dtls/handshake.ts';
export type { DtlsVersion, SecurityOptions } from './dtls/security-options.ts';
export type { ChannelProperties } from './datachannel/dcep.ts';
export type { TransportAddress } from './stun/attributes/xor-mapped-address.ts';
export { Session } from './session.ts';
export {
  type ClientSessionOptions,
  DEFAULT_SESSION_LIMITS,
  type NegotiatedChannel,
  type ServerSessionOptions,
  type SessionCloseReason,
  type SessionEvent,
  type SessionLimits,
} from './session-types.ts';
export { type Rate, SourceBudget } from './source-budget.ts';
export { SourceCounts } from './source-counts.ts';
export { type Source, sourceOf } from './source.ts';
export { DATAGRAM_HEADER_BYTES } from './bandwidth.ts';
export type { TurnLimits } from './turn/turn-limits.ts';
export type { TurnCounts } from './turn/turn-server.ts';
