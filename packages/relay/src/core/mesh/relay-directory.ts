import {
  type AddressScope,
  DropCounters,
  Fifo,
  type Instant,
  type SyncCrypto,
  TokenBucket,
  dropOldest,
  later,
  parseIp,
  scopeOf,
  toHex,
} from '@lumamesh/base';
import { type SignedRelayRecord, prefixOf } from '@lumamesh/protocol';
import { RecordSet, recordId } from './record-set.ts';

export interface DirectoryOptions {
  /** This relay's node key and mesh; records of other meshes are none of ours. */
  readonly nk: string;
  readonly mesh: string;
  /** Whether this relay itself runs on loopback or on a private network: only then are such addresses taken. */
  readonly ownScope: AddressScope;
  readonly hash: SyncCrypto['hash'];
  /** Whether `nk` signed the record. */
  readonly verify: (record: SignedRelayRecord) => boolean;
  /** A number in [0, 1). */
  readonly random: () => number;
}

/** How a record came here: what `/statsz` tells apart. */
export type RecordOrigin = 'hello' | 'gossip' | 'sync' | 'file';

/** What a check found: `alive` proves address, fingerprint and node key; `full` all but the node key (no session was free to say it), `unknown` nothing (this machine could not ask). */
export type CheckResult = 'alive' | 'full' | 'dead' | 'unknown';

/** What became of a record that was offered. Only `taken` ones are passed on; `bad` ones are the sender's fault. */
export type RecordVerdict = 'taken' | 'ignored' | 'bad';

export type DirectoryOutput =
  /** Connect as a browser would, and tell {@link RelayDirectory.handleChecked}. */
  | { readonly type: 'check'; readonly id: string; readonly record: SignedRelayRecord }
  | {
      readonly type: 'verdict';
      readonly id: string;
      readonly verdict: RecordVerdict;
      readonly record: SignedRelayRecord;
      readonly origin: RecordOrigin;
      readonly reason: string;
    }
  /** The records that may be passed on, or used as homes, are others now. */
  | { readonly type: 'changed' }
  /** It did not answer: others may want to ask it, too. */
  | { readonly type: 'doubted'; readonly nk: string }
  | { readonly type: 'dead'; readonly nk: string }
  /** Somebody shows a record of our own node key that is newer than ours. */
  | { readonly type: 'ownRecord'; readonly record: SignedRelayRecord };

interface Entry {
  readonly id: string;
  readonly record: SignedRelayRecord;
  readonly prefix: string;
  readonly origin: RecordOrigin;
  readonly addedAt: Instant;
  aliveAt: Instant;
  checkAt: Instant;
  failures: number;
  isChecking: boolean;
}

interface Candidate {
  readonly id: string;
  readonly record: SignedRelayRecord;
  readonly prefix: string;
  readonly origin: RecordOrigin;
  /** The relay that gave it to us. */
  readonly from: string;
  /** Where the link of a relay that says hello comes from. */
  readonly linkAddress: string | null;
}

type CheckKind = 'recheck' | 'hello' | 'candidate';

export const DIRECTORY_LIMITS = {
  maxRecords: 16_384,
  maxPerPrefix: 8,
  /** On loopback or in a private network all relays may stand in one prefix. */
  maxPerLocalPrefix: 64,
  maxCandidates: 512,
  maxCandidatesPerSource: 64,
  maxCandidatesPerPrefix: 8,
  checksPerSecond: 50,
  checksBurst: 100,
  /** Each kind has slots of its own: candidates that never answer must not keep a newcomer from being looked at, nor a death from being noticed. */
  maxChecks: { recheck: 6, hello: 6, candidate: 10 },
  maxChecksPerSource: 2,
  maxPerAddress: 4,
  /** IPv6 networks of one provider's customer. */
  maxPerSlash32: 16,
  offersPerSecondPerSource: 50,
  offersBurstPerSource: 1000,
  maxRefused: 4096,
  maxGraves: 1024,
  /** New versions of one relay's record. */
  updatesPerSecondPerRelay: 1 / 60,
  updatesBurstPerRelay: 4,
} as const;

