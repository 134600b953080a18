/** The bytes of an IP address: 4 for IPv4, 16 for IPv6. */
export type IpAddress = Uint8Array;

const IPV4_MAPPED_PREFIX = '::ffff:';

/**
 * Reads a textual IPv4 or IPv6 address (RFC 4291 §2.2, without a zone), or `null` when it is
 * neither. An IPv4-mapped one is read as IPv4.
 */
export function parseIp(text: string): IpAddress | null {
  const bare = text.toLowerCase();
  if (!bare.includes(':')) return parseIpv4(bare);
  if (bare.startsWith(IPV4_MAPPED_PREFIX) && bare.includes('.'))
    return parseIpv4(bare.slice(IPV4_MAPPED_PREFIX.length));
  return parseIpv6(bare);
}

/**
 * Whether this is the one spelling of an address that {@link formatIp} writes: what is compared or
 * signed as text must be.
 */
export function isCanonicalIp(text: string): boolean {
  if (!text.includes(':')) return /^((25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(\.(?!$)|$)){4}$/.test(text);
  try {
    // URLs write IPv6 addresses as RFC 5952 does.
    return new URL(`http://[${text}]`).host === `[${text}]`;
  } catch {
    return false;
  }
}

/** Listening on it is listening on all addresses. */
export function isWildcard(address: string): boolean {
  return address === '0.0.0.0' || address === '::';
}

/** An address as a socket reports it, without the zone of link-local ones (`fe80::1%eth0`). */
export function withoutZone(address: string): string {
  const zone = address.indexOf('%');
  return zone < 0 ? address : address.slice(0, zone);
}

/**
 * `::ffff:192.0.2.1` as a dual-stack socket reports it becomes `192.0.2.1`; everything else stays
 * as it is.
 */
export function unmapIpv4(address: string): string {
  return address.startsWith(IPV4_MAPPED_PREFIX) && address.includes('.')
    ? address.slice(IPV4_MAPPED_PREFIX.length)
    : address;
}

function parseIpv4(text: string): IpAddress | null {
  const parts = text.split('.');
  if (parts.length !== 4) return null;
  const bytes = new Uint8Array(4);
  for (let i = 0; i < 4; i++) {
    const part = parts[i] ?? '';
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) return null;
    bytes[i] = Number(part);
  }
  return bytes;
}

function parseIpv6(text: string): IpAddress | null {
  let body = text;
  const lastColon = body.lastIndexOf(':');
  if (body.includes('.')) {
    const tail = parseIpv4(body.slice(lastColon + 1));
    if (tail === null) return null;
    const word = (i: number): string => (((tail[i] ?? 0) << 8) | (tail[i + 1] ?? 0)).toString(16);
    body = `${body.slice(0, lastColon + 1)}${word(0)}:${word(2)}`;
  }
  const halves = body.split('::');
  if (halves.length > 2) return null;
  const words = (half: string | undefined): string[] =>
    half === undefined || half === '' ? [] : half.split(':');
  const head = words(halves[0]);
  const tail = words(halves[1]);
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null;
  const all = [
    ...head,
    ...Array.from({ length: halves.length === 1 ? 0 : missing }, () => '0'),
    ...tail,
  ];
  const bytes = new Uint8Array(16);
  for (let i = 0; i < 8; i++) {
    const word = all[i] ?? '';
    if (!/^[0-9a-f]{1,4}$/.test(word)) return null;
    const value = Number.parseInt(word, 16);
    bytes[2 * i] = value >> 8;
    bytes[2 * i + 1] = value & 0xff;
  }
  return bytes;
}

/** The text of an address; IPv6 in the canonical form of RFC 5952 §4. */
export function formatIp(ip: IpAddress): string {
  if (ip.length === 4) return ip.join('.');
  const words = Array.from({ length: 8 }, (_, i) => ((ip[2 * i] ?? 0) << 8) | (ip[2 * i + 1] ?? 0));
  let bestStart = -1;
  let bestLength = 1;
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && words[start + length] === 0) length += 1;
    if (length > bestLength) {
      bestStart = start;
      bestLength = length;
    }
  }
  const text = words.map((word) => word.toString(16));
  if (bestStart < 0) return text.join(':');
  return `${text.slice(0, bestStart).join(':')}::${text.slice(bestStart + bestLength).join(':')}`;
}

/**
 * The network that an address (in its canonical form) is counted under, for one who has one address
 * there easily has more: /24 for IPv4, /48 for IPv6.
 */
export function addressPrefix(address: string): string {
  if (!address.includes(':')) return `${address.split('.', 3).join('.')}.0/24`;
  // Zeros in front of "::" stand behind it as well.
  const [a = '0', b = '0', c = '0'] = address.split('::', 1).join('').split(':');
  const words = c === '0' ? (b === '0' ? [a] : [a, b]) : [a, b, c];
  return `${words.join(':')}::/48`;
}
