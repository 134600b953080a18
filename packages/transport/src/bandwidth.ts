import { Fifo, type Instant, later } from '@lumamesh/base';
import { type Remote, fiveTupleKey } from './five-tuple.ts';
import { NETWORK_SHARE } from './source-budget.ts';
import { sourceOf } from './source.ts';
import { WaitingShares } from './waiting-shares.ts';

/** What a datagram costs besides: the headers of IPv4 and UDP. */
export const DATAGRAM_HEADER_BYTES = 28;
/** However low the rate is, a handshake passes at once. */
const MIN_BURST_BYTES = 65_536;
/** What comes in takes at most this share: nobody can be kept from sending, only from being answered. */
const RECEIVED_SHARE = 1 / 2;
/** Of the burst: what has to be left for newcomers to be answered, and for forwarding. */
const NEWCOMERS_SPARE = 1 / 4;
const FORWARDING_SPARE = 1 / 2;
/** What waits leaves within half a second or so: more would be sent again before it has left. */
const WAITING_SECONDS = 0.5;
const MIN_WAITING_BYTES = 32_768;
const MAX_WAITING_BYTES = 4 * 2 ** 20;
/** What a datagram that waits costs in memory besides. */
const WAITING_OVERHEAD_BYTES = 256;
/**
 * However many wait, each session may have five datagrams there, up to so much of all: what is lost
 * again and again would end it.
 */
const MIN_SHARE_BYTES = 8192;
const MAX_MIN_SHARES_BYTES = 16 * 2 ** 20;

export interface Waiting {
  readonly type: 'transmit';
  readonly remote: Remote;
  readonly data: Uint8Array;
}

/**
 * A bandwidth that everything shares, in and out: a bucket of bytes. As it empties, forwarding
 * stops first (it is a lossy line, and its ends send more slowly), then newcomers are no longer
 * answered; what sessions are sent waits here at last, networks having their turns, and of each its
 * five-tuples, a few in a turn. A session that has something here sends nothing more until it has
 * left: the rest waits in SCTP, as always.
 */
export class Bandwidth {
  readonly bytesPerSecond: number;
  readonly #burst: number;
  /** Below zero where something could not wait. */
  #tokens: number;
  #receivedTokens: number;
  #at: Instant;
  /** By five-tuple. */
  readonly #queues = new Map<string, Fifo<Waiting>>();
  readonly #shares: WaitingShares;
  /** Their keys by network; both in the order of their turns. */
  readonly #turns = new Map<string, Set<string>>();
  /** Datagrams of the network whose turn it is that have left in it. */
  #leftInTurn = 0;

