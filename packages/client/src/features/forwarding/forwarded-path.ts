import { type Instant, TokenBucket, instant, later } from '@lumamesh/base';
import { type FrameSink, type Frame, HIGH_WATER_BYTES, UNORDERED } from '../../peer/peer-frame.ts';
import type { Platform } from '../../platform/platform.ts';
import {
  FORWARDED_BURST_BYTES,
  FORWARDED_BYTES_PER_SECOND,
  type ForwardingPeer,
  OVERHEAD_BYTES,
} from './forwarder.ts';
import type { PairCipher } from './pair-cipher.ts';

const MAX_WAITING_BYTES = 65_536;
/** Of one who forwards, until they are opened: twice what a sender says at once. */
const MAX_SEALED_BYTES = FORWARDED_BURST_BYTES;
const ASK_TIMEOUT_MS = 3000;
/** How often a frame that was lost is complained of. */
const COMPLAIN_MS = 1000;
/** Each hello has all that is under way said again. */
const HELLOS_PER_SECOND = 2;
const HELLOS_BURST = 8;
/** When nobody could help, all are asked again after this. */
const RETRY_MS = 10_000;

export interface ForwardedPathEvents {
  /** A frame has come through. */
  _frame(frame: Frame, lane: number): void;
  /** The path is there, or lost. */
  _change(isOpen: boolean): void;
  _low(): void;
}

/** The path to one peer through others. */
export class ForwardedPath implements FrameSink {
  readonly #platform: Platform;
  readonly #peerId: string;
  readonly #cipher: PairCipher;
  readonly #events: ForwardedPathEvents;
  readonly #pace = new TokenBucket(FORWARDED_BYTES_PER_SECOND / 2, FORWARDED_BURST_BYTES / 2);
  readonly #hellos = new TokenBucket(HELLOS_PER_SECOND, HELLOS_BURST);
  #via: ForwardingPeer | null = null;
  #isOpen = false;
  #isClosed = false;
  readonly #asked = new Set<string>();
  #askAt: Instant = instant(0);
  #waitingBytes = 0;
  /** Bytes that wait to be opened, by who has forwarded them. */
  readonly #sealedBytes = new WeakMap<ForwardingPeer, number>();
  /** Of ordered frames, since the way was found. */
  #nextOut = 0;
  #nextIn = 0;
  #complainedAt: Instant = instant(-COMPLAIN_MS);
  /** Sealing and pacing take time; frames keep their order. */
  #outgoing: Promise<void> = Promise.resolve();
  #incoming: Promise<void> = Promise.resolve();

  constructor(platform: Platform, peerId: string, cipher: PairCipher, events: ForwardedPathEvents) {
    this.#platform = platform;
    this.#peerId = peerId;
    this.#cipher = cipher;
    this.#events = events;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** All lanes share the way: little is let wait here, so that what is urgent comes soon. */
  queuedBytes(): number {
    const { requestBytes = 0 } = this.#via?.isDirect === true ? this.#via : {};
    const isBusy = this.#waitingBytes > MAX_WAITING_BYTES;
    return this.#waitingBytes + requestBytes + (isBusy ? HIGH_WATER_BYTES : 0);
  }

  send(frame: Frame, lane: number): void {
    const isReliable = lane !== UNORDERED;
    const bytes = frame.length + OVERHEAD_BYTES;
    this.#waitingBytes += bytes;
    this.#queue(async () => {
      try {
        while (!this.#pace.take(this.#platform.now(), bytes) && !this.#isClosed)
          await this.#pause(100);
        await this.#say(
          { type: 'frame', frame, lane, index: isReliable ? this.#nextOut++ : 0 },
          isReliable,
        );
      } finally {
        this.#waitingBytes -= bytes;
        this.#events._low();
      }
    });
  }

  /**
   * Looks for somebody to go through, while there is nobody. `others`: the members that are reached
   * now.
   */
  _seek(now: Instant, others: readonly ForwardingPeer[]): void {
    if (this.#via !== null && !others.some((other) => other.id === this.#via?.id && other.isDirect))
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
    this.#via = next;
    this.#queue(async () => this.#say({ type: 'hello' }, true));
  }

  /** A sealed frame came through `forwardingPeer`. */
  _handleSealed(forwardingPeer: ForwardingPeer, bytes: Uint8Array): void {
    const wait = (bytes: number): number => {
      const all = (this.#sealedBytes.get(forwardingPeer) ?? 0) + bytes;
      this.#sealedBytes.set(forwardingPeer, all);
      return all;
    };
    const cost = bytes.length + OVERHEAD_BYTES;
    // Who forwards more than can be opened would keep what others forward waiting.
    if (wait(cost) > MAX_SEALED_BYTES) return void wait(-cost);
    const step = this.#incoming.then(async () => {
      wait(-cost);
      const opened = await this.#cipher.open(bytes);
      if (!opened.ok || this.#isClosed) return;
      const message = opened.value;
      if (message.type === 'hello' && !this.#hellos.take(this.#platform.now())) return;
      // Who asks has no way (any more), or another one: it is answered by the way it came.
      if (message.type === 'hello' || !this.#isOpen) this.#open(forwardingPeer);
      if (message.type === 'hello') this.#queue(async () => this.#say({ type: 'welcome' }, true));
      if (message.type !== 'frame') return;
      const { frame, lane, index } = message;
      if (lane !== UNORDERED) {
        if (index === 0) this.#nextIn = 0;
        // Behind a gap nothing is of use: the sender goes on from there when it learns of it.
        if (index !== this.#nextIn) return this.#complain();
        this.#nextIn += 1;
      }
      this.#events._frame(frame, lane);
    });
    // Frames are heard in their order, whatever becomes of one.
    this.#incoming = step.catch(() => undefined);
  }

  /** `forwardingPeer` carries nothing to the peer (any more). */
  _handleRefused(forwardingPeerId: string): void {
    if (this.#via?.id === forwardingPeerId) this.#lose();
  }

  _close(): void {
    this.#isClosed = true;
    this.#isOpen = false;
  }

  #complain(): void {
    const now = this.#platform.now();
    if (now - this.#complainedAt < COMPLAIN_MS) return;
    this.#complainedAt = now;
    this.#queue(async () => this.#say({ type: 'hello' }, true));
  }

  #open(forwardingPeer: ForwardingPeer): void {
    this.#via = forwardingPeer;
    this.#isOpen = true;
    this.#asked.clear();
    this.#nextOut = 0;
    this.#events._change(true);
  }

  #lose(): void {
    this.#via = null;
    this.#askAt = instant(0);
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#events._change(false);
  }

  async #say(message: Parameters<PairCipher['seal']>[0], isReliable: boolean): Promise<void> {
    const sealed = await this.#cipher.seal(message);
    if (!this.#isClosed && this.#via?.isDirect === true)
      void this.#via.sendFrame('forward', this.#peerId, sealed, {
        reliable: isReliable,
        lane: 'requests',
      });
  }

  #queue(step: () => Promise<void>): void {
    // A forwardingPeer that is gone throws; that it is gone is noticed elsewhere.
    this.#outgoing = this.#outgoing.then(step).catch(() => undefined);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#platform.setTimer(ms, resolve);
    });
  }
}
