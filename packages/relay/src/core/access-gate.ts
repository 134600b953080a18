import { type Instant, later } from '@lumamesh/base';
import { HalfOpenPool, type Source, SourceBudget } from '@lumamesh/transport';

/** Who may come in where not everybody may (docs/wire-protocol.md, "Private relays"). */
export interface AccessTokens {
  /** Of an empty list nobody comes in; `null`: everybody does. */
  readonly count: number | null;
  /**
   * Whose proof this is: a name of the token, the same in every list that has it; `null` for
   * nobody's. Takes the same time for all of them.
   */
  verify(challenge: string, proof: string): string | null;
  /** Whether the list has the token of a name. */
  has(name: string): boolean;
  /** Whether `other` has all of this list's tokens. */
  isWithin(other: AccessTokens): boolean;
}

export const EVERYBODY: AccessTokens = {
  count: null,
  verify: () => null,
  has: () => true,
  isWithin: () => true,
};

/** A proof rides with the first frames of a session: later than this nobody sends one. */
const SHOWN_WITHIN_MS = 10_000;
/** Wrong proofs of one address at once, and in the long run; its network has four times as many. */
const WRONG_BURST = 20;
const WRONG_PER_SECOND = 0.1;
/** Lists of before, whose tokens are no guesses. */
const MAX_FORMER = 4;
const NOBODY: readonly never[] = [];

interface Waiting<Session> {
  readonly session: Session;
  readonly source: Source;
  readonly until: Instant;
}

/** Who of the sessions has shown a token, and who is late with it. */
export class AccessGate<Session> {
  #tokens: AccessTokens;
  /** What has held before, the latest first. */
  #former: readonly AccessTokens[] = [];
  readonly #wrong = new SourceBudget({ perSecond: WRONG_PER_SECOND, burst: WRONG_BURST });
  /** By the name of the token. */
  readonly #admitted = new Map<Session, string>();
  /** Who waits longest comes first. */
  readonly #waiting = new Map<Session, Waiting<Session>>();
  readonly #crowds = new HalfOpenPool<Waiting<Session>>();

  constructor(tokens: AccessTokens) {
    this.#tokens = tokens;
  }

  get counts(): { readonly tokens: number | null; readonly waiting: number } {
    return { tokens: this.#tokens.count, waiting: this.#waiting.size };
  }

  /** When the first of those that wait is late. */
  get deadline(): Instant | null {
    const [first] = this.#waiting.values();
    return first?.until ?? null;
  }

  handleOpen(now: Instant, session: Session, source: Source): void {
    if (this.#tokens.count === null) return;
    const waiting = { session, source, until: later(now, SHOWN_WITHIN_MS) };
    this.#waiting.set(session, waiting);
    this.#crowds.add(waiting);
  }

  handleClosed(session: Session): void {
    this.#endWait(session);
    this.#admitted.delete(session);
  }

  /**
   * Who has shown nothing so far and gives way where there is no place for a newcomer: one of the
   * most crowded address of the most crowded network, or `null`.
   */
  inTheWay(source: Source): Session | null {
    return this.#crowds.inTheWay(source, 0, Infinity)?.session ?? null;
  }

  /** Whether the session may do what others may not. */
  has(session: Session): boolean {
    return this.#tokens.count === null || this.#admitted.has(session);
  }

  /**
   * What comes of a proof. `tooMany`: so many wrong ones came from the address that none is looked
   * at, right or wrong; otherwise one could go on guessing. `revoked`: of a token that was taken
   * back. Pages that still have it guess nothing, and keep no neighbour out.
   */
  prove(
    now: Instant,
    session: Session,
    source: Source,
    challenge: string,
    proof: string,
  ): 'admitted' | 'wrong' | 'revoked' | 'tooMany' {
    if (this.has(session)) return 'admitted';
    if (!this.#wrong.has(now, source)) return 'tooMany';
    const name = this.#tokens.verify(challenge, proof);
    if (name === null) {
      if (this.#former.some((tokens) => tokens.verify(challenge, proof) !== null)) return 'revoked';
      this.#wrong.take(now, source);
      return 'wrong';
    }
    this.#endWait(session);
    this.#admitted.set(session, name);
    return 'admitted';
  }

  /** Those that have not shown a token in time. */
  takeLate(now: Instant): readonly Session[] {
    // With each frame of each session, and hardly ever is anybody waiting.
    if (this.#waiting.size === 0) return NOBODY;
    const late: Session[] = [];
    for (const { session, until } of this.#waiting.values()) {
      if (until > now) break;
      late.push(session);
    }
    for (const session of late) this.#endWait(session);
    return late;
  }

  /**
   * Other tokens from now on.
   * @param sessions all that there are
   * @returns those that came in by a token that holds no longer
   */
  setTokens(
    now: Instant,
    tokens: AccessTokens,
    sessions: ReadonlyMap<Session, { readonly source: Source }>,
  ): readonly Session[] {
    this.#former = [this.#tokens, ...this.#former]
      .filter((former) => !former.isWithin(tokens))
      .slice(0, MAX_FORMER);
    this.#tokens = tokens;
    if (tokens.count === null)
      for (const session of [...this.#waiting.keys()]) this.#endWait(session);
    const revoked: Session[] = [];
    for (const [session, { source }] of sessions) {
      const name = this.#admitted.get(session);
      if (name !== undefined && !tokens.has(name)) revoked.push(session);
      // Who came while everybody was let in has shown nothing yet.
      else if (name === undefined && !this.#waiting.has(session))
        this.handleOpen(now, session, source);
    }
    return revoked;
  }

  #endWait(session: Session): void {
    const waiting = this.#waiting.get(session);
    if (waiting === undefined) return;
    this.#waiting.delete(session);
    this.#crowds.delete(waiting);
  }
}
