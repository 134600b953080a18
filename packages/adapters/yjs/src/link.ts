import { type TokenBucket, instant } from '@lumamesh/base';
import type { Clock } from './clock.ts';
import { type Bytes, type Part, encodeFrame } from './frames.ts';

/** Of every frame, whatever its size. */
const FRAME_COST = 256;
/** A member that took nothing more is greeted again after this. */
const BEHIND_MS = 3000;

/** Sends bytes to one member; rejects when it cannot take them. Urgent ones wait for no large ones. */
export type Post = (frame: Bytes, isUrgent: boolean) => Promise<unknown>;

/** Another provider that this one talks to: in another page, or in another tab of this browser. */
export class Link {
  readonly _id: string;
  readonly _isTab: boolean;
  /** Whether our id comes before its: of two in the same place, the first asks. */
  readonly _isFirst: boolean;
  /** Whether it has said where its document is. */
  _isHeard = false;
  /** Whether our hello, which wants one in return, is not answered yet. */
  _isGreeting = false;
  _digest = '';
  /** Whether its document is that of the room. */
  _isCurrent = false;
  /** Whether both have had the same document. */
  _isSettled = false;
  /** The state vector of its last question, while it waits. */
  _question: Bytes | null = null;
  /** Whether it was asked for what we lack, and has not answered. */
  _isAsked = false;
  /** Whose awareness states end with it. */
  readonly _clients = new Set<number>();
  readonly #post: Post;
  readonly #clock: Clock;
  readonly #onBehind: (link: Link) => void;
  readonly #budget: TokenBucket;
  #isBehind = false;

  constructor(
    id: string,
    self: string,
    isTab: boolean,
    clock: Clock,
    budget: TokenBucket,
    post: Post,
    onBehind: (link: Link) => void,
  ) {
    this._id = id;
    this._isTab = isTab;
    this._isFirst = self < id;
    this.#post = post;
    this.#clock = clock;
    this.#budget = budget;
    this.#onBehind = onBehind;
  }

  /** Sends a frame of these parts; resolves when the other side has it, or will not have it. */
  async _send(isUrgent: boolean, ...parts: readonly Part[]): Promise<void> {
    try {
      await this.#post(encodeFrame(...parts), isUrgent);
    } catch {
      // Too much waits for it. What it has missed it is told later, all at once.
      if (this.#isBehind) return;
      this.#isBehind = true;
      this.#clock.setTimer(BEHIND_MS, () => {
        this.#isBehind = false;
        this.#onBehind(this);
      });
    }
  }

  /** Whether it may cost us this much more. */
  _take(bytes: number): boolean {
    return this.#budget.take(instant(this.#clock.now()), bytes + FRAME_COST);
  }
}
