import { Emitter, type Instant, LumameshError, instant } from '@lumamesh/base';
import type {
  BasePeer,
  CloseOptions,
  PeerCloseReason,
  PeerEvents,
  PeerRole,
  PeerState,
} from '../api.ts';
import { checkCloseOptions } from '../options.ts';
import { extend, refuseTwice } from '../extend.ts';
import type { FrameHandler, PeerHandle, PeerPart } from '../feature.ts';
import type { Platform } from '../platform/platform.ts';
import { Delivery, type DeliveryHost } from './delivery.ts';
import type { FrameSink, SendOptions } from './peer-frame.ts';
import { PeerLink, type PeerLinkEvents } from './peer-link.ts';
import { SignalBudget } from './signal-budget.ts';
import { BYE, type PeerSignal, fieldsOf } from './signal.ts';
import type { StructuredCodec } from './value-frames.ts';

/** A connection that failed for good is begun anew this often before the peer is given up. */
const MAX_RECONNECTS = 3;
/** A peer may restart its connection this often: each time costs an RTCPeerConnection. */
const RESTART_INTERVAL_MS = 1000;
/** Candidates that overtook their description. */
const MAX_HELD_SIGNALS = 16;
/** Values that come before this side has let the peer in. */
const MAX_HELD_VALUES = 256;
/** A connection that a peer wants in the place of one that is open waits for a sign of life: */
const CHALLENGE_MS = 1500;
/** or less, where round trips are known: this, and three of them. */
const CHALLENGE_MIN_MS = 300;
/** Who has not answered for this long may have to make room for others. */
const SILENT_MS = 10_000;
/** What was sent before the end has this long to arrive. */
const FLUSH_TIMEOUT_MS = 5000;

/** What a peer needs of its room. */
export interface PeerHost {
  readonly platform: Platform;
  readonly onListenerError: (error: unknown) => void;
  readonly _codec: StructuredCodec | undefined;
  /** This page's own id. */
  readonly selfId: string;
  readonly roomId: string | null;
  _configuration(): RTCConfiguration;
  _sendSignal(to: string, signal: PeerSignal): void;
  /** Signals to a peer go by all relays, until it is heard by one of them. */
  _unroute(id: string): void;
  /** Whether there is a place for one connection more. */
  _mayConnect(): boolean;
  /** What was said to a peer by relays is not said again: it needs none, or it is void. */
  _settle(id: string): void;
  _handlePeerEnded(peer: Peer, reason: PeerCloseReason): void;
}

/** A peer that was sent away may hear of that first, by way of a relay. */
const LINGER_MS = 1000;

/** In the place of a connection that nobody has asked for yet. */
const nothing = (): void => undefined;
const NO_LINK = {
  isOpen: false,
  isEnded: false,
  isResponsive: false,
  hasNoDirectPath: false,
  hasPath: false,
  hasOffered: false,
  _attempt: '',
  _failedSince: Number.POSITIVE_INFINITY,
  _isConnected: false,
  _rttMs: 0,
  _retry: nothing,
  _handleTick: nothing,
  _handleWake: nothing,
  _close: nothing,
  useServers: nothing,
  _giveUp: nothing,
  ask: nothing,
  _doubt: nothing,
  wasHeardSince: () => false,
  // All of a link that is used of one without a connection.
} as unknown as PeerLink;

/**
 * A peer as the kernel makes it: one direct connection at a time, begun anew when it fails, beside
 * an alternate path that a feature may have. Values wait until the peer is let in, and go on where
 * they were when the path is another one.
 *
 *   (idle ─▶) connecting ──open──▶ admission ──▶ open ⇄ reconnecting ⇄ forwarded ──▶ closed
 */
