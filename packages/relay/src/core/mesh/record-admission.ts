import { type Instant, TokenBucket, dropOldest } from '@lumamesh/base';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { type Candidate, isNewer, isSameEndpoint } from './candidate.ts';
import { CLOCK_SKEW_SECONDS, DIRECTORY_LIMITS, MAX_AGE_SECONDS } from './directory-limits.ts';
import { mayBeDialled } from './record-address.ts';
import type { RecordChecks } from './record-checks.ts';
import type { RefusedRecords } from './refused-records.ts';
import type { RelayEntry, RelayTable } from './relay-table.ts';

/** What is to be done with a record that was offered. */
export type Admission =
  | { readonly decision: 'refuse'; readonly verdict: 'bad' | 'ignored'; readonly reason: string }
  /** It is in the table already. */
  | { readonly decision: 'known' }
  /** It waits for a check, or is being checked. */
  | { readonly decision: 'pending' }
  /** The same place with a later date: taken without a second look. */
  | { readonly decision: 'renew'; readonly known: RelayEntry }
  /** To be checked, in the place of another one that waits. */
  | { readonly decision: 'check'; readonly evict: Candidate | null };

export interface RecordAdmissionOptions {
  readonly nk: string;
  readonly mesh: string;
  /** This relay's address: see {@link mayBeDialled}. */
  readonly ownIp: string;
  readonly verify: (record: SignedRelayRecord) => boolean;
}

/** What the decision looks at. */
export interface AdmissionView {
  readonly table: Pick<RelayTable, 'get' | 'holderOf' | 'place'>;
  readonly checks: Pick<RecordChecks, 'hasCandidate' | 'place'>;
  /** Ids of records that were looked at lately and not taken. */
  readonly refused: Pick<RefusedRecords, 'has'>;
}

/**
 * Decides what becomes of a record, cheapest question first; its effects are the caller's. The only
 * state is what each source, and each relay, may still offer.
 */
export class RecordAdmission {
  readonly #options: RecordAdmissionOptions;
  readonly #view: AdmissionView;
  readonly #sources = new Map<string, TokenBucket>();
  readonly #updates = new Map<string, TokenBucket>();

  constructor(options: RecordAdmissionOptions, view: AdmissionView) {
    this.#options = options;
    this.#view = view;
  }

  decide(now: Instant, unixSeconds: number, candidate: Candidate): Admission {
    const { id, record, prefix, origin, source } = candidate;
    const { table, checks, refused } = this.#view;
    if (record.mesh !== this.#options.mesh) return bad('otherMesh');
    const known = table.get(record.nk);
    if (known?.id === id) return { decision: 'known' };
    // Whoever says hello is there.
    if (refused.has(id) && origin !== 'hello') return ignored('refusedBefore');
    if (checks.hasCandidate(id)) return { decision: 'pending' };
    if (!this.#sourceBudget(source).take(now)) return ignored('sourceTooFast');
    if (!this.#isAllowed(record.ip) || (record.ip6 !== undefined && !this.#isAllowed(record.ip6)))
      return bad('address');
    if (record.sequence > unixSeconds + CLOCK_SKEW_SECONDS) return ignored('fromTheFuture');
    if (
      record.expires < unixSeconds - CLOCK_SKEW_SECONDS ||
      record.sequence < unixSeconds - MAX_AGE_SECONDS
    )
      return ignored('stale');
    if (known !== undefined && !isNewer(record, known.record)) return ignored('older');
    // The costly question comes last, and only once for each record that could matter.
    if (!this.#options.verify(record)) return bad('signature');
    if (record.nk === this.#options.nk) return ignored('own');
    if (known !== undefined && !this.#updateBudget(record.nk).take(now))
      return ignored('tooManyUpdates');
    if (known !== undefined && known.failures === 0 && isSameEndpoint(known.record, record))
      return { decision: 'renew', known };
    // Who lives there answers for itself; no record of another key makes anybody dial it.
    if (table.holderOf(record)?.failures === 0) return ignored('endpointTaken');
    const inTable = table.place(record, prefix, known);
    if (!inTable.ok) return ignored(inTable.reason);
    const place = checks.place(candidate);
    return place.ok ? { decision: 'check', evict: place.evict } : ignored(place.reason);
  }

  /** A relay is known no longer. */
  forget(nk: string): void {
    this.#updates.delete(nk);
  }

  #isAllowed(address: string): boolean {
    return mayBeDialled(address, this.#options.ownIp);
  }

  #sourceBudget(source: string): TokenBucket {
    let bucket = this.#sources.get(source);
    if (bucket === undefined) {
      dropOldest(this.#sources, DIRECTORY_LIMITS.maxRefused);
      bucket = new TokenBucket(
        DIRECTORY_LIMITS.offersPerSecondPerSource,
        DIRECTORY_LIMITS.offersBurstPerSource,
      );
      this.#sources.set(source, bucket);
    }
    return bucket;
  }

  #updateBudget(nk: string): TokenBucket {
    let bucket = this.#updates.get(nk);
    if (bucket === undefined) {
      bucket = new TokenBucket(
        DIRECTORY_LIMITS.updatesPerSecondPerRelay,
        DIRECTORY_LIMITS.updatesBurstPerRelay,
      );
      this.#updates.set(nk, bucket);
    }
    return bucket;
  }
}

function bad(reason: string): Admission {
  return { decision: 'refuse', verdict: 'bad', reason };
}

function ignored(reason: string): Admission {
  return { decision: 'refuse', verdict: 'ignored', reason };
}
