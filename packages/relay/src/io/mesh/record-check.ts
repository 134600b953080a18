import type { SignedRelayRecord } from '@lumamesh/protocol';
import type { CheckResult } from '../../core/mesh/directory-output.ts';
import { type ProbeOptions, type ProbeReport, probeRelay } from '../check/relay-probe.ts';

type Probe = (
  record: SignedRelayRecord,
  options: Pick<ProbeOptions, 'address' | 'signal' | 'maxSlowness'>,
) => Promise<Pick<ProbeReport, 'result' | 'stages'>>;

/** A check holds a place that others wait for: on a slow machine its limits grow so many times at most. */
const MAX_SLOWNESS = 4;

/**
 * Whether a relay answers at the places that its record names. Browsers dial each of them: a new
 * record whose IPv6 address is somebody else's is not taken.
 */
export class RecordCheck {
  readonly #probe: Probe;
  readonly #ending = new AbortController();
  /** Whether IPv6 has led anywhere from here: only then silence there means something. */
  #hasIpv6 = false;

  constructor(probe: Probe = probeRelay) {
    this.#probe = probe;
  }

  /** @param isNew whether all its places are to be dialled, not just the first. Never rejects. */
  async check(record: SignedRelayRecord, isNew: boolean): Promise<CheckResult> {
    const { ip6 } = record;
    const options = { signal: this.#ending.signal, maxSlowness: MAX_SLOWNESS };
    const [{ result }, atIpv6] = await Promise.all([
      this.#probe(record, options),
      isNew && ip6 !== undefined ? this.#probe(record, { ...options, address: ip6 }) : null,
    ]);
    if (atIpv6 === null) return result;
    const answered = atIpv6.stages.length > 0;
    if (atIpv6.result === 'alive') this.#hasIpv6 = true;
    const isElsewhere = atIpv6.result === 'dead' && (answered || this.#hasIpv6);
    return result !== 'unknown' && isElsewhere ? 'dead' : result;
  }

  /** Checks that run are `unknown`. */
  stop(): void {
    this.#ending.abort();
  }
}
