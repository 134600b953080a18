/** Items by what they share, such as a network: how many there are of each, and which. */
export class Groups<Item> {
  readonly #groups = new Map<string, Set<Item>>();
  readonly #names = new Map<Item, string>();

  /** How many groups there are. */
  get size(): number {
    return this.#groups.size;
  }

  sizeOf(name: string): number {
    return this.#groups.get(name)?.size ?? 0;
  }

  /** The items of a group, in the order they came. */
  of(name: string): Iterable<Item> {
    return this.#groups.get(name) ?? [];
  }

  /** @returns The group of an item; empty for one that is in none. */
  nameOf(item: Item): string {
    return this.#names.get(item) ?? '';
  }

  /** The items of the group that has most. */
  largest(): Iterable<Item> {
    let largest: ReadonlySet<Item> = new Set<Item>();
    for (const group of this.#groups.values()) if (group.size > largest.size) largest = group;
    return largest;
  }

  /** An item that is in no group. */
  add(name: string, item: Item): void {
    const group = this.#groups.get(name) ?? new Set<Item>();
    this.#groups.set(name, group.add(item));
    this.#names.set(item, name);
  }

  delete(item: Item): void {
    const name = this.nameOf(item);
    const group = this.#groups.get(name);
    this.#names.delete(item);
    if (group?.delete(item) === true && group.size === 0) this.#groups.delete(name);
  }
}
