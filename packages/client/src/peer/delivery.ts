import { type Instant, TokenBucket, instant, toBase64Url } from '@lumamesh/base';
import { LaneSender, type Waiting } from './lane.ts';
import { checkSendOptions } from '../options.ts';
import {
  BULK_BYTES,
  CONTROL,
  type FrameSink,
  HIGH_WATER_BYTES,
  LANES,
  LANE_BY_NAME,
  REQUESTS,
  type SendOptions,
  UNORDERED,
} from './peer-frame.ts';
import { encodeValue, tooLarge } from './plain-values.ts';
import {
  MAX_SMALL_BYTES,
  MAX_VALUE_BYTES,
  type StructuredCodec,
  ValueReader,
  framesOf,
  readSmallFrame,
  smallFrame,
} from './value-frames.ts';

/*
 * Values to and from one peer: exactly once, in the order of their lane, over as many connections
 * as it takes. Beside the numbered frames (value-frames.ts) a lane carries
 *
 *   r<session>                  which page this is; asks where the other one is with the lane
 *   w<session> <count>          to the page of that session: so many of your frames are here
 *   n<number>                   the number of the frame that comes next on this path
 *
 * and the control lane also `a<lane> <count> <session>`: an acknowledgement, as `w`.
 */

/** Received values are acknowledged after this much, or this time. */
const ACK_BYTES = 65_536;
const ACK_DELAY_MS = 5;
/** Of a value on the control lane, which strangers may use. */
const MAX_CONTROL_BYTES = 1_048_576;
/** A frame that is forwarded for others fits. */
const MAX_REQUEST_BYTES = 131_072;
/** Of a frame that is about frames. */
const MAX_WORDS_LENGTH = 64;
/** How often a page may say which one it is: on each lane of a path once. */
const MEETINGS_PER_SECOND = 128;
const MEETINGS_BURST = 1024;
/** One that is another page than before begins anew with all that was agreed on. */
const RESET_COST = 128;

/** What deliveries need of the peer. */
export interface DeliveryHost {
  readonly platform: {
    readonly crypto: { getRandomValues(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> };
    readonly now: () => Instant;
    setTimer(ms: number, run: () => void): () => void;
  };
  readonly onListenerError: (error: unknown) => void;
  readonly _codec: StructuredCodec | undefined;
  /** Whether values go, and not only what the control lane carries. */
  _isAdmitted(): boolean;
  /** Whether there is a gate that has not let the peer in. */
  _isGuarded(): boolean;
  _deliver(tag: string, value: unknown, isReliable: boolean): void;
  _handleProgress(receivedBytes: number, totalBytes: number): void;
  /** The other page is another one than before: it was loaded anew. */
  _handleReset(): void;
}

/** What was heard of a lane on one path. */
interface PathState {
  /** Which page is at its other end. */
  readonly session: string;
  /** The number of the frame that comes next; -1 before it was said. */
  next: number;
  /** The other side waits to hear how much is here. */
  isAsked: boolean;
}

interface LaneReceiver {
  reader: ValueReader;
  /** How many frames of the other page were read, and how many it knows of. */
  received: number;
  acknowledged: number;
  readonly paths: WeakMap<FrameSink, PathState>;
}

export class Delivery {
  readonly #host: DeliveryHost;
  /** Names this page to the other one, for as long as they know each other. */
  readonly #session: string;
  #remoteSession = '';
  readonly #meetings = new TokenBucket(MEETINGS_PER_SECOND, MEETINGS_BURST);
  readonly #senders: readonly LaneSender[];
  readonly #receivers: readonly LaneReceiver[];
  #sink: FrameSink | null = null;
  /** Nothing is read any more: what comes now is not acknowledged. */
  #isMuted = false;
  #unacknowledgedBytes = 0;
  #acknowledgedAt: Instant = instant(-ACK_DELAY_MS);
  #isAckDue = false;
  readonly #whenFlushed: (() => void)[] = [];

