import { type Instant, TokenBucket, later } from '@lumamesh/base';

/** How long it takes until who has stopped sending no longer has a share. */
const WINDOW_MS = 250;

/**
 * One rate that many share: whoever sends at most his equal part of it is served for as long as
 * there is anything, whoever sends more only while half of what is kept for bursts is there.
 */
export class FairRate {
  readonly #perSecond: number;
  readonly #all: TokenBucket;
  /** What only those have who keep to their share. */
  readonly #reserve: number;
  /** Bytes of those who have sent in this window. */
  readonly #sent = new Map<string, number>();
  #windowEnds: Instant | null = null;
  /** How many sent in the window before. */
  #senders = 1;

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond;
    this.#all = new TokenBucket(perSecond, burst);
    this.#reserve = burst / 2;
  }

  /** @returns Whether `who` may send so many bytes now. */
  take(now: Instant, who: string, bytes: number): boolean {
    this.#openWindow(now);
    const sent = (this.#sent.get(who) ?? 0) + bytes;
    this.#sent.set(who, sent);
    const senders = Math.max(this.#senders, this.#sent.size);
    const isWithinShare = sent <= (this.#perSecond * WINDOW_MS) / 1000 / senders;
    return this.#all.take(now, bytes, isWithinShare ? 0 : this.#reserve);
  }

  #openWindow(now: Instant): void {
    if (this.#windowEnds !== null && now < this.#windowEnds) return;
    this.#senders = Math.max(1, this.#sent.size);
    this.#sent.clear();
    this.#windowEnds = later(now, WINDOW_MS);
  }
}
