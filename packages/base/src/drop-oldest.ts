/**
 * Bounds a map that strangers fill: evicts the entry that was set first when the map is full.
 * Called before an entry is set.
 */
export function dropOldest<Key>(map: Map<Key, unknown>, maxEntries: number): void {
  if (map.size < maxEntries) return;
  const oldest = map.keys().next();
  if (oldest.done !== true) map.delete(oldest.value);
}
