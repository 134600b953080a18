import {
  type IpAddress,
  formatIp,
  parseIp,
  readUint16,
  readUint32,
  withoutZone,
  writeUint16,
  writeUint32,
} from '@lumamesh/base';
import { MAGIC_COOKIE } from '../message.ts';

const FAMILY_IPV4 = 1;
const FAMILY_IPV6 = 2;

export interface TransportAddress {
  /** Textual IPv4 or IPv6 address. */
  readonly address: string;
  readonly port: number;
}

/**
 * The value of XOR-MAPPED-ADDRESS (RFC 8489 §14.2): 8 bytes for IPv4, 20 for IPv6; `null` when
 * `address` is no IP address.
 */
export function encodeXorMappedAddress(
  remote: TransportAddress,
  transactionId: Uint8Array,
): Uint8Array | null {
  const ip = parseIp(withoutZone(remote.address));
  if (ip === null) return null;
  const value = new Uint8Array(4 + ip.length);
  value[1] = ip.length === 4 ? FAMILY_IPV4 : FAMILY_IPV6;
  writeUint16(value, 2, remote.port ^ (MAGIC_COOKIE >>> 16));
  value.set(xorAddress(ip, transactionId), 4);
  return value;
}

/** Reads XOR-MAPPED-ADDRESS, or `null` when it is malformed. */
export function decodeXorMappedAddress(
  value: Uint8Array,
  transactionId: Uint8Array,
): TransportAddress | null {
  const family = value[1];
  const bytes = family === FAMILY_IPV4 ? 4 : family === FAMILY_IPV6 ? 16 : 0;
  if (bytes === 0 || value.length !== 4 + bytes) return null;
  return {
    address: formatIp(xorAddress(value.slice(4), transactionId)),
    port: readUint16(value, 2) ^ (MAGIC_COOKIE >>> 16),
  };
}

/**
 * RFC 8489 §14.2: X-Address is the address XORed with the magic cookie, and for IPv6 with the
 * transaction id behind it.
 */
function xorAddress(ip: IpAddress, transactionId: Uint8Array): IpAddress {
  const out = ip.slice();
  writeUint32(out, 0, readUint32(ip, 0) ^ MAGIC_COOKIE);
  for (let i = 4; i < out.length; i++) out[i] = (out[i] ?? 0) ^ (transactionId[i - 4] ?? 0);
  return out;
}
