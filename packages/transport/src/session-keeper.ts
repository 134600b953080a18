import { type DropCounters, type Instant, TokenBucket } from '@lumamesh/base';
import type { EndpointOptions } from './endpoint-types.ts';
import type { Remote } from './five-tuple.ts';
import { HeldLedger } from './held-ledger.ts';
import { SessionAdmission } from './session-admission.ts';
import { SessionPaths } from './session-paths.ts';
import { SessionTable, type Slot } from './session-table.ts';
import type { ServerSessionOptions } from './session-types.ts';
import { Session } from './session.ts';
import { sourceOf } from './source.ts';

/** A browser checks every 50 ms while it connects, and every 2.5 s from then on. */
const CHECKS_PER_SECOND = 10;
const CHECKS_BURST = 100;

/** Makes the sessions of an endpoint, and ends them when there is no room. */
export class SessionKeeper {
  readonly table = new SessionTable();
  readonly admission: SessionAdmission<Slot>;
  readonly ledger: HeldLedger<Slot>;
  readonly paths: SessionPaths;
  /** The time of what the endpoint was told last. */
  now: Instant;
  readonly #sessionOptions: ServerSessionOptions;
  readonly #drops: DropCounters;
  readonly #onDrop = (reason: string): void => this.#drops.count(reason);

  constructor(now: Instant, options: EndpointOptions, drops: DropCounters) {
    this.now = now;
    this.#sessionOptions = { ...options, limits: options.sessionLimits };
    this.#drops = drops;
    this.admission = new SessionAdmission(options.limits);
    this.paths = new SessionPaths(this.table, this.admission, drops);
    this.ledger = new HeldLedger(options.limits.maxHeldBytes ?? Infinity);
  }

  /**
   * A session for an address that has just been proven. What was there without proof, and may have
   * begun with a stranger's ClientHello, goes.
   */
  createProven(now: Instant, remote: Remote, key: string, before: Slot | undefined): Slot | null {
    const source = sourceOf(remote.address);
    const refusal = this.admission.refusalOfHandshake(now, source);
    if (refusal !== null) {
      this.#drops.count(refusal);
      return null;
    }
    if (before !== undefined)
      this.#evict(before, before.helloRandom === null ? null : 'endpoint.replaced');
    const inTheWay = this.admission.inTheWay(source);
    if (inTheWay !== null) this.#evict(inTheWay, 'endpoint.evicted');
    return this.create(now, remote, key, 'proven');
  }

  /** Ends a session to make room; it counts nowhere from now on. */
  #evict(slot: Slot, reason: string | null): void {
    if (reason !== null) this.#drops.count(reason);
    this.paths.forget(slot);
    this.admission.handleRemoved(slot);
    this.ledger.update(slot, 0);
    slot.session.close(this.now);
    this.table.release(slot);
  }

  /** A session of a five-tuple that has none. */
  create(now: Instant, remote: Remote, key: string, admission: 'unproven' | 'proven'): Slot {
    const session = Session.server(now, this.#sessionOptions, this.#onDrop);
    const slot: Slot = {
      id: this.table.takeId(),
      remote,
      key,
      session,
      source: sourceOf(remote.address),
      checks: checksBucket(),
      otherChecks: null,
      heldBytes: 0,
      helloRandom: null,
      admission,
      remoteUfrag: null,
      firstUfrag: null,
      paths: null,
      isChallenged: false,
      isDirty: false,
      deadline: null,
      heapIndex: -1,
    };
    this.table.add(slot);
    this.admission.handleCreated(slot);
    return slot;
  }

  /** Whether a check on its five-tuple is answered; those of its peer whatever others send. */
  takeCheck(slot: Slot, ufrag: string | null): boolean {
    const isOwn = ufrag !== null && ufrag === (slot.firstUfrag ?? slot.remoteUfrag);
    const bucket = isOwn ? slot.checks : (slot.otherChecks ??= checksBucket());
    return bucket.take(this.now);
  }

  /** The handshake is done. @returns Whether there is room for the session. */
  admit(slot: Slot): boolean {
    const refusal = this.admission.refusal(slot.source);
    // Thousands of sessions would keep it for nothing.
    slot.helloRandom = null;
    if (refusal === null) {
      this.admission.handleOpen(slot);
      this.paths.handleOpen(slot);
    } else this.#evict(slot, refusal);
    return refusal === null;
  }

  /** Counts what the session makes us hold; ends the greediest while all hold too much. */
  account(slot: Slot): void {
    this.ledger.update(slot, slot.session.held.bytes);
    while (this.ledger.isExceeded) {
      const greediest = this.ledger.greediest(this.table.all());
      if (greediest === null || greediest.heldBytes === 0) return;
      this.#evict(greediest, 'endpoint.shed');
    }
  }

  /** The session has ended, and is drained. */
  remove(slot: Slot): void {
    this.paths.forget(slot);
    this.admission.handleRemoved(slot);
    this.ledger.update(slot, 0);
    this.table.remove(slot);
  }
}

function checksBucket(): TokenBucket {
  return new TokenBucket(CHECKS_PER_SECOND, CHECKS_BURST);
}
