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

/** What a running relay takes over on SIGHUP; everything else takes a restart. */
const RELOADABLE: readonly string[] = [
  'PUBLIC_IP',
  'PUBLIC_IP6',
  'PUBLIC_HOST',
  'MESH_PEERS',
  'MAX_SESSIONS',
  'MAX_SESSIONS_PER_ADDRESS',
  'MAX_SESSIONS_PER_NETWORK',
  'MAX_HALF_OPEN',
  'MAX_HANDSHAKES_PER_SECOND',
  'MAX_STUN_PER_SECOND',
  'MAX_DELIVERIES_PER_SECOND',
  'MAX_BYTES_PER_SECOND',
  'MAX_HELD_MB',
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
  maxSessionsPerAddress: setting(
    'MAX_SESSIONS_PER_ADDRESS',
    '<n>',
    'sessions of one IPv4 address or IPv6 /64; raise it where many browsers share one',
    '64',
    'a whole number between 1 and 1000000',
  ),
  maxSessionsPerNetwork: setting(
    'MAX_SESSIONS_PER_NETWORK',
    '<n>',
    'sessions of one IPv4 /24 or IPv6 /56; fewer than there are places in a room',
    '192',
    'a whole number between 1 and 1000000',
  ),
  maxHalfOpen: setting(
    'MAX_HALF_OPEN',
    '<n>',
    'handshakes under way, an eighth of them from one address; one more pushes out another',
    '256',
    'a whole number between 1 and 1000000',
  ),
  maxHandshakesPerSecond: setting(
    'MAX_HANDSHAKES_PER_SECOND',
    '<n>',
    'handshakes begun by one address in the long run, four times as many by its network',
    '20',
    'a whole number between 1 and 1000000',
  ),
  maxStunPerSecond: setting(
    'MAX_STUN_PER_SECOND',
    '<n>',
    'STUN requests of one address answered in the long run, four times as many of its network',
    '200',
    'a whole number between 1 and 1000000',
  ),
  maxDeliveriesPerSecond: setting(
    'MAX_DELIVERIES_PER_SECOND',
    '<n>',
    'members that joins and new presence from one address are told to in the long run',
    '2000',
    'a whole number between 1 and 1000000',
  ),
  maxBytesPerSecond: setting(
    'MAX_BYTES_PER_SECOND',
    '<bytes>',
    'frames passed on for one address in the long run',
    '2000000',
    'a whole number between 1000 and 999999999',
  ),
  turnRate: setting(
    'TURN_RATE',
    '<bytes>',
    'forward between browsers that cannot reach each other (TURN): bytes per second for all together; 0: do not',
    '0',
    'a whole number between 0 and 999999999',
  ),
  turnRatePerPair: setting(
    'TURN_RATE_PER_PAIR',
    '<bytes>',
    'of these, for two browsers, both ways together; auto is a quarter of TURN_RATE',
    'auto',
    'auto, or a whole number between 1000 and 999999999',
  ),
  turnRatePerSession: setting(
    'TURN_RATE_PER_SESSION',
    '<bytes>',
    'of these, sent by one session; auto is a quarter of TURN_RATE',
    'auto',
    'auto, or a whole number between 1000 and 999999999',
  ),
  turnRatePerRoom: setting(
    'TURN_RATE_PER_ROOM',
    '<bytes>',
    'of these, in one room; auto is a half of TURN_RATE',
    'auto',
    'auto, or a whole number between 1000 and 999999999',
  ),
  turnRatePerAddress: setting(
    'TURN_RATE_PER_ADDRESS',
    '<bytes>',
    'of these, sent from one IPv4 address or IPv6 /64, four times as much from its network; auto is a quarter of TURN_RATE',
    'auto',
    'auto, or a whole number between 1000 and 999999999',
  ),
  maxTurnAllocations: setting(
    'MAX_TURN_ALLOCATIONS',
    '<n>',
    'ends of connections that TURN may be used for at once, an eighth of them from one address, a quarter from one network',
    '1024',
    'a whole number between 8 and 65536',
  ),
  maxTurnAllocationsPerSession: setting(
    'MAX_TURN_ALLOCATIONS_PER_SESSION',
    '<n>',
    'the same of one session',
    '32',
    'a whole number between 1 and 65536',
  ),
  maxHeldMb: setting(
    'MAX_HELD_MB',
    '<mb>',
    'megabytes that all sessions together may make the relay hold; auto is an eighth of what the process may have, 16 to 64',
    'auto',
    'auto, or a whole number between 1 and 65536',
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
  nativeIo: setting(
    'NATIVE_IO',
    '<how>',
    'native code for encryption and the socket, where this runtime has it and it passes its own test; or Node alone',
    'auto',
    'auto or off',
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
