import { type Instant, LumameshError, instant, later } from '@lumamesh/base';
import type { PairCipher } from '../../core/pair-cipher.ts';
import {
  type SendOptions,
  type ValueInbox,
  type ValueOutbox,
  encodeValue,
} from '../../core/peer-frame.ts';
import { type PeerSignal, parsePeerSignal } from '../../core/signal.ts';
import { MAX_VALUE_BYTES, ValueReceiver, ValueSender } from '../../core/value-stream.ts';
import { Peer, type PeerHost } from '../peer.ts';
import type { PeerLink } from '../peer-link.ts';
import { type FileOptions, readFileOffer, sendFile } from './files.ts';
import { type Carrier, Detour } from './forwarding.ts';
import { Media } from './media.ts';
import { type RequestHandler, type RequestOptions, Requests } from './requests.ts';

/** A direct way that takes longer than this is not waited for: somebody else is asked to carry. */
const DETOUR_AFTER_MS = 6000;
/** How often a direct way is tried again while others carry. */
const DIRECT_RETRY_MS = 60_000;
const ADMISSION_TIMEOUT_MS = 15_000;
/** Values that come before this side has admitted the peer. */
const MAX_HELD_VALUES = 256;

/** What a handshake may use before the peer is admitted. */
export interface Handshake {
  readonly send: (value: unknown) => void;
  /** The next value of the other side's handshake. */
  readonly receive: () => Promise<unknown>;
}

/** What the whole library needs of the room. */
export interface FullPeerHost extends PeerHost {
  readonly answers: ReadonlyMap<string, RequestHandler<FullPeer>>;
  readonly handshake: ((peer: FullPeer, handshake: Handshake) => unknown) | undefined;
  /** A tagged value that is the room's: actions, and what is carried for others. */
  handleRoomTag(peer: FullPeer, tag: string, value: unknown): void;
  /** `null` for a peer that does not take part in forwarding. */
  cipherFor(peer: FullPeer): Promise<PairCipher> | null;
  carriers(): readonly FullPeer[];
  handleUnreachable(peer: FullPeer): void;
}

/** Another browser in the room, with all that can be done with it. */
export class FullPeer extends Peer implements Carrier {
  declare protected readonly host: FullPeerHost;
  readonly #requests: Requests<FullPeer>;
  readonly #media: Media;
  readonly #bornAt: Instant;
  #detour: Detour | null = null;
  #isSeeking = false;
  #retryDirectAt: Instant = instant(0);
  #isAdmitting = false;
  /** What the other side's handshake has said; it may begin before ours. */
  readonly #handshakeValues: unknown[] = [];
  #wakeHandshake = (): void => undefined;
  readonly #handshakeEnd = Promise.withResolvers<void>();
  readonly #otherIsDone = Promise.withResolvers<void>();
  readonly #held: (() => void)[] = [];
  /** What goes to a peer that is not let in yet: the handshake, and signals. */
  readonly #control: ValueSender;
  #saidUnreachable = false;
  /** @internal From its presence: whether it carries for others. */
  isWilling = false;

