import { type Instant, TokenBucket } from '@lumamesh/base';
import { CountMap } from './count-map.ts';
import { SourceCounts } from './source-counts.ts';
import type { Source } from './source.ts';
import { HalfOpenPool } from './half-open-pool.ts';
import { DEFAULT_SOURCE_LIMITS, type SourceLimits, SourceRates } from './source-limits.ts';

/** New sessions per second that need no cookie, behind a burst of `cookieThreshold`. */
const UNPROVEN_PER_SECOND = 400;

export interface EndpointLimits {
  /** Sessions whose handshake is done. */
  readonly maxSessions: number;
  /**
   * With so many sessions whose address nothing has proven, a check makes no session any more; a
   * ClientHello with a cookie does. They do not count against `maxSessions`.
   */
  readonly cookieThreshold: number;
  /**
   * Half-open sessions (handshake not done) whose address is proven. One more pushes out another;
   * unproven ones are bounded by `cookieThreshold`.
   */
  readonly maxHalfOpen: number;
  /** What one address or network may have; default: {@link DEFAULT_SOURCE_LIMITS}. */
  readonly sources?: SourceLimits;
  /** What all sessions together may make us hold, in bytes; default: no bound. */
  readonly maxHeldBytes?: number;
}

/** What admission keeps of one session. `admission` belongs to {@link SessionAdmission}. */
export interface Admitted {
  /** Where its peer is; changed by {@link SessionAdmission.handleMoved} only. */
  source: Source;
  /**
   * `unproven`: nothing has proven the address. `proven`: a cookie has, the handshake is not done.
   * `open`: it is. `gone`: it counts nowhere any more.
   */
  admission: 'unproven' | 'proven' | 'open' | 'gone';
}

export interface AdmissionCounts {
  readonly sessions: number;
  /** Those whose handshake is not done, whether or not the address is proven. */
  readonly halfOpen: number;
}

/**
 * Whether there is room for one more session, by what its peer has proven and by where it is:
 *
 *   unproven ──cookie──▶ proven ──Finished──▶ open
 *       └──────────────Finished───────────────┘
 */
export class SessionAdmission<Entry extends Admitted> {
  readonly rates: SourceRates;
  #limits: EndpointLimits;
  readonly #unprovenBudget: TokenBucket;
  readonly #unproven = new CountMap();
  readonly #proven = new HalfOpenPool<Entry>();
  /** Open sessions by address and by network. */
  readonly #openBySource = new SourceCounts();
  #unprovenCount = 0;
  #open = 0;

  constructor(limits: EndpointLimits) {
    this.#limits = limits;
    this.rates = new SourceRates(this.#sources);
    // A handshake that fails at once frees its place at once: so the rate of unproven sessions is
    // bounded as well as their number.
    this.#unprovenBudget = new TokenBucket(UNPROVEN_PER_SECOND, limits.cookieThreshold);
  }

  get counts(): AdmissionCounts {
    const halfOpen = this.#unprovenCount + this.#proven.size;
    return { sessions: halfOpen + this.#open, halfOpen };
  }

  /**
   * Limits that hold from now on; sessions beyond them stay. The burst of unproven sessions stays
   * what it was at the start.
   */
  setLimits(limits: EndpointLimits): void {
    this.#limits = limits;
    this.rates.setLimits(this.#sources);
  }

  /** @returns Why there can be no open session more of this source: a drop reason, or `null`. */
  refusal(source: Source): string | null {
    const { sessionsPerHost, sessionsPerNetwork } = this.#sources;
    if (this.#open >= this.#limits.maxSessions) return 'endpoint.full';
    if (this.#openBySource.ofHost(source) >= sessionsPerHost) return 'endpoint.addressFull';
    return this.#openBySource.ofNetwork(source) >= sessionsPerNetwork
      ? 'endpoint.networkFull'
      : null;
  }

  /** The same before a handshake whose address is proven begins; takes its place in the rate. */
  refusalOfHandshake(now: Instant, source: Source): string | null {
    const refusal = this.refusal(source);
    if (refusal !== null || this.rates.takeHandshake(now, source, true)) return refusal;
    return 'endpoint.handshakeBudget';
  }

  /**
   * Whether a session may be made now for an address that nothing has proven; takes its place in
   * the rates.
   */
  takeUnproven(now: Instant, source: Source): boolean {
    return (
      this.#unprovenCount < this.#limits.cookieThreshold &&
      this.#unproven.get(source.host) < this.#sources.halfOpenPerHost &&
      this.rates.takeHandshake(now, source, false) &&
      this.#unprovenBudget.take(now)
    );
  }

  /** The half-open session that has to go before a proven one of this source comes, or `null`. */
  inTheWay(source: Source): Entry | null {
    const { maxHalfOpen } = this.#limits;
    return this.#proven.inTheWay(source, maxHalfOpen, this.#sources.halfOpenPerHost);
  }

  handleCreated(session: Entry): void {
    if (session.admission === 'proven') this.#proven.add(session);
    else {
      this.#unprovenCount += 1;
      this.#unproven.change(session.source.host, 1);
    }
  }

  /** The handshake is done, which proves the address. */
  handleOpen(session: Entry): void {
    this.handleRemoved(session);
    session.admission = 'open';
    this.#open += 1;
    this.#openBySource.change(session.source, 1);
  }

  /** @returns Why an open session may not go on from there: a drop reason, or `null`. */
  refusalOfMove({ source: { host, network } }: Entry, to: Source): string | null {
    const { sessionsPerHost, sessionsPerNetwork } = this.#sources;
    if (to.host !== host && this.#openBySource.ofHost(to) >= sessionsPerHost)
      return 'endpoint.addressFull';
    return to.network !== network && this.#openBySource.ofNetwork(to) >= sessionsPerNetwork
      ? 'endpoint.networkFull'
      : null;
  }

  /** An open session goes on from another source. */
  handleMoved(session: Entry, to: Source): void {
    this.#openBySource.change(session.source, -1);
    session.source = to;
    this.#openBySource.change(to, 1);
  }

  handleRemoved(session: Entry): void {
    switch (session.admission) {
      case 'unproven':
        this.#unprovenCount -= 1;
        this.#unproven.change(session.source.host, -1);
        break;
      case 'proven':
        this.#proven.delete(session);
        break;
      case 'open':
        this.#open -= 1;
        this.#openBySource.change(session.source, -1);
        break;
      case 'gone':
    }
    session.admission = 'gone';
  }

  get #sources(): SourceLimits {
    return this.#limits.sources ?? DEFAULT_SOURCE_LIMITS;
  }
}
