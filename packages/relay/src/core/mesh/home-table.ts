import { type Instant, later } from '@lumamesh/base';

export const HOME_LIMITS = {
  maxHintsPerReporter: 10_000,
  maxReportersPerRoom: 64,
  maxHints: 200_000,
} as const;

/** A hint that is not repeated for this long is void; reporters repeat theirs after 40 % of it. */
export const HINT_LIFETIME_MS = 600_000;
/** How long a reporter whose link broke has to come back before its hints are void. */
const LOST_REPORTER_MS = 10_000;

/** What a reporter of a room must be told: which others report it now, and which do no longer. */
export interface ReporterNews {
  readonly to: string;
  readonly room: string;
  readonly add: readonly string[];
  readonly remove: readonly string[];
}

/**
 * What a relay knows as a home: which relays report which rooms, having members in them. Reporters
 * are told of each other; nothing is kept of who the members are. Every change returns the news it
 * makes.
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

  reports(reporter: string, room: string): boolean {
    return this.#rooms.get(room)?.has(reporter) === true;
  }

  /** A relay reports rooms. Hints over a limit are refused and counted. */
  add(now: Instant, reporter: string, rooms: readonly string[]): readonly ReporterNews[] {
    let reported = this.#reporters.get(reporter);
    if (reported === undefined) this.#reporters.set(reporter, (reported = new Set()));
    const news: ReporterNews[] = [];
    for (const room of rooms) {
      const reporters = this.#rooms.get(room) ?? new Map<string, Instant>();
      const isNew = !reporters.has(reporter);
      if (isNew && !this.#hasCapacity(reported, reporters)) {
        this.#refused += 1;
        continue;
      }
      if (isNew && this.#hints >= HOME_LIMITS.maxHints) news.push(...this.#evictOne());
      reporters.set(reporter, later(now, HINT_LIFETIME_MS));
      this.#rooms.set(room, reporters);
      if (isNew) {
        reported.add(room);
        this.#hints += 1;
      }
      const others = [...reporters.keys()].filter((other) => other !== reporter);
      // A repeated hint is answered as well: the answer may have been lost.
      if (others.length > 0) news.push({ to: reporter, room, add: others, remove: [] });
      if (isNew)
        for (const other of others) news.push({ to: other, room, add: [reporter], remove: [] });
    }
    if (reported.size === 0) this.#reporters.delete(reporter);
    return news;
  }

  withdraw(reporter: string, rooms: readonly string[]): readonly ReporterNews[] {
    return rooms.flatMap((room) => this.#forget(reporter, room));
  }

  /** The link to a reporter broke: what it does not say again within a moment is void. */
  markLost(now: Instant, reporter: string): void {
    const rooms = this.#reporters.get(reporter);
    if (rooms === undefined) return;
    const endsAt = later(now, LOST_REPORTER_MS);
    for (const room of rooms) {
      const reporters = this.#rooms.get(room);
      if ((reporters?.get(reporter) ?? endsAt) > endsAt) reporters?.set(reporter, endsAt);
    }
    this.#lostAt.set(reporter, endsAt);
  }

  isLost(reporter: string): boolean {
    return this.#lostAt.has(reporter);
  }

  /** A reporter is known to be dead, or was put out. */
  remove(reporter: string): readonly ReporterNews[] {
    this.#lostAt.delete(reporter);
    return [...(this.#reporters.get(reporter) ?? [])].flatMap((room) =>
      this.#forget(reporter, room),
    );
  }

  /** Drops the hints of lost reporters that did not come back in time. */
  expireLost(now: Instant): readonly ReporterNews[] {
    const news: ReporterNews[] = [];
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

  /**
   * Drops expired hints, looking at all; a link that is up but silent is rare, so once a minute is
   * enough.
   */
  expireHints(now: Instant): readonly ReporterNews[] {
    const news: ReporterNews[] = [];
    for (const [room, reporters] of this.#rooms) {
      for (const [reporter, at] of reporters)
        if (at <= now) news.push(...this.#forget(reporter, room));
    }
    return news;
  }

  #hasCapacity(reported: ReadonlySet<string>, reporters: ReadonlyMap<string, Instant>): boolean {
    return (
      reported.size < HOME_LIMITS.maxHintsPerReporter &&
      reporters.size < HOME_LIMITS.maxReportersPerRoom
    );
  }

  /**
   * A full table evicts a hint of whoever has most, so that many who fill it do not keep out one
   * who has few.
   */
  #evictOne(): readonly ReporterNews[] {
    const [most] = [...this.#reporters].toSorted(([, a], [, b]) => b.size - a.size);
    const room = most?.[1].values().next().value;
    if (most === undefined || room === undefined) return [];
    this.#refused += 1;
    return this.#forget(most[0], room);
  }

  #forget(reporter: string, room: string): readonly ReporterNews[] {
    const reporters = this.#rooms.get(room);
    if (reporters?.delete(reporter) !== true) return [];
    this.#hints -= 1;
    const reported = this.#reporters.get(reporter);
    reported?.delete(room);
    if (reported?.size === 0) this.#reporters.delete(reporter);
    if (reporters.size === 0) this.#rooms.delete(room);
    return [...reporters.keys()].map((other) => ({ to: other, room, add: [], remove: [reporter] }));
  }
}
