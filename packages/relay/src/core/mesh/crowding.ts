/**
 * Whom a full table puts out for a newcomer: one of the most crowded network, when that has at least
 * two more than the newcomer's own. Networks are what an attacker has few of.
 * @param prefixOf the network of an entry
 * @returns The entry of that network that stands last; `null` when the newcomer is to be refused.
 */
export function evictionFor<Key>(
  entries: Iterable<Key>,
  newcomer: Key,
  prefixOf: (entry: Key) => string,
): Key | null {
  const groups = Map.groupBy(entries, prefixOf);
  let most: readonly Key[] = [];
  for (const group of groups.values()) if (group.length > most.length) most = group;
  const own = groups.get(prefixOf(newcomer))?.length ?? 0;
  return most.length >= own + 2 ? (most.at(-1) ?? null) : null;
}

/**
 * One of each network before a second of any: what several networks say is heard whoever came first.
 * @returns At most `count` of them, otherwise in their order.
 */
export function acrossNetworks<Key>(
  entries: Iterable<Key>,
  count: number,
  prefixOf: (entry: Key) => string,
): Key[] {
  const groups = [...Map.groupBy(entries, prefixOf).values()];
  const chosen: Key[] = [];
  for (let round = 0; chosen.length < count; round++) {
    const before = chosen.length;
    for (const group of groups) {
      const entry = group[round];
      if (entry !== undefined && chosen.length < count) chosen.push(entry);
    }
    if (chosen.length === before) break;
  }
  return chosen;
}
