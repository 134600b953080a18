/*
 * Who talks to whom, and who passes on to whom, when a member is not connected to all others. The
 * members stand on a ring in the order of their ids. Each is connected to those 1, 2, 4, … places
 * before and behind it, so every two are joined by a few steps.
 *
 * What one says to all travels by arcs: each neighbour is told, and answers for the members between
 * itself and the next neighbour. As long as all see the same ring everybody hears it once.
 */

/** The members that `self` is to be connected to. `members` are the others. */
export function neighboursOf(
  self: string,
  members: readonly string[],
  max: number,
): ReadonlySet<string> {
  if (members.length <= max) return new Set(members);
  const ring = [self, ...members].sort();
  const at = ring.indexOf(self);
  const wanted = new Set<string>();
  for (let step = 1; step < ring.length && wanted.size < max; step *= 2)
    for (const place of [at + step, at - step + ring.length]) {
      const id = ring[place % ring.length];
      if (id !== undefined && id !== self && wanted.size < max) wanted.add(id);
    }
  return wanted;
}

/** Whether one comes to `id` on the way from `from` to `end`; from a place to itself is once round. */
export function isBetween(from: string, id: string, end: string): boolean {
  return from < end ? from < id && id < end : id > from || id < end;
}

/** In the order in which one comes to them from `self`. */
export function inOrderFrom(self: string, ids: readonly string[]): readonly string[] {
  const sorted = [...ids].sort();
  const at = sorted.findIndex((id) => id > self);
  return at < 0 ? sorted : [...sorted.slice(at), ...sorted.slice(0, at)];
}

/**
 * Whom `self` tells, and up to where each of them answers for the rest: empty where there is no
 * rest.
 * @param connected who can be told
 * @param members everybody else in the room
 * @param end up to where `self` answers
 */
export function arcsOf(
  self: string,
  connected: readonly string[],
  members: readonly string[],
  end: string,
): readonly (readonly [id: string, end: string])[] {
  const targets = inOrderFrom(
    self,
    connected.filter((id) => isBetween(self, id, end)),
  );
  if (connected.length >= members.length) return targets.map((id) => [id, '']);
  const [first = end] = targets;
  const isGap = members.some((id) => isBetween(self, id, first));
  return targets.map((id, i) => {
    // Whoever stands between us and the first that we can tell is reached from the other side.
    const stop = targets[i + 1] ?? (isGap && end === self ? first : end);
    return [id, members.some((member) => isBetween(id, member, stop)) ? stop : ''];
  });
}