  constructor(id: string, nick: string, ownId: string, host: FullPeerHost) {
    super(id, nick, ownId, host);
    this.#bornAt = host.platform.now();
    // Whoever waits for it hears of it; until somebody does it is no unhandled rejection.
    this.#handshakeEnd.promise.catch(() => undefined);
    this.#requests = new Requests<FullPeer>(
      host.platform,
      host.answers,
      (tag, value) => void this.sendTagged(tag, value),
    );
    this.#control = new ValueSender((error) => host.onListenerError(error));
    this.#media = new Media(
      (streams) => void this.sendTagged('m', streams),
      (stream, metadata) => this.emit('stream', stream, metadata),
    );
  }

  /** Whether values go straight to the peer; otherwise another member carries them, sealed. */
  get isDirect(): boolean {
    return this.link.isOpen;
  }

  /**
   * Asks the peer what its page answers with `room.answer(name, …)`. Rejects with `REQUEST_TIMEOUT`, `REQUEST_FAILED` (the other side threw),
   * `NO_HANDLER`, or `PEER_CLOSED`.
   */
  async request<Answer = unknown>(
    name: string,
    value: unknown = null,
    options: RequestOptions = {},
  ): Promise<Answer> {
    // The answer has whatever type the other page gives it: a page that must be sure looks at it.
    return (await this.#requests.ask(name, value, options)) as Answer;
  }

  /** Measures the time to the peer and back, in ms. Rejects like {@link request}. */
  async rtt(options: RequestOptions = {}): Promise<number> {
    const { platform } = this.host;
    const startedAt = platform.now();
    await this.#requests.ask('', null, options).catch((error: unknown) => {
      // Nobody answers that name, and that is the answer.
      if (!(error instanceof LumameshError) || error.code !== 'NO_HANDLER') throw error;
    });
    return platform.now() - startedAt;
  }

  /** Sends a file; resolves when the peer has all of it. Rejects with `FILE_CANCELLED`, `FILE_FAILED` or `PEER_NOT_DIRECT`. */
  async sendFile(file: Blob, options: FileOptions = {}): Promise<void> {
    const link = this.#openLink;
    if (link === null) throw new LumameshError('PEER_NOT_DIRECT', 'files take a direct connection');
    return sendFile(link.connection, file, options);
  }

  /** Sends a stream of camera, microphone or screen, with whatever the other page should know of it. It outlives lost connections. */
  addStream(stream: MediaStream, metadata: unknown = null): void {
    this.#media.add(this.#openLink, stream, metadata);
  }

  removeStream(stream: MediaStream): void {
    this.#media.remove(this.#openLink, stream);
  }

  /** Sends another track in the place of one: another camera, say. */
  async replaceTrack(oldTrack: MediaStreamTrack, newTrack: MediaStreamTrack): Promise<void> {
    return this.#media.replace(this.#openLink, oldTrack, newTrack);
  }

  /** @internal */
  override sendTagged(tag: string, value: unknown, options: SendOptions = {}): Promise<boolean> {
    if (this.isAdmitted || !['h', 'H', 's'].includes(tag))
      return super.sendTagged(tag, value, options);
    return this.#control.send(
      this.isDirect ? this.link : (this.#detour ?? this.link),
      tag,
      encodeValue(value),
      {},
    );
  }

  /** @internal A sealed frame of this peer, carried by another. */
  async handleCarried(carrier: FullPeer, bytes: Uint8Array): Promise<void> {
    (await this.#makeDetour())?.handleSealed(carrier, bytes);
  }

  /** @internal What was agreed on with this peer is void. */
  dropDetour(): void {
    this.#detour?.close();
    this.#detour = null;
    this.setDetour(null);
  }

  /** @internal */
  handleRefused(carrierId: string): void {
    this.#detour?.handleRefused(carrierId);
  }

  /** @internal */
  override handleTick(now: Instant): void {
    super.handleTick(now);
    if (this.isDirect || this.state === 'closed') return;
    const isLate =
      this.link.needsHelp ||
      (this.state !== 'connecting' && !this.isOpen) ||
      now - this.#bornAt > DETOUR_AFTER_MS;
    if (isLate) void this.#makeDetour().then((detour) => detour?.seek(now, this.host.carriers()));
    if (
      this.link.needsHelp &&
      this.#detour?.isOpen !== true &&
      !this.#saidUnreachable &&
      this.host.carriers().length === 0
    ) {
      this.#saidUnreachable = true;
      this.host.handleUnreachable(this);
    }
    // The carrier's queue has become short without anybody telling.
    this.pump();
    if (!this.link.isEnded || now < this.#retryDirectAt) return;
    this.#retryDirectAt = later(now, DIRECT_RETRY_MS);
    this.beginAnew(!this.isPolite);
  }

  override close(reason?: Parameters<Peer['close']>[0]): void {
    if (this.state === 'closed') return;
    this.#detour?.close();
    this.#held.splice(0);
    super.close(reason);
    this.#requests.close();
    this.#handshakeEnd.reject(
      new LumameshError('PEER_CLOSED', 'the peer left before it was let in'),
    );
  }

  protected override makeOutbox(): ValueOutbox {
    return new ValueSender((error) => this.host.onListenerError(error));
  }

  protected override makeInbox(): ValueInbox {
    return new ValueReceiver(
      (tag, value) => this.#deliver(tag, value),
      (received, total) => this.emit('progress', received, total),
      () => (this.#isGuarded ? 0 : MAX_VALUE_BYTES),
    );
  }

  protected override admit(open: () => void): void {
    const { handshake, platform } = this.host;
    const finish = (): void => {
      open();
      for (const deliver of this.#held.splice(0)) deliver();
    };
    if (handshake === undefined) return finish();
    if (this.#isAdmitting) return;
    this.#isAdmitting = true;
    const cancel = platform.setTimer(ADMISSION_TIMEOUT_MS, () => this.close('failed'));
    const receive = async (): Promise<unknown> => {
      while (this.#handshakeValues.length === 0)
        await Promise.race([
          this.#handshakeEnd.promise,
          new Promise<void>((resolve) => (this.#wakeHandshake = resolve)),
        ]);
      return this.#handshakeValues.shift();
    };
    void (async () => {
      try {
        await handshake(this, { send: (value) => void this.sendTagged('h', value), receive });
        // Values go when both have let each other in.
        void this.sendTagged('H', null);
        await Promise.race([this.#handshakeEnd.promise, this.#otherIsDone.promise]);
        if (this.state !== 'closed') finish();
      } catch {
        this.close();
      } finally {
        cancel();
      }
    })();
  }

  protected override sendSignal(signal: PeerSignal): void {
    // A living connection carries its own renegotiation: nobody else is needed for it.
    if (this.link.isLively) void this.sendTagged('s', signal);
    else super.sendSignal(signal);
  }

  protected override get isOverWithoutLink(): boolean {
    return this.#detour?.isOpen !== true;
  }

  protected override handleDirect(): void {
    this.#media.attach(this.link);
  }

  protected override handleChannel(channel: RTCDataChannel): void {
    const file = readFileOffer(channel);
    if (file === null) return channel.close();
    // A channel may be there before this side has noticed that the connection is open.
    this.#whenAdmitted(() => (this.has('file') ? this.emit('file', file) : file.refuse()));
  }

  protected override handleTrack(event: RTCTrackEvent): void {
    this.#whenAdmitted(() => this.#media.handleTrack(event));
  }

  #deliver(tag: string, value: unknown): void {
    if (tag === 's') return this.#handleValue(tag, value);
    if (!this.#isGuarded) return this.#whenAdmitted(() => this.#handleValue(tag, value));
    // Whatever else comes now comes from somebody who is not let in.
    if (tag === 'H') this.#otherIsDone.resolve();
    if (tag !== 'h' || this.#handshakeValues.length >= MAX_HELD_VALUES) return;
    this.#handshakeValues.push(value);
    this.#wakeHandshake();
  }

  /** Whether a handshake stands before everything else. */
  get #isGuarded(): boolean {
    return this.host.handshake !== undefined && !this.isAdmitted;
  }

  /** What comes before this side has noticed that the connection is open is heard then. */
  #whenAdmitted(then: () => void): void {
    if (this.isAdmitted) then();
    else if (this.#held.length < MAX_HELD_VALUES) this.#held.push(then);
    else this.close();
  }

  get #openLink(): PeerLink | null {
    return this.isAdmitted && this.isDirect ? this.link : null;
  }

  #handleValue(tag: string, value: unknown): void {
    if (tag === '') return this.emit('data', value);
    const signal = tag === 's' ? parsePeerSignal(value) : null;
    if (signal !== null) this.handleSignal(signal);
    else if (tag === 'm') this.#media.handleTag(value);
    else if (!this.#requests.handle(tag, value, this)) this.host.handleRoomTag(this, tag, value);
  }

  async #makeDetour(): Promise<Detour | null> {
    if (this.#detour !== null || this.#isSeeking) return this.#detour;
    this.#isSeeking = true;
    try {
      const cipher = await this.host.cipherFor(this);
      if (cipher === null || this.state === 'closed') return null;
      const detour: Detour = new Detour(this.host.platform, this.id, cipher, {
        frame: (frame, isOrdered, isFirst) =>
          this.handleDetourFrame(
            typeof frame === 'string' ? frame : frame.buffer,
            isOrdered,
            isFirst,
          ),
        change: (isOpen) => this.setDetour(isOpen ? detour : null),
        low: () => this.pump(),
      });
      this.#detour = detour;
      return detour;
    } catch {
      // Its presence has no key that is one.
      return null;
    } finally {
      this.#isSeeking = false;
    }
  }
}
