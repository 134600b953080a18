import { type Instant, later } from '@lumamesh/base';
import { LINK_LIMITS } from './link-limits.ts';
import type { MeshLink } from './mesh-link.ts';
import { shuffled } from './shuffled.ts';

export interface HangUp {
  readonly nk: string;
  readonly reason: string;
}

/** What this looks at of a link. */
export type TrimmedLink = Pick<
  MeshLink,
  'nk' | 'isOutbound' | 'prefix' | 'isLocal' | 'openedAt' | 'isReady'
>;

/** A link whose other end has shown no record that answers. */
const PROOF_MS = 30_000;
/**
 * Now and then an outbound link is given up for a random other one, so that no ring of attackers
 * keeps a relay for good.
 */
const ROTATE_MS = 15 * 60_000;

/**
 * Which links to end: those that prove nothing, those beyond their share, and now and then one for
 * a change.
 */
export class LinkTrimming {
  readonly #random: () => number;
  #rotateAt: Instant | null = null;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** @param wanted homes of rooms here, whose links are not counted */
  decide(now: Instant, links: readonly TrimmedLink[], wanted: ReadonlySet<string>): HangUp[] {
    const hangUps: HangUp[] = links
      .filter((link) => !link.isReady && now - link.openedAt > PROOF_MS)
      .map(({ nk }) => ({ nk, reason: 'noRecord' }));
    const ended = new Set(hangUps.map(({ nk }) => nk));
    const end = (link: TrimmedLink | undefined, reason: string): void => {
      if (link === undefined) return;
      ended.add(link.nk);
      hangUps.push({ nk: link.nk, reason });
    };
    const outbound = links.filter(
      ({ nk, isOutbound }) => isOutbound && !wanted.has(nk) && !ended.has(nk),
    );
    this.#rotateAt ??= this.#nextRotationAt(now);
    if (outbound.length > LINK_LIMITS.maxOutbound)
      for (const link of shuffled(outbound, this.#random).slice(LINK_LIMITS.maxOutbound))
        end(link, 'tooManyOutbound');
    else if (now >= this.#rotateAt) {
      this.#rotateAt = this.#nextRotationAt(now);
      if (outbound.length >= LINK_LIMITS.minOutbound)
        end(outbound.toSorted((a, b) => a.openedAt - b.openedAt)[0], 'rotated');
    }
    const inbound = links.filter(({ nk, isOutbound }) => !isOutbound && !ended.has(nk));
    return [...hangUps, ...trimInbound(inbound)];
  }

  #nextRotationAt(now: Instant): Instant {
    return later(now, ROTATE_MS * (0.5 + this.#random()));
  }
}

/** Newcomers of the most crowded network go first; who has been here for long stays. */
function trimInbound(inbound: readonly TrimmedLink[]): HangUp[] {
  const hangUps: HangUp[] = [];
  const endLast = (group: TrimmedLink[] | undefined, reason: string): void => {
    const link = group?.pop();
    if (link !== undefined) hangUps.push({ nk: link.nk, reason });
  };
  const byPrefix = Map.groupBy(inbound, ({ prefix }) => prefix);
  let total = 0;
  for (const group of byPrefix.values()) {
    group.sort((a, b) => Number(b.isReady) - Number(a.isReady) || a.openedAt - b.openedAt);
    const max =
      group[0]?.isLocal === true ? LINK_LIMITS.maxInbound : LINK_LIMITS.maxInboundPerPrefix;
    while (group.length > max) endLast(group, 'tooManyOfPrefix');
    total += group.length;
  }
  for (; total > LINK_LIMITS.maxInbound; total--) {
    const [crowded] = [...byPrefix.values()].toSorted((a, b) => b.length - a.length);
    endLast(crowded, 'tooManyInbound');
  }
  return hangUps;
}
