import { addressPrefix, dropOldest, isCanonicalIp, scopeOf } from '@lumamesh/base';

export const BAN_MS = 10 * 60_000;
/** TCP connections from one /24 or /48 of the internet. */
const MAX_SOCKETS_PER_PREFIX = 24;
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

/** Who may connect to this relay's mesh port, and whom it dials: bans, and shares of networks. */
export class ConnectionAdmission {
  readonly #bans = new Bans();
  readonly #socketsPerPrefix = new Map<string, number>();
  /** Keys that were banned, by the address they came from. */
  readonly #bannedKeys = new Map<string, Set<string>>();

  /** Keys and addresses that are banned. */
  get bans(): number {
    return this.#bans.size;
  }

  /** @param nk `null` for an identity that is no node key */
  isBanned(nowMs: number, nk: string | null): boolean {
    return nk === null || this.#bans.has(nowMs, nk);
  }

  /**
   * Whether a connection from an address may come in. One that may is counted for its network.
   * @returns What to call when it has closed; `null` when it is turned away.
   */
  admitConnection(nowMs: number, address: string): (() => void) | null {
    if (!isCanonicalIp(address) || this.#bans.has(nowMs, address)) return null;
    if (scopeOf(address) !== 'public') return () => undefined;
    const prefix = addressPrefix(address);
    const count = this.#socketsPerPrefix.get(prefix) ?? 0;
    if (count >= MAX_SOCKETS_PER_PREFIX) return null;
    this.#socketsPerPrefix.set(prefix, count + 1);
    return () => {
      const left = (this.#socketsPerPrefix.get(prefix) ?? 1) - 1;
      if (left > 0) this.#socketsPerPrefix.set(prefix, left);
      else this.#socketsPerPrefix.delete(prefix);
    };
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
