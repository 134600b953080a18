import { type Instant, later } from '@lumamesh/base';

/** How long a member may take to come back after its relay was restarted. */
const REJOIN_GRACE_MS = 15_000;
const MAX_MEMBERS = 1000;

export interface Member {
  /** What it says of itself, opened. */
  presence: unknown;
  /** Names its stay in the room, and only rises. */
  stay: number;
  /** The counter of the presence: what it says later has a higher one. -1 while nothing was heard. */
  revision: number;
  /** The relays that list it. */
  readonly relays: Set<string>;
  /** When it counts as gone, while no relay lists it. */
  goneAt: Instant;
}

/**
 * Who is in a room, by all that relays and the members themselves say. A member is what its newest
 * presence says, whatever is shown of it later.
 */
export class Members {
  readonly #members = new Map<string, Member>();
  readonly #random: () => number;
  readonly #onPushedOut: (id: string) => void;

  /** @param onPushedOut hears of a member that has made place for another */
  constructor(random: () => number, onPushedOut: (id: string) => void) {
    this.#random = random;
    this.#onPushedOut = onPushedOut;
  }

  get _ids(): readonly string[] {
    return [...this.#members.keys()];
  }

  /** The members that relays list now. */
  get _listed(): readonly (readonly [id: string, member: Member])[] {
    return [...this.#members].filter(([, { relays }]) => relays.size > 0);
  }

  _get(id: string): Member | undefined {
    return this.#members.get(id);
  }

  /**
   * Its presence was heard, by a relay that lists it.
   * @param revision the counter of the presence, which is not below that of its `stay`
   * @param mayGo whether a member may make place for another
   */
  _see(
    id: string,
    presence: unknown,
    stay: number,
    revision: number,
    relay: string,
    now: Instant,
    mayGo: (id: string) => boolean,
  ): Member {
    const member = this.#take(id, stay, now, mayGo);
    if (stay >= member.stay && revision >= member.revision)
      Object.assign(member, { presence, stay, revision });
    member.relays.add(relay);
    return member;
  }

  /** It has signaled: it is there, whoever lists it or not. */
  _hear(id: string, stay: number, now: Instant, mayGo: (id: string) => boolean): void {
    const member = this.#take(id, stay, now, mayGo);
    // What it says of this stay may yet come.
    member.stay = Math.max(member.stay, stay);
  }

  /** A relay lists a member no more. After a restart of the relay all come back one by one. */
  _forget(relay: string, ids: readonly string[], now: Instant): void {
    for (const id of ids) {
      const member = this.#members.get(id);
      if (member?.relays.delete(relay) === true && member.relays.size === 0)
        member.goneAt = later(now, REJOIN_GRACE_MS);
    }
  }

  /** Those whom nobody lists any more, and who had time to come back. */
  _gone(now: Instant): readonly string[] {
    return this._ids.filter((id) => {
      const member = this.#members.get(id);
      return member?.relays.size === 0 && now >= member.goneAt;
    });
  }

  _drop(id: string): void {
    this.#members.delete(id);
  }

  #take(id: string, stay: number, now: Instant, mayGo: (id: string) => boolean): Member {
    const known = this.#members.get(id);
    if (known !== undefined) return known;
    // Members cost those who make them up nothing: any of those who are not met gives its place.
    if (this.#members.size >= MAX_MEMBERS) {
      const idle = this._ids.filter(mayGo);
      const chosen = idle[Math.floor(this.#random() * idle.length)] ?? '';
      if (this.#members.delete(chosen)) this.#onPushedOut(chosen);
    }
    const member = {
      presence: {},
      stay,
      revision: -1,
      relays: new Set<string>(),
      goneAt: later(now, REJOIN_GRACE_MS),
    };
    this.#members.set(id, member);
    return member;
  }
}
