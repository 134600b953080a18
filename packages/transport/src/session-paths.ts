import { type DropCounters, type Instant, TokenBucket, earlier, later } from '@lumamesh/base';
import { AmplificationLimit } from './amplification-limit.ts';
import type { Remote } from './five-tuple.ts';
import type { PathCheck, PathState } from './path-state.ts';
import type { SessionAdmission } from './session-admission.ts';
import type { SessionTable, Slot } from './session-table.ts';
import { sourceOf } from './source.ts';

/** Browsers check a pair every 2.5 to 5 s; what is not checked any more is no path. */
const CANDIDATE_MS = 30_000;
const MAX_CANDIDATES = 4;
/** A round trip, with one loss. */
const CHECK_MS = 3000;
const MOVES_PER_SECOND = 1;
const MOVES_BURST = 8;
/** Records from elsewhere that are tried. */
const TRIES_PER_SECOND = 50;
const TRIES_BURST = 200;

/**
 * Sessions that go on from another five-tuple: a NAT has forgotten its mapping, a laptop has left
 * the Wi-Fi.
 *
 *   check with the ufrag of an open session, or one that names it as the ufrag before an ICE restart
 *                                           ──▶ candidate ──authentic record──▶ the session is there,
 *   within three times what comes ──HEARTBEAT answered──▶ proven, and counted there
 *                                 ──3 s without an answer──▶ back where it was, once nobody else is
 */
export class SessionPaths {
  readonly #table: SessionTable;
  readonly #admission: SessionAdmission<Slot>;
  readonly #drops: DropCounters;
  readonly #byUfrag = new Map<string, Slot>();
  readonly #byKey = new Map<string, Slot>();
  readonly #checking = new Set<Slot>();

  constructor(table: SessionTable, admission: SessionAdmission<Slot>, drops: DropCounters) {
    this.#table = table;
    this.#admission = admission;
    this.#drops = drops;
  }

  get deadline(): Instant | null {
    let next: Instant | null = null;
    for (const { paths } of this.#checking) next = earlier(next, paths?.check?.until ?? null);
    return next;
  }

  /**
   * A check came on the session's own five-tuple, from this ufrag: the next one may come elsewhere.
   * So may one of the first ufrag for as long as the session lives: this check may be forged.
   */
  handleOwnCheck(slot: Slot, ufrag: string): void {
    if (slot.remoteUfrag === ufrag) return;
    if (slot.remoteUfrag !== slot.firstUfrag) this.#forgetUfrag(slot, slot.remoteUfrag);
    slot.remoteUfrag = ufrag;
    if (slot.admission === 'open') this.handleOpen(slot);
  }

  /** The session is open: from now on it may go on elsewhere. */
  handleOpen(slot: Slot): void {
    slot.firstUfrag ??= slot.remoteUfrag;
    if (slot.remoteUfrag !== null) this.#byUfrag.set(slot.remoteUfrag, slot);
  }

  /**
   * A check came from a five-tuple without a session.
   * @returns Whether it is one of an open session's peer.
   */
  handleCheck(now: Instant, remote: Remote, key: string, ufrag: string): boolean {
    const slot = this.#byUfrag.get(ufrag);
    if (slot === undefined) return false;
    slot.paths ??= {
      candidates: new Map(),
      moves: new TokenBucket(MOVES_PER_SECOND, MOVES_BURST),
      tries: new TokenBucket(TRIES_PER_SECOND, TRIES_BURST),
      check: null,
    };
    this.#addCandidate(now, slot, slot.paths, remote, key);
    return true;
  }

  /**
   * A record came from a five-tuple without a session. Where it is authentic, the session that it is
   * for goes on there.
   * @returns Whether somebody took it.
   */
  handleRecord(now: Instant, remote: Remote, key: string, datagram: Uint8Array): boolean {
    const slot = this.#byKey.get(key);
    const paths = slot?.paths;
    if (slot === undefined || paths === undefined || paths === null) return false;
    if ((paths.candidates.get(key)?.until ?? now) <= now || !paths.tries.take(now)) return false;
    const isAuthentic = slot.session.handleFromElsewhere(now, datagram);
    // Also where only part of it was of use: what was taken must not wait for the next timer.
    this.#table.touch(slot);
    if (!isAuthentic) return true;
    const source = sourceOf(remote.address);
    const refusal = this.#admission.refusalOfMove(slot, source);
    if (refusal !== null || !paths.moves.take(now))
      this.#refuseMove(now, slot, refusal ?? 'endpoint.moveBudget');
    else this.#moveOn(now, slot, paths, remote, key, datagram.length);
    return true;
  }

  /** A datagram of the session came on its five-tuple. */
  handleDelivered({ paths }: Slot, bytes: number): void {
    paths?.check?.limit.count(bytes, 0);
  }

  /** Where the session is, or was before where it is not yet known to be. */
  provenRemote(slot: Slot): Remote {
    return this.#pendingCheck(slot)?.previous ?? slot.remote;
  }

  /** Whether a datagram may be sent to the session where it is. */
  admits(slot: Slot, bytes: number): boolean {
    return this.#pendingCheck(slot)?.limit.admit(bytes) !== false;
  }

  handleTimeout(now: Instant): void {
    for (const slot of this.#checking) {
      const check = this.#pendingCheck(slot);
      if (check === null || check.until > now) continue;
      this.#drops.count('endpoint.pathUnproven');
      if (this.#table.at(check.previousKey) === undefined) {
        this.#endCheck(slot);
        this.#table.move(slot, check.previous, check.previousKey);
      } else {
        // Another session is there by now: this one stays, and what it is sent stays limited.
        check.until = later(now, CHECK_MS);
      }
    }
  }

  /** The session has ended. */
  forget(slot: Slot): void {
    this.#forgetUfrag(slot, slot.remoteUfrag);
    this.#forgetUfrag(slot, slot.firstUfrag);
    this.#checking.delete(slot);
    for (const key of slot.paths?.candidates.keys() ?? []) this.#forgetKey(slot, key);
    slot.paths = null;
  }

  #moveOn(
    now: Instant,
    slot: Slot,
    paths: PathState,
    remote: Remote,
    key: string,
    bytes: number,
  ): void {
    const { remote: before, key: keyBefore } = slot;
    const check = this.#pendingCheck(slot);
    const isBack = check?.previousKey === key;
    // Who comes back to where it was proven needs no other proof.
    const previous = check?.previous ?? before;
    const previousKey = check?.previousKey ?? keyBefore;
    this.#addCandidate(now, slot, paths, before, keyBefore);
    this.#table.move(slot, remote, key);
    if (isBack) return this.#endCheck(slot);
    const limit = new AmplificationLimit(false);
    limit.count(bytes, 0);
    paths.check = {
      limit,
      answersBefore: slot.session.heartbeatAnswers,
      previous,
      previousKey,
      until: later(now, CHECK_MS),
    };
    this.#checking.add(slot);
    slot.session.askForHeartbeat(now);
  }

