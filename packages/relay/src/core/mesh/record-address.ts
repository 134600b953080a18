import { scopeOf } from '@lumamesh/base';

/** 192.0.2/24, 198.51.100/24, 203.0.113/24, 2001:db8::/32, 3fff::/20 (RFC 5737, 3849, 9637). */
const DOCUMENTATION = /^(192\.0\.2|198\.51\.100|203\.0\.113)\.|^2001:db8:|^3fff:(:|[0-9a-f]{1,3}:)/;

/**
 * Whether an address of a record may be dialled: one that reaches only its own machine or network,
 * or that only stands in documents, where this relay itself has one of that kind.
 */
export function mayBeDialled(address: string, ownIp: string): boolean {
  const ownScope = scopeOf(ownIp);
  const scope = scopeOf(address);
  if (scope === 'public')
    return !DOCUMENTATION.test(address) || ownScope !== 'public' || DOCUMENTATION.test(ownIp);
  return (
    (scope === 'private' && ownScope !== 'public') ||
    (scope === 'loopback' && ownScope === 'loopback')
  );
}
