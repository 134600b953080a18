import type { NamedGroup, SyncCrypto } from '@lumamesh/base';

export type DtlsVersion = '1.2' | '1.3';

/** What both sides of a handshake may be told about versions and groups. */
export interface SecurityOptions {
  /** The newest version that is spoken; default: 1.3. */
  readonly maxVersion?: DtlsVersion;
  /**
   * The groups of DTLS 1.3 in the order of preference, as far as the runtime has them; default:
   * all. DTLS 1.2 has X25519 and P-256 whatever stands here.
   */
  readonly groups?: readonly NamedGroup[];
}

export function speaks13(options: SecurityOptions): boolean {
  return options.maxVersion !== '1.2';
}

export function groupsOf(
  options: SecurityOptions & { readonly crypto: SyncCrypto },
): readonly NamedGroup[] {
  const { namedGroups } = options.crypto;
  return options.groups?.filter((group) => namedGroups.includes(group)) ?? namedGroups;
}
