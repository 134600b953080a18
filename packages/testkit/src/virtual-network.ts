import { type Instant, instant, later } from '@lumamesh/base';
import { seededRandom } from './seeded-random.ts';

/** What a link does to datagrams. Rates are probabilities from 0 to 1. */
export interface LinkOptions {
  readonly latencyMs?: number;
  readonly lossRate?: number;
  readonly duplicateRate?: number;
  /** How many datagrams are held back for up to three latencies, so that later ones overtake them. */
  readonly reorderRate?: number;
  /** Larger datagrams vanish. */
  readonly mtuBytes?: number;
  readonly seed?: number;
  /** Chooses what is lost by hand; `index` counts the datagrams of this direction. */
  readonly drop?: (data: Uint8Array, index: number) => boolean;
}

/** Something with a clock hand: what the network wakes. */
export interface Host {
  handleDatagram(now: Instant, data: Uint8Array): void;
  handleTimeout(now: Instant): void;
  /** Sends what is to be sent (by `send`) and answers when to wake. */
  drain(now: Instant, send: (data: Uint8Array) => void): Instant | null;
}

interface Delivery {
  readonly at: Instant;
  readonly order: number;
  readonly to: Host;
  readonly data: Uint8Array;
}

/** Two hosts and the link between them, in virtual time: a minute of protocol takes a few milliseconds, and always the same ones. */
export class VirtualNetwork {
  now: Instant = instant(0);
  readonly #deliveries: Delivery[] = [];
  readonly #wakeups = new Map<Host, Instant | null>();
  readonly #links: {
    readonly from: Host;
    readonly to: Host;
    readonly options: LinkOptions;
    readonly random: () => number;
    count: number;
  }[] = [];
  #order = 0;
  /** All datagrams that were sent, for looking at afterwards. */
  readonly sent: { readonly from: Host; readonly at: Instant; readonly data: Uint8Array }[] = [];

  link(a: Host, b: Host, options: LinkOptions = {}, backwards: LinkOptions = options): void {
    this.#links.push({
      from: a,
      to: b,
      options,
      random: seededRandom(options.seed ?? 1),
      count: 0,
    });
    this.#links.push({
      from: b,
      to: a,
      options: backwards,
      random: seededRandom((backwards.seed ?? 1) + 1000),
      count: 0,
    });
    for (const host of [a, b]) this.touch(host);
  }

  /** Drains a host after something was done to it from outside. */
  touch(host: Host): void {
    this.#wakeups.set(
      host,
      host.drain(this.now, (data) => this.#send(host, data)),
    );
  }

  /** Runs until nothing happens any more or `forMs` have passed. */
  run(forMs: number): void {
    const end = later(this.now, forMs);
    for (;;) {
      const next = this.#next();
      if (next === null || next.at > end) break;
      if (next.at > this.now) this.now = next.at;
      next.act();
    }
    this.now = end;
  }

  /** Runs until `condition` holds; false when it does not within `forMs`. */
  runUntil(condition: () => boolean, forMs: number): boolean {
    const end = this.now + forMs;
    while (!condition()) {
      const next = this.#next();
      if (next === null || next.at > end) return false;
      if (next.at > this.now) this.now = next.at;
      next.act();
    }
    return true;
  }

  #next(): { readonly at: Instant; act(): void } | null {
    const delivery = this.#deliveries[0];
    let wake: { host: Host; at: Instant } | null = null;
    for (const [host, at] of this.#wakeups)
      if (at !== null && (wake === null || at < wake.at)) wake = { host, at };
    if (delivery !== undefined && (wake === null || delivery.at <= wake.at)) {
      return {
        at: delivery.at,
        act: () => {
          this.#deliveries.shift();
          delivery.to.handleDatagram(this.now, delivery.data);
          this.touch(delivery.to);
        },
      };
    }
    if (wake === null) return null;
    const { host, at } = wake;
    return {
      at,
      act: () => {
        host.handleTimeout(this.now);
        this.touch(host);
      },
    };
  }

  #send(from: Host, data: Uint8Array): void {
    this.sent.push({ from, at: this.now, data });
    const link = this.#links.find((candidate) => candidate.from === from);
    if (link === undefined) return;
    const {
      latencyMs = 0,
      lossRate = 0,
      duplicateRate = 0,
      reorderRate = 0,
      mtuBytes = Infinity,
      drop,
    } = link.options;
    const index = link.count;
    link.count += 1;
    if (data.length > mtuBytes || drop?.(data, index) === true || link.random() < lossRate) return;
    const copies = link.random() < duplicateRate ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      const extra = link.random() < reorderRate ? latencyMs * 3 * link.random() : 0;
      this.#deliver({
        at: later(this.now, latencyMs + extra),
        order: this.#order++,
        to: link.to,
        data: data.slice(),
      });
    }
  }

  #deliver(delivery: Delivery): void {
    const index = this.#deliveries.findIndex((other) => other.at > delivery.at);
    this.#deliveries.splice(index < 0 ? this.#deliveries.length : index, 0, delivery);
  }
}
