import { TokenBucket } from '@lumamesh/base';
import { AWARENESS, type Bytes, encodeFrame } from './frames.ts';
import type { Link } from './link.ts';
import { arcsOf, inOrderFrom, isBetween } from './ring.ts';

/** What one member may cost us beside its edits, in bytes. */
const BUDGET_BYTES = 4_194_304;
const BUDGET_PER_SECOND = 1_024_000;

/** The room around us: who is there, and who we are in it. */
export interface Surroundings {
  readonly _selfId: () => string;
  /** The ids of all other members, connected or not. */
  readonly _members: () => readonly string[];
  /** Says something to all other tabs of this browser. */
  readonly _postToTabs: (frame: Bytes) => void;
}

/** All that this provider talks to. */
export class Links {
  readonly _byId = new Map<string, Link>();
  readonly #around: Surroundings;
  readonly #budgets = new Map<string, TokenBucket>();

  constructor(around: Surroundings) {
    this.#around = around;
  }

  /** What a member may cost us: it begins no new one by taking part anew. */
  _budgetOf(id: string): TokenBucket {
    const known = this.#budgets.get(id);
    if (known !== undefined) return known;
    const members = this.#around._members();
    for (const other of this.#budgets.keys())
      if (!members.includes(other) && !this._byId.has(other)) this.#budgets.delete(other);
    const budget = new TokenBucket(BUDGET_PER_SECOND, BUDGET_BYTES);
    this.#budgets.set(id, budget);
    return budget;
  }

  /** Those that take part. */
  get _heard(): readonly Link[] {
    return [...this._byId.values()].filter(({ _isHeard }) => _isHeard);
  }

  /** Those of them that are members of the room. */
  get _reached(): readonly string[] {
    return this._heard.filter(({ _isTab }) => !_isTab).map(({ _id }) => _id);
  }

  /** Whether some member hears of us only through others. */
  get _isPartial(): boolean {
    return this._reached.length < this.#around._members().length;
  }

  /** The one that stands next on the ring, of all that we talk to. */
  get _next(): Link | undefined {
    const [id = ''] = inOrderFrom(
      this.#around._selfId(),
      this._heard.map(({ _id }) => _id),
    );
    return this._byId.get(id);
  }

  /** Whether we are the one that stands before `id` on the ring. */
  _isBefore(id: string): boolean {
    const self = this.#around._selfId();
    return !this.#around._members().some((member) => isBetween(self, member, id));
  }

  /**
   * Says something to all members and all other tabs; or what `from` has said to those who have not
   * heard it: up to `end` on the ring when that is a member, to all of the room when it is a tab.
   */
  _spread(kind: number, parts: readonly (number | Uint8Array)[], from?: Link, end = ''): void {
    const self = this.#around._selfId();
    const stop = from === undefined || from._isTab ? self : end;
    const reached = this._reached;
    if (stop !== '')
      for (const [id, next] of arcsOf(self, reached, this.#around._members(), stop))
        if (id !== from?._id)
          void this._byId.get(id)?._send(kind === AWARENESS, kind, next.length, next, ...parts);
    if (from?._isTab !== true && this._heard.length > reached.length)
      this.#around._postToTabs(encodeFrame(kind, 0, ...parts));
  }
}
