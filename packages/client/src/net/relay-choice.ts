import { type Instant, backoffMs, instant, later } from '@lumamesh/base';
import { HOMES_PER_ROOM, isOpenToAll } from '@lumamesh/protocol';
import type { KnownEntry, RelayBook } from './relay-book.ts';
import type { KnownRelay } from './relay-source.ts';

/*
 * Whom to dial, whom to hold and whom to let go. The policy is told what became of links and what
 * time it is, and returns what to do: relays are dialled one after another at short intervals until
 * enough answer (the fastest win); homes of the page's rooms are held besides.
 */

/** Relays held at any time, so that the loss of one is nobody's trouble. */
const RELAYS_HELD = 2;
const MAX_DIALLING = 4;
export const MAX_LINKS = 8;
/** Places that those cannot take whom the page knows only by hearsay. */
const OWN_PLACES = RELAYS_HELD;
/** The next relay is dialled this long after the one before, unless that one answers. */
const STAGGER_MS = 200;
/** A relay that takes longer than this keeps no other from being dialled. */
const SLOW_MS = 3000;
/** A relay that is held no longer goes after this: signals may still be on their way by it. */
const SURPLUS_MS = 20_000;
const RETRY_INITIAL_MS = 1000;
const RETRY_MAX_MS = 60_000;
/**
 * Without a network nothing is sent to anybody, and no browser is sure to tell when there is one
 * again.
 */
const OFFLINE_RETRY_MAX_MS = 4000;

/** A relay whose links end more often than this is left alone for a while, as others that fail. */
const INTERRUPTED_EVERY_MS = 5000;

/**
 * Why a link is no more. `final`: the record is nobody's, and trying again would not change that.
 * `interrupted`: the relay may be there all the same. `refused`: it does not let us in. `offline`: it
 * was not asked, as this page has no address to ask from.
 */
export type Loss = 'lost' | 'final' | 'interrupted' | 'refused' | 'offline';

export type RelayAction =
  | { readonly type: 'dial'; readonly relay: KnownRelay }
  | { readonly type: 'hangUp'; readonly nk: string };

interface LinkState {
  isOpen: boolean;
  since: Instant;
  readonly isFeeler: boolean;
}

