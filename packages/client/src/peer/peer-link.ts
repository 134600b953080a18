import { type Instant, instant, later, toBase64Url } from '@lumamesh/base';
import type { LinkState } from '../feature.ts';
import { hasIcePath } from '../platform/ice-path.ts';
import type { Platform } from '../platform/platform.ts';
import { keepDtlsRole } from './dtls-role.ts';
import { Liveness } from './liveness.ts';
import { BULK, type Frame, HIGH_WATER_BYTES, LANES, UNORDERED } from './peer-frame.ts';
import type { PeerSignal, SignalCandidate } from './signal.ts';

/** Candidates that come close together share a signal. */
const CANDIDATE_BATCH_MS = 20;
/**
 * A step of the negotiation that nothing follows is taken again after this: offers and answers may
 * be lost on their way.
 */
const NEGOTIATION_TIMEOUT_MS = 8000;
/**
 * An offer that collides is answered by our own again when that is older than this: it may be the
 * one that was lost.
 */
const RESEND_AFTER_MS = 2000;
/** What connectivity checks may take after they have failed. */
const CHECKS_MS = 4000;
/** Checks of which nothing is heard count as failed after this: in Chromium they take 15 s. */
const SILENT_MS = 2000;
/**
 * The side that waits for an offer waits this long. Members of two relays hear of each other as
 * newcomers: both wait, and the one that is not polite begins.
 */
const POLITE_PATIENCE_MS = 4000;
const OFFER_PATIENCE_MS = 500;
/** On the unordered lane: this connection is closed for another one, and nobody has left. */
const BEGINS_ANEW = 'r';
const MAX_NEGOTIATIONS = 4;
/** However often a peer is announced, it is offered to this rarely. */
const RETRY_INTERVAL_MS = 1000;
const MAX_EARLY_CANDIDATES = 64;
export interface PeerLinkEvents {
  /** All channels can be used. */
  _open(): void;
  /** The browser's queue has become short. */
  _low(): void;
  /** A frame of the other side. */
  _frame(data: unknown, lane: number): void;
  /** The other side has opened a channel of its own. */
  _channel(channel: RTCDataChannel): void;
  _track(event: RTCTrackEvent): void;
  /** Once: the connection ended, by the other side, for good, or because it fell silent. */
  _ended(reason: 'closed' | 'failed' | 'lost'): void;
  /** To be sealed and sent through a relay, in order. */
  _signal(signal: PeerSignal): void;
}

/** The first frame of each lane: names sender, receiver and room (RFC 8844). */
export interface LinkBinding {
  readonly said: string;
  readonly expected: string;
}

/**
 * One direct connection to another browser: negotiation, and the channels that exist from the
 * start, with the numbers of their lanes.
 */
export class PeerLink implements LinkState {
  /** Names this attempt to the other side. */
  readonly _attempt: string;
  readonly _connection: RTCPeerConnection;
  readonly #channels: readonly RTCDataChannel[];
  readonly #events: PeerLinkEvents;
  readonly #platform: Platform;
  readonly #isPolite: boolean;
  readonly #configuration: RTCConfiguration;
  readonly #binding: LinkBinding;
  /** Lanes on which the other side has said who we are. */
  readonly #boundLanes = new Set<number>();
  #mayOffer: boolean;
  #isMakingOffer = false;
  #isIgnoringOffer = false;
  #isSettingAnswer = false;
  /** When the next step of the negotiation is due; `null` while nothing is. */
  #negotiateAt: Instant | null;
  #negotiations = 0;
  /** When the other side had described itself: connectivity checks began. */
  #describedThereAt = instant(Number.POSITIVE_INFINITY);
  /** Since when an earlier connection of the two sought a way, and found none. */
  _soughtSince = instant(Number.POSITIVE_INFINITY);
  #batch: SignalCandidate[] = [];
  #describedAt: Instant;
  #retriedAt = instant(-RETRY_INTERVAL_MS);
  readonly #liveness: Liveness;
  #rttMs = 0;
  /** All bytes that had come when that was last looked at, if nothing was heard since. */
  #receivedBytes = Number.POSITIVE_INFINITY;
  /** When it was open at first; never, while it was not. */
  _openedAt = instant(Number.POSITIVE_INFINITY);
  #isEnded = false;
  /**
   * Signals are applied one after another: each waits for the browser to finish with the one
   * before.
   */
  #queue: Promise<void> = Promise.resolve();
  /** Candidates that came before the description they belong to. */
  readonly #early: SignalCandidate[] = [];