export class Peer extends Emitter<PeerEvents> implements BasePeer, PeerHandle, DeliveryHost {
  readonly id: string;
  readonly isPolite: boolean;
  readonly role: PeerRole;
  readonly #host: PeerHost;
  #nick: string;
  #parts: readonly PeerPart[] = [];
  readonly #frames = new Map<string, FrameHandler>();
  #link = NO_LINK;
  /** Made by {@link _start}, which the room calls before anybody sees the peer. */
  #delivery!: Delivery;
  /** Where values go while there is no direct connection. */
  #alternatePath: FrameSink | null = null;
  #state: PeerState = 'idle';
  #remoteAttempt: string | null = null;
  /** The counter of the signal that began it. */
  #remoteCounter = -1;
  /** A later connection that the other side wants, while it is asked whether this one lives. */
  #challenger: { readonly signal: PeerSignal; readonly counter: number } | null = null;
  #begunAt: Instant = instant(0);
  #reconnects = 0;
  #restartedAt: Instant = instant(-RESTART_INTERVAL_MS);
  readonly #heldSignals: PeerSignal[] = [];
  readonly #signalBudget = new SignalBudget();
  readonly #heldValues: (() => void)[] = [];
  /** No relay lists the peer any more; only the connection still says that it is there. */
  #hasLeft = false;
  #admission: Promise<unknown> | null = null;
  #isAdmitted = false;
  #ended: Promise<void> = Promise.resolve();

  constructor(id: string, nick: string, role: PeerRole, isPolite: boolean, host: PeerHost) {
    super(host.onListenerError, ['open', 'data', 'progress', 'status', 'close']);
    this.id = id;
    this.isPolite = isPolite;
    this.#nick = nick;
    this.role = role;
    this.#host = host;
  }

