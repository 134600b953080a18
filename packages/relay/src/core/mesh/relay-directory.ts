import {
  DropCounters,
  Fifo,
  type Instant,
  type Machine,
  type SyncCrypto,
  later,
} from '@lumamesh/base';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { type Candidate, type RecordOrigin, isNewer, makeCandidate } from './candidate.ts';
import { CLOCK_SKEW_SECONDS } from './directory-limits.ts';
import type { CheckResult, DirectoryOutput, RecordVerdict } from './directory-output.ts';
import { RecordAdmission } from './record-admission.ts';
import { RecordChecks } from './record-checks.ts';
import { RecordSet, recordId } from './record-set.ts';
import { RefusedRecords } from './refused-records.ts';
import { type RelayEntry, RelayTable, makeRumourBudget } from './relay-table.ts';
import { Tombstones } from './tombstones.ts';
import type { WallTime } from './wall-clock.ts';

export interface DirectoryOptions {
  /** This relay's node key and mesh; records of other meshes are none of ours. */
  readonly nk: string;
  readonly mesh: string;
  /** This relay's address: only where it is private are private ones taken. */
  readonly ownIp: string;
  readonly checksPerSecond: number;
  readonly hash: SyncCrypto['hash'];
  /** Whether `nk` signed the record. */
  readonly verify: (record: SignedRelayRecord) => boolean;
  readonly wallTime: WallTime;
  /** A number in [0, 1). */
  readonly random: () => number;
}

const TICK_MS = 250;
const RECHECK_MS = 15 * 60_000;
/** Suspicion does not make a relay ask more often than this. */
const MIN_RECHECK_MS = 1000;
/** After 1, 2, … failed checks; the next one ends it. */
const RETRY_MS = [4000, 15_000, 60_000];
/** Reasons that will not pass by themselves soon: the record is not asked for again for a while. */
const LASTING_REASONS = ['prefixFull', 'addressFull', 'full', 'older', 'stale', 'own'];

/**
 * Which relays there are, as far as this one has seen for itself: a record is signed, of this mesh,
 * fresh, of an address that may be announced ({@link RecordAdmission}), and answered a check
 * ({@link RecordChecks}) before anything is done with it. Nobody who answers is put out for
 * somebody new.
 */
export class RelayDirectory implements Machine<DirectoryOutput> {
  readonly drops = new DropCounters();
  readonly set: RecordSet;
  readonly #options: DirectoryOptions;
  readonly #table = new RelayTable();
  readonly #checks: RecordChecks;
  readonly #admission: RecordAdmission;
  readonly #refused = new RefusedRecords();
  readonly #tombstones = new Tombstones();
  readonly #outputs = new Fifo<DirectoryOutput>();
  #own: SignedRelayRecord | null = null;
  #tickAt: Instant | null = null;