  constructor(now: Instant, bytesPerSecond: number) {
    this.bytesPerSecond = bytesPerSecond;
    this.#burst = Math.max(bytesPerSecond, MIN_BURST_BYTES);
    this.#shares = new WaitingShares({
      maxBytes: Math.min(
        MAX_WAITING_BYTES,
        Math.max(MIN_WAITING_BYTES, bytesPerSecond * WAITING_SECONDS),
      ),
      minShareBytes: MIN_SHARE_BYTES,
      maxMinSharesBytes: MAX_MIN_SHARES_BYTES,
    });
    this.#tokens = this.#burst;
    this.#receivedTokens = this.#burst * RECEIVED_SHARE;
    this.#at = now;
  }

  /** What waits to be sent, at what it costs. */
  get waitingBytes(): number {
    return this.#shares.bytes;
  }

  /** When the next of those that wait may leave. */
  get deadline(): Instant | null {
    if (this.#queues.size === 0) return null;
    const missing = Math.max(0, 1 - this.#tokens);
    return later(this.#at, Math.ceil((missing / this.bytesPerSecond) * 1000));
  }

  /** Whether something waits for a five-tuple, by its key. */
  holds(key: string): boolean {
    return this.#queues.has(key);
  }

  handleReceived(now: Instant, bytes: number): void {
    this.#refill(now);
    const cost = Math.min(bytes + DATAGRAM_HEADER_BYTES, this.#receivedTokens);
    this.#receivedTokens -= cost;
    this.#charge(cost);
  }

  /** Something that is small and cannot wait is sent. */
  spend(now: Instant, bytes: number): void {
    this.#refill(now);
    this.#charge(bytes + DATAGRAM_HEADER_BYTES);
  }

  /** Whether those who have no session are answered. */
  admitsNewcomers(now: Instant): boolean {
    this.#refill(now);
    return this.#tokens >= this.#burst * NEWCOMERS_SPARE;
  }

  /** Takes what it costs to send on a datagram that was forwarded. @returns Whether that is there. */
  takeForwarded(now: Instant, bytes: number): boolean {
    this.#refill(now);
    if (this.#tokens < this.#burst * FORWARDING_SPARE) return false;
    this.#charge(bytes + DATAGRAM_HEADER_BYTES);
    return true;
  }

  /**
   * A session has something to send.
   * @returns `send` it now; it `waits`, and comes by {@link poll}; or no more may wait: `drop`.
   */
  offer(now: Instant, remote: Remote, data: Uint8Array): 'send' | 'waits' | 'drop' {
    this.#refill(now);
    if (this.#queues.size === 0 && this.#tokens > 0) {
      this.#charge(data.length + DATAGRAM_HEADER_BYTES);
      return 'send';
    }
    const key = fiveTupleKey(remote);
    if (!this.#shares.take(key, data.length + WAITING_OVERHEAD_BYTES)) return 'drop';
    const known = this.#queues.get(key);
    const queue = known ?? new Fifo<Waiting>();
    // A copy: `data` is a view that keeps a whole chunk of other datagrams.
    queue.push({ type: 'transmit', remote, data: data.slice() });
    if (known === undefined) {
      this.#queues.set(key, queue);
      this.#addTurn(key, sourceOf(remote.address).network);
    }
    return 'waits';
  }

  /** @returns The next of those that waited, or `null` while there is nothing for it. */
  poll(now: Instant): Waiting | null {
    if (this.#queues.size === 0) return null;
    this.#refill(now);
    if (this.#tokens <= 0) return null;
    const key = this.#takeTurn();
    const queue = key === null ? undefined : this.#queues.get(key);
    const waiting = queue?.shift();
    if (key === null || queue === undefined || waiting === undefined) return null;
    this.#shares.release(key, waiting.data.length + WAITING_OVERHEAD_BYTES);
    if (queue.size > 0) this.#addTurn(key, sourceOf(waiting.remote.address).network);
    else this.#queues.delete(key);
    this.#charge(waiting.data.length + DATAGRAM_HEADER_BYTES);
    return waiting;
  }

  /** Behind the others. */
  #addTurn(key: string, network: string): void {
    const keys = this.#turns.get(network);
    if (keys === undefined) this.#turns.set(network, new Set([key]));
    else keys.add(key);
  }

  /** @returns The five-tuple whose turn it is, which has none any more. */
  #takeTurn(): string | null {
    const [turn] = this.#turns;
    if (turn === undefined) return null;
    const [network, keys] = turn;
    const [key = null] = keys;
    this.#leftInTurn += 1;
    const isOver = this.#leftInTurn >= Math.min(keys.size, NETWORK_SHARE);
    if (key !== null) keys.delete(key);
    if (isOver || keys.size === 0) {
      this.#leftInTurn = 0;
      this.#turns.delete(network);
      if (keys.size > 0) this.#turns.set(network, keys);
    }
    return key;
  }

  /** A debt is one of a second at most. */
  #charge(bytes: number): void {
    this.#tokens = Math.max(-this.bytesPerSecond, this.#tokens - bytes);
  }

  #refill(now: Instant): void {
    if (now <= this.#at) return;
    const gained = ((now - this.#at) / 1000) * this.bytesPerSecond;
    this.#at = now;
    this.#tokens = Math.min(this.#burst, this.#tokens + gained);
    this.#receivedTokens = Math.min(
      this.#burst * RECEIVED_SHARE,
      this.#receivedTokens + gained * RECEIVED_SHARE,
    );
  }
}
