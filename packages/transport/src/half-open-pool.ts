import type { Source } from './source.ts';

/**
 * Handshakes under way of peers that have proven their address, by where they come from. When there
 * is no room, the oldest one of the most crowded address of the most crowded network goes: whoever
 * fills the pool pushes out himself.
 */
export class HalfOpenPool<Entry extends { readonly source: Source }> {
  /** By network, then by address; each set from the oldest to the newest. */
  readonly #networks = new Map<string, Map<string, Set<Entry>>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(entry: Entry): void {
    const { host, network } = entry.source;
    let hosts = this.#networks.get(network);
    if (hosts === undefined) this.#networks.set(network, (hosts = new Map()));
    let entries = hosts.get(host);
    if (entries === undefined) hosts.set(host, (entries = new Set()));
    entries.add(entry);
    this.#size += 1;
  }

  delete(entry: Entry): void {
    const { host, network } = entry.source;
    const hosts = this.#networks.get(network);
    const entries = hosts?.get(host);
    if (hosts === undefined || entries?.delete(entry) !== true) return;
    this.#size -= 1;
    if (entries.size === 0) hosts.delete(host);
    if (hosts.size === 0) this.#networks.delete(network);
  }

  /**
   * @param atMostOfHost how many of one address there may be
   * @returns Who has to go before one more of `source` comes, or `null`.
   */
  inTheWay({ host, network }: Source, atMost: number, atMostOfHost: number): Entry | null {
    const own = this.#networks.get(network)?.get(host);
    if (own !== undefined && own.size >= atMostOfHost) return oldest(own);
    return this.#size < atMost ? null : this.#mostCrowded();
  }

  #mostCrowded(): Entry | null {
    const hosts = largest(this.#networks.values(), (inNetwork) =>
      [...inNetwork.values()].reduce((sum, entries) => sum + entries.size, 0),
    );
    return oldest(largest(hosts?.values() ?? [], (entries) => entries.size));
  }
}

function oldest<Entry>(entries: ReadonlySet<Entry> | null): Entry | null {
  return entries?.values().next().value ?? null;
}

/** The first one of those with the largest size. */
function largest<T>(items: Iterable<T>, sizeOf: (item: T) => number): T | null {
  let best: T | null = null;
  let bestSize = 0;
  for (const item of items) {
    const size = sizeOf(item);
    if (size <= bestSize) continue;
    best = item;
    bestSize = size;
  }
  return best;
}
