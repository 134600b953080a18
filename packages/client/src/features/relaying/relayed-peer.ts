import { type Instant, instant, later } from '@lumamesh/base';
import type { PeerHandle, PeerPart } from '../../feature.ts';
import type { PeerPath } from './peer-path.ts';
import { readPair } from './selected-pair.ts';

/*
 * When a peer is relayed, and by which relay. A connection is begun without TURN servers. Where it
 * finds no path, the two agree on a relay that both hold: each says in its descriptions which ones
 * it could use (`relays`) and which it does (`relay`), and the side that had
 * offered restarts ICE with that one, at once where one of them has no UDP: before the two are connected, a browser may take the other
 * DTLS role when it is offered something by who had answered. Direct candidates are there as before,
 * and win where they can.
 */

/** What a direct path may take after both sides have described themselves. */
const DIRECT_MS = 700;
/** One of the two leaves it to the other one to begin. */
const SECOND_MS = 1000;
/** Where members are reached directly that could forward, they are asked first. */
const FORWARDING_MS = 8000;
/** What a relay may take to make a path; then another one is tried, ever later. */
const ATTEMPT_MS = 4000;
const MAX_ATTEMPT_MS = 60_000;
/** A relay that made no path is passed over for this long. */
const AVOID_MS = 30_000;
/** How often a relayed peer is asked for a sign of life: the relay may vanish. */
const ASK_MS = 500;
/** Silence after which another relay is taken, when that was not for want of time. */
const SILENCE_MS = 1500;
const MAX_UNSEEN_MS = 1250;
/** What the other relay may take to be of use; then yet another one is tried. */
const REPLACE_MS = 3000;
/** How often the path of a connection that has TURN servers is looked at. */
const LOOK_MS = 2000;
/** A direct path that is there for this long is trusted: the relay is let go. */
const TRUST_MS = 10_000;
/** How often a relayed connection looks for a direct path. */
const RETRY_DIRECT_MS = 300_000;
/** Relays in use: the one agreed on, and the one that this side had named. */
const MAX_USED = 2;
const MAX_NAMED = 4;
const MAX_NAME_LENGTH = 64;

/** What a relayed peer needs of its room and net. */
export interface RelayedPeerHost {
  /** The relays by which this page can be relayed in the room, the best first. */
  _relays(): readonly string[];
  _serverOf(nk: string): RTCIceServer | null;
  /** Relays known to relay, in an order on which members with the same view agree. */
  _known(): readonly string[];
  /** Whether relays are reached over TCP alone: no direct path will be found. */
  _lacksUdp(): boolean;
  /** Whether members are reached directly who may forward. */
  _mayBeForwarded(): boolean;
  /** Which relays are to be held has changed: see {@link RelayedPeer._needs}. */
  _handleNeeds(): void;
  _handleClosed(): void;
}

/** The part that a peer has in being relayed. */
export class RelayedPeer implements PeerPart {
  readonly #peer: PeerHandle;
  readonly #host: RelayedPeerHost;
  readonly events = ['path'];
  readonly api: { readonly path: PeerPath };
  /** By which the other side could be relayed. */
  #theirs: readonly string[] = [];
  /** Relays in use, the last agreed on first. */
  #used: readonly string[] = [];
  readonly _needs = new Set<string>();
  /** Relays that made no path, and until when they are passed over. */
  readonly #avoided = new Map<string, Instant>();
  /** `null`: not known of this connection yet. */
  #isRelayed: boolean | null = null;
  #path: PeerPath = 'none';
  #cancelTimer: (() => void) | null = null;
  #timerAt: Instant = instant(0);
  #attemptAt: Instant = instant(Number.POSITIVE_INFINITY);
  #attempts = 0;
  /** When another relay was taken for one that fell silent. */
  #replacedAt: Instant = instant(-REPLACE_MS);
  #directSince: Instant | null = null;
  #lookAt: Instant = instant(0);
  #retryDirectAt: Instant = instant(0);
  /** The connection that is listened to. */
  #watched: RTCPeerConnection | null = null;