/** Clocks may differ by this much. */
const CLOCK_SKEW_SECONDS = 900;
/** A running relay signs a new record every day. */
const MAX_AGE_SECONDS = 7 * 24 * 3600;
const RECHECK_MS = 15 * 60_000;
/** Doubts do not make a relay ask more often than this. */
const MIN_RECHECK_MS = 1000;
/** After 1, 2, … failed checks; the next one ends it. */
const RETRY_MS = [4000, 15_000, 60_000];
/** What others say of a relay that failed is not looked at before this, if its record stays the same. */
const REFUSED_MS = 60_000;
/** One of those that died is asked this often whether it is back: how the halves of a network find each other again. */
const REVIVAL_MS = 2000;
/** Reasons that will not pass by themselves soon: the record is not asked for again for a while. */
const LASTING_REASONS = ['prefixFull', 'addressFull', 'older', 'stale', 'own'];
/** A full prefix asks its oldest entry whether it still lives, this often at most. */
const EVICTION_TEST_MS = 60_000;
/** A check whose result never comes. */
const CHECK_LOST_MS = 30_000;

/**
 * Which relays there are, as far as this one has seen for itself: a record is signed, of this mesh, fresh, of an address that may be announced, and
 * answered a check before anything is done with it. Everything strangers can fill has a bound, and nobody who answers is put out for somebody new.
 */
