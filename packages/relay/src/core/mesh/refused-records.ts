import { type Instant, dropOldest, later } from '@lumamesh/base';
import { DIRECTORY_LIMITS } from './directory-limits.ts';

/**
 * What others say of a relay that failed is not looked at before this, if its record stays the
 * same.
 */
const REFUSED_MS = 60_000;

/** Ids of records that were looked at lately and not taken. */
export class RefusedRecords {
  /** Until when. */
  readonly #until = new Map<string, Instant>();

  get size(): number {
    return this.#until.size;
  }

  has(id: string): boolean {
    return this.#until.has(id);
  }

  keys(): Iterable<string> {
    return this.#until.keys();
  }

  add(now: Instant, id: string): void {
    dropOldest(this.#until, DIRECTORY_LIMITS.maxRefused);
    this.#until.set(id, later(now, REFUSED_MS));
  }

  delete(id: string): void {
    this.#until.delete(id);
  }

  expire(now: Instant): void {
    for (const [id, until] of this.#until) if (until <= now) this.#until.delete(id);
  }
}