  constructor(peer: PeerHandle, host: RelayedPeerHost) {
    this.#peer = peer;
    this.#host = host;
    const pathOf = (): PeerPath => this.#pathNow;
    this.api = {
      get path() {
        return pathOf();
      },
    };
    peer.on('status', () => this.#tellPath());
  }

  describe(): Readonly<Record<string, unknown>> {
    const relays = this.#host._relays().slice(0, MAX_NAMED);
    const [relay] = this.#used;
    return relays.length === 0 ? {} : { relays, ...(relay === undefined ? {} : { relay }) };
  }

  onDescription({ relays, relay }: Readonly<Record<string, unknown>>): void {
    this.#theirs = Array.isArray(relays) ? relays.slice(0, MAX_NAMED).filter(isName) : [];
    if (isName(relay)) this.#follow(relay);
    // The other side has found a direct path that lasts.
    else if (this.#used.length > 0 && this.#isRelayed === false) this.#use([], false);
    if (this.#isConnected || this.#attempts > 0) return;
    const { link, needsConnection } = this.#peer;
    const patience =
      this.#host._mayBeForwarded() && !needsConnection
        ? FORWARDING_MS
        : DIRECT_MS + (link.hasOffered ? 0 : SECOND_MS);
    const now = this.#peer.platform.now();
    this.#attemptAt = instant(Math.min(this.#attemptAt, later(now, patience)));
    this.#schedule();
  }

  iceServers(): readonly RTCIceServer[] {
    if (this.#used.length === 0 && this.#host._lacksUdp())
      this.#used = this.#host._relays().slice(0, 1);
    return this.#servers;
  }

  onDirect(connection: RTCPeerConnection): void {
    this.#attemptAt = instant(Number.POSITIVE_INFINITY);
    this.#attempts = 0;
    this.#replacedAt = instant(-REPLACE_MS);
    if (this.#watched !== connection) {
      this.#watched = connection;
      this.#isRelayed = null;
      connection.addEventListener('iceconnectionstatechange', () => void this.#look());
    }
    void this.#look();
  }

  onTick(): void {
    this.#schedule();
  }

  onClose(): void {
    this.#cancelTimer?.();
    this.#needNone();
    this.#host._handleClosed();
  }

  /** A relay has given (new) credentials for the room. */
  _handleOffered(nk: string): void {
    if (this._needs.has(nk) && !this.#isConnected) this.#attempt(nk);
    // What the connection has of it does not hold for much longer.
    else if (this.#used.includes(nk) && (this.#isRelayed !== false || !this.#isConnected))
      this.#use(this.#used, true);
  }

  /** The network may have changed. */
  _handleWake(): void {
    this.#retryDirectAt = instant(0);
    this.#schedule();
  }

  get #isConnected(): boolean {
    return this.#peer.link.hasPath;
  }

  get #pathNow(): PeerPath {
    const { isOpen, isDirect } = this.#peer;
    if (!isOpen) return 'none';
    if (!isDirect) return 'forwarded';
    return (this.#isRelayed ?? this.#used.length > 0) ? 'relayed' : 'direct';
  }

  get #servers(): readonly RTCIceServer[] {
    return this.#used.map((nk) => this.#host._serverOf(nk)).filter((server) => server !== null);
  }

  #tellPath(): void {
    const path = this.#pathNow;
    // Which of the two is not known before the browser has said it.
    const isGuess = this.#isRelayed === null && this.#peer.isDirect;
    if (path === this.#path || isGuess) return;
    this.#path = path;
    this.#peer.emit('path', path);
  }

  /** Wakes up as often as there is something to look after. */
  #schedule(): void {
    const { platform, state } = this.#peer;
    const isBusy = this.#isRelayed === true || this.#used.length > 0 || this.#attemptAt < Infinity;
    if (!isBusy || this.#cancelTimer !== null || state === 'closed') return;
    const wait = this.#isRelayed ? ASK_MS : Math.max(ASK_MS / 2, this.#attemptAt - platform.now());
    this.#cancelTimer = platform.setTimer(Math.min(wait, LOOK_MS), () => {
      this.#cancelTimer = null;
      this.#handleTime(platform.now());
      this.#schedule();
    });
  }

  #handleTime(now: Instant): void {
    const { state, isOpen, needsConnection, link } = this.#peer;
    const unseenMs = now - this.#timerAt;
    this.#timerAt = now;
    if (state === 'closed') return;
    if (!this.#peer.isDirect) {
      // Another member forwards: that will do, unless there is more to say than it takes.
      const isSettled = isOpen && !needsConnection;
      if (now >= this.#attemptAt && !this.#isConnected && !isSettled) this.#attempt();
      return;
    }
    if (now >= this.#lookAt) void this.#look();
    if (this.#isRelayed) {
      link.ask(now);
      const patience = SILENCE_MS + (link.hasOffered ? 0 : SECOND_MS);
      // A page whose timers are held back hears late, too.
      const isSilent = !link.wasHeardSince(instant(now - patience)) && unseenMs < MAX_UNSEEN_MS;
      if (isSilent && now - this.#replacedAt > REPLACE_MS) {
        this.#replacedAt = now;
        // The relay that has fallen silent may be the one by which the other side was heard.
        this.#peer.reroute();
        this.#attempt();
      } else if (now >= this.#retryDirectAt) this.#retryDirect(now);
    } else if (
      this.#directSince !== null &&
      now - this.#directSince > TRUST_MS &&
      this.#used.length > 0 &&
      !this.#peer.isPolite
    )
      this.#use([], true);
  }

  #retryDirect(now: Instant): void {
    const isFirst = this.#retryDirectAt === 0;
    this.#retryDirectAt = later(now, RETRY_DIRECT_MS);
    // Both have the same to gain: one of them does it.
    if (isFirst || !this.#peer.isPolite) this.#use(this.#used, true);
  }

  /** Has the peer relayed by the best relay there is, other than the one that did not do. */
  #attempt(preferred?: string): void {
    const now = this.#peer.platform.now();
    this.#attemptAt = later(now, Math.min(ATTEMPT_MS * 2 ** this.#attempts++, MAX_ATTEMPT_MS));
    const [current] = this.#used;
    if (current !== undefined && preferred === undefined)
      this.#avoided.set(current, later(now, AVOID_MS));
    const mine = this.#host._relays();
    const shared = mine.filter((nk) => this.#theirs.includes(nk) || this._needs.has(nk));
    const avoidedUntil = (nk: string): number => {
      const until = this.#avoided.get(nk) ?? 0;
      return until > now ? until : 0;
    };
    // What the other side holds may be more than it could say; and better one that did not do than
    // none, the longest ago first: it may have been away for a moment.
    const others = mine.filter((nk) => !shared.includes(nk));
    const [best] = [...shared, ...others].toSorted((a, b) => avoidedUntil(a) - avoidedUntil(b));
    const nk = preferred ?? best;
    if (shared.length === 0 && preferred === undefined) {
      // Those who know the same relays look for each other at the same ones.
      for (const one of this.#host._known().slice(0, MAX_USED)) this._needs.add(one);
      this.#host._handleNeeds();
    }
    if (nk !== undefined) this.#prefer(nk, true);
  }

  /** The other side uses a relay: so does this one. */
  #follow(nk: string): void {
    if (this.#host._serverOf(nk) !== null) {
      this.#avoided.delete(nk);
      this.#attempts ||= 1;
      this.#replacedAt = this.#peer.platform.now();
      this.#attemptAt = later(this.#replacedAt, ATTEMPT_MS);
      // Who has offered without it has nothing there yet.
      const isNew = this.#used[0] !== nk && this.#peer.link.hasOffered && !this.#isConnected;
      return this.#prefer(nk, isNew);
    }
    if (!this.#host._known().includes(nk) || this._needs.size >= MAX_NAMED) return;
    this._needs.add(nk);
    this.#host._handleNeeds();
  }

  #prefer(nk: string, restarts: boolean): void {
    this.#use([nk, ...this.#used.filter((one) => one !== nk)], restarts);
  }

  #needNone(): void {
    if (this._needs.size === 0) return;
    this._needs.clear();
    this.#host._handleNeeds();
  }

  #use(relays: readonly string[], restarts: boolean): void {
    this.#used = relays.slice(0, MAX_USED);
    if (relays.length === 0) this.#needNone();
    try {
      this.#peer.link.useServers(this.#servers, restarts);
    } catch (error) {
      // A relay whose address makes no URL that the browser takes.
      this.#peer.onListenerError(error);
    }
    this.#schedule();
  }

  async #look(): Promise<void> {
    const { connection, platform } = this.#peer;
    this.#lookAt = later(platform.now(), LOOK_MS);
    if (connection === null) return;
    // `null`: closed meanwhile.
    const found = await readPair(connection).catch(() => null);
    if (found?.pair === undefined || this.#peer.connection !== connection) return;
    const { isRelayed } = found;
    const now = platform.now();
    this.#directSince = isRelayed ? null : (this.#directSince ?? now);
    if (isRelayed && !this.#isRelayed) this.#retryDirectAt = later(now, RETRY_DIRECT_MS);
    this.#isRelayed = isRelayed;
    this.#tellPath();
    this.#schedule();
  }
}

/** Node keys; whatever else somebody names is none that we hold. */
function isName(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_NAME_LENGTH;
}
