import type { Instant } from '@lumamesh/base';
import type { Source } from './source.ts';
import { SourceBudget } from './source-budget.ts';

/** What one address may have; its network may have four times as much, but for sessions. */
export interface SourceLimits {
  readonly sessionsPerHost: number;
  readonly sessionsPerNetwork: number;
  /** Handshakes under way with an address that is proven. */
  readonly halfOpenPerHost: number;
  /** Handshakes begun in the long run; as many at once as there may be sessions. */
  readonly handshakesPerSecond: number;
  /** STUN requests answered in the long run, but for those of sessions. */
  readonly stunPerSecond: number;
}

/** A school behind one address can live with these. */
export const DEFAULT_SOURCE_LIMITS: SourceLimits = {
  sessionsPerHost: 64,
  sessionsPerNetwork: 192,
  halfOpenPerHost: 32,
  handshakesPerSecond: 20,
  stunPerSecond: 200,
};

/** Sixty browsers that each set up connections to a room of forty at once. */
const STUN_BURST_SECONDS = 20;
/** What a TURN request costs, in connectivity checks. */
const CHECKS_PER_TURN_REQUEST = 4;
/** A browser repeats its ClientHello five times at most. */
const HELLOS_PER_HANDSHAKE = 5;

interface StrangersBudgets {
  readonly stun: SourceBudget;
  readonly challenges: SourceBudget;
}

/**
 * What may be spent on strangers, by where they come from. A connection has an address of its own:
 * what comes over it takes nothing of what comes with addresses that may be forged, nor that of it.
 */
export class SourceRates {
  readonly #overUdp: StrangersBudgets;
  readonly #overTcp: StrangersBudgets;
  readonly #unproven: SourceBudget;
  readonly #proven: SourceBudget;

  constructor(limits: SourceLimits) {
    const { stun, challenges, handshakes } = ratesOf(limits);
    const budgets = (): StrangersBudgets => ({
      stun: new SourceBudget(stun),
      challenges: new SourceBudget(challenges),
    });
    this.#overUdp = budgets();
    this.#overTcp = budgets();
    this.#unproven = new SourceBudget(handshakes);
    this.#proven = new SourceBudget(handshakes);
  }

  setLimits(limits: SourceLimits): void {
    const { stun, challenges, handshakes } = ratesOf(limits);
    for (const budgets of [this.#overUdp, this.#overTcp]) {
      budgets.stun.setRate(stun);
      budgets.challenges.setRate(challenges);
    }
    this.#unproven.setRate(handshakes);
    this.#proven.setRate(handshakes);
  }

  /** Before anything of a STUN request is looked at. */
  takeStun(now: Instant, source: Source, isTcp: boolean): boolean {
    return this.#over(isTcp).stun.take(now, source);
  }

  /** The same of a TURN request, which takes several HMACs to refuse. */
  takeTurn(now: Instant, source: Source, isTcp: boolean): boolean {
    return this.#over(isTcp).stun.take(now, source, CHECKS_PER_TURN_REQUEST);
  }

  /** Before a HelloVerifyRequest is made. */
  takeChallenge(now: Instant, source: Source, isTcp: boolean): boolean {
    return this.#over(isTcp).challenges.take(now, source);
  }

  #over(isTcp: boolean): StrangersBudgets {
    return isTcp ? this.#overTcp : this.#overUdp;
  }

  /**
   * Before a handshake begins. What comes with forged addresses uses up nothing of what their
   * owners have when they prove them.
   */
  takeHandshake(now: Instant, source: Source, isProven: boolean): boolean {
    return (isProven ? this.#proven : this.#unproven).take(now, source);
  }
}

function ratesOf({ sessionsPerHost, handshakesPerSecond, stunPerSecond }: SourceLimits) {
  const handshakes = { perSecond: handshakesPerSecond, burst: sessionsPerHost };
  return {
    stun: { perSecond: stunPerSecond, burst: stunPerSecond * STUN_BURST_SECONDS },
    challenges: {
      perSecond: handshakesPerSecond * HELLOS_PER_HANDSHAKE,
      burst: sessionsPerHost * HELLOS_PER_HANDSHAKE,
    },
    handshakes,
  };
}
