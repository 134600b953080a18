import { type Instant, LumameshError, instant } from '@lumamesh/base';
import {
  BULK,
  type Frame,
  type FrameSink,
  HIGH_WATER_BYTES,
  MAX_PENDING_BYTES,
  type SendOptions,
  VALUES,
} from './peer-frame.ts';

/*
 * The sending half of a lane. Frames are numbered from the beginning of the session, whatever path
 * carries them, and are kept until the other side has acknowledged them:
 *
 *   waiting values ──framed──▶ unacknowledged: [ sent on this path │ not yet ] ──acknowledged──▶ gone
 *
 * On another path it goes on with the first frame that the other side does not have.
 */

/**
 * What may be under way, unacknowledged, beside what the path itself holds. Of bulk it is little:
 * browsers queue what they are given in front of what comes later, whatever its lane.
 */
const WINDOW_BYTES = 1_048_576;
const BULK_WINDOW_BYTES = 262_144;
const MAX_HELD_BYTES = 16_777_216;
/**
 * What a value costs besides its bytes where others may ask for it: answers that they do not take.
 * What a page says of its own accord is counted by its bytes.
 */
const VALUE_COST = 256;
/** A peer that acknowledges nothing for this long while its path works has no use for anything. */
const STALLED_MS = 30_000;

/** A value on its way into frames. */
export interface Waiting {
  /** `null` while the value is still being read. */
  frames: Iterator<Frame, undefined> | null;
  size: number;
  readonly options: SendOptions;
  /** Calls after the first are of no effect. */
  readonly settle: (isDelivered: boolean) => void;
  /** Taken back: what has not been sent is not sent. */
  isAborted: boolean;
  /** The frame that is sent next, once the value has begun. */
  next?: Frame | undefined;
  sentBytes: number;
}

interface Unacknowledged {
  readonly frame: Frame;
  /** Of the value that ends here. */
  readonly value: Waiting | null;
  sentAt: Instant;
}

export class LaneSender {
  readonly #index: number;
  readonly #now: () => Instant;
  readonly #onListenerError: (error: unknown) => void;
  readonly #waiting = new Queue<Waiting>();
  readonly #frames = new Queue<Unacknowledged>();
  /** The number of the first of {@link #frames}. */
  #base = 0;
  /** How many of {@link #frames} were sent on this path, and their bytes. */
  #sent = 0;
  #sentBytes = 0;
  #frameBytes = 0;
  #waitingBytes = 0;
  #sink: FrameSink | null = null;
  /** Whether it is known what the other side has. */
  #isReady = false;
  #isPumping = false;
  #progressAt: Instant;
  readonly #pace = new Pace();

  constructor(index: number, now: () => Instant, onListenerError: (error: unknown) => void) {
    this.#index = index;
    this.#now = now;
    this.#onListenerError = onListenerError;
    this.#progressAt = now();
  }

  /** What waits, and what was not acknowledged yet. */
  get _pendingBytes(): number {
    return this.#waitingBytes + this.#frameBytes;
  }

  /** Queues a value. Throws `TOO_MUCH_PENDING`. */
  _add(value: Waiting): void {
    const cost = this.#index === VALUES ? 0 : VALUE_COST * this.#waiting._size;
    if (this._pendingBytes + cost > MAX_PENDING_BYTES)
      throw new LumameshError('TOO_MUCH_PENDING', 'more than 16 MB wait for this peer');
    this.#waiting._push(value);
    this.#waitingBytes += value.size;
  }

  /** Of a value that waits nothing more is sent; false for one that is sent already. */
  _takeBack(value: Waiting): boolean {
    value.isAborted = this.#waiting._has(value);
    if (!value.isAborted) return false;
    // It makes room at once, also while no path is there to say so.
    this.#waitingBytes -= value.size;
    value.size = 0;
    return true;
  }

