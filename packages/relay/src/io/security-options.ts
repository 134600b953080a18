import type { SecurityOptions } from '@lumamesh/transport';
import type { RelayConfig } from './config/config.ts';

/** Versions and groups of DTLS, as the operator wants them. */
export function securityOptions({
  keyExchange,
  dtlsMaxVersion,
}: Pick<RelayConfig, 'keyExchange' | 'dtlsMaxVersion'>): SecurityOptions {
  return {
    maxVersion: dtlsMaxVersion,
    groups:
      keyExchange === 'hybrid'
        ? ['x25519mlkem768', 'x25519', 'secp256r1']
        : ['x25519', 'x25519mlkem768', 'secp256r1'],
  };
}
