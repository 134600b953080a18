import { type PeerSignal, type SignalCandidate } from '../core/signal.ts';

/** Candidates that come close together share a signal. */
const CANDIDATE_BATCH_MS = 20;
/** How long a lost connection may take to come back before ICE starts anew. */
const DISCONNECTED_GRACE_MS = 4000;
/** A step of the negotiation that nothing follows is taken again after this: offers and answers may be lost on their way. */
const STEP_MS = 10_000;
/** An offer that collides is answered by our own again when that is older than this: it may be the one that was lost. */
const RESEND_AFTER_MS = 2000;
const MAX_ICE_RESTARTS = 3;
const MAX_EARLY_CANDIDATES = 64;

export interface PeerLinkEvents {
  /** Both channels can be used. */
  open(): void;
  data(data: unknown): void;
  /** Once: the connection ended, by the other side or for good. */
  ended(reason: 'closed' | 'failed'): void;
  /** To be sealed and sent through a relay, in order. */
  signal(signal: PeerSignal): void;
}

export interface PeerLinkOptions {
  /** Gives way when both offer at once (W3C WebRTC §10.7, "perfect negotiation"). */
  readonly isPolite: boolean;
  readonly iceServers: readonly RTCIceServer[];
  /** Whether this side offers first; the other one waits for the offer. */
  readonly offersFirst: boolean;
}

/** One direct connection to another browser: negotiation, and two channels that exist from the start (reliable 0, unreliable 1). */
export class PeerLink {
  /** Names this attempt to the other side. */
  readonly attempt = crypto.randomUUID();
  readonly #connection: RTCPeerConnection;
  readonly #reliable: RTCDataChannel;
  readonly #unreliable: RTCDataChannel;
  readonly #events: PeerLinkEvents;
  readonly #isPolite: boolean;
  #mayOffer: boolean;
  #isMakingOffer = false;
  #isIgnoringOffer = false;
  #isSettingAnswer = false;
  #restarts = 0;
  #batch: SignalCandidate[] = [];
  #batchTimer: ReturnType<typeof setTimeout> | undefined;
  #graceTimer: ReturnType<typeof setTimeout> | undefined;
  #watchdog: ReturnType<typeof setTimeout> | undefined;
  #describedAt = performance.now();
  #isEnded = false;
  /** Signals are applied one after another: each waits for the browser to finish with the one before. */
  #queue: Promise<void> = Promise.resolve();
  /** Candidates that came before the description they belong to. */
  readonly #early: SignalCandidate[] = [];

