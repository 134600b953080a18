import { type Instant, TokenBucket, later } from '@lumamesh/base';
import { type Candidate, isLocal } from './candidate.ts';
import { CheckTargets, isOwnHello } from './check-targets.ts';
import { evictionFor } from './crowding.ts';
import { DIRECTORY_LIMITS } from './directory-limits.ts';

type CheckKind = 'recheck' | 'hello' | 'candidate';

/** A check that was started and has no result yet. */
export interface RunningCheck {
  readonly kind: CheckKind;
  readonly nk: string;
  /** `null` when a relay that is known is asked again. */
  readonly candidate: Candidate | null;
  readonly endsAt: Instant;
}

/** Whether a candidate may wait for its check, and whose place it takes. */
export type Placement =
  | { readonly ok: true; readonly evict: Candidate | null }
  | { readonly ok: false; readonly reason: string };

/** A check whose result never comes. */
const CHECK_LOST_MS = 30_000;

/**
 * Which checks run when: candidates wait in a bounded queue, each kind of check has slots of its
 * own, and no source holds more than a few.
 */
export class RecordChecks {
  /** By record id, as are the running ones. */
  readonly #waiting = new Map<string, Candidate>();
  readonly #running = new Map<string, RunningCheck>();
  readonly #targets = new CheckTargets();
  readonly #rate: TokenBucket;

  constructor(perSecond: number) {
    this.#rate = new TokenBucket(perSecond, DIRECTORY_LIMITS.checksBurst);
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Whether a candidate of this id waits or is being checked. */
  hasCandidate(id: string): boolean {
    return this.#waiting.has(id) || (this.#running.get(id)?.candidate ?? null) !== null;
  }

  /** Whether anything of this id waits or is being checked. */
  has(id: string): boolean {
    return this.#waiting.has(id) || this.#running.has(id);
  }

  /** Decides whether there is a place for a candidate; nothing is changed. */
  place(candidate: Candidate): Placement {
    const { source, prefix, origin, record } = candidate;
    const waiting = [...this.#waiting.values()];
    const ofSource = waiting.filter((other) => other.source === source);
    if (origin !== 'file' && ofSource.length >= DIRECTORY_LIMITS.maxCandidatesPerSource)
      return { ok: false, reason: 'tooManyOfSource' };
    const maxOfPrefix = isLocal(record)
      ? DIRECTORY_LIMITS.maxPerLocalPrefix
      : DIRECTORY_LIMITS.maxCandidatesPerPrefix;
    const ofPrefix = waiting.filter((other) => other.prefix === prefix);
    if (ofPrefix.length >= maxOfPrefix && !isOwnHello(candidate)) {
      const evict = evictionFor(ofPrefix, candidate, (other) => other.source);
      return evict === null ? { ok: false, reason: 'tooManyOfPrefix' } : { ok: true, evict };
    }
    if (waiting.length < DIRECTORY_LIMITS.maxCandidates) return { ok: true, evict: null };
    // Whoever brings most gives way.
    const evict = newestOfLargestSource(waiting);
    return evict === null || evict.source === source
      ? { ok: false, reason: 'tooManyCandidates' }
      : { ok: true, evict };
  }

  enqueue(candidate: Candidate): void {
    this.#waiting.set(candidate.id, candidate);
  }

  discard({ id }: Candidate): void {
    this.#waiting.delete(id);
  }

  /** Starts the checks of candidates for which there are slots. */
  startCandidates(now: Instant): Candidate[] {
    const started: Candidate[] = [];
    const running = [...this.#running.values()].flatMap(({ candidate }) => candidate ?? []);
    for (const kind of ['hello', 'candidate'] as const) {
      if (!this.#hasSlot(kind)) continue;
      for (const candidate of this.#waiting.values()) {
        if (kindOf(candidate) !== kind) continue;
        const ofSource = running.filter(({ source }) => source === candidate.source).length;
        if (ofSource >= DIRECTORY_LIMITS.maxChecksPerSource && candidate.origin !== 'file')
          continue;
        if (!this.#hasSlot(kind)) break;
        if (!this.#targets.take(now, candidate)) continue;
        if (!this.#rate.take(now)) break;
        this.#waiting.delete(candidate.id);
        running.push(candidate);
        started.push(candidate);
        this.#run(now, candidate.id, kind, candidate.record.nk, candidate);
      }
    }
    return started;
  }

  /** Starts the check of a known relay; false when there is no slot for it. */
  startRecheck(now: Instant, id: string, nk: string): boolean {
    if (!this.#hasSlot('recheck') || !this.#rate.take(now)) return false;
    this.#run(now, id, 'recheck', nk, null);
    return true;
  }

  /** A check has ended. */
  finish(id: string): RunningCheck | null {
    const check = this.#running.get(id) ?? null;
    this.#running.delete(id);
    return check;
  }

  /** @returns The ids of checks whose result does not come any more. */
  overdue(now: Instant): string[] {
    return [...this.#running].filter(([, { endsAt }]) => endsAt <= now).map(([id]) => id);
  }

  #run(now: Instant, id: string, kind: CheckKind, nk: string, candidate: Candidate | null): void {
    this.#running.set(id, { kind, nk, candidate, endsAt: later(now, CHECK_LOST_MS) });
  }

  #hasSlot(kind: CheckKind): boolean {
    let running = 0;
    for (const check of this.#running.values()) if (check.kind === kind) running += 1;
    return running < DIRECTORY_LIMITS.maxChecks[kind];
  }
}

function kindOf({ origin }: Candidate): CheckKind {
  return origin === 'hello' ? 'hello' : 'candidate';
}

function newestOfLargestSource(candidates: readonly Candidate[]): Candidate | null {
  const counts = new Map<string, number>();
  for (const { source } of candidates) counts.set(source, (counts.get(source) ?? 0) + 1);
  const [most] = [...counts].toSorted(([, a], [, b]) => b - a);
  return candidates.findLast(({ source }) => source === most?.[0]) ?? null;
}
