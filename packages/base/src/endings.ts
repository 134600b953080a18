/**
 * What ends what was begun with each of several, such as listening to a room and to its members: of
 * one who is gone nothing is kept.
 */
export class Endings<Owner> {
  readonly #byOwner = new Map<Owner, readonly (() => void)[]>();

  /** In the place of what was there of this owner. */
  set(owner: Owner, ...endings: readonly (() => void)[]): void {
    this.#byOwner.set(owner, endings);
  }

  /** Who is gone has nothing to be ended. */
  forget(owner: Owner): void {
    this.#byOwner.delete(owner);
  }

  /** Ends everything, once. */
  end(): void {
    const endings = [...this.#byOwner.values()].flat();
    this.#byOwner.clear();
    for (const ending of endings) ending();
  }
}
