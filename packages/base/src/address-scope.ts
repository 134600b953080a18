import { isCanonicalIp } from './ip-address.ts';

/**
 * How far an address reaches: what a stranger may announce, and what only makes sense on one's own
 * machine or network.
 */
export type AddressScope = 'loopback' | 'private' | 'public' | 'unusable';

/**
 * Ranges by the text of an address in its canonical form, first match first (RFC 6890 and its
 * registries).
 */
const SCOPES: readonly (readonly [pattern: RegExp, scope: AddressScope])[] = [
  // 127.0.0.0/8, ::1
  [/^(127\.|::1$)/, 'loopback'],
  // 10/8, 172.16/12, 192.168/16, 100.64/10, 169.254/16, 198.18/15, fc00::/7, fe80::/10
  [
    /^(10|192\.168|172\.(1[6-9]|2\d|3[01])|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])|169\.254|198\.1[89])\.|^f[cd]..:|^fe[89ab].:/,
    'private',
  ],
  // 0/8, 192.0.0/24, 224/3, 2002::/16
  [/^(0|192\.0\.0|22[4-9]|2[3-5]\d)\.|^2002:/, 'unusable'],
  // IPv4, 2000::/3
  [/^(\d+\.|[23]...:)/, 'public'],
];

/**
 * The scope of an address; multicast, reserved and translated ranges are `unusable`, as is what is
 * no address in its canonical form. Documentation ranges count as public: nobody is there, and
 * tests do.
 */
export function scopeOf(address: string): AddressScope {
  return (
    (isCanonicalIp(address) && SCOPES.find(([pattern]) => pattern.test(address))?.[1]) || 'unusable'
  );
}
