import { type Instant, type RandomBytes, TimerHeap, readUint16, readUint32 } from '@lumamesh/base';
import { HalfOpenPool } from '../half-open-pool.ts';
import type { Source } from '../source.ts';
import { SourceCounts } from '../source-counts.ts';
import type { TransportAddress } from '../stun/attributes/xor-mapped-address.ts';
import type { Allocation } from './allocation.ts';
import type { TurnGrant } from './turn-grants.ts';
import type { TurnLimits } from './turn-limits.ts';

/** 198.18.0.0/15 is for measurements between networks (RFC 2544): no host of the Internet has it. */
const RELAYED_PREFIX = 0xc6120000;
const RELAYED_HOST_MASK = 0x1ffff;
const LOWEST_RELAYED_PORT = 49_152;
const HOST_SHARE = 8;
const NETWORK_SHARE = 4;

/** The allocations of a server: by five-tuple, by relayed address, by when they end, by source. */
export class AllocationTable {
  readonly #limits: TurnLimits;
  readonly #byKey = new Map<string, Allocation>();
  readonly #byRelayed = new Map<string, Allocation>();
  readonly #byGrant = new Map<TurnGrant, Set<Allocation>>();
  readonly #bySource = new SourceCounts();
  readonly #heap = new TimerHeap<Allocation>();
  /** Those that nothing was forwarded for. */
  readonly #idle = new HalfOpenPool<Allocation>();

  constructor(limits: TurnLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#byKey.size;
  }

  get deadline(): Instant | null {
    return this.#heap.peek()?.deadline ?? null;
  }

  at(key: string): Allocation | undefined {
    return this.#byKey.get(key);
  }

  atRelayed(address: string): Allocation | undefined {
    return this.#byRelayed.get(address);
  }

  of(grant: TurnGrant): readonly Allocation[] {
    return [...(this.#byGrant.get(grant) ?? [])];
  }

  /** An address that no allocation has: whoever has a permission for it has it for one peer. */
  newRelayedAddress(randomBytes: RandomBytes): TransportAddress {
    for (;;) {
      const bytes = randomBytes(6);
      const ip = (RELAYED_PREFIX | (readUint32(bytes, 0) & RELAYED_HOST_MASK)) >>> 0;
      const last = ip & 0xff;
      if (last === 0 || last === 0xff) continue;
      const address = `${ip >>> 24}.${(ip >>> 16) & 0xff}.${(ip >>> 8) & 0xff}.${last}`;
      if (this.#byRelayed.has(address)) continue;
      return { address, port: LOWEST_RELAYED_PORT + (readUint16(bytes, 4) & 0x3fff) };
    }
  }

  /**
   * Whether a grant may have one more allocation at this source; RFC 8656 §7.2: 486 when its own
   * quota is reached, 508 when the server has no room. Who has allocated without use may have to
   * go first.
   */
  refusal({ session }: TurnGrant, source: Source): 486 | 508 | null {
    const { maxAllocations, allocationsPerSession } = this.#limits;
    const ofHost = Math.max(allocationsPerSession, maxAllocations / HOST_SHARE);
    const ofNetwork = Math.max(allocationsPerSession, maxAllocations / NETWORK_SHARE);
    if (
      session.allocations >= allocationsPerSession ||
      this.#bySource.ofHost(source) >= ofHost ||
      this.#bySource.ofNetwork(source) >= ofNetwork
    )
      return 486;
    return this.size < maxAllocations || this.#idle.size > 0 ? null : 508;
  }

  /** The allocation that has to go before one more comes, or `null`. */
  inTheWay(source: Source): Allocation | null {
    if (this.size < this.#limits.maxAllocations) return null;
    return this.#idle.inTheWay(source, 0, Infinity);
  }

  add(allocation: Allocation): void {
    const { key, relayed, grant, source } = allocation;
    this.#byKey.set(key, allocation);
    this.#byRelayed.set(relayed.address, allocation);
    const ofGrant = this.#byGrant.get(grant);
    if (ofGrant === undefined) this.#byGrant.set(grant, new Set([allocation]));
    else ofGrant.add(allocation);
    this.#idle.add(allocation);
    this.#count(grant, source, 1);
    this.#heap.set(allocation, allocation.expiresAt);
  }

  handleRefreshed(allocation: Allocation): void {
    this.#heap.set(allocation, allocation.expiresAt);
  }

  /** Something is forwarded for it. */
  handleUsed(allocation: Allocation): void {
    if (!allocation.isIdle) return;
    allocation.isIdle = false;
    this.#idle.delete(allocation);
  }

  remove(allocation: Allocation): void {
    if (allocation.isGone) return;
    allocation.end();
    const { key, relayed, grant, source } = allocation;
    this.#byKey.delete(key);
    this.#byRelayed.delete(relayed.address);
    const ofGrant = this.#byGrant.get(grant);
    ofGrant?.delete(allocation);
    if (ofGrant?.size === 0) this.#byGrant.delete(grant);
    this.#idle.delete(allocation);
    this.#count(grant, source, -1);
    this.#heap.set(allocation, null);
  }

  /** @returns An allocation whose time is over, or `null`. */
  takeExpired(now: Instant): Allocation | null {
    const next = this.#heap.peek();
    return next !== null && next.expiresAt <= now ? next : null;
  }

  #count(grant: TurnGrant, source: Source, by: 1 | -1): void {
    grant.allocations += by;
    grant.session.allocations += by;
    grant.room.allocations += by;
    this.#bySource.change(source, by);
  }
}
