import { networkInterfaces } from 'node:os';
import { formatIp, parseIp } from '@lumamesh/base';
import type { Remote } from '../../five-tuple.ts';
import { SOCKADDR, type Slab } from './memory.ts';

export const AF_INET = 2;
export const AF_INET6 = 10;

/** `::ffff:0:0/96`, as which a dual-stack socket sees IPv4. */
const MAPPED_PREFIX = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff);
const MAX_KNOWN = 1024;

/** Turns addresses as text into those of the kernel. */
export class AddressWriter {
  readonly #slab: Slab;
  readonly #isV6: boolean;
  /** Of addresses that were sent to lately; forgotten all at once. */
  readonly #known = new Map<string, Uint8Array>();

  constructor(slab: Slab, isV6: boolean) {
    this.#slab = slab;
    this.#isV6 = isV6;
  }

  /**
   * Writes a `sockaddr` at `at`.
   * @returns Its length; 0 for what has no such form here: a zone, a text that is no address, port
   * 0.
   */
  write(at: number, remote: Remote): number {
    const address = this.#bytesOf(remote.address);
    const isPort = remote.port >= 1 && remote.port <= 0xffff;
    if (address === null || !isPort) return 0;
    const { bytes, view } = this.#slab;
    view.setUint16(at + SOCKADDR.family, this.#isV6 ? AF_INET6 : AF_INET, true);
    view.setUint16(at + SOCKADDR.port, remote.port);
    if (!this.#isV6) {
      bytes.set(address, at + SOCKADDR.ipv4);
      bytes.fill(0, at + SOCKADDR.ipv4 + 4, at + SOCKADDR.ipv4Bytes);
      return SOCKADDR.ipv4Bytes;
    }
    // No flow label, no scope.
    bytes.fill(0, at + SOCKADDR.ipv4, at + SOCKADDR.ipv6Bytes);
    bytes.set(address, at + SOCKADDR.ipv6);
    return SOCKADDR.ipv6Bytes;
  }

  #bytesOf(text: string): Uint8Array | null {
    const known = this.#known.get(text);
    if (known !== undefined) return known;
    const ip = parseIp(text);
    if (ip === null) return null;
    const isIpv4 = ip.length === 4;
    if (!isIpv4 && !this.#isV6) return null;
    const bytes = this.#isV6 && isIpv4 ? Uint8Array.of(...MAPPED_PREFIX, ...ip) : ip;
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    this.#known.set(text, bytes);
    return bytes;
  }
}

interface KnownRemote {
  readonly raw: Uint8Array;
  readonly remote: Remote;
}

/** Turns addresses of the kernel into text, as Node writes them. */
export class AddressReader {
  readonly #slab: Slab;
  /**
   * One for each value of a hash: senders come again and again, and whoever provokes collisions
   * costs what all would cost without it.
   */
  readonly #known: (KnownRemote | undefined)[] = Array.from({ length: MAX_KNOWN });

  constructor(slab: Slab) {
    this.#slab = slab;
  }

  /** Reads the `sockaddr` at `at`; `null` when it is of no family that is known here. */
  read(at: number): Remote | null {
    const { bytes, view } = this.#slab;
    // All of it that makes a difference: family, port, addresses, scope.
    const [a, b, c, d, e, f, g] = [
      view.getUint32(at, true),
      view.getUint32(at + 4, true),
      view.getUint32(at + 8, true),
      view.getUint32(at + 12, true),
      view.getUint32(at + 16, true),
      view.getUint32(at + 20, true),
      view.getUint32(at + 24, true),
    ];
    let hash = a ^ b ^ c ^ d ^ e ^ f ^ g;
    hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b);
    const slot = (hash ^ (hash >>> 15)) & (MAX_KNOWN - 1);
    const known = this.#known[slot];
    const length = SOCKADDR.ipv6Bytes;
    if (known !== undefined && isSame(known.raw, bytes, at)) return known.remote;
    const remote = this.#decode(at);
    if (remote !== null) this.#known[slot] = { raw: bytes.slice(at, at + length), remote };
    return remote;
  }

  #decode(at: number): Remote | null {
    const { bytes, view } = this.#slab;
    const port = view.getUint16(at + SOCKADDR.port);
    const family = view.getUint16(at + SOCKADDR.family, true);
    if (family === AF_INET) {
      const start = at + SOCKADDR.ipv4;
      return { address: formatIp(bytes.subarray(start, start + 4)), port };
    }
    if (family !== AF_INET6) return null;
    const start = at + SOCKADDR.ipv6;
    const ip = bytes.subarray(start, start + 16);
    if (MAPPED_PREFIX.every((byte, i) => ip[i] === byte))
      return { address: formatIp(ip.subarray(12)), port };
    const scopeId = view.getUint32(at + SOCKADDR.scopeId, true);
    const zone = scopeId === 0 ? null : interfaceOf(scopeId);
    return { address: zone === null ? formatIp(ip) : `${formatIp(ip)}%${zone}`, port };
  }
}

function isSame(raw: Uint8Array, bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < raw.length; i++) if (raw[i] !== bytes[at + i]) return false;
  return true;
}

/** The name of an interface by its number. Only neighbours on the same link have addresses so. */
function interfaceOf(scopeId: number): string | null {
  for (const [name, addresses] of Object.entries(networkInterfaces()))
    if (addresses?.some((one) => one.family === 'IPv6' && one.scopeid === scopeId) === true)
      return name;
  return null;
}