  /**
   * @param isPolite gives way when both offer at once (W3C WebRTC §10.7, "perfect negotiation")
   * @param servers by which it gathers at first, besides those of the configuration
   * @param offersFirst whether this side offers first; the other one waits for the offer
   * @param isAnew whether it takes the place of another one, of whose end the other side may not know
   */
  constructor(
    platform: Platform,
    isPolite: boolean,
    configuration: RTCConfiguration,
    servers: readonly RTCIceServer[],
    offersFirst: boolean,
    isAnew: boolean,
    binding: LinkBinding,
    events: PeerLinkEvents,
  ) {
    const now = platform.now();
    this._attempt = toBase64Url(platform.crypto.getRandomValues(new Uint8Array(12)));
    this.#platform = platform;
    this.#isPolite = isPolite;
    this.#configuration = configuration;
    this.#binding = binding;
    this.#mayOffer = offersFirst;
    this.#events = events;
    this.#negotiateAt = later(
      now,
      offersFirst
        ? NEGOTIATION_TIMEOUT_MS
        : isPolite && !isAnew
          ? POLITE_PATIENCE_MS
          : OFFER_PATIENCE_MS,
    );
    this.#describedAt = now;
    this.#liveness = new Liveness(now);
    // Checked by whoever makes links: there are none without it.
    // What is given to Node gathers by no other servers than these.
    const connection = new (platform.PeerConnection as NonNullable<Platform['PeerConnection']>)(
      this.#withServers(configuration, servers),
    );
    this._connection = connection;
    // Before there is anything to negotiate: node-datachannel says so while the first channel is made.
    connection.addEventListener('negotiationneeded', () => void this.#offer());
    this.#channels = [...LANES, UNORDERED].map((lane) => {
      // Chromium sends what has a higher priority first; others take no notice.
      const init: RTCDataChannelInit & { priority: string } = {
        negotiated: true,
        id: lane,
        priority: lane === BULK ? 'very-low' : 'high',
        ...(lane === UNORDERED ? { ordered: false, maxRetransmits: 0 } : {}),
      };
      const channel = connection.createDataChannel(`lane ${lane}`, init);
      channel.binaryType = 'arraybuffer';
      channel.bufferedAmountLowThreshold = HIGH_WATER_BYTES / 2;
      channel.addEventListener('open', () => {
        if (lane !== UNORDERED) this.send(binding.said, lane);
        this.#handleOpen();
      });
      channel.addEventListener('close', () => this.#end('closed'));
      channel.addEventListener('bufferedamountlow', () => events._low());
      channel.addEventListener('message', ({ data }: MessageEvent<unknown>) =>
        this.#handleFrame(lane, data),
      );
      return channel;
    });
    connection.addEventListener('icecandidate', ({ candidate }) =>
      this.#handleCandidate(candidate),
    );
    connection.addEventListener('datachannel', ({ channel }) => events._channel(channel));
    connection.addEventListener('track', (event) => events._track(event));
    connection.addEventListener('connectionstatechange', () => this.#handleConnectionState());
  }

  get isOpen(): boolean {
    return (
      !this.#isEnded &&
      this.#boundLanes.size === LANES.length &&
      this.#channels.every(({ readyState }) => readyState === 'open')
    );
  }

