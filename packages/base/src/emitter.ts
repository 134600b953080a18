import { expectThat, expectType } from './arguments.ts';

type Listener = (...values: readonly unknown[]) => void;

/**
 * Typed events. A listener that throws does not keep the others from being called;
 * `onListenerError` hears of it.
 */
export class Emitter<Events extends Record<string, readonly unknown[]>> {
  readonly #listeners = new Map<unknown, Set<Listener>>();
  readonly #onListenerError: (error: unknown) => void;

  constructor(
    onListenerError: (error: unknown) => void,
    events: readonly (keyof Events & string)[],
  ) {
    this.#onListenerError = onListenerError;
    this._addEvents(events);
  }

  /**
   * Calls `listener` on every `event` from now on: as often as it was given. Throws `BAD_ARGUMENT`.
   * @returns An unsubscribe function, for this call of `on` and no other.
   */
  on<Name extends keyof Events>(
    event: Name,
    listener: (...values: Events[Name]) => void,
  ): () => void {
    const set = this.#listeners.get(event);
    const allowed = `one of ${[...this.#listeners.keys()].join(', ')}`;
    expectThat(set !== undefined, 'on: event', allowed, event);
    expectType('on: listener', listener, 'function');
    // Stored under its event's name only, so it is only ever called with that event's values.
    const stored: Listener = (...values) => listener(...(values as unknown as Events[Name]));
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

  /** @internal Further events that may be listened to. */
  _addEvents(events: readonly string[]): void {
    for (const event of events) this.#listeners.set(event, this.#listeners.get(event) ?? new Set());
  }
}
