import { type IpAddress, parseIp } from './ip-address.ts';

/** How far an address reaches: what a stranger may announce, and what only makes sense on one's own machine or network. */
export type AddressScope = 'loopback' | 'private' | 'public' | 'unusable';

/** Ranges that are not public, first match first (RFC 6890 and its registries): prefix bits, length, scope. */
const SCOPES: readonly (readonly [cidr: string, scope: AddressScope])[] = [
  ['127.0.0.0/8', 'loopback'],
  ['10.0.0.0/8', 'private'],
  ['172.16.0.0/12', 'private'],
  ['192.168.0.0/16', 'private'],
  ['100.64.0.0/10', 'private'],
  ['169.254.0.0/16', 'private'],
  ['198.18.0.0/15', 'private'],
  ['0.0.0.0/8', 'unusable'],
  ['192.0.0.0/24', 'unusable'],
  ['224.0.0.0/3', 'unusable'],
  ['::1/128', 'loopback'],
  ['fc00::/7', 'private'],
  ['fe80::/10', 'private'],
  ['2002::/16', 'unusable'],
  ['64:ff9b::/96', 'unusable'],
  ['2000::/3', 'public'],
  ['::/0', 'unusable'],
];

const RANGES = SCOPES.map(([cidr, scope]) => {
  const [address = '', bits] = cidr.split('/');
  return { base: parseIp(address) ?? new Uint8Array(0), bits: Number(bits), scope };
});

/** The scope of an address; multicast, reserved and translated ranges are `unusable`. Documentation ranges count as public: nobody answers there, and tests do. */
export function addressScope(ip: IpAddress): AddressScope {
  return RANGES.find(({ base, bits }) => base.length === ip.length && hasPrefix(ip, base, bits))?.scope ?? 'public';
}

/** The scope of an address as text; what is no address is `unusable`. */
export function scopeOf(text: string): AddressScope {
  const ip = parseIp(text);
  return ip === null ? 'unusable' : addressScope(ip);
}

function hasPrefix(ip: IpAddress, base: IpAddress, bits: number): boolean {
  for (let bit = 0; bit < bits; bit += 8) {
    const mask = bits - bit >= 8 ? 0xff : 0xff & (0xff << (8 - (bits - bit)));
    if (((ip[bit >> 3] ?? 0) & mask) !== ((base[bit >> 3] ?? 0) & mask)) return false;
  }
  return true;
}
