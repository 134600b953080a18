import { DropCounters, dropOldest, isCanonicalIp, scopeOf } from '@lumamesh/base';
import { SocketPlaces } from './socket-places.ts';

export const BAN_MS = 10 * 60_000;
/**
 * So many keys of one address must have been banned before the address is: neighbours may share it.
 */
const KEYS_BEFORE_ADDRESS_BAN = 3;
const MAX_SUSPECT_ADDRESSES = 1024;

/** Node keys and addresses that are not let in for a time. */
export class Bans {
  readonly #until = new Map<string, number>();
  readonly #maxEntries: number;

  constructor(maxEntries = 4096) {
    this.#maxEntries = maxEntries;
  }

  get size(): number {
    return this.#until.size;
  }

  add(nowMs: number, names: readonly string[], durationMs: number): void {
    for (const [name, until] of this.#until) if (until <= nowMs) this.#until.delete(name);
    for (const name of names) {
      dropOldest(this.#until, this.#maxEntries);
      this.#until.set(name, nowMs + durationMs);
    }
  }

  has(nowMs: number, name: string): boolean {
    return (this.#until.get(name) ?? 0) > nowMs;
  }
}

/**
 * Who may connect to this relay's mesh port, and whom it dials: bans, and shares of networks.
 * `Socket` is whatever names one.
 */
export class ConnectionAdmission<Socket> {
  readonly drops = new DropCounters();
  readonly places: SocketPlaces<Socket>;
  readonly #bans = new Bans();
  /** Keys that were banned, by the address they came from. */
  readonly #bannedKeys = new Map<string, Set<string>>();

  constructor(maxPerPrefix: number) {
    this.places = new SocketPlaces(maxPerPrefix);
  }

  /** Keys and addresses that are banned. */
  get bans(): number {
    return this.#bans.size;
  }

  /** @param nk `null` for an identity that is no node key */
  isBanned(nowMs: number, nk: string | null): boolean {
    return nk === null || this.#bans.has(nowMs, nk);
  }

  /** Whether a connection from an address may come in: see {@link SocketPlaces.admit}. */
  admitConnection(nowMs: number, socket: Socket, address: string, close: () => void): boolean {
    const isAdmitted =
      isCanonicalIp(address) &&
      !this.#bans.has(nowMs, address) &&
      this.places.admit(socket, address, () => {
        this.drops.count('mesh.socket.crowdedOut');
        close();
      });
    if (!isAdmitted) this.drops.count('mesh.socket.refused');
    return isAdmitted;
  }

  /** Bans a key, and those of its addresses at which one key after another was banned. */
  ban(nowMs: number, nk: string, addresses: readonly string[]): void {
    const banned = addresses.filter((address) => this.#isBadAddress(address, nk));
    this.#bans.add(nowMs, [nk, ...banned], BAN_MS);
  }

  #isBadAddress(address: string, nk: string): boolean {
    // Addresses of one's own network are everybody's.
    if (scopeOf(address) !== 'public') return false;
    const keys = this.#bannedKeys.get(address) ?? new Set<string>();
    keys.add(nk);
    dropOldest(this.#bannedKeys, MAX_SUSPECT_ADDRESSES);
    this.#bannedKeys.set(address, keys);
    return keys.size >= KEYS_BEFORE_ADDRESS_BAN;
  }
}