  constructor(options: DirectoryOptions) {
    this.#options = options;
    this.#checks = new RecordChecks(options.checksPerSecond);
    this.set = new RecordSet(options.hash, this.#refused, options.random);
    const view = { table: this.#table, checks: this.#checks, refused: this.#refused };
    this.#admission = new RecordAdmission(options, view);
  }

  /** It looks for checks that are due a few times a second. */
  get deadline(): Instant | null {
    return this.#tickAt;
  }

  /** This relay's own record, which is passed on with the others. */
  setOwn(record: SignedRelayRecord): void {
    if (this.#own !== null) this.set.delete(recordId(this.#own, this.#options.hash));
    this.#own = record;
    this.set.add(recordId(record, this.#options.hash), record);
  }

  get size(): number {
    return this.#table.size;
  }

  /** @returns Relays that answered when they were last asked, this one left out. */
  alive(): SignedRelayRecord[] {
    return [...this.#table.values()]
      .filter((entry) => entry.failures === 0)
      .map(({ record }) => record);
  }

  /** @returns The last records of relays that do not answer any more. */
  tombstones(): SignedRelayRecord[] {
    return this.#tombstones.records();
  }

  /** @returns A relay that is known and answered once, also while it is suspect. */
  get(nk: string): SignedRelayRecord | null {
    return this.#table.get(nk)?.record ?? null;
  }

  /** @returns The network of a relay's address; empty when it is not known. */
  prefixOf(nk: string): string {
    return this.#table.get(nk)?.prefix ?? '';
  }

  isAlive(nk: string): boolean {
    return this.#table.get(nk)?.failures === 0;
  }

  /** For `/statsz`: records by state, origin and age. */
  // Its type is what it holds: readers take from it what they know.
  stats(now: Instant) {
    const { known, alive, suspect, ...rest } = this.#table.stats(now);
    return {
      known,
      alive,
      suspect,
      candidates: this.#checks.waiting,
      refused: this.#refused.size,
      tombstones: this.#tombstones.size,
      ...rest,
    };
  }

  /**
   * A record that somebody gave us.
   * @param source the node key of the relay that gave it; empty for the file
   * @param linkAddress where the link of a relay that says hello comes from
   * @returns The id under which its `verdict` comes, at once or after a check.
   */
  offer(
    now: Instant,
    record: SignedRelayRecord,
    origin: RecordOrigin,
    source: string,
    linkAddress: string | null = null,
  ): string {
    const candidate = makeCandidate(record, origin, source, linkAddress, this.#options.hash);
    const unixSeconds = this.#options.wallTime.secondsAt(now);
    const admission = this.#admission.decide(now, unixSeconds, candidate);
    switch (admission.decision) {
      case 'refuse':
        this.#refuse(now, candidate, admission.verdict, admission.reason);
        break;
      case 'known':
        this.#pushVerdict(candidate, 'taken', 'known');
        break;
      case 'renew':
        this.#admit(now, candidate, admission.known.aliveAt);
        this.#pushVerdict(candidate, 'taken', 'renewed');
        break;
      case 'check':
        if (admission.evict !== null) {
          this.#checks.discard(admission.evict);
          this.#pushVerdict(admission.evict, 'ignored', 'tooManyCandidates');
        }
        this.#checks.enqueue(candidate);
        break;
      case 'pending':
        break;
    }
    this.#startChecks(now);
    return candidate.id;
  }

  /** A relay is suspect, for its link broke: it is asked soon, but not again and again. */
  suspect(now: Instant, nk: string): void {
    const entry = this.#table.get(nk);
    if (entry === undefined || entry.isChecking || entry.failures > 0) return;
    const at = later(entry.aliveAt, MIN_RECHECK_MS);
    const soon = at > now ? at : now;
    if (soon < entry.checkAt) entry.checkAt = soon;
  }

  /** Others say that a relay is gone, or show another one in its place: seldom worth asking. */
  handleRumour(now: Instant, nk: string): void {
    if (this.#table.get(nk)?.rumours.take(now) === true) this.suspect(now, nk);
  }

  handleChecked(now: Instant, id: string, result: CheckResult): void {
    const check = this.#checks.finish(id);
    if (check === null) return;
    if (check.candidate !== null) {
      this.#handleCandidateChecked(now, check.candidate, result);
      return this.#startChecks(now);
    }
    const entry = this.#table.get(check.nk);
    // A newer record may have taken its place.
    if (entry?.id === id) this.#handleRechecked(now, entry, result);
  }

  handleTimeout(now: Instant): void {
    this.#tickAt = later(now, TICK_MS);
    this.#refused.expire(now);
    for (const id of this.#checks.overdue(now)) this.handleChecked(now, id, 'dead');
    const unixSeconds = this.#options.wallTime.secondsAt(now);
    this.#revive(now, unixSeconds);
    this.#startChecks(now);
    for (const entry of this.#table.values()) {
      if (entry.record.expires < unixSeconds - CLOCK_SKEW_SECONDS) {
        this.#remove(entry);
        continue;
      }
      if (entry.checkAt > now || entry.isChecking) continue;
      if (!this.#checks.startRecheck(now, entry.id, entry.record.nk)) return;
      entry.isChecking = true;
      this.#outputs.push({ type: 'check', id: entry.id, record: entry.record, isNew: false });
    }
  }

  poll(): DirectoryOutput | null {
    return this.#outputs.shift() ?? null;
  }

  #startChecks(now: Instant): void {
    for (const { id, record } of this.#checks.startCandidates(now))
      this.#outputs.push({ type: 'check', id, record, isNew: true });
  }

  #refuse(now: Instant, candidate: Candidate, verdict: 'bad' | 'ignored', reason: string): void {
    const { id, record, prefix } = candidate;
    if (reason === 'own' && this.#own !== null && isNewer(record, this.#own))
      this.#outputs.push({ type: 'ownRecord', record });
    if (reason === 'prefixFull') this.#testEviction(now, prefix);
    const holder = reason === 'endpointTaken' ? this.#table.holderOf(record) : undefined;
    if (holder !== undefined) this.handleRumour(now, holder.record.nk);
    if (LASTING_REASONS.includes(reason)) this.#refused.add(now, id);
    this.drops.count(`mesh.record.${reason}`);
    this.#pushVerdict(candidate, verdict, reason);
  }

  #handleCandidateChecked(now: Instant, candidate: Candidate, result: CheckResult): void {
    const { id, record, prefix } = candidate;
    const ignore = (reason: string): void => {
      this.drops.count(`mesh.record.${reason}`);
      this.#pushVerdict(candidate, 'ignored', reason);
    };
    // A relay without a free session cannot say its node key; the link that it said hello on has
    // proven it, if it is of the same address.
    const isProven =
      result === 'alive' ||
      (result === 'full' && candidate.origin === 'hello' && candidate.linkAddress === record.ip);
    if (!isProven) {
      if (result !== 'unknown') this.#refused.add(now, id);
      if (candidate.origin === 'file') this.#tombstones.add(record);
      // Nobody's fault: it may have died on the way here, or be out of this relay's reach.
      return ignore(result === 'full' ? 'unproven' : 'unreachable');
    }
    // Others may have come in while this one was being looked at.
    const known = this.#table.get(record.nk);
    if (known !== undefined && !isNewer(record, known.record)) return ignore('older');
    if (this.#table.holderOf(record)?.failures === 0) return ignore('endpointTaken');
    const place = this.#table.place(record, prefix, known);
    if (!place.ok) return ignore(place.reason);
    if (place.evict !== null) {
      this.drops.count('mesh.record.crowdedOut');
      this.#remove(place.evict);
    }
    this.#admit(now, candidate, now);
    this.#pushVerdict(candidate, 'taken', 'checked');
  }

  #handleRechecked(now: Instant, entry: RelayEntry, result: CheckResult): void {
    entry.isChecking = false;
    if (result === 'unknown') {
      entry.checkAt = later(now, RETRY_MS[1] ?? 0);
      return;
    }
    if (result === 'dead') return this.#fail(now, entry);
    const wasSuspect = entry.failures > 0;
    entry.failures = 0;
    entry.aliveAt = now;
    entry.checkAt = this.#nextCheckAt(now);
    if (!wasSuspect) return;
    this.set.add(entry.id, entry.record);
    this.#outputs.push({ type: 'changed' });
  }

  #admit(now: Instant, { id, record, prefix, origin }: Candidate, aliveAt: Instant): void {
    const known = this.#table.get(record.nk);
    if (known !== undefined) this.#forget(known);
    this.#tombstones.delete(record.nk);
    this.#refused.delete(id);
    this.#table.add({
      id,
      record,
      prefix,
      origin,
      addedAt: known?.addedAt ?? now,
      aliveAt,
      checkAt: this.#nextCheckAt(now),
      failures: 0,
      isChecking: false,
      rumours: known?.rumours ?? makeRumourBudget(),
    });
    this.set.add(id, record);
    this.#outputs.push({ type: 'changed' });
  }

  #fail(now: Instant, entry: RelayEntry): void {
    entry.failures += 1;
    const { nk } = entry.record;
    const retryMs = RETRY_MS[entry.failures - 1];
    const isCrowded = this.#table.isFull(entry.prefix, entry.record);
    if (retryMs === undefined || (isCrowded && entry.failures > 1)) {
      if (isCrowded) this.#outputs.push({ type: 'suspect', nk });
      this.#refused.add(now, entry.id);
      return this.#remove(entry);
    }
    entry.checkAt = later(now, retryMs);
    if (entry.failures > 1) return;
    this.set.delete(entry.id);
    this.#outputs.push({ type: 'suspect', nk });
    this.#outputs.push({ type: 'changed' });
  }

  #remove(entry: RelayEntry): void {
    const { nk } = entry.record;
    this.#forget(entry);
    this.#tombstones.add(entry.record);
    this.#admission.forget(nk);
    this.#outputs.push({ type: 'dead', nk });
    this.#outputs.push({ type: 'changed' });
  }

  #forget(entry: RelayEntry): void {
    this.#table.delete(entry);
    this.set.delete(entry.id);
  }

  /** A relay that died may be back: its last record is a candidate again. */
  #revive(now: Instant, unixSeconds: number): void {
    const record = this.#tombstones.due(now, unixSeconds, this.#options.random);
    if (record === null) return;
    if (this.#table.holderOf(record)?.failures === 0) return;
    const candidate = makeCandidate(record, 'file', '', null, this.#options.hash);
    if (!this.#checks.has(candidate.id)) this.#checks.enqueue(candidate);
  }

  /** As Bitcoin Core's addrman does: who is there is tested, and who is new has to come again. */
  #testEviction(now: Instant, prefix: string): void {
    const stalest = this.#table.dueForEvictionTest(now, prefix);
    if (stalest !== undefined && !stalest.isChecking) stalest.checkAt = now;
  }

  #nextCheckAt(now: Instant): Instant {
    return later(now, RECHECK_MS * (0.5 + this.#options.random()));
  }

  #pushVerdict({ id, record, origin }: Candidate, verdict: RecordVerdict, reason: string): void {
    this.#outputs.push({ type: 'verdict', id, record, origin, verdict, reason });
  }
}
