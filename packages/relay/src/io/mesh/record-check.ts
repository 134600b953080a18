import type { SignedRelayRecord } from '@lumamesh/protocol';
import type { CheckResult } from '../../core/mesh/directory-output.ts';
import { type ProbeReport, probeRelay } from '../check/relay-probe.ts';

type Probe = (
  record: SignedRelayRecord,
  options?: { readonly address: string },
) => Promise<Pick<ProbeReport, 'result' | 'stages'>>;

/**
 * Whether a relay answers at the places that its record names. Browsers dial each of them: a new
 * record whose IPv6 address is somebody else's is not taken.
 */
export class RecordCheck {
  readonly #probe: Probe;
  /** Whether IPv6 has led anywhere from here: only then silence there means something. */
  #hasIpv6 = false;

  constructor(probe: Probe = probeRelay) {
    this.#probe = probe;
  }

  /** @param isNew whether all its places are to be dialled, not just the first. Never rejects. */
  async check(record: SignedRelayRecord, isNew: boolean): Promise<CheckResult> {
    const { ip6 } = record;
    const [{ result }, atIpv6] = await Promise.all([
      this.#probe(record),
      isNew && ip6 !== undefined ? this.#probe(record, { address: ip6 }) : null,
    ]);
    if (atIpv6 === null) return result;
    const answered = atIpv6.stages.length > 0;
    if (atIpv6.result === 'alive') this.#hasIpv6 = true;
    const isElsewhere = atIpv6.result === 'dead' && (answered || this.#hasIpv6);
    return result !== 'unknown' && isElsewhere ? 'dead' : result;
  }
}