  /** What it says counts, but an answer in it shows nothing about where the HEARTBEAT was sent. */
  #refuseMove(now: Instant, slot: Slot, reason: string): void {
    this.#drops.count(reason);
    if (this.#pendingCheck(slot) !== null) slot.session.askForHeartbeat(now);
  }

  /**
   * What is not known yet of where a session is; once its HEARTBEAT is acknowledged, nothing, and
   * it takes a place of those of its new source. Not before: whoever forges addresses would use up
   * the places of others.
   */
  #pendingCheck(slot: Slot): PathCheck | null {
    const { paths, session } = slot;
    const check = paths?.check ?? null;
    if (check === null || session.heartbeatAnswers === check.answersBefore) return check;
    this.#endCheck(slot);
    const source = sourceOf(slot.remote.address);
    // Where its place was taken meanwhile, it goes on having the one that it has.
    if (this.#admission.refusalOfMove(slot, source) === null)
      this.#admission.handleMoved(slot, source);
    return null;
  }

  #endCheck(slot: Slot): void {
    this.#checking.delete(slot);
    if (slot.paths !== null) slot.paths.check = null;
  }

  #addCandidate(now: Instant, slot: Slot, paths: PathState, remote: Remote, key: string): void {
    const { candidates } = paths;
    const until = later(now, CANDIDATE_MS);
    const known = candidates.get(key);
    // Whoever was last to check from there: somebody may have forged a check of his own from it.
    this.#byKey.set(key, slot);
    if (known !== undefined) {
      known.until = until;
      return;
    }
    const [oldest] = candidates.keys();
    if (candidates.size >= MAX_CANDIDATES && oldest !== undefined) {
      candidates.delete(oldest);
      this.#forgetKey(slot, oldest);
    }
    candidates.set(key, { remote, until });
  }

  #forgetKey(slot: Slot, key: string): void {
    if (this.#byKey.get(key) === slot) this.#byKey.delete(key);
  }

  #forgetUfrag(slot: Slot, ufrag: string | null): void {
    if (ufrag !== null && this.#byUfrag.get(ufrag) === slot) this.#byUfrag.delete(ufrag);
  }
}
