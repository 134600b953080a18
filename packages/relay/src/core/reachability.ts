import { Fifo, type Instant, type Machine, later } from '@lumamesh/base';
import type { DialBackResult } from '@lumamesh/protocol';

/** Whether a relay is reached from outside, as far as anybody has seen. */
export type OutsideVerdict = 'unknown' | 'reached' | 'unreached';

/** What has shown it: a browser, or a relay, that came in; or relays that dialled. */
export type OutsideWitness = 'session' | 'dialBack';

/** The answer of a relay that was asked to dial back; `noAnswer`: it could not be asked, or did not want to. */
export type AskResult =
  | { readonly type: DialBackResult; readonly address: string }
  | { readonly type: 'noAnswer' };

export type ReachabilityOutput =
  /** A relay of this index is to be asked, and `handleAnswer` to follow. */
  | { readonly type: 'ask'; readonly helper: number }
  /** It has changed, or it stands after a first round that brought nothing (`unknown`). */
  | { readonly type: 'verdict'; readonly state: OutsideState };

export interface OutsideState {
  readonly verdict: OutsideVerdict;
  readonly by: OutsideWitness | null;
  /** When it was last seen to be so. */
  readonly at: Instant | null;
  /** The address that relays have dialled instead of the record's. */
  readonly elsewhere: string | null;
  /** Relays that have answered since the last verdict, and those that there were to ask. */
  readonly answered: number;
  readonly helpers: number;
}

export interface ReachabilityOptions {
  /** The address of our record: what is dialled elsewhere says nothing about it. */
  readonly address: string;
  /** A number from 0 to 1. */
  readonly random: () => number;
}

/** Before anything was looked at. */
const NOTHING_SEEN: OutsideState = {
  verdict: 'unknown',
  by: null,
  at: null,
  elsewhere: null,
  answered: 0,
  helpers: 0,
};
/** The socket has been bound; whoever asks at once has asked before the firewall is up. */
const FIRST_ASK_MS = 2000;
/** What was seen this long ago is looked at again. */
const REACHED_HOLDS_MS = 6 * 3_600_000;
/** A second opinion; by the same relay it takes longer, since one cause may silence two dials. */
const SECOND_OPINION_MS = 5000;
const SAME_WITNESS_MS = 60_000;
/** So many silences, with nothing that speaks against them, are a verdict. */
const SILENCES = 2;
/** Somebody is mending the firewall, or has gone home. */
const UNREACHED_AGAIN_MS = 120_000;
const UNREACHED_AGAIN_MAX_MS = 1_800_000;
/** Nobody could be asked. */
const UNKNOWN_AGAIN_MS = 60_000;
const UNKNOWN_AGAIN_MAX_MS = 3_600_000;
/** Relays that are asked one after another, until one answers. */
const MAX_ASKED_PER_ROUND = 4;
/** An answer that never comes. */
const ASK_LOST_MS = 180_000;

/**
 * Finds out whether this relay is reached from outside. Relays that are asked may err, or lie, or
 * be cut off themselves: one that came through is proof, one that did not is none. Two silences,
 * of two relays or of one a minute apart, are a verdict; until then it is not known.
 *
 *     unknown ──a session from elsewhere, or "reached"──▶ reached ──(6 h) ask again
 *        └─────two silences in a row──▶ unreached ──(2 to 30 min) ask again
 */
export class Reachability implements Machine<ReachabilityOutput> {
  readonly #options: ReachabilityOptions;
  readonly #outputs = new Fifo<ReachabilityOutput>();
  #address: string;
  #helpers: readonly string[] = [];
  #state: OutsideState = NOTHING_SEEN;
  #deadline: Instant;
  /** Who is being asked now. */
  #asking: number | null = null;
  /** Of the round that runs: whom there is still to ask, by index. */
  #waiting: number[] = [];
  #asked = 0;
  /** Who has found nobody, since somebody last got in. */
  #silentTo: string[] = [];
  #failures = 0;
  #hasToldUnknown = false;

  constructor(now: Instant, options: ReachabilityOptions) {
    this.#options = options;
    this.#address = options.address;
    this.#deadline = later(now, FIRST_ASK_MS);
  }

  get deadline(): Instant | null {
    return this.#deadline;
  }

  get state(): OutsideState {
    return this.#state;
  }

  /** Relays that may be asked, by their node keys; they are named by their place in it. */
  setHelpers(helpers: readonly string[]): void {
    this.#helpers = helpers;
    this.#state = { ...this.#state, helpers: helpers.length };
    // A round that runs counts places of the old list.
    this.#waiting = [];
  }

