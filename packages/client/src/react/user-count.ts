/**
 * Counts who uses a thing, and ends it when nobody does any more. StrictMode, hot reloads and
 * components that take each other's place let go and take hold again in one go; so the end comes in
 * a microtask, and only when nobody has taken hold until then.
 */
export class UserCount {
  readonly #end: () => void;
  #users = 0;
  #isEndDue = false;

  constructor(end: () => void) {
    this.#end = end;
  }

  /** One user more. Returns a function that ends it; calling it again does nothing. */
  take(): () => void {
    this.#users += 1;
    let isTaken = true;
    return () => {
      if (!isTaken) return;
      isTaken = false;
      this.#users -= 1;
      this.#look();
    };
  }

  #look(): void {
    if (this.#users > 0 || this.#isEndDue) return;
    this.#isEndDue = true;
    queueMicrotask(() => {
      this.#isEndDue = false;
      if (this.#users === 0) this.#end();
    });
  }
}
