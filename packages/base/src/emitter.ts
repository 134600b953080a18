type Listener = (...values: readonly unknown[]) => void;

/**
 * Typed events. A listener that throws does not keep the others from being called;
 * `onListenerError` hears of it.
 */
export class Emitter<Events extends Record<string, readonly unknown[]>> {
  readonly #listeners = new Map<keyof Events, Set<Listener>>();
  readonly #onListenerError: (error: unknown) => void;

  constructor(onListenerError: (error: unknown) => void) {
    this.#onListenerError = onListenerError;
  }

  /**
   * Calls `listener` on every `event` from now on.
   * @returns An unsubscribe function.
   */
  on<Name extends keyof Events>(
    event: Name,
    listener: (...values: Events[Name]) => void,
  ): () => void {
    let set = this.#listeners.get(event);
    if (set === undefined) this.#listeners.set(event, (set = new Set()));
    // Stored under its event's name only, so it is only ever called with that event's values.
    const stored = listener as unknown as Listener;
    set.add(stored);
    return () => {
      set.delete(stored);
    };
  }

  /** @internal Whether anybody listens to `event`. */
  has(event: keyof Events): boolean {
    return (this.#listeners.get(event)?.size ?? 0) > 0;
  }

  /** @internal */
  emit<Name extends keyof Events>(event: Name, ...values: Events[Name]): void {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) {
      try {
        listener(...values);
      } catch (error) {
        this.#onListenerError(error);
      }
    }
  }
}
