import { closeSync } from 'node:fs';
import { bytesEqual } from '@lumamesh/base';
import type { Remote } from '../../five-tuple.ts';
import type { NativeUdp } from './native-udp.ts';

/** One without bytes, one byte, as records are, and as long as a slab takes. */
const LENGTHS: readonly number[] = [0, 1, 300, 1200, 1536];

/**
 * Sends datagrams from a socket to itself, over loopback, and looks whether they come as they went:
 * over IPv4, and by a dual-stack socket where there is IPv6.
 * @returns What is wrong, or `null`.
 */
export function udpFault(udp: NativeUdp): string | null {
  if (!comesBack(udp, '127.0.0.1', '127.0.0.1', false, false))
    return 'datagrams over IPv4 do not come as they went';
  // A machine without IPv6 has no such socket, and needs none.
  const probe = udp.bind({ address: '::', port: 0 }, true, true);
  if (probe === null) return null;
  closeSync(probe);
  return comesBack(udp, '::', '127.0.0.1', true, true)
    ? null
    : 'datagrams by a dual-stack socket do not come as they went';
}

function comesBack(
  udp: NativeUdp,
  bound: string,
  address: string,
  isV6: boolean,
  isDualStack: boolean,
): boolean {
  const descriptor = udp.bind({ address: bound, port: 0 }, isV6, isDualStack);
  if (descriptor === null) return false;
  try {
    const remote: Remote = { address, port: udp.portOf(descriptor) };
    const socket = udp.socket(descriptor, isV6);
    const sent = LENGTHS.map((length, n) => Uint8Array.from({ length }, (_, i) => i * (n + 3)));
    if (!sent.every((data) => socket.add(remote, data))) return false;
    const { left, errors } = socket.flush();
    if (left.length > 0 || errors.length > 0) return false;
    const came: Uint8Array[] = [];
    // Over loopback they have arrived when they are sent.
    socket.receive((from, data) => {
      if (from.address === address && from.port === remote.port) came.push(data);
      return true;
    });
    return (
      socket.isIntact() &&
      came.length === sent.length &&
      sent.every((data, i) => bytesEqual(data, came[i] ?? new Uint8Array(9)))
    );
  } finally {
    closeSync(descriptor);
  }
}
