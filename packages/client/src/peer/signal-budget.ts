import { type Instant, TokenBucket } from '@lumamesh/base';
import type { PeerSignal } from './signal.ts';

/** Each makes the browser negotiate anew. */
const DESCRIPTIONS_PER_SECOND = 2;
const DESCRIPTIONS_BURST = 40;
/** Each makes it send connectivity checks to an address that the other side has named. */
const CANDIDATES_PER_SECOND = 8;
const CANDIDATES_BURST = 256;
/** RFC 8839 §5.1; browsers take a line that ends with a line feed alone. */
const CANDIDATE_LINE = /^a=cand[^\n]*\n?/gim;

/**
 * What the signals of one peer may make a browser do, over all of its connections: browsers have no
 * bounds of their own on what is asked of them, and who asks is a stranger.
 */
export class SignalBudget {
  readonly #descriptions = new TokenBucket(DESCRIPTIONS_PER_SECOND, DESCRIPTIONS_BURST);
  readonly #candidates = new TokenBucket(CANDIDATES_PER_SECOND, CANDIDATES_BURST);

  /** Returns as much of a signal as may be applied; `null` when that is nothing. */
  _take(now: Instant, signal: PeerSignal): PeerSignal | null {
    const { description } = signal;
    if (description !== undefined && !this.#descriptions.take(now)) return null;
    const mayCheck = (): boolean => this.#candidates.take(now);
    const candidates = (signal.candidates ?? []).filter(mayCheck);
    if (description === undefined)
      return candidates.length === 0 ? null : { ...signal, candidates };
    // Those that a description names itself are no cheaper.
    const sdp = description.sdp.replace(CANDIDATE_LINE, (line) => (mayCheck() ? line : ''));
    return { ...signal, candidates, description: { ...description, sdp } };
  }
}
