import type { FairShare } from './fair-share.ts';

/** What a member costs besides its presence. */
const MEMBER_BYTES = 256;

/**
 * The members of a room over one relay, by peer id, with their presence. What all rosters of a relay
 * hold counts against its share.
 */
export class Roster {
  readonly #nk: string;
  readonly #share: FairShare<string>;
  readonly #members = new Map<string, string>();

  constructor(nk: string, share: FairShare<string>) {
    this.#nk = nk;
    this.#share = share;
  }

  get size(): number {
    return this.#members.size;
  }

  has(peer: string): boolean {
    return this.#members.has(peer);
  }

  get(peer: string): string | undefined {
    return this.#members.get(peer);
  }

  keys(): Iterable<string> {
    return this.#members.keys();
  }

  [Symbol.iterator](): Iterator<[peer: string, presence: string]> {
    return this.#members[Symbol.iterator]();
  }

  /** @returns False when its relay has no place for that much. */
  set(peer: string, presence: string): boolean {
    const before = this.#members.get(peer);
    if (!this.#share.take(this.#nk, costOf(presence) - costOf(before))) return false;
    this.#members.set(peer, presence);
    return true;
  }

  delete(peer: string): boolean {
    this.#share.give(this.#nk, costOf(this.#members.get(peer)));
    return this.#members.delete(peer);
  }

  clear(): void {
    for (const peer of [...this.#members.keys()]) this.delete(peer);
  }
}

function costOf(presence: string | undefined): number {
  return presence === undefined ? 0 : MEMBER_BYTES + presence.length;
}
