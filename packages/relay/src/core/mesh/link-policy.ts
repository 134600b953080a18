import { Backoff, type Instant, dropOldest, later } from '@lumamesh/base';
import { type SignedRelayRecord, prefixOf } from '@lumamesh/protocol';

/** Where to dial: a relay that is known, or a place that the operator named. */
export interface DialTarget {
  readonly host: string;
  readonly port: number;
  /** Unknown for the operator's places until they answer. */
  readonly nk: string | null;
}

export interface LinkPolicyOptions {
  readonly nk: string;
  /** MESH_PEERS. */
  readonly peers: readonly { readonly host: string; readonly port: number }[];
  readonly random: () => number;
}

export type LinkOutput =
  | { readonly type: 'dial'; readonly target: DialTarget }
  | { readonly type: 'hangUp'; readonly nk: string; readonly reason: string };

export const LINK_LIMITS = {
  /** Outbound links for gossip: below the first number relays are dialled, above the second hung up. */
  minOutbound: 6,
  maxOutbound: 8,
  /** Inbound links that stay; below the hard cap of the sockets. */
  maxInbound: 96,
  maxInboundPerPrefix: 12,
  /** Links to homes of rooms, beyond those for gossip. */
  maxHomeLinks: 128,
  maxDialsAtOnce: 8,
} as const;

const RETRY_INITIAL_MS = 1000;
const RETRY_MAX_MS = 60_000;
/** A relay that has some links makes further ones for gossip no faster than this: each costs both sides a handshake, and a restarted mesh has no time to lose. */
const GROWTH_MS = 3000;
const LINKS_AT_ONCE = 2;
/** While others are still being found it waits with that, but not for longer than this. */
const RESTLESS_MS = 10_000;
const STEADY_MS = 30_000;
/** A link whose other end has shown no record that answers. */
const PROOF_MS = 30_000;
/** Now and then an outbound link is given up for a random other one, so that no ring of attackers keeps a relay for good. */
const ROTATE_MS = 15 * 60_000;
const MAX_BACKOFFS = 4096;

interface Link {
  readonly isOutbound: boolean;
  readonly prefix: string;
  readonly isLocal: boolean;
  readonly openedAt: Instant;
  isProven: boolean;
  /** What was dialled for it. */
  place: string | null;
}

/** Which links a relay keeps: a few outbound ones into different networks, those to the homes of its rooms, and inbound ones while they are not too many. */
export class LinkPolicy {
  readonly #options: LinkPolicyOptions;
  #peers: LinkPolicyOptions['peers'];
  readonly #links = new Map<string, Link>();
  /** By `host:port`. */
  readonly #dialing = new Set<string>();
  readonly #backoffs = new Map<string, { readonly backoff: Backoff; retryAt: Instant }>();
  /** What the operator's places turned out to be. */
  readonly #nodeAt = new Map<string, string>();
  #rotateAt: Instant | null = null;
  #growAt: Instant | null = null;
  #restlessSince: Instant | null = null;

  constructor(options: LinkPolicyOptions) {
    this.#options = options;
    this.#peers = options.peers;
  }

