import { addressPrefix, scopeOf } from '@lumamesh/base';
import { evictionFor } from '../../core/mesh/crowding.ts';

/** Sockets of relays that have not shown a record that answers. */
const MAX_UNPROVEN = 128;

/** A socket that came in. */
interface Place {
  readonly prefix: string;
  /** Its /16 or /32: what one who has many prefixes has few of. */
  readonly network: string;
  readonly close: () => void;
  isProven: boolean;
}

/** The places of sockets that come in: shares of networks, and of those that have proven nothing yet. */
export class SocketPlaces<Socket> {
  readonly #maxPerPrefix: number;
  readonly #places = new Map<Socket, Place>();

  /** @param maxPerPrefix of a /24 or /48 of the internet */
  constructor(maxPerPrefix: number) {
    this.#maxPerPrefix = maxPerPrefix;
  }

  /**
   * @param close ends the socket, when others need its place more; {@link release} is to be called
   *   whenever it has ended.
   * @returns Whether the socket may come in.
   */
  admit(socket: Socket, address: string, close: () => void): boolean {
    const prefix = addressPrefix(address);
    const place = { prefix, network: networkOf(prefix), close, isProven: false };
    const places = [...this.#places.values()];
    if (
      scopeOf(address) === 'public' &&
      places.filter((other) => other.prefix === prefix).length >= this.#maxPerPrefix
    )
      return false;
    const unproven = places.filter(({ isProven }) => !isProven);
    if (unproven.length >= MAX_UNPROVEN) {
      const evicted = evictionFor<Place>(unproven, place, ({ network }) => network);
      if (evicted === null) return false;
      evicted.isProven = true;
      evicted.close();
    }
    this.#places.set(socket, place);
    return true;
  }

  /** The relay behind a socket has shown a record that answers. */
  prove(socket: Socket): void {
    const place = this.#places.get(socket);
    if (place !== undefined) place.isProven = true;
  }

  release(socket: Socket): void {
    this.#places.delete(socket);
  }
}

/** Two numbers of an IPv4 prefix (/16), two words of an IPv6 one (/32). */
function networkOf(prefix: string): string {
  return prefix.includes(':') ? prefix.split(':', 2).join(':') : prefix.split('.', 2).join('.');
}
