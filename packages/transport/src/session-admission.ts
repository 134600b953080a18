import { type Instant, TokenBucket } from '@lumamesh/base';

/** New sessions per second that need no cookie, behind a burst of `cookieThreshold`. */
const UNPROVEN_PER_SECOND = 400;

export interface EndpointLimits {
  /** Sessions of peers that have proven their address. */
  readonly maxSessions: number;
  /**
   * With so many sessions whose address nothing has proven, a check makes no session any more; a
   * ClientHello with a cookie does. They do not count against `maxSessions`.
   */
  readonly cookieThreshold: number;
  /**
   * Half-open sessions (handshake not done) whose address is proven; unproven ones are bounded by
   * `cookieThreshold`.
   */
  readonly maxHalfOpen: number;
}

/** What admission keeps of one session. The field belongs to {@link SessionAdmission}. */
export interface Admitted {
  /**
   * `unproven`: nothing has proven the address. `proven`: the address is, the handshake is not
   * done. `open`: both.
   */
  admission: 'unproven' | 'proven' | 'open';
}

/**
 * Whether there is capacity for one more session, by what its peer has proven:
 *
 *   unproven ──cookie or Finished──▶ proven ──association up──▶ open
 */
export class SessionAdmission {
  #limits: EndpointLimits;
  readonly #unprovenBudget: TokenBucket;
  #unproven = 0;
  #proven = 0;
  #open = 0;

  constructor(limits: EndpointLimits) {
    this.#limits = limits;
    // A handshake that fails at once frees its place at once: so the rate of unproven sessions is
    // bounded as well as their number.
    this.#unprovenBudget = new TokenBucket(UNPROVEN_PER_SECOND, limits.cookieThreshold);
  }

  /**
   * All sessions, and those of them that are half-open: the handshake is not done, whether or not
   * the address is proven.
   */
  get counts(): { readonly sessions: number; readonly halfOpen: number } {
    const halfOpen = this.#unproven + this.#proven;
    return { sessions: halfOpen + this.#open, halfOpen };
  }

  /**
   * Limits that hold from now on; sessions beyond them stay. The burst of unproven sessions stays
   * what it was at the start.
   */
  setLimits(limits: EndpointLimits): void {
    this.#limits = limits;
  }

  /** Whether a session with a proven address may be made. */
  get hasCapacity(): boolean {
    const { maxSessions, maxHalfOpen } = this.#limits;
    return this.#proven + this.#open < maxSessions && this.#proven < maxHalfOpen;
  }

  /**
   * Whether a session may be made now for an address that nothing has proven; takes its place in
   * the rate.
   */
  takeUnproven(now: Instant): boolean {
    return this.#unproven < this.#limits.cookieThreshold && this.#unprovenBudget.take(now);
  }

  handleCreated(session: Admitted): void {
    if (session.admission === 'unproven') this.#unproven += 1;
    else this.#proven += 1;
  }

  /** The handshake proved the address. */
  handleProven(session: Admitted): void {
    if (session.admission !== 'unproven') return;
    this.#unproven -= 1;
    this.#proven += 1;
    session.admission = 'proven';
  }

  /** The handshake is done, or the session is over. */
  handleOpen(session: Admitted): void {
    this.handleProven(session);
    if (session.admission !== 'proven') return;
    this.#proven -= 1;
    this.#open += 1;
    session.admission = 'open';
  }

  handleRemoved(session: Admitted): void {
    this.handleOpen(session);
    this.#open -= 1;
  }
}
