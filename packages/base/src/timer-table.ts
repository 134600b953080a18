import { earlier, type Instant } from './instant.ts';

/**
 * The named timers of one machine. At most one deadline per name; a machine has a handful, so a
 * scan is the fastest structure. It allocates nothing for a timer that was never armed.
 */
export class TimerTable<Name extends string> {
  #names: Name[] = [];
  #deadlines: Instant[] = [];

  /** Arms (or re-arms) a timer. */
  arm(name: Name, at: Instant): void {
    const index = this.#names.indexOf(name);
    if (index >= 0) this.#deadlines[index] = at;
    else {
      this.#names.push(name);
      this.#deadlines.push(at);
    }
  }

  disarm(name: Name): void {
    const index = this.#names.indexOf(name);
    if (index < 0) return;
    this.#names.splice(index, 1);
    this.#deadlines.splice(index, 1);
  }

  disarmAll(): void {
    this.#names = [];
    this.#deadlines = [];
  }

  isArmed(name: Name): boolean {
    return this.#names.includes(name);
  }

  /** @returns When the next timer is due, or `null` when none is armed. */
  next(): Instant | null {
    let next: Instant | null = null;
    // By index: this runs several times for every datagram, and an iterator each time would be most
    // of what the collector has to do.
    for (let i = 0; i < this.#deadlines.length; i++)
      next = earlier(next, this.#deadlines[i] ?? null);
    return next;
  }

  /**
   * Disarms the earliest timer that is due at `now`.
   * @returns Its name, or `null` when none is due.
   */
  takeExpired(now: Instant): Name | null {
    let found = -1;
    let foundAt = now;
    for (let i = 0; i < this.#deadlines.length; i++) {
      const at = this.#deadlines[i];
      if (at !== undefined && at <= foundAt && (found < 0 || at < foundAt)) {
        found = i;
        foundAt = at;
      }
    }
    const name = this.#names[found];
    if (name !== undefined) this.disarm(name);
    return name ?? null;
  }
}
