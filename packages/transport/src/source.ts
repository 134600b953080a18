import { parseIp, withoutZone } from '@lumamesh/base';

/**
 * Who is behind an address, as far as it can be known: what one subscriber has for himself, and the
 * network around it, of which one customer easily has all.
 */
export interface Source {
  /** An IPv4 address, or the /64 of an IPv6 address. */
  readonly host: string;
  /** The /24 of an IPv4 address, or the /56 of an IPv6 address. */
  readonly network: string;
}

const HOST_BYTES = 8;
const NETWORK_BYTES = 7;

/** The source of an address as a socket reports it. */
export function sourceOf(address: string): Source {
  if (!address.includes(':'))
    return { host: address, network: address.slice(0, address.lastIndexOf('.') + 1) };
  const ip = parseIp(withoutZone(address));
  if (ip === null) return { host: address, network: address };
  // Keys of a map, never shown: one character a byte.
  const text = String.fromCharCode(...ip.subarray(0, HOST_BYTES));
  return { host: `${text}:`, network: text.slice(0, NETWORK_BYTES) };
}