  constructor(options: PeerLinkOptions, events: PeerLinkEvents) {
    this.#isPolite = options.isPolite;
    this.#mayOffer = options.offersFirst;
    this.#events = events;
    const connection = new RTCPeerConnection({ iceServers: [...options.iceServers] });
    this.#connection = connection;
    this.#reliable = connection.createDataChannel('reliable', { negotiated: true, id: 0 });
    this.#unreliable = connection.createDataChannel('unreliable', { negotiated: true, id: 1, ordered: false, maxRetransmits: 0 });
    for (const channel of [this.#reliable, this.#unreliable]) {
      channel.binaryType = 'arraybuffer';
      channel.addEventListener('open', () => this.#handleChannelOpen());
      channel.addEventListener('close', () => this.#end('closed'));
      channel.addEventListener('message', (event: MessageEvent<unknown>) => {
        if (!this.#isEnded) this.#events.data(event.data);
      });
    }
    connection.addEventListener('negotiationneeded', () => void this.#offer());
    connection.addEventListener('icecandidate', (event) => this.#handleCandidate(event.candidate));
    connection.addEventListener('connectionstatechange', () => this.#handleConnectionState());
    this.#watch();
  }

  get isOpen(): boolean {
    return this.#reliable.readyState === 'open' && this.#unreliable.readyState === 'open';
  }

  get isConnected(): boolean {
    return this.#connection.connectionState === 'connected';
  }

  get maxMessageBytes(): number {
    return this.#connection.sctp?.maxMessageSize ?? 65_536;
  }

  get bufferedAmount(): number {
    return this.#reliable.bufferedAmount;
  }

  send(frame: string | Uint8Array<ArrayBuffer> | ArrayBuffer, isReliable: boolean): void {
    const channel = isReliable ? this.#reliable : this.#unreliable;
    // The three types are three overloads of one method.
    channel.send(frame as string);
  }

  /** The side that waits may offer from now on: the other one has been silent for too long. */
  takeInitiative(): void {
    if (this.#mayOffer || this.#connection.signalingState !== 'stable' || this.#connection.remoteDescription !== null) return;
    this.#mayOffer = true;
    void this.#offer();
  }

  handleSignal(signal: PeerSignal): void {
    this.#queue = this.#queue.then(async () => {
      try {
        await this.#apply(signal);
      } catch {
        // What the browser refuses (a stranger wrote it) costs nothing but itself.
      }
    });
  }

  close(): void {
    this.#isEnded = true;
    clearTimeout(this.#watchdog);
    clearTimeout(this.#batchTimer);
    clearTimeout(this.#graceTimer);
    this.#connection.close();
  }

  async #offer(): Promise<void> {
    if (this.#isEnded || !this.#mayOffer) return;
    this.#isMakingOffer = true;
    try {
      await this.#connection.setLocalDescription();
      this.#sendDescription();
    } catch {
      // The state changed meanwhile (an offer of the other side came first): negotiationneeded fires again when it is stable.
    } finally {
      this.#isMakingOffer = false;
    }
  }

  async #apply(signal: PeerSignal): Promise<void> {
    const { description, candidates } = signal;
    const connection = this.#connection;
    if (this.#isEnded) return;
    if (description !== undefined) {
      const isReady = !this.#isMakingOffer && (connection.signalingState === 'stable' || this.#isSettingAnswer);
      const collides = description.type === 'offer' && !isReady;
      this.#isIgnoringOffer = !this.#isPolite && collides;
      if (this.#isIgnoringOffer) {
        if (performance.now() - this.#describedAt > RESEND_AFTER_MS) this.#sendDescription();
        return;
      }
      this.#isSettingAnswer = description.type === 'answer';
      try {
        await connection.setRemoteDescription(description);
      } finally {
        this.#isSettingAnswer = false;
      }
      this.#mayOffer = true;
      if (description.type === 'offer') {
        await connection.setLocalDescription();
        this.#sendDescription();
      }
      for (const candidate of this.#early.splice(0)) await this.#addCandidate(candidate);
    }
    // Candidates of an offer that lost the collision have nowhere to go.
    if (this.#isIgnoringOffer) return;
    for (const candidate of candidates ?? []) {
      if (connection.remoteDescription === null) {
        if (this.#early.length < MAX_EARLY_CANDIDATES) this.#early.push(candidate);
      } else await this.#addCandidate(candidate);
    }
  }

  async #addCandidate(candidate: SignalCandidate): Promise<void> {
    try {
      await this.#connection.addIceCandidate(candidate);
    } catch {
      // One that the browser refuses is no reason to lose the others.
    }
  }

  #sendDescription(): void {
    const description = this.#connection.localDescription;
    if (description === null || this.#isEnded) return;
    this.#describedAt = performance.now();
    this.#events.signal({ attempt: this.attempt, description: { type: description.type, sdp: description.sdp } });
  }

  #handleCandidate(candidate: RTCIceCandidate | null): void {
    if (candidate === null || candidate.candidate === '') return;
    this.#batch.push({ candidate: candidate.candidate, sdpMid: candidate.sdpMid, sdpMLineIndex: candidate.sdpMLineIndex });
    if (this.#batch.length > 1) return;
    this.#batchTimer = setTimeout(() => {
      if (!this.#isEnded) this.#events.signal({ attempt: this.attempt, candidates: this.#batch });
      this.#batch = [];
    }, CANDIDATE_BATCH_MS);
  }

  #handleChannelOpen(): void {
    if (this.isOpen) this.#events.open();
  }

  #handleConnectionState(): void {
    clearTimeout(this.#graceTimer);
    switch (this.#connection.connectionState) {
      case 'connected':
        this.#restarts = 0;
        clearTimeout(this.#watchdog);
        break;
      case 'disconnected':
        this.#graceTimer = setTimeout(() => this.#restart(), DISCONNECTED_GRACE_MS);
        break;
      case 'failed':
        this.#restart();
        break;
      case 'closed':
        this.#end('closed');
        break;
      default:
        break;
    }
  }

  #restart(): void {
    if (this.#isEnded) return;
    if (this.#restarts >= MAX_ICE_RESTARTS) return this.#end('failed');
    this.#restarts += 1;
    this.#nudge();
  }

  /** The peer was heard of again: what it missed is said again. */
  retry(): void {
    // Not while a negotiation is on its way: several relays may name a peer within milliseconds.
    if (!this.#isEnded && !this.isConnected && performance.now() - this.#describedAt > STEP_MS / 2) this.#nudge();
  }

  #nudge(): void {
    this.#watch();
    const connection = this.#connection;
    if (connection.signalingState === 'have-local-offer') this.#sendDescription();
    else if (connection.remoteDescription === null) {
      this.#mayOffer = true;
      void this.#offer();
    } else connection.restartIce();
  }

  #watch(): void {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#restart(), STEP_MS);
  }

  #end(reason: 'closed' | 'failed'): void {
    if (this.#isEnded) return;
    this.close();
    this.#events.ended(reason);
  }
}