  /** Another address from now on: nothing is known of it yet. */
  setAddress(now: Instant, address: string): void {
    if (address === this.#address) return;
    this.#address = address;
    this.#silentTo = [];
    this.#failures = 0;
    this.#hasToldUnknown = false;
    this.#waiting = [];
    this.#state = { ...this.#state, verdict: 'unknown', by: null, at: null, elsewhere: null };
    this.#deadline = later(now, FIRST_ASK_MS);
  }

  /** It is to be looked at now: the operator may have mended something. */
  handleRecheck(now: Instant): void {
    if (this.#asking === null) this.#deadline = now;
  }

  /** A session was opened from an address of somewhere else: somebody got in. */
  handleStranger(now: Instant): void {
    this.#handleReached(now, 'session');
  }

  /** What the relay that was asked has said. */
  handleAnswer(now: Instant, answer: AskResult): void {
    const asked = this.#asking;
    if (asked === null) return;
    this.#asking = null;
    if (answer.type === 'noAnswer' || answer.type === 'unknown') return this.#askNext(now);
    if (answer.address !== this.#address) {
      this.#state = { ...this.#state, elsewhere: answer.address };
      return this.#askNext(now);
    }
    this.#state = { ...this.#state, elsewhere: null };
    if (answer.type === 'reached') this.#handleReached(now, 'dialBack');
    else this.#handleSilence(now, this.#helpers[asked] ?? '');
  }

  handleTimeout(now: Instant): void {
    if (now < this.#deadline) return;
    if (this.#asking !== null) {
      this.#asking = null;
      return this.#askNext(now);
    }
    this.#waiting = this.#order();
    this.#asked = 0;
    this.#askNext(now);
  }

  poll(): ReachabilityOutput | null {
    return this.#outputs.shift() ?? null;
  }

  /** Those that have not found us silent come first, in an order of chance. */
  #order(): number[] {
    const score = (helper: number): number =>
      (this.#silentTo.includes(this.#helpers[helper] ?? '') ? 1 : 0) + this.#options.random();
    return [...this.#helpers.keys()]
      .map((helper) => ({ helper, score: score(helper) }))
      .toSorted((a, b) => a.score - b.score)
      .map(({ helper }) => helper);
  }

  #askNext(now: Instant): void {
    const helper = this.#asked < MAX_ASKED_PER_ROUND ? this.#waiting.shift() : undefined;
    if (helper === undefined) return this.#handleNobody(now);
    this.#asked += 1;
    this.#asking = helper;
    this.#deadline = later(now, ASK_LOST_MS);
    this.#outputs.push({ type: 'ask', helper });
  }

  /** Nobody could be asked: what was known stays so, but for what is too long ago. */
  #handleNobody(now: Instant): void {
    const { verdict, at } = this.#state;
    this.#deadline = later(
      now,
      this.#jittered(Math.min(UNKNOWN_AGAIN_MS * 2 ** this.#failures, UNKNOWN_AGAIN_MAX_MS)),
    );
    this.#failures = Math.min(this.#failures + 1, 10);
    const isStale = verdict !== 'unknown' && now - (at ?? now) > 2 * REACHED_HOLDS_MS;
    if (isStale) {
      this.#silentTo = [];
      this.#set({ ...this.#state, verdict: 'unknown', by: null, at: null, answered: 0 });
    } else if (verdict === 'unknown' && !this.#hasToldUnknown) this.#set(this.#state);
  }

  #handleReached(now: Instant, by: OutsideWitness): void {
    const isNew = this.#state.verdict !== 'reached';
    const answered = by === 'dialBack' ? 1 : 0;
    this.#silentTo = [];
    this.#failures = 0;
    this.#waiting = [];
    const state: OutsideState = { ...this.#state, verdict: 'reached', by, at: now, answered };
    if (isNew) this.#set(state);
    else this.#state = state;
    if (this.#asking === null) this.#deadline = later(now, this.#jittered(REACHED_HOLDS_MS));
  }

  #handleSilence(now: Instant, helper: string): void {
    this.#silentTo.push(helper);
    const answered = this.#silentTo.length;
    if (answered < SILENCES) {
      const others = this.#helpers.some((other) => !this.#silentTo.includes(other));
      this.#state = { ...this.#state, answered };
      this.#deadline = later(now, others ? SECOND_OPINION_MS : SAME_WITNESS_MS);
      return;
    }
    // A bound, and enough to choose others first.
    this.#silentTo = this.#silentTo.slice(-MAX_ASKED_PER_ROUND);
    const isNew = this.#state.verdict !== 'unreached';
    const again = Math.min(UNREACHED_AGAIN_MS * 2 ** this.#failures, UNREACHED_AGAIN_MAX_MS);
    this.#failures = isNew ? 1 : Math.min(this.#failures + 1, 10);
    this.#deadline = later(now, this.#jittered(isNew ? UNREACHED_AGAIN_MS : again));
    const state: OutsideState = {
      ...this.#state,
      verdict: 'unreached',
      by: 'dialBack',
      at: now,
      answered,
    };
    if (isNew) this.#set(state);
    else this.#state = state;
  }

  #set(state: OutsideState): void {
    this.#state = state;
    this.#hasToldUnknown = state.verdict === 'unknown';
    this.#outputs.push({ type: 'verdict', state });
  }

  /** Relays that were started at once do not ask at once. */
  #jittered(ms: number): number {
    return ms * (0.8 + 0.4 * this.#options.random());
  }
}