  constructor(host: DeliveryHost) {
    const { platform, onListenerError } = host;
    this.#host = host;
    this.#session = toBase64Url(platform.crypto.getRandomValues(new Uint8Array(9)));
    this.#senders = LANES.map((lane) => new LaneSender(lane, platform.now, onListenerError));
    this.#receivers = LANES.map((lane) => ({
      reader: this.#makeReader(lane),
      received: 0,
      acknowledged: 0,
      paths: new WeakMap(),
    }));
  }

  /** What the other side has not acknowledged yet. */
  get _pendingBytes(): number {
    return this.#senders.reduce((sum, { _pendingBytes: bytes }) => sum + bytes, 0);
  }

  get _requestBytes(): number {
    return this.#senders[REQUESTS]?._pendingBytes ?? 0;
  }

  /**
   * Sends a value, or queues it. Throws `NOT_SENDABLE`, `MESSAGE_TOO_LARGE`, `TOO_MUCH_PENDING` or
   * `BAD_ARGUMENT`.
   * @param isControl whether it goes also before the peer was let in
   * @returns what becomes of it; never rejects
   */
  _send(tag: string, value: unknown, options: SendOptions, isControl: boolean): Promise<boolean> {
    checkSendOptions(options);
    const { kind, length, body } = encodeValue(value, this.#host._codec);
    const { reliable = true, signal } = options;
    const lane = laneOf(options, length);
    if (length > (isControl ? MAX_CONTROL_BYTES : MAX_VALUE_BYTES))
      throw tooLarge('a value has at most 256 MB');
    if (!reliable) {
      if (body instanceof Promise || length > MAX_SMALL_BYTES)
        throw tooLarge('an unreliable value has at most 64 KB');
      const sink = this.#host._isAdmitted() && signal?.aborted !== true ? this.#sink : null;
      // What may be lost is lost while nobody is there, or too much waits already.
      const goes = sink?.isOpen === true && sink.queuedBytes(UNORDERED) < HIGH_WATER_BYTES;
      if (goes) sink.send(smallFrame(tag, kind, body), UNORDERED);
      return Promise.resolve(goes);
    }
    const settled = Promise.withResolvers<boolean>();
    const sender = this.#senders[isControl ? CONTROL : LANE_BY_NAME[lane]];
    const abort = (): void => {
      // What is under way as a whole will arrive.
      if (!sender?._takeBack(item)) return;
      settled.resolve(false);
      this._pump();
    };
    const item: Waiting = {
      frames: body instanceof Promise ? null : framesOf(tag, kind, body),
      size: length,
      options,
      settle: (isDelivered) => {
        signal?.removeEventListener('abort', abort);
        settled.resolve(isDelivered);
      },
      isAborted: false,
      sentBytes: 0,
    };
    sender?._add(item);
    signal?.addEventListener('abort', abort);
    if (signal?.aborted === true) abort();
    if (body instanceof Promise)
      void body.then((read) => {
        if (read === null) return abort();
        item.frames = framesOf(tag, kind, read);
        this._pump();
      });
    this._pump();
    return settled.promise;
  }

  /** A frame of the other side. Returns false for one that ends the peer. */
  _handleFrame(path: FrameSink, lane: number, data: unknown): boolean {
    if (lane === UNORDERED) {
      if (!this.#isMuted && (typeof data === 'string' || data instanceof ArrayBuffer))
        readSmallFrame(data, this.#host._codec, (tag, value) =>
          this.#host._deliver(tag, value, false),
        );
      return true;
    }
    const receiver = this.#receivers[lane];
    if (receiver === undefined) return true;
    if (data instanceof ArrayBuffer) return this.#read(receiver, path, data);
    if (typeof data !== 'string') return true;
    if (!/^[rwna]/.test(data)) return this.#read(receiver, path, data);
    const [first = '', count, session] = data.slice(1, MAX_WORDS_LENGTH).split(' ');
    switch (data[0]) {
      case 'r':
        if (!this.#meet(first, path)) return false;
        receiver.paths.set(path, { session: first, next: -1, isAsked: true });
        this.#answer(path);
        break;
      case 'w':
        if (first === this.#session) this.#senders[lane]?._resume(path, Number(count));
        this._pump();
        break;
      case 'n': {
        const state = receiver.paths.get(path);
        if (state !== undefined) state.next = Number(first);
        break;
      }
      case 'a':
        if (session === this.#session) this.#senders[Number(first)]?._handleAck(Number(count));
        this._pump();
        break;
      default:
    }
    return true;
  }

  /** Values go this way from now on; `null`: there is none. */
  _setSink(sink: FrameSink | null): void {
    this.#sink = sink;
    for (const [lane, sender] of this.#senders.entries()) {
      sink?.send(`r${this.#session}`, lane);
      sender._setSink(sink);
    }
    if (sink !== null) this.#answer(sink);
    this._pump();
  }

  /** Sends what may be sent. `isLast`: all that can be, since the page goes. */
  _pump(isLast = false): void {
    for (const [lane, sender] of this.#senders.entries())
      if (lane === CONTROL || this.#host._isAdmitted()) sender._pump(isLast);
    this.#scheduleAck();
    if (this._pendingBytes > 0) return;
    for (const resolve of this.#whenFlushed.splice(0)) resolve();
  }

  /** Whether the other side takes nothing any more, though it could. */
  _isStalled(now: Instant): boolean {
    return this.#senders.some((sender) => sender._isStalled(now));
  }

  /** Nothing is heard any more. */
  _mute(): void {
    this.#isMuted = true;
  }

  /** Resolves when the other side has everything, or nothing more can be done for that. */
  async _flush(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenFlushed.push(resolve);
      this._pump();
    });
  }

  _close(): void {
    this._mute();
    for (const sender of this.#senders) sender._close();
    this._pump();
  }

  #makeReader(lane: number): ValueReader {
    const host = this.#host;
    return new ValueReader({
      codec: host._codec,
      maxBytes: () =>
        // The other side may be ready first: without a gate that is no offence.
        lane === CONTROL ? MAX_CONTROL_BYTES : host._isGuarded() ? 0 : MAX_VALUE_BYTES,
      deliver: (tag, value) => host._deliver(tag, value, true),
      onProgress: (received, total) => host._handleProgress(received, total),
    });
  }

  #read(receiver: LaneReceiver, path: FrameSink, data: string | ArrayBuffer): boolean {
    const state = receiver.paths.get(path);
    if (state === undefined || this.#isMuted || state.session !== this.#remoteSession) return true;
    const number = state.next;
    state.next += 1;
    // Heard by another path already.
    if (number !== receiver.received) return true;
    receiver.received += 1;
    this.#unacknowledgedBytes += typeof data === 'string' ? data.length : data.byteLength;
    const isGood = receiver.reader._read(data);
    this.#scheduleAck();
    return isGood;
  }

  /** The other page has said which one it is; false where it does so too often. */
  #meet(session: string, path: FrameSink): boolean {
    const isAnother = this.#remoteSession !== session && this.#remoteSession !== '';
    this.#remoteSession = session;
    if (!this.#meetings.take(this.#host.platform.now(), isAnother ? RESET_COST : 1)) return false;
    if (!isAnother) return true;
    for (const [lane, receiver] of this.#receivers.entries()) {
      receiver.reader = this.#makeReader(lane);
      receiver.received = receiver.acknowledged = 0;
    }
    for (const sender of this.#senders) sender._reset(path);
    if (!this.#isMuted) this.#host._handleReset();
    return true;
  }

  /** Tells how much of each lane is here, where the other side has asked, as soon as it can. */
  #answer(path: FrameSink): void {
    if (!path.isOpen) return;
    for (const [lane, { paths, received }] of this.#receivers.entries()) {
      const state = paths.get(path);
      if (state?.isAsked !== true) continue;
      state.isAsked = false;
      path.send(`w${state.session} ${received}`, lane);
    }
  }

  #scheduleAck(): void {
    const { platform } = this.#host;
    const elapsedMs = platform.now() - this.#acknowledgedAt;
    if (this.#unacknowledgedBytes >= ACK_BYTES || elapsedMs >= ACK_DELAY_MS) this.#acknowledge();
    else if (!this.#isAckDue) {
      this.#isAckDue = true;
      platform.setTimer(ACK_DELAY_MS, () => {
        this.#isAckDue = false;
        this.#acknowledge();
      });
    }
  }

  /** What was let in only is acknowledged, for it may be forgotten until then. */
  #acknowledge(): void {
    if (this.#sink?.isOpen !== true || this.#isMuted) return;
    for (const [lane, receiver] of this.#receivers.entries()) {
      const { received } = receiver;
      if (received === receiver.acknowledged || !(lane === CONTROL || this.#host._isAdmitted()))
        continue;
      receiver.acknowledged = received;
      this.#acknowledgedAt = this.#host.platform.now();
      this.#unacknowledgedBytes = 0;
      this.#sink.send(`a${lane} ${received} ${this.#remoteSession}`, CONTROL);
    }
  }
}

/** Large values wait for nobody who is in a hurry, unless the page says so. */
function laneOf({ lane }: SendOptions, length: number): keyof typeof LANE_BY_NAME {
  if (lane === 'requests') return length > MAX_REQUEST_BYTES ? 'bulk' : lane;
  return lane ?? (length > BULK_BYTES ? 'bulk' : 'values');
}
