import { type Instant, TokenBucket, later } from '@lumamesh/base';
import { NETWORK_SHARE } from '../source-budget.ts';
import type { Source } from '../source.ts';

/** How long it takes until who has stopped sending no longer has a share. */
const WINDOW_MS = 250;

/** Those who have sent in a window. */
interface Window {
  /** Bytes by network, then by address. */
  readonly sent: Map<string, Map<string, number>>;
  /** One for each address, {@link NETWORK_SHARE} for a network at most. */
  parts: number;
}

/**
 * One rate that many share: every address has an equal part of it, and a network a few of them,
 * however many addresses it sends from. Whoever sends at most that is served for as long as there is
 * anything, whoever sends more only while half of what is kept for bursts is there.
 */
export class FairRate {
  readonly #perSecond: number;
  readonly #all: TokenBucket;
  /** What only those have who keep to their share. */
  readonly #reserve: number;
  #window = newWindow();
  #before = newWindow();
  #windowEnds: Instant | null = null;

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond;
    this.#all = new TokenBucket(perSecond, burst);
    this.#reserve = burst / 2;
  }

  /** @returns Whether so many bytes may be sent from there now. */
  take(now: Instant, { host, network }: Source, bytes: number): boolean {
    this.#openWindow(now);
    const hosts = this.#hostsOf(network);
    const before = hosts.get(host);
    const sent = (before ?? 0) + bytes;
    hosts.set(host, sent);
    if (before === undefined && hosts.size <= NETWORK_SHARE) this.#window.parts += 1;
    const parts = Math.max(this.#before.parts, this.#window.parts);
    const neighbours = Math.max(this.#before.sent.get(network)?.size ?? 0, hosts.size);
    const own = Math.min(neighbours, NETWORK_SHARE) / neighbours;
    const share = (this.#perSecond * WINDOW_MS * own) / 1000 / parts;
    return this.#all.take(now, bytes, sent <= share ? 0 : this.#reserve);
  }

  #hostsOf(network: string): Map<string, number> {
    let hosts = this.#window.sent.get(network);
    if (hosts === undefined) this.#window.sent.set(network, (hosts = new Map()));
    return hosts;
  }

  #openWindow(now: Instant): void {
    if (this.#windowEnds !== null && now < this.#windowEnds) return;
    this.#before = this.#window;
    this.#window = newWindow();
    this.#windowEnds = later(now, WINDOW_MS);
  }
}

function newWindow(): Window {
  return { sent: new Map(), parts: 0 };
}
