/* The kinds of homes that a NatNetwork has, the addresses in it, and what its routers let through. */

/**
 * The kinds of which the matrix (tests/nat/matrix.ts) has all pairs. All of these but `open` and `full-cone` let nothing in that was not asked for from
 * inside, by the very address and port that answers (RFC 4787 §5: address and port-dependent filtering). All but the last are IPv4 only.
 * - `open`: no NAT and no firewall; the home has public addresses
 * - `full-cone`: a socket has the same port outside, whomever it talks to, and is reached there by everybody
 * - `cone`: the same port (endpoint-independent mapping, RFC 4787 §4.1), for those who were talked to ("port-restricted")
 * - `symmetric`: another port for every destination (address and port-dependent mapping)
 * - `tcp-only`: as `cone`, and no UDP passes
 * - `proxy`: nothing passes but what the router's HTTP proxy connects to (CONNECT, RFC 9110 §9.3.6); browsers there are told of it
 * - `ipv6-only`: public IPv6 addresses behind a stateful firewall (RFC 6092), and no way to IPv4; the home has a link-local IPv4 address (RFC 3927), as
 *   most systems give themselves one. Without, Chromium on Linux gathers nothing: it binds ff02::fb without a scope, which the kernel refuses, and so has no
 *   name to hide its address behind
 */
export const HOME_KINDS = [
  'open',
  'full-cone',
  'cone',
  'symmetric',
  'tcp-only',
  'proxy',
  'ipv6-only',
] as const;
/** - `dual-stack`: `symmetric` and `ipv6-only` in one: whoever meets directly does so by IPv6 */
export type HomeKind = (typeof HOME_KINDS)[number] | 'dual-stack';

export type RelayFamilies = 'ipv4' | 'ipv6' | 'dual-stack';

export interface RouterRules {
  readonly kind: HomeKind;
  readonly isUdpBlocked: boolean;
  /** Of its wire to the internet. */
  readonly wanAddress: string;
  /** Whether the homes behind it reach each other by the ports that it has given them outside (hairpinning, RFC 4787 §6). */
  readonly hairpins: boolean;
  /** A UDP port that is sent on to a home; `null`: all of them. */
  readonly forwarded: { readonly port: number | null; readonly address: string } | null;
}

export const PROXY_PORT = 3128;
export const INTERNET_ADDRESS = '198.51.100.254';
/** Of the internet's end of each wire, and of the router's or relay's: these are the next hops of IPv6. */
export const INTERNET_LINK_LOCAL = 'fe80::1';
export const ROUTER_LINK_LOCAL = 'fe80::2';
export const UNROUTED_PREFIXES = [
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '169.254.0.0/16',
];
export const UNROUTED_PREFIXES_6 = ['fc00::/7'];

export function hasIpv4(kind: HomeKind | RelayFamilies): boolean {
  return kind !== 'ipv6-only' && kind !== 'ipv6';
}

export function hasIpv6(kind: HomeKind | RelayFamilies): boolean {
  return kind === 'dual-stack' || !hasIpv4(kind);
}

export function relayAddress(k: number): string {
  return `203.0.113.${10 + k}`;
}

export function relayAddress6(k: number): string {
  return `2001:db8:ffff::${(16 + k).toString(16)}`;
}

/** Further addresses of a relay's machine, from which the kernel sends where nobody says otherwise. */
export function preferredAddress(k: number): string {
  return `203.0.113.${100 + k}`;
}

export function preferredAddress6(k: number): string {
  return `2001:db8:ffff::${(256 + k).toString(16)}`;
}

export function wanAddress(i: number): string {
  return `198.51.100.${i + 1}`;
}

export function lanAddress(kind: HomeKind, i: number, host: number): string {
  return kind === 'open' ? `192.0.2.${16 * i + host}` : `192.168.${i + 1}.${host}`;
}

export function lanAddress6(i: number, host: number): string {
  return `2001:db8:${(i + 1).toString(16)}::${host.toString(16)}`;
}

export function linkLocalAddress(i: number, host: number): string {
  return `169.254.${i + 1}.${host}`;
}

export function prefixLength(kind: HomeKind): number {
  return kind === 'open' ? 28 : 24;
}

/** The ways out of a router or relay by its device `wan`. */
export function wanRoutes(
  kind: HomeKind | RelayFamilies,
  from?: readonly [string, string],
): string[] {
  const source = from === undefined ? ['', ''] : from.map((address) => ` src ${address}`);
  return [
    ...(hasIpv4(kind)
      ? [`route add default via ${INTERNET_ADDRESS} dev wan onlink${source[0]}`]
      : []),
    ...(hasIpv6(kind) ? [`route add default via ${INTERNET_LINK_LOCAL} dev wan${source[1]}`] : []),
  ];
}

/**
 * What comes from outside is dropped, not refused: an entry for the refusal would hold the port that the home is about to be given. Questions for names
 * are refused, as there is nobody to answer: a Firefox that waits for its resolver takes five seconds longer to end.
 */
export function rulesFor(router: RouterRules): string {
  const { kind, isUdpBlocked, forwarded, hairpins } = router;
  const isSymmetric = kind === 'symmetric' || kind === 'dual-stack';
  const masquerade =
    kind === 'open' ? '' : `oifname "wan" masquerade ${isSymmetric ? 'random,fully-random' : ''}`;
  return `
    table inet lumamesh_firewall {
      chain input {
        type filter hook input priority 0; policy drop;
        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
        ${kind === 'proxy' ? `iifname "lan" tcp dport ${PROXY_PORT} accept; iifname "wan" ct state established accept; iif "lo" accept` : ''}
      }
      chain forward {
        type filter hook forward priority 0; policy drop;
        iifname "lan" meta l4proto { tcp, udp } th dport 53 reject
        ${isUdpBlocked ? 'meta l4proto udp drop' : ''}
        ${kind === 'proxy' ? 'drop' : ''}
        ct state established,related accept
        ct status dnat accept
        ${kind === 'open' ? 'accept' : 'iifname "lan" oifname "wan" accept'}
      }
    }
    table ip lumamesh_nat {
      map outside { type inet_service : ipv4_addr; flags dynamic, timeout; timeout 5m; }
      chain prerouting { type nat hook prerouting priority dstnat;
        ${hairpins ? `iifname "lan" ip daddr ${router.wanAddress} dnat to udp dport map @outside` : ''}
        ${forwarded === null ? '' : `iifname "wan" ${forwarded.port === null ? 'meta l4proto udp' : `udp dport ${forwarded.port}`} dnat to ${forwarded.address}`}
      }
      chain postrouting { type nat hook postrouting priority srcnat;
        ${hairpins ? `oifname "wan" meta l4proto udp update @outside { udp sport : ip saddr }` : ''}
        ${hairpins ? `oifname "lan" ct status dnat snat to ${router.wanAddress}` : ''}
        ${masquerade}
      }
    }`;
}

/** A home whose neighbours are not asked for names: many Wi-Fis pass no multicast (RFC 6762) between those who are in them. */
export const NO_MDNS_RULES = `
    table inet lumamesh_home {
      chain output { type filter hook output priority 0; udp dport 5353 drop
      }
      chain input { type filter hook input priority 0; udp dport 5353 drop
      }
    }`;
