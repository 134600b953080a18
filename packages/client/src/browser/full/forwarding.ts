import { type Instant, TokenBucket, dropOldest, instant, later } from '@lumamesh/base';
import type { PairCipher } from '../../core/pair-cipher.ts';
import type { Frame, FrameSink } from '../../core/peer-frame.ts';
import type { Platform } from '../platform.ts';

/*
 * Two peers that cannot reach each other directly ask a third member, which both can reach, to carry what they say: sealed for the two, and bounded.
 *
 *   A → C   tag f<B>   a sealed frame for B               C → B   tag g<A>   the same, from A
 *   C → A   tag n<B>   C does not carry to B (any more)
 *
 * F and G instead of f and g: frames of the unordered channel, which may be lost.
 */

/** What a page carries for one pair, in each direction; the sender keeps to half of it. */
const CARRIED_BYTES_PER_SECOND = 131_072;
const CARRIED_BURST_BYTES = 524_288;
const MAX_BUDGETS = 1024;
/** Sealing adds this to a frame. */
const OVERHEAD_BYTES = 64;
/** Who is already behind with reading is carried nothing to. */
const MAX_BUFFERED_BYTES = 1_048_576;
const ASK_TIMEOUT_MS = 3000;
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
  sendTagged(tag: string, value: unknown, options?: { readonly reliable?: boolean }): Promise<boolean>;
}

/** Carries for others. */
export class Forwarder {
  readonly #platform: Platform;
  readonly #budgets = new Map<string, TokenBucket>();

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  /** A sealed frame of `from`, for `to`. What is not carried is said so. */
  carry(from: Carrier, to: Carrier | undefined, toId: string, bytes: Uint8Array, isReliable: boolean): void {
    const key = `${from.id} ${toId}`;
    const budget = this.#budgets.get(key) ?? new TokenBucket(CARRIED_BYTES_PER_SECOND, CARRIED_BURST_BYTES);
    if (!this.#budgets.has(key)) dropOldest(this.#budgets, MAX_BUDGETS);
    this.#budgets.set(key, budget);
    const isCarried = to?.isDirect === true && to.bufferedAmount < MAX_BUFFERED_BYTES && budget.take(this.#platform.now(), bytes.length);
    if (isCarried) void to.sendTagged((isReliable ? 'g' : 'G') + from.id, bytes, { reliable: isReliable });
    else if (isReliable) void from.sendTagged(`n${toId}`, null);
  }
}

export interface DetourEvents {
  /** A frame has come through. */
  frame(frame: Frame, isOrdered: boolean): void;
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
    return this.#waitingBytes + (this.#carrier?.bufferedAmount ?? 0);
  }

  send(frame: Frame, isReliable: boolean): void {
    const bytes = frame.length + OVERHEAD_BYTES;
    this.#waitingBytes += bytes;
    this.#queue(async () => {
      try {
        while (!this.#pace.take(this.#platform.now(), bytes) && !this.#isClosed) await this.#pause(100);
        await this.#say({ type: 'frame', frame, index: isReliable ? this.#nextOut++ : -1 }, isReliable);
      } finally {
        this.#waitingBytes -= bytes;
        this.#events.low();
      }
    });
  }

  /** Looks for somebody to go through, while there is nobody. `others`: the members that are reached now. */
  seek(now: Instant, others: readonly Carrier[]): void {
    if (this.#carrier !== null && !others.some((other) => other.id === this.#carrier?.id && other.isDirect)) this.#lose();
    if (this.#isOpen || now < this.#askAt) return;
    const candidates = others.filter((other) => other.isDirect && other.isWilling && other.id !== this.#peerId && !this.#asked.has(other.id));
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
    this.#incoming = this.#incoming.then(async () => {
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
      if (index >= 0 && index !== this.#nextIn) return;
      if (index >= 0) this.#nextIn += 1;
      this.#events.frame(frame, index >= 0);
    });
  }

  /** `carrier` carries nothing to the peer (any more). */
  handleRefused(carrierId: string): void {
    if (this.#carrier?.id === carrierId) this.#lose();
  }

  close(): void {
    this.#isClosed = true;
    this.#isOpen = false;
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
    if (!this.#isClosed) void this.#carrier?.sendTagged((isReliable ? 'f' : 'F') + this.#peerId, sealed, { reliable: isReliable });
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
