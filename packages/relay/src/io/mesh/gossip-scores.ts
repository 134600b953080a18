/** As gossipsub keeps it of each peer, for a while also when that has left. */
interface PeerScoreStats {
  readonly connected: boolean;
  /** When it is forgotten, in Unix milliseconds. */
  expire: number;
}

/** Scores of peers that have left: a key costs nothing, and each is a kilobyte. */
const MAX_OF_THE_GONE = 1024;

/**
 * Has gossipsub forget the peers that left first, where it remembers too many: with its next
 * maintenance, once a second. Those that were banned are so by the relay, which does not forget.
 */
export function boundScores(
  peers: ReadonlyMap<string, PeerScoreStats>,
  max = MAX_OF_THE_GONE,
): void {
  if (peers.size <= max) return;
  const gone = [...peers.values()].filter(({ connected }) => !connected);
  const oldest = gone.toSorted((a, b) => a.expire - b.expire);
  for (const stats of oldest.slice(0, Math.max(0, gone.length - max))) stats.expire = 0;
}
