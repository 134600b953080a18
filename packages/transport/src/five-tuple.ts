import type { TransportAddress } from './stun/attributes/xor-mapped-address.ts';

/**
 * Where a datagram comes from or goes to: the remote side of a five-tuple, and its protocol where
 * that is not UDP. The local side is the endpoint's own.
 */
export interface Remote extends TransportAddress {
  readonly transport?: 'tcp';
}

/** The key of a five-tuple in the endpoint's session map. */
export function fiveTupleKey({ address, port, transport }: Remote): string {
  return transport === undefined ? `${address} ${port}` : `${address} ${port} ${transport}`;
}
