import type { Instant } from '@lumamesh/base';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { DialChoice, type DialChoiceOptions, type DialTarget } from './dial-choice.ts';
import { type HangUp, LinkTrimming } from './link-trimming.ts';
import type { MeshLink } from './mesh-link.ts';

/** What the policy looks at of a link. */
export type PolicyLink = Pick<
  MeshLink,
  'nk' | 'isOutbound' | 'prefix' | 'isLocal' | 'openedAt' | 'isReady' | 'isEnding' | 'place'
>;

export interface LinkDecision {
  readonly hangUps: readonly HangUp[];
  readonly dials: readonly DialTarget[];
}

/**
 * Which links a relay keeps: a few outbound ones into different networks, those to the homes of its
 * rooms, and inbound ones while they are not too many. The links are the caller's.
 */
export class LinkPolicy {
  readonly dials: DialChoice;
  readonly #trimming: LinkTrimming;

  constructor(options: DialChoiceOptions) {
    this.dials = new DialChoice(options);
    this.#trimming = new LinkTrimming(options.random);
  }

  /**
   * What to dial and whom to hang up on, now. To be asked a few times a second.
   * @param relays those that are alive
   * @param wanted homes of rooms here
   * @param isConverging whether relays are coming to be known just now
   */
  decide(
    now: Instant,
    links: Iterable<PolicyLink>,
    relays: readonly SignedRelayRecord[],
    wanted: ReadonlySet<string>,
    isConverging = false,
  ): LinkDecision {
    const standing = [...links].filter(({ isEnding }) => !isEnding);
    const hangUps = this.#trimming.decide(now, standing, wanted);
    const ended = new Set(hangUps.map(({ nk }) => nk));
    const kept = standing.filter(({ nk }) => !ended.has(nk));
    return { hangUps, dials: this.dials.decide(now, kept, relays, wanted, isConverging) };
  }
}
