import type { TransportAddress } from './stun/attributes/xor-mapped-address.ts';

/**
 * Where a datagram comes from or goes to. The protocol is always UDP and the local side is the
 * endpoint's one socket, so of the five-tuple only the remote address and port differ between
 * sessions.
 */
export type Remote = TransportAddress;

/** The key of a five-tuple in the endpoint's session map. */
export function fiveTupleKey(remote: Remote): string {
  return `${remote.address} ${remote.port}`;
}
