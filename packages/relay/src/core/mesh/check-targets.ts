import { type Instant, TokenBucket, dropOldest } from '@lumamesh/base';
import { type Candidate, isLocal } from './candidate.ts';

/** Strangers' records make this relay dial one place this often at most. */
const ENDPOINT_MS = 10_000;
/** And the places of one network (/24, /48) together. */
const NETWORK_PER_SECOND = 1;
const NETWORK_BURST = 8;
/** More than checks can be started in {@link ENDPOINT_MS}. */
const MAX_TARGETS = 4096;

/**
 * How often a place may be dialled because of what records say: whoever signs many records that
 * name one victim makes a mesh dial it no faster than one relay would.
 */
export class CheckTargets {
  /** When each place was dialled last. */
  readonly #endpoints = new Map<string, Instant>();
  readonly #networks = new Map<string, TokenBucket>();

  /** Whether the place of a candidate may be dialled now; then it counts as dialled. */
  take(now: Instant, candidate: Candidate): boolean {
    const places = endpointsOf(candidate);
    if (places.some((place) => (this.#endpoints.get(place) ?? -Infinity) > now - ENDPOINT_MS))
      return false;
    // A relay that says hello from its own address asks for itself.
    if (!isLocal(candidate.record) && !isOwnHello(candidate) && !this.#takeNetwork(now, candidate))
      return false;
    for (const place of places) {
      dropOldest(this.#endpoints, MAX_TARGETS);
      this.#endpoints.delete(place);
      this.#endpoints.set(place, now);
    }
    return true;
  }

  #takeNetwork(now: Instant, { prefix }: Candidate): boolean {
    const bucket = this.#networks.get(prefix) ?? new TokenBucket(NETWORK_PER_SECOND, NETWORK_BURST);
    dropOldest(this.#networks, MAX_TARGETS);
    this.#networks.delete(prefix);
    this.#networks.set(prefix, bucket);
    return bucket.take(now);
  }
}

/** Whether the link that brought the record comes from the address that the record names. */
export function isOwnHello({ origin, linkAddress, record }: Candidate): boolean {
  return origin === 'hello' && linkAddress === record.ip;
}

/** The places that a check dials. What others say of a place is counted apart from itself. */
function endpointsOf(candidate: Candidate): readonly string[] {
  const { ip, ip6, port } = candidate.record;
  const who = isOwnHello(candidate) ? 'own' : 'told';
  return [ip, ...(ip6 === undefined ? [] : [ip6])].map((address) => `${who} ${address} ${port}`);
}
