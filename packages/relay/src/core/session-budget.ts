import { type Instant, TokenBucket } from '@lumamesh/base';
import { type Source, SourceBudget } from '@lumamesh/transport';
import { LIMITS } from '@lumamesh/protocol';

/** A session may make so many mistakes at once, and one more every ten seconds. */
const STRIKES_BURST = 20;
const STRIKES_PER_SECOND = 0.1;
/** Joining a room of 250 with ten candidates for each member is a burst of 2 500 frames. */
export const FRAME_BURST_SECONDS = 10;
/** Sampling all known relays costs more than passing a signal on. */
const NODES_PER_SECOND = 0.2;
const NODES_BURST = 40;
/** All sessions together. */
const ALL_NODES_PER_SECOND = 50;
const ALL_NODES_BURST = 200;
/** Of these one address may have so much. */
const HOST_NODES = { perSecond: 2, burst: 80 };

/** What one session may still ask of the relay. */
export interface SessionBudget {
  readonly source: Source;
  readonly frames: TokenBucket;
  /** Frames that could not be taken. */
  readonly strikes: TokenBucket;
  readonly joins: TokenBucket;
  readonly nodes: TokenBucket;
  /** What proofs of this session sign. */
  readonly challenge: string;
}

/** The budgets of sessions, and what all of them share. */
export class SessionBudgets {
  readonly #nodesOfHosts = new SourceBudget(HOST_NODES);
  readonly #allNodes = new TokenBucket(ALL_NODES_PER_SECOND, ALL_NODES_BURST);

  /** @param framesPerSecond what the session may send in the long run */
  make(framesPerSecond: number, source: Source, challenge: string): SessionBudget {
    return {
      source,
      challenge,
      frames: new TokenBucket(framesPerSecond, framesPerSecond * FRAME_BURST_SECONDS),
      strikes: new TokenBucket(STRIKES_PER_SECOND, STRIKES_BURST),
      joins: new TokenBucket(LIMITS.joinsPerSecond, LIMITS.joinsBurst),
      nodes: new TokenBucket(NODES_PER_SECOND, NODES_BURST),
    };
  }

  /** Charges a question for nodes to the session, then to its address, then to all of them. */
  takeNodes(now: Instant, budget: SessionBudget): 'taken' | 'sessionExceeded' | 'othersExceeded' {
    if (!budget.nodes.take(now)) return 'sessionExceeded';
    const isTaken = this.#nodesOfHosts.take(now, budget.source) && this.#allNodes.take(now);
    return isTaken ? 'taken' : 'othersExceeded';
  }
}