  get counts(): {
    readonly outbound: number;
    readonly inbound: number;
    readonly proven: number;
    readonly dialing: number;
  } {
    const links = [...this.#links.values()];
    const outbound = links.filter(({ isOutbound }) => isOutbound).length;
    return {
      outbound,
      inbound: links.length - outbound,
      proven: links.filter(({ isProven }) => isProven).length,
      dialing: this.#dialing.size,
    };
  }

  /** Other places to dial, from now on. */
  setPeers(peers: LinkPolicyOptions['peers']): void {
    this.#peers = peers;
  }

  handleOpen(
    now: Instant,
    nk: string,
    link: { readonly isOutbound: boolean; readonly prefix: string; readonly isLocal: boolean },
  ): void {
    this.#links.set(nk, { ...link, openedAt: now, isProven: false, place: null });
  }

  handleProven(nk: string): void {
    const link = this.#links.get(nk);
    if (link !== undefined) link.isProven = true;
  }

  handleClosed(nk: string): void {
    this.#links.delete(nk);
  }

  handleDialed(now: Instant, target: DialTarget, nk: string | null): void {
    const place = placeOf(target);
    this.#dialing.delete(place);
    // The operator may have named this relay itself: nothing to dial there.
    if (nk !== null && target.nk === null) this.#nodeAt.set(place, nk);
    const link = nk === null ? undefined : this.#links.get(nk);
    if (link !== undefined) link.place = place;
    dropOldest(this.#backoffs, MAX_BACKOFFS);
    const entry = this.#backoffs.get(place) ?? {
      backoff: new Backoff(RETRY_INITIAL_MS, RETRY_MAX_MS, this.#options.random),
      retryAt: now,
    };
    entry.retryAt = later(now, entry.backoff.nextMs());
    this.#backoffs.set(place, entry);
  }

  /**
   * What to dial and whom to hang up on, now. To be called a few times a second.
   * @param relays those that are alive
   * @param wanted homes of rooms here
   * @param isRestless whether relays are coming to be known just now
   */
  decide(
    now: Instant,
    relays: readonly SignedRelayRecord[],
    wanted: ReadonlySet<string>,
    isRestless = false,
  ): readonly LinkOutput[] {
    if (!isRestless) this.#restlessSince = null;
    else this.#restlessSince ??= now;
    const mayGrow = this.#restlessSince === null || now - this.#restlessSince > RESTLESS_MS;
    return [...this.#trim(now, wanted), ...this.#dials(now, relays, wanted, mayGrow)];
  }

  #dials(
    now: Instant,
    relays: readonly SignedRelayRecord[],
    wanted: ReadonlySet<string>,
    mayGrow: boolean,
  ): LinkOutput[] {
    const outputs: LinkOutput[] = [];
    // Only a link that has stood for a while shows that dialling there is worth it.
    for (const { place, openedAt } of this.#links.values())
      if (place !== null && now - openedAt > STEADY_MS) this.#backoffs.delete(place);
    const dial = (target: DialTarget): void => {
      const place = placeOf(target);
      if (
        this.#dialing.size >= LINK_LIMITS.maxDialsAtOnce ||
        this.#dialing.has(place) ||
        (this.#backoffs.get(place)?.retryAt ?? -Infinity) > now
      )
        return;
      this.#dialing.add(place);
      outputs.push({ type: 'dial', target });
    };
    const reachable = relays.filter(
      (record) =>
        record.meshPort !== undefined &&
        record.nk !== this.#options.nk &&
        !this.#links.has(record.nk),
    );
    let homeLinks = [...this.#links].filter(
      ([nk, { isOutbound }]) => isOutbound && wanted.has(nk),
    ).length;
    for (const record of reachable) {
      if (!wanted.has(record.nk) || homeLinks >= LINK_LIMITS.maxHomeLinks) continue;
      homeLinks += 1;
      dial(targetOf(record));
    }
    let missing =
      LINK_LIMITS.minOutbound -
      [...this.#links.values()].filter(({ isOutbound }) => isOutbound).length -
      this.#dialing.size;
    for (const peer of this.#peers) {
      const nk = this.#nodeAt.get(placeOf(peer)) ?? null;
      if (missing <= 0 || nk === this.#options.nk || (nk !== null && this.#links.has(nk))) continue;
      missing -= 1;
      dial({ ...peer, nk: null });
    }
    const hasSome = this.#links.size >= LINKS_AT_ONCE;
    if (missing <= 0 || (hasSome && (!mayGrow || (this.#growAt !== null && now < this.#growAt))))
      return outputs;
    this.#growAt = later(now, GROWTH_MS * (0.5 + this.#options.random()));
    missing = Math.min(missing, hasSome ? 1 : LINKS_AT_ONCE);
    const prefixes = new Set([...this.#links.values()].map(({ prefix }) => prefix));
    const shuffled = this.#shuffle(reachable);
    for (const isNewPrefixOnly of [true, false]) {
      for (const record of shuffled) {
        if (missing <= 0) break;
        if (isNewPrefixOnly === prefixes.has(prefixOf(record))) continue;
        if (isNewPrefixOnly) prefixes.add(prefixOf(record));
        missing -= 1;
        dial(targetOf(record));
      }
    }
    return outputs;
  }

  #trim(now: Instant, wanted: ReadonlySet<string>): LinkOutput[] {
    const outputs: LinkOutput[] = [];
    const hangUp = (nk: string, reason: string): void => {
      this.#links.delete(nk);
      outputs.push({ type: 'hangUp', nk, reason });
    };
    for (const [nk, link] of [...this.#links])
      if (!link.isProven && now - link.openedAt > PROOF_MS) hangUp(nk, 'noRecord');
    const outbound = [...this.#links].filter(
      ([nk, { isOutbound }]) => isOutbound && !wanted.has(nk),
    );
    if (this.#rotateAt === null)
      this.#rotateAt = later(now, ROTATE_MS * (0.5 + this.#options.random()));
    if (outbound.length > LINK_LIMITS.maxOutbound)
      for (const [nk] of this.#shuffle(outbound).slice(LINK_LIMITS.maxOutbound))
        hangUp(nk, 'tooManyOutbound');
    else if (now >= this.#rotateAt) {
      this.#rotateAt = later(now, ROTATE_MS * (0.5 + this.#options.random()));
      const oldest = outbound.toSorted(([, a], [, b]) => a.openedAt - b.openedAt)[0];
      if (oldest !== undefined && outbound.length >= LINK_LIMITS.minOutbound)
        hangUp(oldest[0], 'rotated');
    }
    this.#trimInbound(hangUp);
    return outputs;
  }

  /** Newcomers of the most crowded network go first; who has been here for long stays. */
  #trimInbound(hangUp: (nk: string, reason: string) => void): void {
    const byPrefix = new Map<string, [string, Link][]>();
    for (const entry of this.#links) {
      if (entry[1].isOutbound) continue;
      const group = byPrefix.get(entry[1].prefix) ?? [];
      group.push(entry);
      byPrefix.set(entry[1].prefix, group);
    }
    let total = 0;
    for (const group of byPrefix.values()) {
      group.sort(
        ([, a], [, b]) => Number(b.isProven) - Number(a.isProven) || a.openedAt - b.openedAt,
      );
      const max =
        group[0]?.[1].isLocal === true ? LINK_LIMITS.maxInbound : LINK_LIMITS.maxInboundPerPrefix;
      while (group.length > max) hangUp(group.pop()?.[0] ?? '', 'tooManyOfPrefix');
      total += group.length;
    }
    for (; total > LINK_LIMITS.maxInbound; total--) {
      const crowded = [...byPrefix.values()].toSorted((a, b) => b.length - a.length)[0];
      hangUp(crowded?.pop()?.[0] ?? '', 'tooManyInbound');
    }
  }

  #shuffle<T>(items: readonly T[]): T[] {
    const shuffled = [...items];
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = Math.floor(this.#options.random() * (i + 1));
      // Both indexes lie inside.
      [shuffled[i], shuffled[j]] = [shuffled[j] as T, shuffled[i] as T];
    }
    return shuffled;
  }
}

function targetOf(record: SignedRelayRecord): DialTarget {
  return { host: record.ip, port: record.meshPort ?? 0, nk: record.nk };
}

function placeOf({ host, port }: Pick<DialTarget, 'host' | 'port'>): string {
  return `${host}:${port}`;
}
