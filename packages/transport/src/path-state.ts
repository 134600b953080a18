import type { Instant, TokenBucket } from '@lumamesh/base';
import type { AmplificationLimit } from './amplification-limit.ts';
import type { Remote } from './five-tuple.ts';

/** A session's other five-tuples, and what has become of the newest. The fields belong to `SessionPaths`. */
export interface PathState {
  /** By key; until when each may be used. */
  readonly candidates: Map<string, { readonly remote: Remote; until: Instant }>;
  readonly moves: TokenBucket;
  readonly tries: TokenBucket;
  check: PathCheck | null;
}

/** The peer has gone on from here, and it is not yet known to receive what is sent here. */
export interface PathCheck {
  readonly limit: AmplificationLimit;
  /** Answers to heartbeats before it. */
  readonly answersBefore: number;
  readonly previous: Remote;
  readonly previousKey: string;
  until: Instant;
}
