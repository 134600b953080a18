import { type Instant, TokenBucket, dropOldest, instant, later } from '@lumamesh/base';
import type { PairCipher } from '../../core/pair-cipher.ts';
import { type Frame, type FrameSink, HIGH_WATER_BYTES } from '../../core/peer-frame.ts';
import type { Platform } from '../platform.ts';

/*
 * Two peers that cannot reach each other directly ask a third member, which both can reach, to carry what they say: sealed for the two, and bounded.
 *
 *   A → C   tag f<B>   a sealed frame for B               C → B   tag g<A>   the same, from A
 *   C → A   tag n<B>   C does not carry to B (any more)
 *
 * F and G instead of f and g: frames of the unordered channel, which may be lost.
 */

/** What a page carries for one peer; the sender keeps to half of it. */
const CARRIED_BYTES_PER_SECOND = 131_072;
const CARRIED_BURST_BYTES = 524_288;
const MAX_BUDGETS = 1024;
/** A sealed frame: one of the ordered channel may come in parts, one of the other must fit into a message. */
const MAX_CARRIED_BYTES = { ordered: 70_000, unordered: 65_000 };
/** Sealing adds this to a frame. */
const OVERHEAD_BYTES = 64;
const MAX_WAITING_BYTES = 65_536;
const ASK_TIMEOUT_MS = 3000;
/** How often a frame that was lost is complained of. */
const COMPLAIN_MS = 1000;
/** When nobody could help, all are asked again after this. */
const RETRY_MS = 10_000;

/** A peer, as far as forwarding goes. */
export interface Carrier {
  readonly id: string;
  /** Reached directly. */
  readonly isDirect: boolean;
  /** Its presence says that it carries for others. */
  readonly isWilling: boolean;
  readonly bufferedAmount: number;
  sendTagged(
    tag: string,
    value: unknown,
    options?: { readonly reliable?: boolean },
  ): Promise<boolean>;
}