  get #wasOpen(): boolean {
    return this._openedAt < Number.POSITIVE_INFINITY;
  }

  get _isConnected(): boolean {
    return this._connection.connectionState === 'connected';
  }

  get hasPath(): boolean {
    return !this.#isEnded && hasIcePath(this._connection);
  }

  get hasOffered(): boolean {
    return this._connection.localDescription?.type === 'offer';
  }

  queuedBytes(lane: number): number {
    return this.#channels[lane]?.bufferedAmount ?? 0;
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Open, and heard of just now. */
  get isResponsive(): boolean {
    return this.isOpen && this.#liveness._isResponsive(this.#platform.now());
  }

  /** The last round trip measured, in ms; 0 before there is one. */
  get _rttMs(): number {
    return this.#rttMs;
  }

  /** Both sides have said how they can be reached, and yet no way between them was found. */
  get hasNoDirectPath(): boolean {
    // A description that came late leaves the checks their time.
    return !this.hasPath && this.#platform.now() - this._failedSince > CHECKS_MS;
  }

  /**
   * Since when a way has been sought that has not been found: never, while nothing has failed. Where
   * there is not even a pair of addresses (one side has IPv6 only, the other IPv4) a browser gives up
   * at once, again and again.
   */
  get _failedSince(): Instant {
    if (this.#wasOpen) return instant(Number.POSITIVE_INFINITY);
    const here = this.#describedThereAt + (this.#negotiations > 0 ? 0 : SILENT_MS);
    return instant(Math.min(here, this._soughtSince));
  }

  send(frame: Frame, lane: number): void {
    try {
      // Both types are overloads of one method.
      this.#channels[lane]?.send(frame as string);
    } catch {
      // It is closing, or its queue is full beyond what we let it become: the next connection
      // begins anew.
      if (lane !== UNORDERED) this.#end('failed');
    }
  }

  wasHeardSince(at: Instant): boolean {
    return this.#liveness._wasHeardSince(at);
  }

  ask(now: Instant): void {
    this.#liveness._handleAsked(now);
    if (this.isOpen) this.send(`p${now}`, UNORDERED);
  }

  /** Nothing goes through, as far as is seen: what is urgent goes another way until it is heard. */
  _doubt(): void {
    this.#liveness._handleDoubt();
  }

  useServers(servers: readonly RTCIceServer[], restarts: boolean): void {
    const { _connection: connection } = this;
    if (this.#isEnded) return;
    connection.setConfiguration(this.#withServers(connection.getConfiguration(), servers));
    if (!restarts) return;
    this.#mayOffer = true;
    this.#restartIce();
  }

  #withServers(base: RTCConfiguration, servers: readonly RTCIceServer[]): RTCConfiguration {
    return { ...base, iceServers: [...(this.#configuration.iceServers ?? []), ...servers] };
  }

  _handleSignal(signal: PeerSignal): void {
    this.#queue = this.#queue.then(async () => {
      try {
        await this.#apply(signal);
      } catch {
        // What the browser refuses (a stranger wrote it) costs nothing but itself.
      }
    });
  }

  /** To be called about every second. */
  _handleTick(now: Instant): void {
    if (this.#isEnded) return;
    const liveness = this.#liveness;
    liveness._handleTick(now);
    if (this.#wasOpen) {
      if (liveness._isLost(now)) return this.#end('lost');
      if (liveness._isLookDue(now)) void this.#look(now);
      else if (liveness._isPingDue(now)) this.ask(now);
    }
    if (this.#negotiateAt !== null && now >= this.#negotiateAt) this.#retryNegotiation(now);
  }

  /**
   * Whether anything came, if only what the other browser acknowledges of the question before. Then
   * asks again; who is not seen either is offered another path, of which Firefox counts anew.
   */
  async #look(now: Instant): Promise<void> {
    try {
      let bytes = 0;
      for (const { bytesReceived = 0 } of (await this._connection.getStats()).values())
        bytes += bytesReceived;
      if (bytes > this.#receivedBytes) {
        this.#liveness._handleSeen(now);
        this.#negotiateAt = null;
      }
      this.#receivedBytes = bytes;
    } catch {
      // Where nothing is counted, silence is all there is.
    }
    if (this.#isEnded) return;
    if (this.#liveness._isPingDue(now)) this.ask(now);
    if (this.#liveness._isSuspect(now) && this.#negotiateAt === null) this.#retryNegotiation(now);
  }

  /** The network may have changed: who does not answer at once gets another way offered. */
  _handleWake(now: Instant): void {
    if (!this.#wasOpen) return;
    this.#liveness._handleWake(now);
    this.ask(now);
  }

  /** The peer was heard of again: what it missed is said again. */
  _retry(hasMissed: boolean): void {
    const now = this.#platform.now();
    // Not while a negotiation is on its way: several relays may name a peer within milliseconds.
    const isLate = hasMissed
      ? now - this.#retriedAt > RETRY_INTERVAL_MS
      : now - this.#describedAt > NEGOTIATION_TIMEOUT_MS / 2;
    if (this.#isEnded || this._isConnected || !isLate) return;
    this.#retriedAt = now;
    // It was begun without a network: browsers do not gather again what was not there then.
    if (hasMissed && this.#isBare) return this.#end('failed');
    this.#retryNegotiation(now);
  }

  /** No address of this side was found, and none is looked for. */
  get #isBare(): boolean {
    const { iceGatheringState, localDescription } = this._connection;
    // Firefox fails at once, and says `new`.
    return (
      localDescription !== null &&
      iceGatheringState !== 'gathering' &&
      !/^a=cand/m.test(localDescription.sdp)
    );
  }

  _close(): void {
    this.#isEnded = true;
    this._connection.close();
  }

  /** Closes it for another one. */
  _giveUp(): void {
    if (this.isOpen) this.send(BEGINS_ANEW, UNORDERED);
    this._close();
  }

  #handleFrame(lane: number, data: unknown): void {
    if (this.#isEnded) return;
    if (!this.#boundLanes.has(lane) && (lane !== UNORDERED || !this.isOpen))
      return this.#bind(lane, data);
    const now = this.#platform.now();
    this.#liveness._handleHeard(now);
    this.#receivedBytes = Number.POSITIVE_INFINITY;
    if (this.#wasOpen) this.#negotiateAt = null;
    const kind = lane !== UNORDERED || typeof data !== 'string' ? '' : data[0];
    if (kind === BEGINS_ANEW) return this.#end('failed');
    if ((kind !== 'p' && kind !== 'q') || typeof data !== 'string')
      return this.#events._frame(data, lane);
    // Answered by whoever hears it, so that a page whose timers are held back lives as well.
    if (kind === 'p' && this.queuedBytes(UNORDERED) < HIGH_WATER_BYTES)
      this.send(`q${data.slice(1, 32)}`, UNORDERED);
    if (kind === 'q') this.#rttMs = Math.max(0, now - Number(data.slice(1))) || this.#rttMs;
  }

  /**
   * The first frame of a lane says whom the other side is and takes us for. Descriptions are signed,
   * but a member may sign those of another as its own: then the two who are connected learn here
   * that they are not whom they look for.
   */
  #bind(lane: number, data: unknown): void {
    // What is not ordered may be ahead of that, and is of no use yet.
    if (lane === UNORDERED) return;
    if (data !== this.#binding.expected) return this.#end('failed');
    this.#boundLanes.add(lane);
    this.#handleOpen();
  }

  async #offer(): Promise<void> {
    if (this.#isEnded || !this.#mayOffer) return;
    this.#isMakingOffer = true;
    try {
      await this._connection.setLocalDescription();
      this.#sendDescription();
    } catch {
      // The state changed meanwhile (an offer of the other side came first): negotiationneeded
      // fires again when it is stable.
    } finally {
      this.#isMakingOffer = false;
    }
  }

  async #apply({ description, candidates = [] }: PeerSignal): Promise<void> {
    const { _connection: connection } = this;
    if (this.#isEnded) return;
    if (description !== undefined) {
      const isReady =
        !this.#isMakingOffer && (connection.signalingState === 'stable' || this.#isSettingAnswer);
      const collides = description.type === 'offer' && !isReady;
      this.#isIgnoringOffer = !this.#isPolite && collides;
      if (this.#isIgnoringOffer) {
        if (this.#platform.now() - this.#describedAt > RESEND_AFTER_MS) this.#sendDescription();
        return;
      }
      this.#isSettingAnswer = description.type === 'answer';
      try {
        await connection.setRemoteDescription(this.#withRole(description));
      } catch (error) {
        // Firefox forgets who of the two is the DTLS client while nothing is connected, and
        // answers a restart from the other side so that Chromium refuses it: then all begins anew.
        if (this.#isSettingAnswer && !this.#wasOpen) this.#end('failed');
        throw error;
      } finally {
        this.#isSettingAnswer = false;
      }
      const now = this.#platform.now();
      this.#describedThereAt = instant(Math.min(this.#describedThereAt, now));
      this.#mayOffer = true;
      this.#negotiateAt = this._isConnected
        ? null
        : later(this.#platform.now(), NEGOTIATION_TIMEOUT_MS);
      if (description.type === 'offer') {
        await connection.setLocalDescription();
        this.#sendDescription();
      }
      for (const candidate of this.#early.splice(0)) await this.#addCandidate(candidate);
    }
    // Candidates of an offer that lost the collision have nowhere to go.
    if (this.#isIgnoringOffer) return;
    for (const candidate of candidates) {
      if (connection.remoteDescription !== null) await this.#addCandidate(candidate);
      else if (this.#early.length < MAX_EARLY_CANDIDATES) this.#early.push(candidate);
    }
  }

  /** What Firefox answers to who had answered before, as Chromium takes it. */
  #withRole(description: NonNullable<PeerSignal['description']>): RTCSessionDescriptionInit {
    const { currentLocalDescription, currentRemoteDescription } = this._connection;
    if (description.type !== 'answer' || !this.#wasOpen) return description;
    const agreed = [
      currentLocalDescription?.sdp ?? '',
      currentRemoteDescription?.sdp ?? '',
    ] as const;
    return { type: 'answer', sdp: keepDtlsRole(description.sdp, agreed) };
  }

  async #addCandidate(candidate: SignalCandidate): Promise<void> {
    try {
      await this._connection.addIceCandidate(candidate);
    } catch {
      // One that the browser refuses is no reason to lose the others.
    }
  }

  #sendDescription(): void {
    const description = this._connection.localDescription;
    if (description === null || this.#isEnded) return;
    this.#describedAt = this.#platform.now();
    this.#events._signal({
      attempt: this._attempt,
      description: { type: description.type, sdp: description.sdp },
    });
  }

  #handleCandidate(candidate: RTCIceCandidate | null): void {
    if (candidate === null || candidate.candidate === '') return;
    this.#batch.push({
      candidate: candidate.candidate,
      sdpMid: candidate.sdpMid,
      sdpMLineIndex: candidate.sdpMLineIndex,
    });
    if (this.#batch.length > 1) return;
    this.#platform.setTimer(CANDIDATE_BATCH_MS, () => {
      if (!this.#isEnded) this.#events._signal({ attempt: this._attempt, candidates: this.#batch });
      this.#batch = [];
    });
  }

  #handleOpen(): void {
    // Once, though each of the channels and lanes tells of itself.
    if (!this.isOpen || this.#isEnded || this.#wasOpen) return;
    this._openedAt = this.#platform.now();
    this.#handleConnected();
    this.#events._open();
    this.ask(this.#platform.now());
  }

  #handleConnected(): void {
    this.#negotiations = 0;
    this.#negotiateAt = null;
    this.#liveness._handleHeard(this.#platform.now());
  }

  #handleConnectionState(): void {
    const state = this._connection.connectionState;
    if (state === 'connected') this.#handleConnected();
    if (state === 'failed' && !this.#isEnded) this.#retryNegotiation(this.#platform.now());
    if (state === 'closed') this.#end('closed');
  }

  /** Says again what may have been lost, or restarts ICE. */
  #retryNegotiation(now: Instant): void {
    if (this.#negotiations >= MAX_NEGOTIATIONS) return this.#end('failed');
    const { _connection: connection } = this;
    this.#negotiateAt = later(now, NEGOTIATION_TIMEOUT_MS);
    const isFirstOffer = !this.#mayOffer;
    this.#mayOffer = true;
    if (!isFirstOffer) this.#negotiations += 1;
    if (connection.signalingState === 'have-local-offer') this.#sendDescription();
    else if (connection.remoteDescription === null) void this.#offer();
    else this.#restartIce();
  }

  #restartIce(): void {
    try {
      this._connection.restartIce();
    } catch {
      // Not everything that is given to Node can do that: then all begins anew, unless it works.
      if (!this._isConnected) this.#end('failed');
    }
  }

  #end(reason: 'closed' | 'failed' | 'lost'): void {
    if (this.#isEnded) return;
    // Firefox closes the channels itself when it loses its address. And a connection that was never
    // open is given up for another one; who leaves meanwhile is told of by the relays.
    const hasFailed = this._connection.connectionState === 'failed' || !this.#wasOpen;
    if (reason === 'closed') this._close();
    else this._giveUp();
    this.#events._ended(hasFailed && reason === 'closed' ? 'failed' : reason);
  }
}
