import * as v from 'valibot';
import { formatIp, parseIp } from '@lumamesh/base';
import { isIcePassword, isIceUfrag } from '@lumamesh/transport';

/** libwebrtc refuses candidates on ports below 1024, but for 80 and 443. */
const LOWEST_PORT = 1024;
const LOW_PORTS_ALLOWED = [80, 443];

/**
 * One setting: an environment variable, its flag (`--public-ip` for PUBLIC_IP), what it may hold,
 * and what docs and `--help` say of it.
 */
export interface Setting {
  readonly variable: string;
  readonly placeholder: string;
  readonly description: string;
  readonly defaultText: string;
  /** What is allowed, behind "must be". */
  readonly allowed: string;
  /** Taken over by a running relay on SIGHUP. */
  readonly isReloadable: boolean;
  /** Never shown. */
  readonly isSecret: boolean;
}

const wholeNumber = (min: number, max: number) =>
  v.pipe(v.string(), v.regex(/^\d{1,9}$/), v.transform(Number), v.minValue(min), v.maxValue(max));

const ipv4 = v.pipe(
  v.string(),
  v.check((text) => parseIp(text)?.length === 4 && !text.includes(':')),
  v.transform(canonicalIp),
);
const ipv6 = v.pipe(
  v.string(),
  v.check((text) => parseIp(text)?.length === 16),
  v.transform(canonicalIp),
);
const file = v.pipe(v.string(), v.nonEmpty());
const hostName = v.pipe(
  v.string(),
  v.regex(
    /^(?=.{1,253}$)([a-z0-9_]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/i,
  ),
);
const port = v.pipe(
  wholeNumber(1, 65_535),
  v.check((number) => number >= LOWEST_PORT || LOW_PORTS_ALLOWED.includes(number)),
);
const hostPort = v.pipe(
  v.string(),
  v.regex(/^(\[[0-9a-fA-F:.]+\]|[^\s:]+):\d{1,5}$/),
  v.transform((text) => {
    const colon = text.lastIndexOf(':');
    return {
      host: text.slice(0, colon).replace(/^\[|\]$/g, ''),
      port: Number(text.slice(colon + 1)),
    };
  }),
  v.check((value) => value.port <= 65_535),
);

const dialable = v.pipe(
  hostPort,
  v.check((value) => value.port > 0),
);

/** What a running relay takes over on SIGHUP; everything else takes a restart. */
const RELOADABLE: readonly string[] = [
  'PUBLIC_IP',
  'PUBLIC_IP6',
  'PUBLIC_HOST',
  'MESH_PEERS',
  'MAX_SESSIONS',
  'MAX_ROOM_SIZE',
  'MAX_MESSAGES_PER_SECOND',
  'LOG_LEVEL',
  'LOG_ADDRESSES',
];
const SECRET: readonly string[] = ['ICE_PWD', 'MESH_SALT'];

/**
 * Every setting of a relay, in the order the documents list them. Key and variable are the same
 * name in two spellings.
 */
export const SETTINGS = {
  publicIp: setting(
    'PUBLIC_IP',
    '<ipv4>',
    'public IPv4 address that browsers dial',
    '127.0.0.1',
    'an IPv4 address such as 203.0.113.10',
  ),
  publicIp6: setting(
    'PUBLIC_IP6',
    '<ipv6>',
    'public IPv6 address that browsers dial besides',
    '',
    'an IPv6 address such as 2001:db8::10',
  ),
  publicHost: setting(
    'PUBLIC_HOST',
    '<name>',
    'DNS name in the record; clients resolve it where the address in it cannot be dialled',
    '',
    'a DNS name such as relay.example.org',
  ),
  udpPort: setting(
    'UDP_PORT',
    '<port>',
    'the browser-facing UDP port',
    '3478',
    'a port between 1024 and 65535, or 80 or 443 (browsers refuse the others)',
  ),
  listenIp: setting(
    'LISTEN_IP',
    '<ip>',
    'listen on this address only, for machines with several',
    '',
    'an IP address of this machine',
  ),
  iceUfrag: setting(
    'ICE_UFRAG',
    '<text>',
    'ICE username fragment',
    'luma',
    '4 to 256 letters, digits, + or /',
  ),
  icePwd: setting(
    'ICE_PWD',
    '<text>',
    'ICE password; generated and kept in <KEY_FILE>.icepwd',
    'auto',
    '22 to 256 letters, digits, + or /',
  ),
  certFile: setting(
    'CERT_FILE',
    '<path>',
    'DTLS certificate (ECDSA P-256), made when missing',
    'server.crt',
    'a path',
  ),
  keyFile: setting(
    'KEY_FILE',
    '<path>',
    'DTLS private key, made when missing',
    'server.key',
    'a path',
  ),
  nodeKey: setting(
    'NODE_KEY',
    '<path>',
    'Ed25519 node identity, made when missing',
    'node.key',
    'a path',
  ),
  meshSalt: setting(
    'MESH_SALT',
    '<text>',
    'turns the mesh on; the same text on all its relays, and relays with another one never meet them',
    '',
    'a text; one of fewer than 8 characters is warned of',
  ),
  meshListen: setting(
    'MESH_LISTEN',
    '<host:port>',
    'accept other relays there, over TCP; needed to be a home of rooms',
    '',
    'host:port such as 0.0.0.0:7402',
  ),
  meshPeers: setting(
    'MESH_PEERS',
    '<host:port,…>',
    'relays to dial first; the others are learnt from them',
    '',
    'host:port, several separated by commas',
  ),
  meshFile: setting(
    'MESH_FILE',
    '<path>',
    'keeps the relays that are known over a restart',
    'mesh-relays.txt',
    'a path',
  ),
  meshMemoryMb: setting(
    'MESH_MEMORY_MB',
    '<n>',
    'members that other relays may show here, in MB, and as much again that waits to be sent to them; one relay has a fifth at most',
    '64',
    'a whole number between 8 and 65536',
  ),
  meshChecksPerSecond: setting(
    'MESH_CHECKS_PER_SECOND',
    '<n>',
    'relays dialled each second to see whether they answer, in the long run',
    '20',
    'a whole number between 1 and 1000',
  ),
  meshSocketsPerNetwork: setting(
    'MESH_SOCKETS_PER_NETWORK',
    '<n>',
    'connections of relays from one /24 or /48',
    '24',
    'a whole number between 1 and 400',
  ),
  healthListen: setting(
    'HEALTH_LISTEN',
    '<host:port>',
    'serve /healthz, /statsz and /metrics over HTTP there',
    '',
    'host:port such as 127.0.0.1:7401',
  ),
  maxSessions: setting(
    'MAX_SESSIONS',
    '<n>',
    'concurrent browser sessions',
    '1000',
    'a whole number between 1 and 1000000',
  ),
  maxRoomSize: setting(
    'MAX_ROOM_SIZE',
    '<n>',
    'members per room',
    '250',
    'a whole number between 2 and 10000',
  ),
  maxMessagesPerSecond: setting(
    'MAX_MESSAGES_PER_SECOND',
    '<n>',
    'frames per second from one session in the long run',
    '500',
    'a whole number between 1 and 1000000',
  ),
  logLevel: setting(
    'LOG_LEVEL',
    '<level>',
    'how much is logged',
    'info',
    'one of debug, info, warn, error, silent',
  ),
  logFormat: setting(
    'LOG_FORMAT',
    '<format>',
    'json, or text to be read by people; auto is text on a terminal',
    'auto',
    'one of auto, json, text',
  ),
  logAddresses: setting(
    'LOG_ADDRESSES',
    '<how>',
    'user addresses in the log: only their network (redacted), or whole (full)',
    'redacted',
    'redacted or full',
  ),
} as const satisfies Record<string, Setting>;

export const SCHEMA = v.object({
  publicIp: ipv4,
  publicIp6: v.optional(ipv6),
  publicHost: v.optional(hostName),
  udpPort: port,
  listenIp: v.optional(
    v.pipe(
      v.string(),
      v.check((text) => parseIp(text) !== null),
    ),
  ),
  iceUfrag: v.pipe(v.string(), v.check(isIceUfrag)),
  icePwd: v.optional(v.pipe(v.string(), v.check(isIcePassword))),
  certFile: file,
  keyFile: file,
  nodeKey: file,
  meshSalt: v.optional(v.string()),
  meshListen: v.optional(hostPort),
  meshPeers: v.optional(
    v.pipe(
      v.string(),
      v.transform((text) => text.split(',').map((part) => part.trim())),
      v.array(dialable),
    ),
  ),
  meshFile: file,
  meshMemoryMb: wholeNumber(8, 65_536),
  meshChecksPerSecond: wholeNumber(1, 1000),
  meshSocketsPerNetwork: wholeNumber(1, 400),
  healthListen: v.optional(hostPort),
  maxSessions: wholeNumber(1, 1_000_000),
  maxRoomSize: wholeNumber(2, 10_000),
  maxMessagesPerSecond: wholeNumber(1, 1_000_000),
  logLevel: v.picklist(['debug', 'info', 'warn', 'error', 'silent']),
  logFormat: v.picklist(['auto', 'json', 'text']),
  logAddresses: v.picklist(['redacted', 'full']),
});

export type SettingName = keyof typeof SETTINGS;

function setting(
  variable: string,
  placeholder: string,
  description: string,
  defaultText: string,
  allowed: string,
): Setting {
  return {
    variable,
    placeholder,
    description,
    defaultText,
    allowed,
    isReloadable: RELOADABLE.includes(variable),
    isSecret: SECRET.includes(variable),
  };
}

/** `--public-ip` for PUBLIC_IP. */
export function flagOf(variable: string): string {
  return `--${variable.toLowerCase().replaceAll('_', '-')}`;
}

/** The one spelling that records have (RFC 5952). */
function canonicalIp(text: string): string {
  return formatIp(parseIp(text) ?? new Uint8Array(0));
}