  /**
   * Begins to connect, unless `offersFirst` is `null`. Throws `BAD_FEATURE`, and what the browser
   * throws.
   */
  _start(parts: readonly PeerPart[], offersFirst: boolean | null): void {
    this.#parts = parts;
    for (const { api, events = [], frames = {} } of parts) {
      extend(this, api);
      this._addEvents([...events, ...Object.keys(frames)]);
      for (const [name, handler] of Object.entries(frames)) {
        refuseTwice(name, this.#frames.has(name));
        this.#frames.set(name, handler);
      }
    }
    this.#delivery = new Delivery(this);
    if (offersFirst !== null) this.#begin(offersFirst);
  }

  get _codec(): StructuredCodec | undefined {
    return this.#host._codec;
  }

  get platform(): Platform {
    return this.#host.platform;
  }

  get nick(): string {
    return this.#nick;
  }

  get state(): PeerState {
    return this.#state;
  }

  get isOpen(): boolean {
    return this.#isAdmitted && this.#state !== 'closed' && this.#path?.isOpen === true;
  }

  get isDirect(): boolean {
    return this.#state !== 'closed' && this.#link.isOpen;
  }

  get bufferedAmount(): number {
    return this.#delivery._pendingBytes;
  }

  get requestBytes(): number {
    return this.#delivery._requestBytes;
  }

  get rttMs(): number {
    return this.#link._rttMs;
  }

  get isAdmitted(): boolean {
    return this.#isAdmitted;
  }

  get needsConnection(): boolean {
    return this.#parts.some((part) => part.needsConnection?.() === true);
  }

  get link(): PeerLink {
    return this.#link;
  }

  get connection(): RTCPeerConnection | null {
    return this.#isAdmitted && this.isDirect ? this.#link._connection : null;
  }

  connect(): void {
    if (this.#state === 'idle') this.#begin(true);
  }

  send(value: unknown, options?: SendOptions): Promise<boolean> {
    return this.sendFrame('', '', value, options);
  }

  sendFrame(
    frame: string,
    argument: string,
    value: unknown,
    options: SendOptions = {},
  ): Promise<boolean> {
    if (this.#state === 'closed') throw new LumameshError('PEER_CLOSED', 'the peer has left');
    this.connect();
    const tag = argument === '' ? frame : `${frame} ${argument}`;
    return this.#delivery._send(tag, value, options, this.#frames.get(frame)?.isEarly === true);
  }

  async close(options?: CloseOptions): Promise<void> {
    checkCloseOptions(options);
    return this.end('refused', options);
  }

  async end(reason: PeerCloseReason, { flush = true }: CloseOptions = {}): Promise<void> {
    if (this.#state === 'closed') return this.#ended;
    const isFlushed = flush && this.isOpen && this.#delivery._pendingBytes > 0;
    this.#delivery._mute();
    const finish = (): void => {
      if (reason !== 'refused') return this.#cut();
      // Who is sent away hears of it by way of a relay, which takes a while.
      this.#host._sendSignal(this.id, BYE);
      this.platform.setTimer(LINGER_MS, () => this.#cut());
    };
    if (isFlushed) this.#ended = this.#flush().then(finish);
    this.#setState('closed');
    this.#heldValues.splice(0);
    for (const part of this.#parts) part.onClose?.();
    if (!isFlushed) finish();
    this.#host._handlePeerEnded(this, reason);
    this.emit('close', reason);
    return this.#ended;
  }

  get onListenerError(): (error: unknown) => void {
    return this.#host.onListenerError;
  }

  receiveSignal(received: PeerSignal, counter = this.#remoteCounter): void {
    if (received.bye) {
      if (counter >= this.#remoteCounter) void this.end('refused-by-peer', { flush: false });
      return;
    }
    const signal = this.#signalBudget._take(this.platform.now(), received);
    // For a connection of ours that is gone.
    if (
      signal === null ||
      this.#state === 'closed' ||
      (signal.to !== undefined && signal.to !== this.#link._attempt)
    )
      return;
    if (this.#state === 'idle') {
      if (!this.#host._mayConnect()) return;
      this.#begin(false);
    }
    if (this.#remoteAttempt !== null && this.#remoteAttempt !== signal.attempt) {
      // The other side began anew (its connection had failed for good): so do we. Everything else
      // of another attempt is late.
      if (!this.#isRestart(signal, counter)) return;
      this.#restartedAt = this.platform.now();
      this.#restart(false);
    }
    if (signal.description !== undefined) {
      this.#remoteAttempt = signal.attempt;
      this.#remoteCounter = counter;
      for (const part of this.#parts) part.onDescription?.(fieldsOf(signal.more));
    } else if (this.#remoteAttempt === null) {
      // Candidates alone do not say which attempt will count.
      return this.#hold(signal);
    }
    this.#link._handleSignal(signal);
    for (const held of this.#heldSignals.splice(0))
      if (held.attempt === signal.attempt) this.#link._handleSignal(held);
      else this.#hold(held);
  }

  /**
   * Whether a signal begins another connection. An offer from before the one that is there does not,
   * and none that is open ends before it has been asked, and has said nothing.
   */
  #isRestart(signal: PeerSignal, counter: number): boolean {
    const challenger = this.#challenger;
    if (signal.description === undefined) {
      // Candidates of a connection that is not begun yet: they may have overtaken its offer.
      if (counter >= this.#remoteCounter) this.#hold(signal);
      return false;
    }
    const isOffer = signal.description.type === 'offer' && signal.to === undefined;
    const now = this.platform.now();
    if (!isOffer || counter < this.#remoteCounter) return false;
    if (now - this.#restartedAt < RESTART_INTERVAL_MS) return false;
    if (!this.#link.isOpen) return true;
    if (challenger !== null && counter < challenger.counter) return false;
    this.#challenger = { signal, counter };
    if (challenger === null) this.#challenge(now);
    return false;
  }

  /** Asks the connection for a sign of life; without one the other side's newest offer counts. */
  #challenge(now: Instant): void {
    const link = this.#link;
    link.ask(now);
    const { _rttMs: rttMs } = link;
    const patience = rttMs === 0 ? CHALLENGE_MS : CHALLENGE_MIN_MS + 3 * rttMs;
    this.platform.setTimer(Math.min(patience, CHALLENGE_MS), () => {
      const challenger = this.#challenger;
      this.#challenger = null;
      if (challenger === null || (link === this.#link && link.wasHeardSince(now))) return;
      // What was open ends here, so that the offer is none against an open connection.
      if (link === this.#link) link._close();
      this.receiveSignal(challenger.signal, challenger.counter);
    });
  }

  #hold(signal: PeerSignal): void {
    this.#heldSignals.push(signal);
    // Those of a connection that came to nothing make room.
    if (this.#heldSignals.length > MAX_HELD_SIGNALS) this.#heldSignals.shift();
  }

  setAlternatePath(path: FrameSink | null): void {
    this.#alternatePath = path;
    if (this.#link.isOpen) return;
    this.#delivery._setSink(path);
    if (path !== null) return this.#handleOpen('forwarded');
    if (this.#state === 'forwarded') this.#setState('reconnecting');
    if (!this.#link.isEnded || this.#state === 'closed') return;
    // The direct path was given up while there was another: now it is all there is.
    this.#reconnects = 0;
    this.restartConnection();
  }

  receiveFrame(path: FrameSink, lane: number, data: unknown): void {
    try {
      if (this.#delivery._handleFrame(path, lane, data)) return;
    } catch (error) {
      this.onListenerError(error);
    }
    // Whatever a stranger sends, nothing is thrown into the browser's events: it ends this peer.
    void this.end('failed');
  }

  pump(): void {
    this.#delivery._pump();
  }

  reroute(): void {
    this.#link._doubt();
    this.#host._unroute(this.id);
  }

  restartConnection(): void {
    this.#restart(!this.isPolite);
  }

  /** The page goes: what can be sent in this moment is sent. */
  _handlePageHide(): void {
    this.#delivery._pump(true);
  }

  /** Whether nothing has come of it for so long that another may have its place. */
  _isSilent(now: Instant): boolean {
    return this.#state === 'connecting' && now - this.#begunAt > SILENT_MS;
  }

  /** Presence was heard again. */
  _handleSeen(nick: string, hasMissed: boolean): void {
    this.#nick = nick;
    this.#hasLeft = false;
    this.#link._retry(hasMissed);
  }

  /** The relays say that the peer is gone. A living connection knows better. */
  _handleLeft(): void {
    this.#hasLeft = true;
    if (!this.#link._isConnected && this.#alternatePath === null) void this.end('left');
  }

  _handleTick(now: Instant): void {
    this.#link._handleTick(now);
    // It answers, and yet takes nothing.
    if (this.#delivery._isStalled(now)) return void this.end('lost', { flush: false });
    for (const part of this.#parts) part.onTick?.(now);
  }

  _handleWake(now: Instant): void {
    this.#link._handleWake(now);
  }

  _isAdmitted(): boolean {
    return this.#isAdmitted;
  }

  _isGuarded(): boolean {
    return !this.#isAdmitted && this.#hasGate;
  }

  _deliver(tag: string, value: unknown, isReliable: boolean): void {
    const [name = '', ...rest] = tag.split(' ');
    const handler = this.#frames.get(name);
    const handle = (): void => {
      if (tag === '') this.emit('data', value);
      else this.#call(() => handler?.handle(value, rest.join(' '), isReliable));
    };
    if (handler?.isEarly === true) handle();
    else if (!this._isGuarded()) this.#whenAdmitted(handle);
  }

  _handleProgress(receivedBytes: number, totalBytes: number): void {
    this.emit('progress', receivedBytes, totalBytes);
  }

  /** The other page was loaded anew: nothing that was agreed on with it holds. */
  _handleReset(): void {
    for (const part of this.#parts) part.onReset?.();
    if (!this.#hasGate) return;
    this.#isAdmitted = false;
    this.#admission = null;
    this.#setState('reconnecting');
    this.#handleOpen('open');
  }

  /** The path of now, let in or not. */
  get #path(): FrameSink | null {
    return this.#link.isOpen ? this.#link : this.#alternatePath;
  }

  /** Whether a feature stands before everything else. */
  get #hasGate(): boolean {
    return this.#parts.some(({ admit }) => admit !== undefined);
  }

  /** A feature that throws at what a stranger sent ends nothing; the page hears of it. */
  #call(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.onListenerError(error);
    }
  }

  /** What comes before this side has noticed that the connection is open is heard then. */
  #whenAdmitted(run: () => void): void {
    if (this.#isAdmitted) run();
    else if (this.#heldValues.length < MAX_HELD_VALUES) this.#heldValues.push(run);
    else void this.end('refused');
  }

  /** The connection lives on until all has arrived, or for as long as that may take. */
  async #flush(): Promise<void> {
    const cancel = this.platform.setTimer(FLUSH_TIMEOUT_MS, () => this.#delivery._close());
    await this.#delivery._flush();
    cancel();
  }

  #cut(): void {
    this.#delivery._close();
    this.#link._close();
  }

  #begin(offersFirst: boolean): void {
    this.#begunAt = this.platform.now();
    this.#link = this.#makeLink(offersFirst);
    this.#setState('connecting');
  }

  #makeLink(offersFirst: boolean, isAnew = false): PeerLink {
    const { selfId, roomId } = this.#host;
    const binding = {
      said: `i${selfId} ${this.id} ${roomId}`,
      expected: `i${this.id} ${selfId} ${roomId}`,
    };
    const configuration = this.#host._configuration();
    const more = this.#parts.flatMap((part) => part.iceServers?.() ?? []);
    const { platform, isPolite } = this;
    const events: PeerLinkEvents = {
      _open: () => this.#handleLinkOpen(),
      _low: () => this.pump(),
      _frame: (data, lane) => this.receiveFrame(link, lane, data),
      _channel: (channel) => this.#handleChannel(channel),
      _track: (event) =>
        this.#whenAdmitted(() => {
          for (const part of this.#parts) part.onTrack?.(event);
        }),
      _ended: (reason) => this.#handleLinkEnded(reason),
      _signal: (signal) => this.#sendSignal(signal),
    };
    const link = new PeerLink(
      platform,
      isPolite,
      configuration,
      more,
      offersFirst,
      isAnew,
      binding,
      events,
    );
    return link;
  }

  #handleChannel(channel: RTCDataChannel): void {
    // A channel may be there before this side has noticed that the connection is open.
    this.#whenAdmitted(() => {
      if (!this.#parts.some((part) => part.onChannel?.(channel))) channel.close();
    });
  }

  #sendSignal(signal: PeerSignal): void {
    // The connection of one that was sent away lives on for a moment, and has nothing to agree on.
    if (this.#state === 'closed') return;
    const to = this.#remoteAttempt;
    const addressed = {
      ...signal,
      ...(to === null ? {} : { to }),
      ...(signal.description === undefined ? {} : this.#described),
    };
    if (!this.#parts.some((part) => part.takeSignal?.(addressed)))
      this.#host._sendSignal(this.id, addressed);
  }

  /** What features say of this side, with its description. */
  get #described(): Pick<PeerSignal, 'more'> {
    const said = this.#parts.flatMap((part) => part.describe?.() ?? []);
    return said.length === 0 ? {} : { more: Object.assign({}, ...said) as unknown };
  }

  /**
   * The other page closed its end, or the path between us is lost: then both try once more, and the
   * one that is not polite offers.
   */
  #handleLinkEnded(reason: 'closed' | 'failed' | 'lost'): void {
    if (this.#state === 'closed') return this.#delivery._close();
    if (this.#hasLeft || reason === 'closed') return void this.end('left');
    // One that ends as soon as it is open is none that was mended.
    if (this.platform.now() - this.#link._openedAt > RESTART_INTERVAL_MS) this.#reconnects = 0;
    const isLast = this.#reconnects >= MAX_RECONNECTS;
    if (this.#alternatePath === null && (reason === 'lost' || isLast)) return void this.end(reason);
    this.#delivery._setSink(this.#alternatePath);
    if (isLast) return;
    this.#reconnects += 1;
    this.restartConnection();
  }

  #restart(offersFirst: boolean): void {
    const { _failedSince: failedSince } = this.#link;
    this.#link._giveUp();
    this.#host._settle(this.id);
    this.#remoteAttempt = null;
    // Counters go on: what was said before this is late.
    try {
      this.#link = this.#makeLink(offersFirst, true);
    } catch {
      // Browsers have so many connections and no more.
      return void this.end('failed');
    }
    this.#link._soughtSince = failedSince;
    this.#delivery._setSink(this.#alternatePath);
    if (this.#isAdmitted)
      this.#setState(this.#alternatePath === null ? 'reconnecting' : 'forwarded');
  }

  #handleLinkOpen(): void {
    this.#host._settle(this.id);
    this.#delivery._setSink(this.#link);
    this.#handleOpen('open');
  }

  #handleOpen(state: PeerState): void {
    if (this.#isAdmitted) return this.#finishOpen(state);
    if (!this._isGuarded()) return this.#admit(state);
    if (this.#admission !== null) return;
    const admission = Promise.all(this.#parts.map(async (part) => part.admit?.()));
    this.#admission = admission;
    admission.then(
      () => this.#admission === admission && this.#admit(this.isDirect ? 'open' : 'forwarded'),
      // What an earlier page was refused is nothing to the one that is there now.
      () => this.#admission === admission && void this.end('refused'),
    );
  }

  #admit(state: PeerState): void {
    if (this.#state === 'closed') return;
    this.#isAdmitted = true;
    this.#finishOpen(state);
    // Unless a listener has sent it away meanwhile.
    if (this.isOpen) this.emit('open');
    for (const run of this.#heldValues.splice(0)) run();
    this.pump();
  }

  #finishOpen(state: PeerState): void {
    this.#setState(state);
    if (this.connection !== null) for (const part of this.#parts) part.onDirect?.(this.connection);
    this.pump();
  }

  #setState(state: PeerState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.emit('status', state);
  }
}
