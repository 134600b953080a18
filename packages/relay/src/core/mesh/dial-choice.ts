import { Backoff, type Instant, dropOldest, later } from '@lumamesh/base';
import { type SignedRelayRecord, prefixOf } from '@lumamesh/protocol';
import { LINK_LIMITS } from './link-limits.ts';
import type { MeshLink } from './mesh-link.ts';
import { shuffled } from './shuffled.ts';

/** Where to dial: a relay that is known, or a place that the operator named. */
export interface DialTarget {
  readonly host: string;
  readonly port: number;
  /** Unknown for the operator's places until they answer. */
  readonly nk: string | null;
}

export interface DialChoiceOptions {
  readonly nk: string;
  /** MESH_PEERS. */
  readonly peers: readonly { readonly host: string; readonly port: number }[];
  /** A number in [0, 1). */
  readonly random: () => number;
}

/** What this looks at of a link. */
export type DialledLink = Pick<MeshLink, 'nk' | 'isOutbound' | 'prefix' | 'openedAt' | 'place'>;

const RETRY_INITIAL_MS = 1000;
const RETRY_MAX_MS = 60_000;
/**
 * A relay that has some links makes further ones for gossip no faster than this: each costs both
 * sides a handshake, and a restarted mesh has no time to lose.
 */
const GROWTH_MS = 3000;
const LINKS_AT_ONCE = 2;
/** While others are still being found it waits with that, but not for longer than this. */
const MAX_CONVERGING_MS = 10_000;
/** A link that has stood for so long shows that dialling there is worth it. */
const STABLE_AFTER_MS = 30_000;
const MAX_BACKOFFS = 4096;

/**
 * Whom to dial: the homes of rooms here, the operator's places, and a few relays in different
 * networks.
 */
export class DialChoice {
  readonly #options: DialChoiceOptions;
  #peers: DialChoiceOptions['peers'];
  /** By `host:port`, as are backoffs and the node keys below. */
  readonly #dialing = new Set<string>();
  readonly #backoffs = new Map<string, { readonly backoff: Backoff; retryAt: Instant }>();
  /** What the operator's places turned out to be. */
  readonly #nodeKeyAt = new Map<string, string>();
  #growAt: Instant | null = null;
  #convergingSince: Instant | null = null;

  constructor(options: DialChoiceOptions) {
    this.#options = options;
    this.#peers = options.peers;
  }

  get dialing(): number {
    return this.#dialing.size;
  }

  /** Other places to dial, from now on. */
  setPeers(peers: DialChoiceOptions['peers']): void {
    this.#peers = peers;
  }

  /** A dial has ended. @param nk who is there; `null` when nobody answered */
  noteDialed(now: Instant, target: DialTarget, nk: string | null): void {
    const place = placeOf(target);
    this.#dialing.delete(place);
    // The operator may have named this relay itself: nothing to dial there.
    if (nk !== null && target.nk === null) this.#nodeKeyAt.set(place, nk);
    dropOldest(this.#backoffs, MAX_BACKOFFS);
    const entry = this.#backoffs.get(place) ?? {
      backoff: new Backoff(RETRY_INITIAL_MS, RETRY_MAX_MS, this.#options.random),
      retryAt: now,
    };
    entry.retryAt = later(now, entry.backoff.nextMs());
    this.#backoffs.set(place, entry);
  }

  /**
   * Whom to dial now; each target is taken for being dialled until {@link noteDialed}.
   * @param relays those that are alive
   * @param wanted homes of rooms here
   * @param isConverging whether relays are coming to be known just now
   */
  decide(
    now: Instant,
    links: readonly DialledLink[],
    relays: readonly SignedRelayRecord[],
    wanted: ReadonlySet<string>,
    isConverging: boolean,
  ): DialTarget[] {
    this.#convergingSince = isConverging ? (this.#convergingSince ?? now) : null;
    for (const { place, openedAt } of links)
      if (place !== null && now - openedAt > STABLE_AFTER_MS) this.#backoffs.delete(place);
    const linked = new Set(links.map(({ nk }) => nk));
    const reachable = relays.filter(
      ({ nk, meshPort }) => meshPort !== undefined && nk !== this.#options.nk && !linked.has(nk),
    );
    const targets = this.#homes(now, links, reachable, wanted);
    const outbound = links.filter(({ isOutbound }) => isOutbound).length;
    let missing = LINK_LIMITS.minOutbound - outbound - this.#dialing.size;
    for (const peer of this.#peers) {
      const nk = this.#nodeKeyAt.get(placeOf(peer)) ?? null;
      if (nk === this.#options.nk || (nk !== null && linked.has(nk))) continue;
      missing -= 1;
      targets.push(...this.#dial(now, { ...peer, nk: null }));
    }
    if (missing <= 0 || !this.#mayGrow(now, links.length)) return targets;
    return [...targets, ...this.#grow(now, links, reachable, missing)];
  }

  #homes(
    now: Instant,
    links: readonly DialledLink[],
    reachable: readonly SignedRelayRecord[],
    wanted: ReadonlySet<string>,
  ): DialTarget[] {
    const standing = links.filter(({ nk, isOutbound }) => isOutbound && wanted.has(nk)).length;
    return reachable
      .filter(({ nk }) => wanted.has(nk))
      .slice(0, Math.max(0, LINK_LIMITS.maxHomeLinks - standing))
      .flatMap((record) => this.#dial(now, targetOf(record)));
  }

  #mayGrow(now: Instant, links: number): boolean {
    if (links < LINKS_AT_ONCE) return true;
    const hasConverged =
      this.#convergingSince === null || now - this.#convergingSince > MAX_CONVERGING_MS;
    return hasConverged && (this.#growAt === null || now >= this.#growAt);
  }

  /** Relays for gossip, in networks without a link before others. */
  #grow(
    now: Instant,
    links: readonly DialledLink[],
    reachable: readonly SignedRelayRecord[],
    missing: number,
  ): DialTarget[] {
    this.#growAt = later(now, GROWTH_MS * (0.5 + this.#options.random()));
    let left = Math.min(missing, links.length >= LINKS_AT_ONCE ? 1 : LINKS_AT_ONCE);
    const targets: DialTarget[] = [];
    const prefixes = new Set(links.map(({ prefix }) => prefix));
    const inRandomOrder = shuffled(reachable, this.#options.random);
    for (const isNewPrefixOnly of [true, false]) {
      for (const record of inRandomOrder) {
        if (left <= 0) break;
        if (isNewPrefixOnly === prefixes.has(prefixOf(record))) continue;
        if (isNewPrefixOnly) prefixes.add(prefixOf(record));
        left -= 1;
        targets.push(...this.#dial(now, targetOf(record)));
      }
    }
    return targets;
  }

  /** The target, when it may be dialled now. */
  #dial(now: Instant, target: DialTarget): readonly DialTarget[] {
    const place = placeOf(target);
    if (
      this.#dialing.size >= LINK_LIMITS.maxDialsAtOnce ||
      this.#dialing.has(place) ||
      (this.#backoffs.get(place)?.retryAt ?? -Infinity) > now
    )
      return [];
    this.#dialing.add(place);
    return [target];
  }
}

/** @returns `host:port`. */
export function placeOf({ host, port }: Pick<DialTarget, 'host' | 'port'>): string {
  return `${host}:${port}`;
}

function targetOf(record: SignedRelayRecord): DialTarget {
  return { host: record.ip, port: record.meshPort ?? 0, nk: record.nk };
}