export class RelayChoice {
  readonly #book: RelayBook;
  readonly #random: () => number;
  readonly #links = new Map<string, LinkState>();
  /** Whether this page may come in at a relay: others are not dialled. */
  readonly mayEnter: (relay: KnownRelay) => boolean;
  /** Which relays to hold besides the fastest. */
  wanted: () => ReadonlySet<string> = () => firstSeeds(this.#book);
  /** Which ones to hold besides these, for as long as somebody needs them. */
  readonly needed = new Set<string>();
  /** A relay to be tried once while all is well: what is remembered should be known to work. */
  feeler: KnownEntry | null = null;
  #lastDialAt = instant(-STAGGER_MS);

  constructor(
    book: RelayBook,
    random: () => number,
    mayEnter: (relay: KnownRelay) => boolean = () => true,
  ) {
    this.#book = book;
    this.#random = random;
    this.mayEnter = mayEnter;
  }

  /** A relay has welcomed us. */
  _handleOpened(nk: string, isTcp: boolean, now: Instant): void {
    const link = this.#links.get(nk);
    const entry = this.#book.get(nk);
    if (link === undefined || entry === undefined) return;
    entry.connectMs = now - link.since;
    entry.isProven = true;
    // What UDP does here is one and the same for all relays.
    if (!isTcp) for (const other of this.#book.entries) other.isTcp = false;
    entry.isTcp = isTcp;
    entry.failures = 0;
    link.isOpen = true;
    link.since = now;
    if (link.isFeeler) link.since = instant(now - SURPLUS_MS);
  }

  /** A link was lost or could not be made. */
  _handleLost(nk: string, kind: Loss, now: Instant): void {
    const link = this.#links.get(nk);
    this.#links.delete(nk);
    const entry = this.#book.get(nk);
    if (entry === undefined) return;
    // It is dialled again with the next plan.
    if (kind === 'interrupted' && link?.isOpen === true && now - link.since >= INTERRUPTED_EVERY_MS)
      return;
    const isFinal = kind === 'final';
    entry.failures += 1;
    if (isFinal) this.#book.remove(nk);
    const maxMs = kind === 'offline' ? OFFLINE_RETRY_MAX_MS : RETRY_MAX_MS;
    const delayMs =
      kind === 'refused'
        ? RETRY_MAX_MS
        : backoffMs(entry.failures, RETRY_INITIAL_MS, maxMs, this.#random);
    entry.retryAt = later(now, isFinal ? Number.POSITIVE_INFINITY : delayMs);
  }

  /** A link was ended by this page. */
  _handleHungUp(nk: string): void {
    this.#links.delete(nk);
  }

  /** The network has changed or the machine was asleep: what failed before may work now. */
  _wake(): void {
    for (const entry of this.#book.entries)
      if (entry.retryAt < Number.POSITIVE_INFINITY) entry.retryAt = instant(0);
  }

  /**
   * What to do now. To be asked after every change, and every quarter of a second while relays are
   * dialled.
   */
  _plan(now: Instant): readonly RelayAction[] {
    const actions: RelayAction[] = [];
    const wanted = new Set([...this.wanted(), ...this.needed]);
    const dial = (entry: KnownEntry, isFeeler = false): void => {
      this.#lastDialAt = now;
      this.#links.set(entry.record.nk, { isOpen: false, since: now, isFeeler });
      actions.push({ type: 'dial', relay: entry.record });
    };
    const candidates = this.#book.entries
      .filter(
        ({ record, retryAt }) =>
          !this.#links.has(record.nk) && retryAt <= now && this.mayEnter(record),
      )
      .toSorted(
        (a, b) =>
          Number(wanted.has(b.record.nk)) - Number(wanted.has(a.record.nk)) ||
          a.failures - b.failures ||
          Number(b.isProven) - Number(a.isProven) ||
          Number(b.isSeed) - Number(a.isSeed) ||
          a.connectMs - b.connectMs ||
          a.tieBreaker - b.tieBreaker,
      );
    if (candidates.length > 0) this.#giveUpSlow(now, actions);
    for (const entry of candidates) {
      const open = this.#count(true);
      const isOwn = this.#isOwn(entry);
      const isShort =
        (isOwn ? this.#ownOpen : open) < RELAYS_HELD &&
        this.#count(false, now) < MAX_DIALLING &&
        now - this.#lastDialAt >= STAGGER_MS;
      const hasPlace = isOwn
        ? this.#links.size < MAX_LINKS
        : this.#links.size - this.#own.length < MAX_LINKS - OWN_PLACES;
      if (hasPlace && (isShort || (open > 0 && wanted.has(entry.record.nk)))) dial(entry);
    }
    for (const [nk, link] of this.#links) {
      // Of the page's own relays two are held, whatever others there are.
      const counted = this.#isOwn(this.#book.get(nk)) ? this.#ownOpen : this.#count(true);
      const isSurplus =
        !wanted.has(nk) &&
        counted > RELAYS_HELD &&
        (!link.isOpen || now - link.since >= SURPLUS_MS);
      const isLate = counted >= RELAYS_HELD && !link.isOpen && !link.isFeeler && !wanted.has(nk);
      if (!isSurplus && !isLate && this.#book.get(nk) !== undefined) continue;
      this.#links.delete(nk);
      actions.push({ type: 'hangUp', nk });
    }
    const { feeler } = this;
    if (this.#count(true) >= RELAYS_HELD && feeler !== null && candidates.includes(feeler))
      dial(feeler, true);
    this.feeler = null;
    return actions;
  }

  /**
   * Whether the page has a relay from its own list, or from an earlier visit: others are hearsay,
   * and may all be somebody's who lies.
   */
  #isOwn(entry: KnownEntry | undefined): boolean {
    return entry !== undefined && (entry.isSeed || entry.isAnchor);
  }

  /** Links to such relays. */
  get #own(): readonly LinkState[] {
    return [...this.#links]
      .filter(([nk]) => this.#isOwn(this.#book.get(nk)))
      .map(([, link]) => link);
  }

  get #ownOpen(): number {
    return this.#own.filter(({ isOpen }) => isOpen).length;
  }

  /**
   * Where all places are taken by relays that do not answer, the oldest gives its place to the
   * next.
   */
  #giveUpSlow(now: Instant, actions: RelayAction[]): void {
    if (this.#links.size < MAX_LINKS - OWN_PLACES || this.#count(true) >= RELAYS_HELD) return;
    // A map keeps the order in which its entries came.
    const slow = [...this.#links].find(([, link]) => !link.isOpen && now - link.since >= SLOW_MS);
    if (slow === undefined) return;
    this._handleLost(slow[0], 'lost', now);
    actions.push({ type: 'hangUp', nk: slow[0] });
  }

  /**
   * Links that are open, or that are not; of the latter, where `now` is given, only those that are
   * not slow.
   */
  #count(isOpen: boolean, now?: Instant): number {
    let count = 0;
    for (const link of this.#links.values())
      if (link.isOpen === isOpen && (now === undefined || now - link.since < SLOW_MS)) count += 1;
    return count;
  }
}

/** Whether the page's own relays share a mesh, and so pass on what is said in rooms. */
export function isOneMesh(seeds: readonly KnownEntry[]): boolean {
  const mesh = seeds[0]?.record.mesh;
  return mesh !== undefined && seeds.every(({ record }) => record.mesh === mesh);
}

/**
 * Without the feature `discovery`: relays without a common mesh pass nothing on to each other, so
 * the first of the list that answer are held by all who have that list.
 */
export function firstSeeds(book: RelayBook): ReadonlySet<string> {
  const seeds = book.entries.filter(({ isSeed }) => isSeed);
  const answering = isOneMesh(seeds) ? [] : seeds.filter(({ failures }) => failures === 0);
  // Where everybody may meet comes first.
  answering.sort((a, b) => Number(isOpenToAll(b.record)) - Number(isOpenToAll(a.record)));
  return new Set(answering.slice(0, HOMES_PER_ROOM).map(({ record }) => record.nk));
}
