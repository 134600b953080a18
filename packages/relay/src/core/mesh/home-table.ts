import { type Instant, later } from '@lumamesh/base';
import { evictionFor } from './crowding.ts';

export const HOME_LIMITS = {
  maxHintsPerReporter: 10_000,
  maxReportersPerRoom: 64,
  maxHints: 200_000,
} as const;

/** A hint that is not repeated for this long is void; reporters repeat theirs after 40 % of it. */
export const HINT_LIFETIME_MS = 600_000;
/** How long a reporter whose link broke has to come back before its hints are void. */
const LOST_REPORTER_MS = 10_000;

/** What a reporter of a room must be told. */
export type HomeNews =
  /** Which others report it now, and which do no longer. */
  | {
      readonly type: 'reporters';
      readonly to: string;
      readonly room: string;
      readonly add: readonly string[];
      readonly remove: readonly string[];
    }
  /** There is no place for its hint, or there is none any more. */
  | { readonly type: 'refused'; readonly to: string; readonly room: string };

/**
 * What a relay knows as a home: which relays report which rooms, having members in them. Reporters
 * are told of each other; nothing is kept of who the members are. Every change returns the news it
 * makes. What is full puts out the most crowded network: of a room's reporters one, of all hints one.
 */
export class HomeTable {
  readonly #prefixOf: (nk: string) => string;
  readonly #rooms = new Map<string, Map<string, Instant>>();
  readonly #reporters = new Map<string, Set<string>>();
  readonly #lostAt = new Map<string, Instant>();
  #hints = 0;
  #refused = 0;

  /** @param prefixOf the network of a relay */
  constructor(prefixOf: (nk: string) => string) {
    this.#prefixOf = prefixOf;
  }

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

  /** A relay reports rooms. Hints over a limit are refused, which it is told. */
  add(now: Instant, reporter: string, rooms: readonly string[]): readonly HomeNews[] {
    let reported = this.#reporters.get(reporter);
    if (reported === undefined) this.#reporters.set(reporter, (reported = new Set()));
    const news: HomeNews[] = [];
    for (const room of rooms) {
      const reporters = this.#rooms.get(room) ?? new Map<string, Instant>();
      const isNew = !reporters.has(reporter);
      if (isNew && reported.size >= HOME_LIMITS.maxHintsPerReporter) {
        news.push(this.#refuse(reporter, room));
        continue;
      }
      if (isNew && reporters.size >= HOME_LIMITS.maxReportersPerRoom) {
        const evicted = evictionFor(reporters.keys(), reporter, this.#prefixOf);
        news.push(this.#refuse(evicted ?? reporter, room));
        if (evicted === null) continue;
        news.push(...this.#forget(evicted, room));
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
      if (others.length > 0)
        news.push({ type: 'reporters', to: reporter, room, add: others, remove: [] });
      if (isNew)
        for (const other of others)
          news.push({ type: 'reporters', to: other, room, add: [reporter], remove: [] });
    }
    if (reported.size === 0) this.#reporters.delete(reporter);
    return news;
  }

  withdraw(reporter: string, rooms: readonly string[]): readonly HomeNews[] {
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
  remove(reporter: string): readonly HomeNews[] {
    this.#lostAt.delete(reporter);
    return [...(this.#reporters.get(reporter) ?? [])].flatMap((room) =>
      this.#forget(reporter, room),
    );
  }

  /** Drops the hints of lost reporters that did not come back in time. */
  expireLost(now: Instant): readonly HomeNews[] {
    const news: HomeNews[] = [];
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
  expireHints(now: Instant): readonly HomeNews[] {
    const news: HomeNews[] = [];
    for (const [room, reporters] of this.#rooms) {
      for (const [reporter, at] of reporters)
        if (at <= now) news.push(...this.#forget(reporter, room));
    }
    return news;
  }

  #refuse(to: string, room: string): HomeNews {
    this.#refused += 1;
    return { type: 'refused', to, room };
  }

  /**
   * A full table evicts a hint of the network that has most, of its reporter with most, so that many
   * who fill it do not keep out one who has few.
   */
  #evictOne(): readonly HomeNews[] {
    const networks = new Map<string, number>();
    for (const [nk, { size }] of this.#reporters) {
      const prefix = this.#prefixOf(nk);
      networks.set(prefix, (networks.get(prefix) ?? 0) + size);
    }
    const most = largest(networks, (hints) => hints);
    const ofNetwork = [...this.#reporters].filter(([nk]) => this.#prefixOf(nk) === most);
    const reporter = largest(ofNetwork, ({ size }) => size);
    const [room] = this.#reporters.get(reporter ?? '') ?? [];
    if (reporter === undefined || room === undefined) return [];
    return [this.#refuse(reporter, room), ...this.#forget(reporter, room)];
  }

  #forget(reporter: string, room: string): readonly HomeNews[] {
    const reporters = this.#rooms.get(room);
    if (reporters?.delete(reporter) !== true) return [];
    this.#hints -= 1;
    const reported = this.#reporters.get(reporter);
    reported?.delete(room);
    if (reported?.size === 0) this.#reporters.delete(reporter);
    if (reporters.size === 0) this.#rooms.delete(room);
    return [...reporters.keys()].map((other) => ({
      type: 'reporters' as const,
      to: other,
      room,
      add: [],
      remove: [reporter],
    }));
  }
}

/** @returns The key whose value weighs most. */
function largest<Key, Value>(
  entries: Iterable<readonly [Key, Value]>,
  weightOf: (value: Value) => number,
): Key | undefined {
  let best: Key | undefined;
  let most = -1;
  for (const [key, value] of entries)
    if (weightOf(value) > most) [best, most] = [key, weightOf(value)];
  return best;
}