export class RelayDirectory {
  readonly drops = new DropCounters();
  readonly set: RecordSet;
  readonly #options: DirectoryOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #perPrefix = new Map<string, number>();
  readonly #candidates = new Map<string, Candidate>();
  readonly #checking = new Map<
    string,
    {
      readonly kind: CheckKind;
      readonly nk: string;
      readonly candidate: Candidate | null;
      readonly endsAt: Instant;
    }
  >();
  /** What each source may still offer. */
  readonly #sources = new Map<string, TokenBucket>();
  /** By record id: until when. */
  readonly #refused = new Map<string, Instant>();
  /** The last records of relays that died, by node key. */
  readonly #graves = new Map<string, SignedRelayRecord>();
  #reviveAt: Instant | null = null;
  readonly #updates = new Map<string, TokenBucket>();
  readonly #evictionTests = new Map<string, Instant>();
  readonly #checkRate = new TokenBucket(
    DIRECTORY_LIMITS.checksPerSecond,
    DIRECTORY_LIMITS.checksBurst,
  );
  readonly #outputs = new Fifo<DirectoryOutput>();
  #own: SignedRelayRecord | null = null;

  constructor(options: DirectoryOptions) {
    this.#options = options;
    this.set = new RecordSet(options.hash, this.#refused, options.random);
  }

  /** This relay's own record, which is passed on with the others. */
  setOwn(record: SignedRelayRecord): void {
    if (this.#own !== null) this.set.delete(recordId(this.#own, this.#options.hash));
    this.#own = record;
    this.set.add(recordId(record, this.#options.hash), record);
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Relays that answered when they were last asked, this one left out. */
  alive(): SignedRelayRecord[] {
    return [...this.#entries.values()]
      .filter((entry) => entry.failures === 0)
      .map(({ record }) => record);
  }

  /** The last records of relays that do not answer any more. */
  buried(): SignedRelayRecord[] {
    return [...this.#graves.values()];
  }

  /** A relay that is known and answered once, also while it is being doubted. */
  get(nk: string): SignedRelayRecord | null {
    return this.#entries.get(nk)?.record ?? null;
  }

  isAlive(nk: string): boolean {
    return this.#entries.get(nk)?.failures === 0;
  }

  /** For `/statsz`: records by state, origin and age. */
  // Its type is what it holds: readers take from it what they know.
  stats(now: Instant) {
    const entries = [...this.#entries.values()];
    const count = (is: (entry: Entry) => boolean): number => entries.filter(is).length;
    const youngerThan = (ms: number) => (entry: Entry) => now - entry.addedAt < ms;
    return {
      known: entries.length,
      alive: count((entry) => entry.failures === 0),
      doubted: count((entry) => entry.failures > 0),
      candidates: this.#candidates.size,
      refused: this.#refused.size,
      buried: this.#graves.size,
      prefixes: this.#perPrefix.size,
      byOrigin: Object.fromEntries(
        (['hello', 'gossip', 'sync', 'file'] as const).map((origin) => [
          origin,
          count((entry) => entry.origin === origin),
        ]),
      ),
      byAge: {
        underMinute: count(youngerThan(60_000)),
        underHour: count(youngerThan(3_600_000)),
        underDay: count(youngerThan(86_400_000)),
        total: entries.length,
      },
    };
  }

  /**
   * A record that somebody gave us. Its fate comes as a `verdict` under the id that is answered here, at once or after a check.
   * @param unixSeconds the time of day, for age and expiry
   */
  offer(
    now: Instant,
    unixSeconds: number,
    record: SignedRelayRecord,
    origin: RecordOrigin,
    from: string,
    linkAddress: string | null = null,
  ): string {
    const candidate: Candidate = {
      id: recordId(record, this.#options.hash),
      record,
      prefix: prefixOf(record),
      origin,
      from,
      linkAddress,
    };
    const { id } = candidate;
    const verdict = this.#judge(now, unixSeconds, candidate);
    if (verdict !== null) {
      if (verdict.verdict !== 'taken') this.drops.count(`mesh.record.${verdict.reason}`);
      if (LASTING_REASONS.includes(verdict.reason)) this.#refuse(now, id);
      this.#outputs.push({ type: 'verdict', id, record, origin, ...verdict });
    }
    this.#checkCandidates(now);
    return id;
  }

  /** The relay is in doubt (its link broke, or others say so): it is asked soon, but not again and again. */
  doubt(now: Instant, nk: string): void {
    const entry = this.#entries.get(nk);
    if (entry === undefined || entry.isChecking || entry.failures > 0) return;
    const at = later(entry.aliveAt, MIN_RECHECK_MS);
    const soon = at > now ? at : now;
    if (soon < entry.checkAt) entry.checkAt = soon;
  }

  handleChecked(now: Instant, id: string, result: CheckResult): void {
    const check = this.#checking.get(id);
    if (check === undefined) return;
    this.#checking.delete(id);
    if (check.candidate !== null) {
      this.#settle(now, check.candidate, result);
      return this.#checkCandidates(now);
    }
    const entry = this.#entries.get(check.nk);
    // A newer record may have taken its place.
    if (entry?.id !== id) return;
    entry.isChecking = false;
    if (result === 'unknown') {
      entry.checkAt = later(now, RETRY_MS[1] ?? 0);
      return;
    }
    if (result === 'dead') return this.#fail(now, entry);
    const wasDoubted = entry.failures > 0;
    entry.failures = 0;
    entry.aliveAt = now;
    entry.checkAt = later(now, RECHECK_MS * (0.5 + this.#options.random()));
    if (!wasDoubted) return;
    this.set.add(entry.id, entry.record);
    this.#outputs.push({ type: 'changed' });
  }

  /** Starts the checks that are due. To be called a few times a second. */
  handleTimeout(now: Instant, unixSeconds: number): void {
    for (const [id, until] of this.#refused) if (until <= now) this.#refused.delete(id);
    for (const [id, { endsAt }] of this.#checking)
      if (endsAt <= now) this.handleChecked(now, id, 'dead');
    this.#revive(now, unixSeconds);
    this.#checkCandidates(now);
    for (const entry of this.#entries.values()) {
      if (entry.record.expires < unixSeconds - CLOCK_SKEW_SECONDS) {
        this.#remove(entry);
        continue;
      }
      if (entry.checkAt > now || entry.isChecking) continue;
      if (!this.#hasSlot('recheck') || !this.#checkRate.take(now)) return;
      entry.isChecking = true;
      this.#check(now, entry.id, entry.record, 'recheck', null);
    }
  }

  poll(): DirectoryOutput | null {
    return this.#outputs.shift() ?? null;
  }

  #judge(
    now: Instant,
    unixSeconds: number,
    candidate: Candidate,
  ): { readonly verdict: RecordVerdict; readonly reason: string } | null {
    const { id, record, prefix, origin, from } = candidate;
    const bad = (reason: string) => ({ verdict: 'bad', reason }) as const;
    const ignored = (reason: string) => ({ verdict: 'ignored', reason }) as const;
    if (record.mesh !== this.#options.mesh) return bad('otherMesh');
    const known = this.#entries.get(record.nk);
    if (known?.id === id) return { verdict: 'taken', reason: 'known' };
    // Whoever says hello is there.
    if (this.#refused.has(id) && origin !== 'hello') return ignored('refusedBefore');
    // Its verdict is on its way already.
    if (this.#candidates.has(id) || (this.#checking.get(id)?.candidate ?? null) !== null)
      return null;
    if (!this.#sourceRate(from).take(now)) return ignored('sourceTooFast');
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
    if (record.nk === this.#options.nk) {
      if (this.#own !== null && isNewer(record, this.#own))
        this.#outputs.push({ type: 'ownRecord', record });
      return ignored('own');
    }
    if (known !== undefined && !this.#updateRate(record.nk).take(now))
      return ignored('tooManyUpdates');
    // The same place with a later date needs no second look.
    if (known !== undefined && known.failures === 0 && isSameEndpoint(known.record, record)) {
      this.#admit(now, candidate, known.aliveAt);
      return { verdict: 'taken', reason: 'renewed' };
    }
    if (this.#isCrowdedNear(record, known)) return ignored('addressFull');
    if (this.#isPrefixFull(candidate, known)) {
      this.#testEviction(now, prefix);
      return ignored('prefixFull');
    }
    if (known === undefined && this.#entries.size >= DIRECTORY_LIMITS.maxRecords)
      return ignored('full');
    const waiting = [...this.#candidates.values()];
    const ofSource = waiting.filter((other) => other.from === from);
    if (origin !== 'file' && ofSource.length >= DIRECTORY_LIMITS.maxCandidatesPerSource)
      return ignored('tooManyOfSource');
    const maxOfPrefix = isLocal(record)
      ? DIRECTORY_LIMITS.maxPerLocalPrefix
      : DIRECTORY_LIMITS.maxCandidatesPerPrefix;
    if (waiting.filter((other) => other.prefix === prefix).length >= maxOfPrefix)
      return ignored('tooManyOfPrefix');
    if (waiting.length >= DIRECTORY_LIMITS.maxCandidates) {
      // Whoever brings most makes room.
      const victim = mostCommonSource(waiting);
      if (victim === null || victim.from === from) return ignored('tooManyCandidates');
      this.#candidates.delete(victim.id);
      this.#outputs.push({
        type: 'verdict',
        id: victim.id,
        record: victim.record,
        origin: victim.origin,
        verdict: 'ignored',
        reason: 'tooManyCandidates',
      });
    }
    this.#candidates.set(id, candidate);
    return null;
  }

  /** A candidate was looked at. */
  #settle(now: Instant, candidate: Candidate, result: CheckResult): void {
    const { id, record } = candidate;
    const known = this.#entries.get(record.nk);
    const verdict = (kind: RecordVerdict, reason: string): void => {
      if (kind !== 'taken') this.drops.count(`mesh.record.${reason}`);
      this.#outputs.push({
        type: 'verdict',
        id,
        record,
        origin: candidate.origin,
        verdict: kind,
        reason,
      });
    };
    // A relay without a free session cannot say its node key; the link that it said hello on has proven it, if it is of the same address.
    const isProven =
      result === 'alive' ||
      (result === 'full' && candidate.origin === 'hello' && candidate.linkAddress === record.ip);
    if (!isProven) {
      if (result !== 'unknown') this.#refuse(now, id);
      if (candidate.origin === 'file') this.#bury(record);
      // Nobody's fault: it may have died on the way here, or be out of this relay's reach.
      return verdict('ignored', result === 'full' ? 'unproven' : 'unreachable');
    }
    // Others may have come in while this one was being looked at.
    if (known !== undefined && !isNewer(record, known.record)) return verdict('ignored', 'older');
    if (this.#isCrowdedNear(record, known)) return verdict('ignored', 'addressFull');
    if (this.#isPrefixFull(candidate, known)) return verdict('ignored', 'prefixFull');
    this.#admit(now, candidate, now);
    verdict('taken', 'checked');
  }

  #admit(now: Instant, { id, record, prefix, origin }: Candidate, aliveAt: Instant): void {
    const known = this.#entries.get(record.nk);
    if (known !== undefined) this.#forget(known);
    this.#graves.delete(record.nk);
    this.#refused.delete(id);
    const checkAt = later(now, RECHECK_MS * (0.5 + this.#options.random()));
    this.#entries.set(record.nk, {
      id,
      record,
      prefix,
      origin,
      addedAt: known?.addedAt ?? now,
      aliveAt,
      checkAt,
      failures: 0,
      isChecking: false,
    });
    this.#perPrefix.set(prefix, (this.#perPrefix.get(prefix) ?? 0) + 1);
    this.set.add(id, record);
    this.#outputs.push({ type: 'changed' });
  }

  #fail(now: Instant, entry: Entry): void {
    entry.failures += 1;
    const retryMs = RETRY_MS[entry.failures - 1];
    const isCrowded = (this.#perPrefix.get(entry.prefix) ?? 0) >= maxPerPrefix(entry.record);
    if (retryMs === undefined || (isCrowded && entry.failures > 1)) {
      if (isCrowded) this.#outputs.push({ type: 'doubted', nk: entry.record.nk });
      this.#refuse(now, entry.id);
      return this.#remove(entry);
    }
    entry.checkAt = later(now, retryMs);
    if (entry.failures > 1) return;
    this.set.delete(entry.id);
    this.#outputs.push({ type: 'doubted', nk: entry.record.nk });
    this.#outputs.push({ type: 'changed' });
  }

  #remove(entry: Entry): void {
    this.#forget(entry);
    this.#bury(entry.record);
    this.#updates.delete(entry.record.nk);
    this.#outputs.push({ type: 'dead', nk: entry.record.nk });
    this.#outputs.push({ type: 'changed' });
  }

  #bury(record: SignedRelayRecord): void {
    dropOldest(this.#graves, DIRECTORY_LIMITS.maxGraves);
    this.#graves.set(record.nk, record);
  }

  #revive(now: Instant, unixSeconds: number): void {
    if (this.#graves.size === 0 || (this.#reviveAt !== null && now < this.#reviveAt)) return;
    this.#reviveAt = later(now, REVIVAL_MS);
    const record = [...this.#graves.values()][
      Math.floor(this.#options.random() * this.#graves.size)
    ];
    if (record === undefined) return;
    if (record.sequence < unixSeconds - MAX_AGE_SECONDS) this.#graves.delete(record.nk);
    else {
      const id = recordId(record, this.#options.hash);
      if (!this.#checking.has(id) && !this.#candidates.has(id))
        this.#candidates.set(id, {
          id,
          record,
          prefix: prefixOf(record),
          origin: 'file',
          from: '',
          linkAddress: null,
        });
    }
  }

  #forget(entry: Entry): void {
    this.#entries.delete(entry.record.nk);
    this.set.delete(entry.id);
    const left = (this.#perPrefix.get(entry.prefix) ?? 1) - 1;
    if (left > 0) this.#perPrefix.set(entry.prefix, left);
    else this.#perPrefix.delete(entry.prefix);
  }

  #check(
    now: Instant,
    id: string,
    record: SignedRelayRecord,
    kind: CheckKind,
    candidate: Candidate | null,
  ): void {
    this.#checking.set(id, { kind, nk: record.nk, candidate, endsAt: later(now, CHECK_LOST_MS) });
    this.#outputs.push({ type: 'check', id, record });
  }

  /** Starts what waits, as far as there are slots; no source holds more than a few of them. */
  #checkCandidates(now: Instant): void {
    const running = [...this.#checking.values()].flatMap(({ candidate }) => candidate ?? []);
    for (const kind of ['hello', 'candidate'] as const) {
      if (!this.#hasSlot(kind)) continue;
      for (const candidate of this.#candidates.values()) {
        if (kindOf(candidate) !== kind) continue;
        if (
          running.filter(({ from }) => from === candidate.from).length >=
            DIRECTORY_LIMITS.maxChecksPerSource &&
          candidate.origin !== 'file'
        )
          continue;
        if (!this.#hasSlot(kind) || !this.#checkRate.take(now)) break;
        this.#candidates.delete(candidate.id);
        running.push(candidate);
        this.#check(now, candidate.id, candidate.record, kind, candidate);
      }
    }
  }

  #hasSlot(kind: CheckKind): boolean {
    let running = 0;
    for (const check of this.#checking.values()) if (check.kind === kind) running += 1;
    return running < DIRECTORY_LIMITS.maxChecks[kind];
  }

  /** Bitcoin's addrman does the same: who is there is tested, and who is new has to come again. */
  #testEviction(now: Instant, prefix: string): void {
    if ((this.#evictionTests.get(prefix) ?? -Infinity) > now - EVICTION_TEST_MS) return;
    if (this.#evictionTests.size > DIRECTORY_LIMITS.maxRecords) this.#evictionTests.clear();
    this.#evictionTests.set(prefix, now);
    const oldest = [...this.#entries.values()]
      .filter((entry) => entry.prefix === prefix)
      .toSorted((a, b) => a.aliveAt - b.aliveAt)[0];
    if (oldest !== undefined && !oldest.isChecking) oldest.checkAt = now;
  }

  #isPrefixFull({ record, prefix }: Candidate, known: Entry | undefined): boolean {
    return known?.prefix !== prefix && (this.#perPrefix.get(prefix) ?? 0) >= maxPerPrefix(record);
  }

  #isAllowed(address: string): boolean {
    const { ownScope } = this.#options;
    const scope = scopeOf(address);
    return (
      scope === 'public' ||
      (scope === 'private' && ownScope !== 'public') ||
      (scope === 'loopback' && ownScope === 'loopback')
    );
  }

  /** One address, or one IPv6 provider, with more relays than anybody needs there. */
  #isCrowdedNear(record: SignedRelayRecord, known: Entry | undefined): boolean {
    if (known?.record.ip === record.ip || isLocal(record)) return false;
    const isV6 = record.ip.includes(':');
    const wide = isV6 ? slash32(record.ip) : '';
    let sameAddress = 0;
    let sameNetwork = 0;
    for (const { record: other } of this.#entries.values()) {
      if (other.ip === record.ip) sameAddress += 1;
      if (isV6 && other.ip.includes(':') && slash32(other.ip) === wide) sameNetwork += 1;
    }
    return (
      sameAddress >= DIRECTORY_LIMITS.maxPerAddress || sameNetwork >= DIRECTORY_LIMITS.maxPerSlash32
    );
  }

  #sourceRate(from: string): TokenBucket {
    let bucket = this.#sources.get(from);
    if (bucket === undefined) {
      dropOldest(this.#sources, DIRECTORY_LIMITS.maxRefused);
      bucket = new TokenBucket(
        DIRECTORY_LIMITS.offersPerSecondPerSource,
        DIRECTORY_LIMITS.offersBurstPerSource,
      );
      this.#sources.set(from, bucket);
    }
    return bucket;
  }

  #updateRate(nk: string): TokenBucket {
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

  #refuse(now: Instant, id: string): void {
    dropOldest(this.#refused, DIRECTORY_LIMITS.maxRefused);
    this.#refused.set(id, later(now, REFUSED_MS));
  }
}

/** The later sequence; between two of the same, any order that all relays agree on. */
export function isNewer(a: SignedRelayRecord, b: SignedRelayRecord): boolean {
  return a.sequence === b.sequence ? a.signature > b.signature : a.sequence > b.sequence;
}

/** Whether two records send a browser to the same place with the same credentials. */
export function isSameEndpoint(a: SignedRelayRecord, b: SignedRelayRecord): boolean {
  const fields = ['ip', 'ip6', 'port', 'ufrag', 'pwd', 'fingerprint', 'meshPort'] as const;
  return fields.every((field) => a[field] === b[field]);
}

function isLocal({ ip }: SignedRelayRecord): boolean {
  return scopeOf(ip) !== 'public';
}

function maxPerPrefix(record: SignedRelayRecord): number {
  return isLocal(record) ? DIRECTORY_LIMITS.maxPerLocalPrefix : DIRECTORY_LIMITS.maxPerPrefix;
}

function kindOf({ origin }: Candidate): CheckKind {
  return origin === 'hello' ? 'hello' : 'candidate';
}

/** The newest candidate of the source that has most. */
function mostCommonSource(candidates: readonly Candidate[]): Candidate | null {
  const counts = new Map<string, number>();
  for (const { from } of candidates) counts.set(from, (counts.get(from) ?? 0) + 1);
  const [most] = [...counts].toSorted(([, a], [, b]) => b - a);
  return candidates.findLast(({ from }) => from === most?.[0]) ?? null;
}

/** The first 32 bits of an IPv6 address. */
function slash32(ip: string): string {
  return toHex((parseIp(ip) ?? new Uint8Array(0)).subarray(0, 4));
}
