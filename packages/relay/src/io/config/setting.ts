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
  /** Empty is a mistake, where for others it is as good as unset. */
  readonly isNeverEmpty: boolean;
}

/** What a running relay takes over on SIGHUP; everything else takes a restart. */
const RELOADABLE: readonly string[] = [
  'PUBLIC_IP',
  'PUBLIC_IP6',
  'PUBLIC_HOST',
  'NICKNAME',
  'CONTACT',
  'ACCESS_TOKENS',
  'ACCESS_TOKENS_FILE',
  'MESH_PEERS',
  'MAX_SESSIONS',
  'MAX_SESSIONS_PER_ADDRESS',
  'MAX_SESSIONS_PER_NETWORK',
  'MAX_HALF_OPEN',
  'MAX_HANDSHAKES_PER_SECOND',
  'MAX_STUN_PER_SECOND',
  'MAX_DELIVERIES_PER_SECOND',
  'MAX_BYTES_PER_SECOND',
  'MONTHLY_TRAFFIC',
  'MAX_HELD_MB',
  'MAX_ROOM_SIZE',
  'MAX_MESSAGES_PER_SECOND',
  'DIAL_BACKS_PER_MINUTE',
  'LOG_LEVEL',
  'LOG_ADDRESSES',
  'ABUSE_LOG',
];
const SECRET: readonly string[] = ['ICE_PWD', 'MESH_SALT', 'ACCESS_TOKENS'];
/** A list of tokens that went missing on its way here must not open the relay to everybody. */
const NEVER_EMPTY: readonly string[] = ['ACCESS_TOKENS', 'ACCESS_TOKENS_FILE'];

/** One setting as the documents have it; whether it is reloadable, secret or never empty is known here. */
export function setting(
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
    isNeverEmpty: NEVER_EMPTY.includes(variable),
  };
}

/** `--public-ip` for PUBLIC_IP. */
export function flagOf(variable: string): string {
  return `--${variable.toLowerCase().replaceAll('_', '-')}`;
}
