import { type Instant, later } from '@lumamesh/base';

export const HOME_LIMITS = {
  maxHintsPerReporter: 10_000,
  maxReportersPerRoom: 64,
  maxHints: 200_000,
} as const;

/** A hint that is not repeated for this long is void; reporters repeat theirs after 40 % of it. */
export const HINT_LIFETIME_MS = 600_000;
/** How long a reporter whose link broke may take to come back before its hints are void. */
const LOST_REPORTER_MS = 10_000;

/** What the holders of a room must be told. */
export interface HolderNews {
  readonly to: string;
  readonly room: string;
  readonly add: readonly string[];
  readonly gone: readonly string[];
}

/**
 * What a relay knows as a home: which relays have members in which rooms. Reporters are told of each other, and nothing is kept of who the members are.
 */
export class HomeTable {
  readonly #rooms = new Map<string, Map<string, Instant>>();
  readonly #reporters = new Map<string, Set<string>>();
  readonly #lostAt = new Map<string, Instant>();
  #hints = 0;
  #refused = 0;

  get counts(): {
    readonly rooms: number;
    readonly hints: number;
    readonly reporters: number;
    readonly refused: number;
  } {
    return {
      rooms: this.#rooms.size,
      hints: this.#hints,
      reporters: this.#reporters.size,
      refused: this.#refused,
    };
  }

  holds(room: string, reporter: string): boolean {
    return this.#rooms.get(room)?.has(reporter) === true;
  }

  /** A relay says that it has members in rooms. Answers whom to tell what; hints over a limit are refused and counted. */
  handleHints(now: Instant, reporter: string, rooms: readonly string[]): readonly HolderNews[] {
    let reported = this.#reporters.get(reporter);
    if (reported === undefined) this.#reporters.set(reporter, (reported = new Set()));
    const news: HolderNews[] = [];
    for (const room of rooms) {
      const holders = this.#rooms.get(room) ?? new Map<string, Instant>();
      const isNew = !holders.has(reporter);
      if (isNew && !this.#hasRoomFor(reported, holders)) {
        this.#refused += 1;
        continue;
      }
      if (isNew && this.#hints >= HOME_LIMITS.maxHints) news.push(...this.#evict());
      holders.set(reporter, later(now, HINT_LIFETIME_MS));
      this.#rooms.set(room, holders);
      if (isNew) {
        reported.add(room);
        this.#hints += 1;
      }
      const others = [...holders.keys()].filter((other) => other !== reporter);
      // A repeated hint is answered as well: an answer may have been lost.
      if (others.length > 0) news.push({ to: reporter, room, add: others, gone: [] });
      if (isNew)
        for (const other of others) news.push({ to: other, room, add: [reporter], gone: [] });
    }
    if (reported.size === 0) this.#reporters.delete(reporter);
    return news;
  }

  handleUnhint(reporter: string, rooms: readonly string[]): readonly HolderNews[] {
    return rooms.flatMap((room) => this.#forget(reporter, room));
  }

  /** The link to a reporter broke: what it does not say again within a moment is void. */
  handleReporterLost(now: Instant, reporter: string): void {
    const rooms = this.#reporters.get(reporter);
    if (rooms === undefined) return;
    const endsAt = later(now, LOST_REPORTER_MS);
    for (const room of rooms) {
      const holders = this.#rooms.get(room);
      if ((holders?.get(reporter) ?? endsAt) > endsAt) holders?.set(reporter, endsAt);
    }
    this.#lostAt.set(reporter, endsAt);
  }

  isLost(reporter: string): boolean {
    return this.#lostAt.has(reporter);
  }

  /** A reporter is known to be dead, or was put out. */
  handleReporterDead(reporter: string): readonly HolderNews[] {
    this.#lostAt.delete(reporter);
    return [...(this.#reporters.get(reporter) ?? [])].flatMap((room) =>
      this.#forget(reporter, room),
    );
  }

  /** Drops what has expired. To be called every few seconds. */
  handleTimeout(now: Instant): readonly HolderNews[] {
    const news: HolderNews[] = [];
    for (const [reporter, at] of this.#lostAt) {
      if (at > now) continue;
      this.#lostAt.delete(reporter);
      for (const room of [...(this.#reporters.get(reporter) ?? [])]) {
        if ((this.#rooms.get(room)?.get(reporter) ?? now) <= now)
          news.push(...this.#forget(reporter, room));
      }
    }
    return news;
  }

  /** Looks through all hints for expired ones; a link that is up but silent is rare, so once a minute is enough. */
  expire(now: Instant): readonly HolderNews[] {
    const news: HolderNews[] = [];
    for (const [room, holders] of this.#rooms) {
      for (const [reporter, at] of holders)
        if (at <= now) news.push(...this.#forget(reporter, room));
    }
    return news;
  }

  #hasRoomFor(reported: ReadonlySet<string>, holders: ReadonlyMap<string, Instant>): boolean {
    return (
      reported.size < HOME_LIMITS.maxHintsPerReporter &&
      holders.size < HOME_LIMITS.maxReportersPerRoom
    );
  }

  /** A full table takes the place of a new hint from whoever has most, so that many who fill it do not keep out one who has little to say. */
  #evict(): readonly HolderNews[] {
    const [most] = [...this.#reporters].toSorted(([, a], [, b]) => b.size - a.size);
    const room = most?.[1].values().next().value;
    if (most === undefined || room === undefined) return [];
    this.#refused += 1;
    return this.#forget(most[0], room);
  }

  #forget(reporter: string, room: string): readonly HolderNews[] {
    const holders = this.#rooms.get(room);
    if (holders?.delete(reporter) !== true) return [];
    this.#hints -= 1;
    const reported = this.#reporters.get(reporter);
    reported?.delete(room);
    if (reported?.size === 0) this.#reporters.delete(reporter);
    if (holders.size === 0) this.#rooms.delete(room);
    return [...holders.keys()].map((other) => ({ to: other, room, add: [], gone: [reporter] }));
  }
}
