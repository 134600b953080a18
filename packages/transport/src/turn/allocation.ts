import { type HeapEntry, type Instant, TokenBucket, bytesEqual } from '@lumamesh/base';
import type { Remote } from '../five-tuple.ts';
import type { Source } from '../source.ts';
import type { TransportAddress } from '../stun/attributes/xor-mapped-address.ts';
import type { TurnGrant } from './turn-grants.ts';

/** Permissions and channels of one allocation, each for a peer. */
const MAX_LINKS = 64;
/** Requests on an allocation: a browser refreshes every few minutes, and adds peers one by one. */
const REQUESTS_PER_SECOND = 10;
const REQUESTS_BURST = 100;

/** What one allocation lets another one send to it, and how. */
export interface Link {
  readonly peer: Allocation;
  /** Of both directions. */
  readonly bytes: TokenBucket;
  /** RFC 8656 §9: a permission lasts 5 minutes. */
  permittedUntil: Instant;
  /** Zero while no channel is bound. */
  channel: number;
  /** RFC 8656 §12: a channel binding lasts 10 minutes. */
  boundUntil: Instant;
}

/**
 * An allocation (RFC 8656 §2). Its relayed address is of 198.18.0.0/15 and bound to no socket: it
 * stands for the allocation among those of this server.
 */
export class Allocation implements HeapEntry {
  readonly remote: Remote;
  readonly key: string;
  readonly source: Source;
  readonly grant: TurnGrant;
  readonly relayed: TransportAddress;
  /** `relayed` as the value of XOR-PEER-ADDRESS, which for IPv4 no transaction id changes. */
  readonly xorRelayed: Uint8Array;
  readonly createdAt: Instant;
  /** What its client was told, and somebody who forges its five-tuple has not heard. */
  nonce: Uint8Array;
  expiresAt: Instant;
  #isGone = false;
  /** Nothing was forwarded for it so far: it goes first when there is no room. */
  isIdle = true;
  deadline: Instant | null = null;
  heapIndex = -1;
  readonly #requests = new TokenBucket(REQUESTS_PER_SECOND, REQUESTS_BURST);
  #strangersRequests: TokenBucket | null = null;
  /** By the address of the peer's allocation. */
  readonly #links = new Map<string, Link>();
  readonly #channels = new Map<number, Link>();

  constructor(
    fields: Pick<
      Allocation,
      | 'remote'
      | 'key'
      | 'source'
      | 'grant'
      | 'relayed'
      | 'xorRelayed'
      | 'createdAt'
      | 'expiresAt'
      | 'nonce'
    >,
  ) {
    this.remote = fields.remote;
    this.key = fields.key;
    this.source = fields.source;
    this.grant = fields.grant;
    this.relayed = fields.relayed;
    this.xorRelayed = fields.xorRelayed;
    this.createdAt = fields.createdAt;
    this.expiresAt = fields.expiresAt;
    this.nonce = fields.nonce;
  }

  /** Whether a nonce is the one that its client has. */
  knows(nonce: Uint8Array | undefined): boolean {
    return nonce !== undefined && bytesEqual(nonce, this.nonce);
  }

  /** Whether a request on its five-tuple is looked at; those of its client whatever others send. */
  takeRequest(now: Instant, nonce: Uint8Array | undefined): boolean {
    const bucket = this.knows(nonce)
      ? this.#requests
      : (this.#strangersRequests ??= new TokenBucket(REQUESTS_PER_SECOND, REQUESTS_BURST));
    return bucket.take(now);
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  /**
   * It is no more. Peers may still have links to it, so it lets go of its own: else those that are
   * gone would keep each other, one after another.
   */
  end(): void {
    this.#isGone = true;
    this.#links.clear();
    this.#channels.clear();
  }

  /** The link to a peer that is still there, or `null`. */
  linkTo(peer: Allocation): Link | null {
    const link = this.#links.get(peer.relayed.address);
    return link?.peer === peer ? link : null;
  }

  /** The link of a bound channel, or `null`. */
  linkOf(channel: number, now: Instant): Link | null {
    const link = this.#channels.get(channel);
    return link === undefined || link.boundUntil <= now || link.peer.isGone ? null : link;
  }

  /** Whether there may be a link to this peer as well. */
  hasRoomFor(now: Instant, peers: ReadonlySet<Allocation>): boolean {
    const added = [...peers].filter((peer) => this.linkTo(peer) === null).length;
    if (this.#links.size + added <= MAX_LINKS) return true;
    for (const link of this.#links.values())
      if (link.peer.isGone || (link.permittedUntil <= now && link.boundUntil <= now))
        this.#unlink(link);
    return this.#links.size + added <= MAX_LINKS;
  }

  /** The link to a peer, made where there is none. `makeBytes` makes what its pair may send. */
  link(now: Instant, peer: Allocation, makeBytes: () => TokenBucket): Link {
    const existing = this.#links.get(peer.relayed.address);
    if (existing?.peer === peer) return existing;
    if (existing !== undefined) this.#unlink(existing);
    const bytes = peer.linkTo(this)?.bytes ?? makeBytes();
    const link: Link = { peer, bytes, permittedUntil: now, channel: 0, boundUntil: now };
    this.#links.set(peer.relayed.address, link);
    return link;
  }

  /**
   * Binds a channel to a link, or refreshes it.
   * @returns False when the number stands for another peer, or the peer has another number.
   */
  bind(now: Instant, link: Link, channel: number, until: Instant): boolean {
    const other = this.linkOf(channel, now);
    if (other !== null && other !== link) return false;
    if (link.channel !== channel) {
      if (link.boundUntil > now) return false;
      if (this.#channels.get(link.channel) === link) this.#channels.delete(link.channel);
    }
    this.#channels.set(channel, link);
    link.channel = channel;
    link.boundUntil = until;
    return true;
  }

  #unlink(link: Link): void {
    this.#links.delete(link.peer.relayed.address);
    if (this.#channels.get(link.channel) === link) this.#channels.delete(link.channel);
  }
}
