import { type Instant, TokenBucket } from '@lumamesh/base';
import { SourceBudget } from '../source-budget.ts';
import type { Allocation, Link } from './allocation.ts';
import { FairRate } from './fair-rate.ts';
import type { GrantScope } from './turn-grants.ts';
import type { TurnLimits } from './turn-limits.ts';

/** What a datagram costs besides its payload: headers on both sides, and the work. */
const DATAGRAM_OVERHEAD_BYTES = 48;
/** However low the rate is, a video's frame passes at once. */
const MIN_BURST_BYTES = 131_072;

/** What is forwarded for whom: by pair, session, room, source, and in all. */
export class TurnRates {
  readonly #limits: TurnLimits;
  readonly #sources: SourceBudget;
  readonly #all: FairRate;

  constructor(limits: TurnLimits) {
    this.#limits = limits;
    const { bytesPerSecond, bytesPerSecondOfHost } = limits;
    this.#sources = new SourceBudget({
      perSecond: bytesPerSecondOfHost,
      burst: burstOf(bytesPerSecondOfHost),
    });
    this.#all = new FairRate(bytesPerSecond, burstOf(bytesPerSecond));
  }

  newPair(): TokenBucket {
    return bucketOf(this.#limits.bytesPerSecondOfPair);
  }

  /**
   * Takes what one datagram from `sender` costs, from the narrowest limit to the widest.
   * @returns Which limit was reached, or `null`: it may be forwarded.
   */
  refusal(now: Instant, sender: Allocation, link: Link, payloadBytes: number): string | null {
    const bytes = payloadBytes + DATAGRAM_OVERHEAD_BYTES;
    const { bytesPerSecondOfSession, bytesPerSecondOfRoom } = this.#limits;
    const { grant, source } = sender;
    if (!link.bytes.take(now, bytes)) return 'turn.rate.pair';
    if (!bytesOf(grant.session, bytesPerSecondOfSession).take(now, bytes))
      return 'turn.rate.session';
    if (!this.#sources.take(now, source, bytes)) return 'turn.rate.source';
    if (!bytesOf(grant.room, bytesPerSecondOfRoom).take(now, bytes)) return 'turn.rate.room';
    return this.#all.take(now, source, bytes) ? null : 'turn.rate.all';
  }
}

function bytesOf(scope: GrantScope, perSecond: number): TokenBucket {
  return (scope.bytes ??= bucketOf(perSecond));
}

function bucketOf(perSecond: number): TokenBucket {
  return new TokenBucket(perSecond, burstOf(perSecond));
}

function burstOf(perSecond: number): number {
  return Math.max(perSecond, MIN_BURST_BYTES);
}
