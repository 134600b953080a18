import { type Instant, instant } from '@lumamesh/base';

/**
 * Who says nothing is asked; who does not answer is suspected (another path is offered), and is
 * given up in time for others to see it leave. The browsers' own detection takes up to 30 s.
 */
const PING_AFTER_MS = 2500;
const SUSPECT_AFTER_MS = 4500;
const LOST_AFTER_MS = 7500;
const WAKE_PATIENCE_MS = 1500;
/**
 * For how long a page that says nothing is busy, or stopped in a debugger, while its browser still
 * acknowledges what it is sent.
 */
const BUSY_MS = 30_000;
/** Silence after which it is looked, between two questions, whether its browser does. */
const LOOK_AFTER_MS = 3500;
/** Who does not answer is asked again, about every second. */
const ASK_AGAIN_MS = 900;
/** A question that has no answer for this long: what is urgent goes another way. */
const ANSWER_MS = 1000;
/**
 * Time that passed unseen: this page was asleep, and the silence tells nothing of the other one.
 */
const ASLEEP_MS = 4000;

/** When the other side of an open connection was heard, and what its silence means. */
export class Liveness {
  #heardAt: Instant;
  /** When its browser was last seen to live, though nothing was heard. */
  #seenAt: Instant;
  #tickedAt: Instant;
  #askedAt: Instant;
  /** The first question that nothing was heard after. */
  #unansweredAt: Instant | null = null;

  constructor(now: Instant) {
    this.#heardAt = this.#seenAt = this.#tickedAt = this.#askedAt = now;
  }

  _handleHeard(now: Instant): void {
    this.#heardAt = now;
    this.#unansweredAt = null;
  }

  /** Its browser lives, and the way to it: the page may be busy. */
  _handleSeen(now: Instant): void {
    this.#seenAt = now;
  }

  /** There is evidence that nothing goes through: it counts as unanswered until it is heard. */
  _handleDoubt(): void {
    this.#unansweredAt = instant(Number.NEGATIVE_INFINITY);
  }

  _handleAsked(now: Instant): void {
    this.#askedAt = now;
    this.#unansweredAt ??= now;
  }

  _wasHeardSince(at: Instant): boolean {
    return this.#heardAt > at;
  }

  /** Whether it was heard just now, and answers. */
  _isResponsive(now: Instant): boolean {
    return this._isRecent(now) && now - (this.#unansweredAt ?? now) < ANSWER_MS;
  }

  /** Whether it was heard just now. */
  _isRecent(now: Instant): boolean {
    return now - this.#heardAt < PING_AFTER_MS;
  }

  /** Passes over time in which this page was asleep. To be called about every second. */
  _handleTick(now: Instant): void {
    if (now - this.#tickedAt > ASLEEP_MS)
      this.#heardAt = instant(Math.max(this.#heardAt, now - SUSPECT_AFTER_MS));
    this.#tickedAt = now;
  }

  /** The network may have changed: there is little patience from now on. */
  _handleWake(now: Instant): void {
    this.#tickedAt = now;
    this.#heardAt = this.#seenAt = instant(now - SUSPECT_AFTER_MS + WAKE_PATIENCE_MS);
  }

  _isLost(now: Instant): boolean {
    return this.#silentMs(now) > LOST_AFTER_MS || now - this.#heardAt > BUSY_MS;
  }

  _isSuspect(now: Instant): boolean {
    return this.#silentMs(now) >= SUSPECT_AFTER_MS;
  }

  /** Whether it should be looked if its browser lives. */
  _isLookDue(now: Instant): boolean {
    return now - this.#heardAt >= LOOK_AFTER_MS;
  }

  /** Whether it should be asked for a sign of life, which measures the round trip, too. */
  _isPingDue(now: Instant): boolean {
    const sinceAsked = now - this.#askedAt;
    return sinceAsked >= (this._isRecent(now) ? 2 * PING_AFTER_MS : ASK_AGAIN_MS);
  }

  #silentMs(now: Instant): number {
    return now - Math.max(this.#heardAt, this.#seenAt);
  }
}
