import { dropOldest } from '@lumamesh/base';
import type { TurnCredentials } from '@lumamesh/protocol';
import type { KnownEntry, RelayBook } from '../../net/relay-book.ts';

/** Rooms of a page, and some that it has left. */
const MAX_ROOMS = 1024;
/** Two are enough for one of them to be there. */
const MAX_SERVERS = 2;

/** What the relays of a page have given it to be relayed by, for each of its rooms. */
export class TurnServers {
  readonly #book: RelayBook;
  /** By room and relay. */
  readonly #credentials = new Map<string, Map<string, TurnCredentials>>();

  constructor(book: RelayBook) {
    this.#book = book;
  }

  /** A relay has given credentials, in the place of those that it gave before. */
  _take(roomId: string, nk: string, credentials: TurnCredentials): void {
    const byRelay = this.#credentials.get(roomId) ?? new Map<string, TurnCredentials>();
    this.#credentials.delete(roomId);
    dropOldest(this.#credentials, MAX_ROOMS);
    this.#credentials.set(roomId, byRelay);
    byRelay.set(nk, credentials);
  }

  /** A relay is not held any more. */
  _lose(nk: string): void {
    for (const byRelay of this.#credentials.values()) byRelay.delete(nk);
  }

  /** The relays that relay in a room, the fastest first. */
  _of(roomId: string): readonly string[] {
    const connectMs = (nk: string): number => this.#book.get(nk)?.connectMs ?? 0;
    return [...(this.#credentials.get(roomId)?.keys() ?? [])].toSorted(
      (a, b) => connectMs(a) - connectMs(b),
    );
  }

  /** The fastest of them, as browsers need them. */
  _serversOf(roomId: string): readonly RTCIceServer[] {
    const servers = this._of(roomId).map((nk) => this._serverOf(roomId, nk));
    return servers.filter((server) => server !== null).slice(0, MAX_SERVERS);
  }

  /** What a browser needs to be relayed by `nk`; `null` without credentials. */
  _serverOf(roomId: string, nk: string): RTCIceServer | null {
    const credentials = this.#credentials.get(roomId)?.get(nk);
    const entry = this.#book.get(nk);
    if (credentials === undefined || entry === undefined) return null;
    const { username, password: credential } = credentials;
    return { urls: turnUrls(entry), username, credential };
  }
}

/**
 * Where a relay relays (RFC 7065): over UDP, or over TCP where UDP did not find it: each URL costs
 * an allocation.
 */
export function turnUrls({ record, isTcp }: KnownEntry): string[] {
  const { ip, ip6, port, tcpPort } = record;
  const [transport, at] = isTcp && tcpPort !== undefined ? ['tcp', tcpPort] : ['udp', port];
  // Who has no IPv4 has the other one.
  return [ip, ...(ip6 === undefined ? [] : [ip6])].map(
    (address) =>
      `turn:${address.includes(':') ? `[${address}]` : address}:${at}?transport=${transport}`,
  );
}
