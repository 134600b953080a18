import type { Instant } from './instant.ts';

/** A timer that was armed once; it stays, for the next time. */
interface Timer<Name> {
  readonly name: Name;
  /** Never, while it is disarmed. */
  at: Instant;
  readonly older: Timer<Name> | null;
}

const NEVER = Infinity as Instant;

/**
 * The named timers of one machine. At most one deadline per name; a machine has a handful, so a
 * scan is the fastest structure, and a chain the smallest: thousands of idle sessions keep half a
 * dozen tables each. It allocates nothing for a timer that was never armed, and once for one that
 * was.
 */
export class TimerTable<Name extends string> {
  #newest: Timer<Name> | null = null;

  /** Arms (or re-arms) a timer. */
  arm(name: Name, at: Instant): void {
    const timer = this.#find(name);
    if (timer !== null) timer.at = at;
    else this.#newest = { name, at, older: this.#newest };
  }

  disarm(name: Name): void {
    const timer = this.#find(name);
    if (timer !== null) timer.at = NEVER;
  }

  disarmAll(): void {
    this.#newest = null;
  }

  isArmed(name: Name): boolean {
    return (this.#find(name)?.at ?? NEVER) !== NEVER;
  }

  /** @returns When the next timer is due, or `null` when none is armed. */
  next(): Instant | null {
    let next = NEVER;
    for (let timer = this.#newest; timer !== null; timer = timer.older)
      if (timer.at < next) next = timer.at;
    return next === NEVER ? null : next;
  }

  /**
   * Disarms the earliest timer that is due at `now`.
   * @returns Its name, or `null` when none is due.
   */
  takeExpired(now: Instant): Name | null {
    let found: Timer<Name> | null = null;
    for (let timer = this.#newest; timer !== null; timer = timer.older)
      if (timer.at <= now && (found === null || timer.at < found.at)) found = timer;
    if (found === null) return null;
    found.at = NEVER;
    return found.name;
  }

  #find(name: Name): Timer<Name> | null {
    for (let timer = this.#newest; timer !== null; timer = timer.older)
      if (timer.name === name) return timer;
    return null;
  }
}
