import type { TransportAddress } from './stun/attributes/xor-mapped-address.ts';

/**
 * Where a datagram comes from or goes to: the remote side of a five-tuple, its protocol where that
 * is not UDP, and the local address where the endpoint has several to answer from.
 */
export interface Remote extends TransportAddress {
  readonly transport?: 'tcp';
  readonly local?: string;
}

/** The key of a five-tuple in the endpoint's session map. */
export function fiveTupleKey({ address, port, transport, local }: Remote): string {
  const more = transport ?? local;
  return more === undefined ? `${address} ${port}` : `${address} ${port} ${more}`;
}
