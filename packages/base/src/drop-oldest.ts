/** Makes room in a map that strangers fill: the entry that was set first goes when there is no place for another. */
export function dropOldest<Key>(map: Map<Key, unknown>, maxEntries: number): void {
  if (map.size < maxEntries) return;
  const oldest = map.keys().next();
  if (oldest.done !== true) map.delete(oldest.value);
}