  /**
   * Another path, or none. What was sent by the one before is sent again, from what the other side
   * says that it has; a lane that was never used begins at once.
   */
  _setSink(sink: FrameSink | null): void {
    this.#sink = sink;
    this.#sent = this.#sentBytes = 0;
    this.#isReady = false;
    this.#progressAt = this.#now();
    if (sink !== null && this.#frames._size === 0 && this.#base === 0) this.#begin();
  }

  /** The other side has told on this path how many frames it has. */
  _resume(sink: FrameSink, received: number): void {
    if (sink !== this.#sink || this.#isReady || !this.#drop(received)) return;
    this.#begin();
  }

  /** The other side has `received` frames. */
  _handleAck(received: number): void {
    // By whatever path: what was not sent again by this one need not be.
    if (received > this.#base) this.#drop(received);
  }

  /**
   * The other page was loaded anew, and knows nothing of what went before: what was under way is
   * lost, unless it went by `sink`, on which the new page was there from the start.
   */
  _reset(sink: FrameSink): void {
    if (this.#isReady && sink === this.#sink) return;
    if (this.#waiting._at(0)?.next !== undefined) this.#shift()?.settle(false);
    for (const { value } of this.#frames._take()) value?.settle(false);
    this.#base = this.#sent = this.#sentBytes = this.#frameBytes = 0;
    this.#isReady = false;
    if (sink === this.#sink) this.#begin();
  }

  /** Sends what may be sent. `isLast`: all of it, at whatever cost: the page goes. */
  _pump(isLast = false): void {
    // A listener of progress may send: that is taken up here.
    if (this.#isPumping) return;
    this.#isPumping = true;
    for (;;) {
      const sink = this.#sink;
      if (sink?.isOpen !== true || !this.#isReady || (!isLast && !this.#hasRoom(sink))) break;
      if (this.#sent === this.#frames._size && !this.#frameNext()) break;
      const entry = this.#frames._at(this.#sent);
      // There is one, unless a listener of progress has ended the connection, and with it the lane.
      if (entry === undefined) break;
      this.#sent += 1;
      this.#sentBytes += entry.frame.length;
      entry.sentAt = this.#now();
      sink.send(entry.frame, this.#index);
      if (entry.value?.options.delivery === 'sent') entry.value.settle(true);
    }
    this.#isPumping = false;
  }

  /** Whether the other side takes nothing any more, though it could. */
  _isStalled(now: Instant): boolean {
    // Nothing is under way, or nothing is to be expected.
    if (this.#sent === 0) this.#progressAt = now;
    return now - this.#progressAt > STALLED_MS;
  }

  /** Everything is given up. */
  _close(): void {
    this.#sink = null;
    for (const value of this.#waiting._take()) value.settle(false);
    for (const { value } of this.#frames._take()) value?.settle(false);
    this.#frameBytes = this.#waitingBytes = 0;
  }

  /** Says with which number it begins, once it is known what the other side has. */
  #begin(): void {
    this.#isReady = true;
    this.#sink?.send(`n${this.#base}`, this.#index);
  }

  #hasRoom(sink: FrameSink): boolean {
    const own = this.#index === BULK ? BULK_WINDOW_BYTES : WINDOW_BYTES;
    return (
      this.#sentBytes < own + this.#pace._heldBytes &&
      sink.queuedBytes(this.#index) <= HIGH_WATER_BYTES
    );
  }

  /** Makes the next frame of the first value that waits; false when there is none. */
  #frameNext(): boolean {
    for (;;) {
      const value = this.#waiting._at(0);
      if (value === undefined) return false;
      if (value.isAborted) {
        this.#shift()?.settle(false);
        if (value.next === undefined) continue;
        this.#push('x', null);
        return true;
      }
      const frame = value.next ?? value.frames?.next().value;
      if (frame === undefined) return false;
      value.next = value.frames?.next().value;
      const isLast = value.next === undefined;
      this.#push(frame, isLast ? value : null);
      if (isLast) this.#shift();
      value.sentBytes = isLast ? value.size : Math.min(value.size, value.sentBytes + frame.length);
      try {
        value.options.onProgress?.(value.sentBytes, value.size);
      } catch (error) {
        this.#onListenerError(error);
      }
      return true;
    }
  }

  #push(frame: Frame, value: Waiting | null): void {
    this.#frames._push({ frame, value, sentAt: instant(0) });
    this.#frameBytes += frame.length;
  }

  /** The first value that waits does so no longer. */
  #shift(): Waiting | undefined {
    const [value] = this.#waiting._take(1);
    this.#waitingBytes -= value?.size ?? 0;
    return value;
  }

  /** Forgets what the other side has; false at a number that cannot be. */
  #drop(received: number): boolean {
    // What was told before an acknowledgement may be heard after it.
    const count = Math.max(0, received - this.#base);
    if (!Number.isInteger(count) || count > this.#frames._size) return false;
    const now = this.#now();
    let bytes = 0;
    const dropped = this.#frames._take(count);
    for (const { frame } of dropped) bytes += frame.length;
    const sentAt = dropped.at(-1)?.sentAt;
    if (sentAt !== undefined) this.#pace._handleAck(bytes, sentAt, now);
    this.#base += count;
    this.#sent = Math.max(0, this.#sent - count);
    this.#sentBytes = this.#sent === 0 ? 0 : this.#sentBytes - bytes;
    this.#frameBytes -= bytes;
    this.#progressAt = now;
    for (const { value } of dropped) value?.settle(true);
    return true;
  }
}

/** What was taken of a queue stays in its array until it is so much, or there is less behind it. */
const MAX_TAKEN = 256;

/** Arrays are slow to take their first from: that takes as long as there are others. */
class Queue<Item> {
  readonly #items: Item[] = [];
  #taken = 0;

  get _size(): number {
    return this.#items.length - this.#taken;
  }

  _at(place: number): Item | undefined {
    return this.#items[this.#taken + place];
  }

  _has(item: Item): boolean {
    return this.#items.includes(item, this.#taken);
  }

  _push(item: Item): void {
    this.#items.push(item);
  }

  /** Takes out the first, or all. */
  _take(count = Number.POSITIVE_INFINITY): readonly Item[] {
    const items = this.#items.slice(this.#taken, this.#taken + count);
    this.#taken += items.length;
    if (this.#taken > Math.min(this._size, MAX_TAKEN)) {
      this.#items.splice(0, this.#taken);
      this.#taken = 0;
    }
    return items;
  }
}

/**
 * How much may be under way for a path to be busy and no more: twice what it carries in a round
 * trip, as far as that was seen (after BBR, draft-ietf-ccwg-bbr §5.5.4.1).
 */
class Pace {
  #minRoundTripMs = Number.POSITIVE_INFINITY;
  #bytesPerMs = 0;
  #bytes = 0;
  #since: Instant | null = null;

  get _heldBytes(): number {
    if (this.#bytesPerMs === 0) return 0;
    return Math.min(2 * this.#bytesPerMs * this.#minRoundTripMs, MAX_HELD_BYTES);
  }

  /** @param sentAt when the last of the bytes was sent */
  _handleAck(bytes: number, sentAt: Instant, now: Instant): void {
    this.#minRoundTripMs = Math.min(this.#minRoundTripMs, Math.max(1, now - sentAt));
    this.#since ??= sentAt;
    this.#bytes += bytes;
    const elapsedMs = now - this.#since;
    if (elapsedMs < Math.max(20, this.#minRoundTripMs)) return;
    const rate = this.#bytes / elapsedMs;
    this.#bytesPerMs = Math.max(rate, this.#bytesPerMs * 0.9);
    this.#bytes = 0;
    this.#since = now;
  }
}