/** Carries for others. */
export class Forwarder {
  readonly #platform: Platform;
  readonly #budgets = new Map<string, TokenBucket>();

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  /** A sealed frame of `from`, for `to`. What is not carried is said so. */
  carry(
    from: Carrier,
    to: Carrier | undefined,
    toId: string,
    bytes: Uint8Array,
    isReliable: boolean,
  ): void {
    const budget =
      this.#budgets.get(from.id) ?? new TokenBucket(CARRIED_BYTES_PER_SECOND, CARRIED_BURST_BYTES);
    if (!this.#budgets.has(from.id)) dropOldest(this.#budgets, MAX_BUDGETS);
    this.#budgets.set(from.id, budget);
    // Refusals cost as well: whoever is over the budget hears nothing at all.
    if (!budget.take(this.#platform.now(), bytes.length + OVERHEAD_BYTES)) return;
    const isCarried =
      to?.isDirect === true &&
      to.id !== from.id &&
      // Who is already behind with reading is carried nothing to.
      to.bufferedAmount < HIGH_WATER_BYTES &&
      bytes.length <= MAX_CARRIED_BYTES[isReliable ? 'ordered' : 'unordered'];
    if (isCarried)
      void to.sendTagged((isReliable ? 'g' : 'G') + from.id, bytes, { reliable: isReliable });
    else if (isReliable) void from.sendTagged(`n${toId}`, null);
  }
}

export interface DetourEvents {
  /** A frame has come through. */
  frame(frame: Frame, isOrdered: boolean, isFirst: boolean): void;
  /** The way is there, or lost. */
  change(isOpen: boolean): void;
  low(): void;
}

/** The way to one peer through others. */
export class Detour implements FrameSink {
  readonly #platform: Platform;
  readonly #peerId: string;
  readonly #cipher: PairCipher;
  readonly #events: DetourEvents;
  readonly #pace = new TokenBucket(CARRIED_BYTES_PER_SECOND / 2, CARRIED_BURST_BYTES / 2);
  #carrier: Carrier | null = null;
  #isOpen = false;
  #isClosed = false;
  readonly #asked = new Set<string>();
  #askAt: Instant = instant(0);
  #waitingBytes = 0;
  /** Of ordered frames, since the way was found. */
  #nextOut = 0;
  #nextIn = 0;
  #complainedAt: Instant = instant(-COMPLAIN_MS);
  /** Sealing and pacing take time; frames keep their order. */
  #outgoing: Promise<void> = Promise.resolve();
  #incoming: Promise<void> = Promise.resolve();

  constructor(platform: Platform, peerId: string, cipher: PairCipher, events: DetourEvents) {
    this.#platform = platform;
    this.#peerId = peerId;
    this.#cipher = cipher;
    this.#events = events;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get bufferedAmount(): number {
    // What is given to a way that gets lost is lost with it: little is let wait here, and the rest where it is sent from its start again.
    const { bufferedAmount = 0 } = this.#carrier?.isDirect === true ? this.#carrier : {};
    return (
      this.#waitingBytes +
      bufferedAmount +
      (this.#waitingBytes > MAX_WAITING_BYTES ? HIGH_WATER_BYTES : 0)
    );
  }

  send(frame: Frame, isReliable: boolean): void {
    const bytes = frame.length + OVERHEAD_BYTES;
    this.#waitingBytes += bytes;
    this.#queue(async () => {
      try {
        while (!this.#pace.take(this.#platform.now(), bytes) && !this.#isClosed)
          await this.#pause(100);
        await this.#say(
          { type: 'frame', frame, index: isReliable ? this.#nextOut++ : -1 },
          isReliable,
        );
      } finally {
        this.#waitingBytes -= bytes;
        this.#events.low();
      }
    });
  }

  /** Looks for somebody to go through, while there is nobody. `others`: the members that are reached now. */
  seek(now: Instant, others: readonly Carrier[]): void {
    if (
      this.#carrier !== null &&
      !others.some((other) => other.id === this.#carrier?.id && other.isDirect)
    )
      this.#lose();
    if (this.#isOpen || now < this.#askAt) return;
    const candidates = others.filter(
      (other) =>
        other.isDirect &&
        other.isWilling &&
        other.id !== this.#peerId &&
        !this.#asked.has(other.id),
    );
    const next = candidates[Math.floor(this.#platform.random() * candidates.length)];
    this.#askAt = later(now, next === undefined ? RETRY_MS : ASK_TIMEOUT_MS);
    if (next === undefined) {
      this.#asked.clear();
      return;
    }
    this.#asked.add(next.id);
    this.#carrier = next;
    this.#queue(async () => this.#say({ type: 'hello' }, true));
  }

  /** A sealed frame came through `carrier`. */
  handleSealed(carrier: Carrier, bytes: Uint8Array): void {
    const step = this.#incoming.then(async () => {
      const opened = await this.#cipher.open(bytes);
      if (!opened.ok || this.#isClosed) return;
      const message = opened.value;
      // Who asks has no way (any more), or another one: it is answered by the way it came.
      if (message.type === 'hello' || !this.#isOpen) this.#open(carrier);
      if (message.type === 'hello') this.#queue(async () => this.#say({ type: 'welcome' }, true));
      if (message.type !== 'frame') return;
      const { frame, index } = message;
      if (index === 0) this.#nextIn = 0;
      // Behind a gap the rest of a value would be mistaken for the whole: the sender begins anew when it learns of it.
      if (index >= 0 && index !== this.#nextIn) return this.#complain();
      if (index >= 0) this.#nextIn += 1;
      this.#events.frame(frame, index >= 0, index === 0);
    });
    // Frames are heard in their order, whatever becomes of one.
    this.#incoming = step.catch(() => undefined);
  }

  /** `carrier` carries nothing to the peer (any more). */
  handleRefused(carrierId: string): void {
    if (this.#carrier?.id === carrierId) this.#lose();
  }

  close(): void {
    this.#isClosed = true;
    this.#isOpen = false;
  }

  #complain(): void {
    const now = this.#platform.now();
    if (now - this.#complainedAt < COMPLAIN_MS) return;
    this.#complainedAt = now;
    this.#queue(async () => this.#say({ type: 'hello' }, true));
  }

  #open(carrier: Carrier): void {
    this.#carrier = carrier;
    this.#isOpen = true;
    this.#asked.clear();
    this.#nextOut = 0;
    this.#events.change(true);
  }

  #lose(): void {
    this.#carrier = null;
    this.#askAt = instant(0);
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#events.change(false);
  }

  async #say(message: Parameters<PairCipher['seal']>[0], isReliable: boolean): Promise<void> {
    const sealed = await this.#cipher.seal(message);
    if (!this.#isClosed && this.#carrier?.isDirect === true)
      void this.#carrier.sendTagged((isReliable ? 'f' : 'F') + this.#peerId, sealed, {
        reliable: isReliable,
      });
  }

  #queue(step: () => Promise<void>): void {
    // A carrier that is gone throws; that it is gone is noticed elsewhere.
    this.#outgoing = this.#outgoing.then(step).catch(() => undefined);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#platform.setTimer(ms, resolve);
    });
  }
}
