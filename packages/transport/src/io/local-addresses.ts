import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os';

type Interfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;

/** Each has a socket of its own. */
const MAX_ADDRESSES = 32;

/**
 * The addresses of this machine from which a program that listens on all of them would not answer by
 * itself: where there are several of a family, the kernel sends from the one that it prefers (RFC
 * 6724 §5), such as the first of an interface or a temporary one (RFC 8981), whichever was asked.
 * @returns None where each family has one address at most; loopback and link-local ones are left out.
 */
export function rivalAddresses(interfaces: Interfaces = networkInterfaces()): string[] {
  const all = Object.values(interfaces)
    .flatMap((list) => list ?? [])
    .filter(({ internal, address }) => !internal && !/^(fe80:|169\.254\.)/.test(address));
  return ['IPv4', 'IPv6']
    .map((wanted) => all.filter(({ family }) => family === wanted))
    .filter(({ length }) => length > 1)
    .flatMap((rivals) => rivals.map(({ address }) => address))
    .slice(0, MAX_ADDRESSES);
}
