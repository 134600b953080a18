/** What is known of a relay's condition. */
export interface HealthFacts {
  readonly isClosing: boolean;
  /** Questions to its own UDP port in a row that were not answered. */
  readonly failedSelfChecks: number;
  readonly eventLoopP99Ms: number;
  /** Since another relay was last seen that runs with its key. */
  readonly conflictAgeMs: number | null;
  /** In a mesh: how long no other relay has been linked. */
  readonly aloneMs: number;
  /** Relays that were asked to dial it have found nobody; not so while that is not known. */
  readonly isUnreached: boolean;
  /** The month's traffic is used. */
  readonly isResting: boolean;
  /** What is wrong with the machine, as reasons. */
  readonly machine: readonly string[];
}

/** One lost datagram is none. */
const MAX_FAILED_SELF_CHECKS = 3;
/** Browsers repeat their checks after 50 ms and more; at this delay they give up on each other. */
const MAX_EVENT_LOOP_P99_MS = 1000;
/** Records of a twin come again with every link; an hour without one means that it is gone. */
const CONFLICT_MS = 60 * 60_000;
const MAX_ALONE_MS = 5 * 60_000;

/**
 * Reasons why a relay is not well, in the words of docs/operations.md. A full relay is well: it
 * does all it was told to.
 */
export function judgeHealth(facts: HealthFacts): readonly string[] {
  const reasons: readonly (readonly [string, boolean])[] = [
    ['closing', facts.isClosing],
    ['traffic.used', facts.isResting],
    ['udp.noAnswer', facts.failedSelfChecks >= MAX_FAILED_SELF_CHECKS],
    ['outside.unreached', facts.isUnreached],
    ['eventLoop.slow', facts.eventLoopP99Ms > MAX_EVENT_LOOP_P99_MS],
    ['identity.conflict', facts.conflictAgeMs !== null && facts.conflictAgeMs < CONFLICT_MS],
    ['mesh.alone', facts.aloneMs > MAX_ALONE_MS],
  ];
  return [...reasons.flatMap(([reason, isSo]) => (isSo ? [reason] : [])), ...facts.machine];
}
