import type { Membership } from './room-directory.ts';

/** Of the places of a room: so many of one network are nobody else's. */
const UNTOUCHED_SHARE = 1 / 16;
const MIN_UNTOUCHED = 4;

export interface PlaceOf<Session> {
  readonly hostOf: (session: Session) => string;
  readonly networkOf: (session: Session) => string;
}

/**
 * Who of a full room makes room for a newcomer of a network that has fewer places in it: the newest
 * of the most crowded address of the most crowded network, whoever has not proven its id before
 * others. `null` where places are shared as they should be.
 */
export function whoMakesRoom<Session>(
  members: readonly Membership<Session>[],
  newcomer: Session,
  { hostOf, networkOf }: PlaceOf<Session>,
): Membership<Session> | null {
  const [crowd, all] = mostCrowded(members, ({ session }) => networkOf(session));
  const own = all.get(networkOf(newcomer)) ?? 0;
  const untouched = Math.max(MIN_UNTOUCHED, members.length * UNTOUCHED_SHARE);
  if (crowd.length <= Math.max(untouched, own + 1)) return null;
  const unproven = crowd.filter(({ isProven }) => !isProven);
  const [candidates] = mostCrowded(unproven.length > 0 ? unproven : crowd, ({ session }) =>
    hostOf(session),
  );
  return candidates.at(-1) ?? null;
}

/** The members of the largest group, in the order in which they came, and the sizes of all groups. */
function mostCrowded<Session>(
  members: readonly Membership<Session>[],
  groupOf: (member: Membership<Session>) => string,
): readonly [readonly Membership<Session>[], ReadonlyMap<string, number>] {
  const sizes = new Map<string, number>();
  let largest = '';
  for (const member of members) {
    const group = groupOf(member);
    const size = (sizes.get(group) ?? 0) + 1;
    sizes.set(group, size);
    if (size > (sizes.get(largest) ?? 0)) largest = group;
  }
  return [members.filter((member) => groupOf(member) === largest), sizes];
}
