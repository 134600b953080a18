import { Emitter, type Instant, LumameshError } from '@lumamesh/base';
import type { ClientMessage, RelayMessage, RoomKind } from '@lumamesh/protocol';
import type {
  BaseNet,
  CloseOptions,
  ConnectOptions,
  NetEvents,
  NetStatus,
  RoomOptions,
} from '../api.ts';
import { checkConnectOptions, checkRoomOptions } from '../arguments.ts';
import { checkCloseOptions } from '../options.ts';
import { extend } from '../extend.ts';
import type { Feature, NetHandle, NetPart } from '../feature.ts';
import type { Measurable } from '../platform/relay-channel.ts';
import type { Platform } from '../platform/platform.ts';
import type { ChannelHost, ChannelOwner, HeldChannel } from '../room/channel-host.ts';
import { RoomChannel } from '../room/channel.ts';
import { type PeerIdentity, createPeerIdentity } from '../room/peer-identity.ts';
import { Room } from '../room/room.ts';
import { RelayPool, type RelayPoolOwner } from './relay-pool.ts';
import { type KnownRelay, type RelaySource, readRelaySources } from './relay-source.ts';

/** How often things are looked at, while relays are dialled and while all is well. */
const BUSY_TICK_MS = 200;
const CALM_TICK_MS = 1000;
/** Time that passed unseen means that the machine was asleep. */
const ASLEEP_MS = 5000;

/** A net as the kernel makes it; what features add is put there when it is made. */
export class Net extends Emitter<NetEvents> implements BaseNet<Room>, NetHandle, RelayPoolOwner {
  readonly platform: Platform;
  readonly options: ConnectOptions;
  readonly #features: readonly Feature[];
  readonly #parts: readonly NetPart[];
  readonly #pool: RelayPool;
  /** By name and password: joining a room twice is being in it once. */
  readonly #rooms = new Map<string, Room>();
  /** All that is told of relays: rooms, and channels beside them. */
  readonly #channels = new Set<HeldChannel>();
  readonly #onListenerError: (error: unknown) => void;
  readonly #stopWatching: () => void;
  #cancelTick = (): void => undefined;
  #tickedAt: Instant;
  #isClosed = false;
  /** The ICE servers of which pages were told, as JSON. */
  #toldIceServers = '';
  #ended: Promise<void> = Promise.resolve();

  /**
   * Begins. Throws `BAD_RELAY` when no relay is known or one is malformed, `BAD_ARGUMENT`,
   * `BAD_IDENTITY` and `BAD_FEATURE`.
   */
  constructor(options: ConnectOptions, platform: Platform, features: readonly Feature[]) {
    checkConnectOptions(options, platform);
    const { onListenerError: own } = options;
    // Later, so that nothing is left half done by one that throws as well.
    const onListenerError = (error: unknown): void =>
      queueMicrotask(() => {
        if (own === undefined) throw error;
        own(error);
      });
    super(onListenerError, ['status', 'iceServers', 'error']);
    const { relays = [], signal } = options;
    this.platform = platform;
    this.options = options;
    this.#onListenerError = onListenerError;
    this.#features = features;
    this.#tickedAt = platform.now();
    this.#pool = new RelayPool(platform, options, this);
    this.#parts = features.map((feature) => feature.net?.(this) ?? {});
    for (const part of this.#parts) extend(this, part.api);
    // Its length is that of a list; anything else will be refused by what reads it.
    const sources: readonly RelaySource[] = Array.isArray(relays) ? relays : [relays];
    try {
      this.#addSources(sources);
    } catch (error) {
      // Nobody has this net: a list that is on its way must not make it dial.
      this.#isClosed = true;
      throw error;
    }
    const stopWatching = platform.watchPage({
      wake: () => this.wake(),
      freeze: () => this.#suspend(),
      gone: () => {
        for (const part of this.#parts) part.onPageHide?.();
        for (const room of this.#rooms.values()) room._handlePageHide();
        void this.close();
      },
    });
    const close = (): void => void this.close();
    if (signal?.aborted === true) queueMicrotask(close);
    signal?.addEventListener('abort', close);
    this.#stopWatching = () => {
      stopWatching();
      signal?.removeEventListener('abort', close);
    };
    this.#tick();
  }

  get status(): NetStatus {
    const { _statuses: relays, _fault: fault, book } = this.#pool;
    const known = book.entries.length;
    const open = relays.filter(({ state }) => state === 'open').length;
    const state = this.#isClosed
      ? 'closed'
      : open > 0
        ? 'online'
        : fault === null
          ? 'connecting'
          : 'offline';
    const text = open > 0 ? `${open} of ${known} relays` : (fault?.message ?? state);
    return { state, text, code: open > 0 ? '' : (fault?.code ?? ''), relays, known };
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get rooms(): Iterable<Room> {
    return this.#rooms.values();
  }

  get stays(): Iterable<HeldChannel> {
    return this.#channels;
  }

  get roomIds(): ReadonlySet<string> {
    const ids = [...this.#channels].map(({ roomId }) => roomId);
    return new Set(ids.filter((id) => id !== null));
  }

  get book(): RelayPool['book'] {
    return this.#pool.book;
  }

  get choice(): RelayPool['choice'] {
    return this.#pool.choice;
  }

  joinRoom(name: string, options: RoomOptions = {}): Room {
    if (this.#isClosed) throw new LumameshError('NET_CLOSED', 'this net was closed');
    checkRoomOptions(name, options);
    const key = this.roomKey(name, options.password);
    const joined = this.#rooms.get(key);
    if (joined !== undefined) return joined;
    const room: Room = new Room(name, options, this.#features, {
      ...this.#channelHost,
      _handleRoomLeft: () => this.#rooms.delete(key),
      _configuration: () => ({
        ...this.options.rtcConfiguration,
        iceServers: [...this.iceServersOf([])],
      }),
      _isListed: (roomId) => this.#pool._isListed(roomId),
    });
    this.#rooms.set(key, room);
    void room._start();
    return room;
  }

  get iceServers(): readonly RTCIceServer[] {
    return this.iceServersOf([...this.roomIds]);
  }

  get onListenerError(): (error: unknown) => void {
    return this.#onListenerError;
  }

  iceServersOf(roomIds: readonly string[]): readonly RTCIceServer[] {
    const urls = [...this.#pool._stunUrls];
    return [
      ...(urls.length === 0 ? [] : [{ urls }]),
      ...(this.options.iceServers ?? []),
      ...(this.options.rtcConfiguration?.iceServers ?? []),
      ...this.#parts.flatMap((part) => part.iceServers?.(roomIds) ?? []),
    ];
  }

  roomKey(name: string, password = ''): string {
    return JSON.stringify([name, password].map((text) => text.normalize('NFC')));
  }

  openChannel(kind: RoomKind, name: string, password: string, owner: ChannelOwner): RoomChannel {
    if (this.#isClosed) throw new LumameshError('NET_CLOSED', 'this net was closed');
    return new RoomChannel(kind, name, password, this.#channelHost, owner);
  }

  async close(options?: CloseOptions): Promise<void> {
    checkCloseOptions(options);
    if (this.#isClosed) return this.#ended;
    this.#isClosed = true;
    this.#cancelTick();
    this.#stopWatching();
    for (const part of this.#parts) part.onClose?.();
    const ended = [...this.#rooms.values()].map(async (room) => room.leave(options));
    this.#ended = Promise.all(ended).then(() => undefined);
    for (const channel of this.#channels) channel._leave();
    this.#pool._close();
    this.#handleStatus();
    return this.#ended;
  }

  wake(): void {
    if (this.#isClosed) return;
    const now = this.platform.now();
    this.#tickedAt = now;
    this.#pool._handleWake(now);
    for (const room of this.#rooms.values()) room._handleWake(now);
    for (const part of this.#parts) part.onWake?.();
    this.#tick();
  }

  replan(): void {
    this.#pool._plan();
  }

  send(relay: string | null, message: ClientMessage): boolean {
    return this.#pool.send(relay, message);
  }

  connectionTo(relay: string): Measurable | null {
    return this.#pool._connectionTo(relay);
  }

  setSeeds(source: string, relays: readonly KnownRelay[]): void {
    this.book.setSeeds(source, relays);
    this.replan();
    this.#handleStatus();
  }

  reportFault(key: string, error: LumameshError | null): void {
    this.#pool._reportFault(key, error);
  }

  async _addressesOf(relay: KnownRelay): Promise<readonly string[]> {
    for (const part of this.#parts) {
      const found = await part.addressesOf?.(relay);
      if (found) return found;
    }
    return relay.ip6 === undefined ? [relay.ip] : [relay.ip, relay.ip6];
  }

  _handleRelayOpen(nk: string): void {
    for (const channel of this.#channels) channel._handleRelayUp(nk);
    this.#sync();
    for (const part of this.#parts) part.onRelayOpen?.(nk);
  }

  _handleRelayMessage(nk: string, message: RelayMessage): void {
    if ('room' in message)
      for (const channel of this.#channels)
        if (channel.roomId === message.room) channel._handleMessage(nk, message);
    for (const part of this.#parts) part.onRelayMessage?.(nk, message);
    this.#tellIceServers();
  }

  _handleRelayGone(nk: string): void {
    for (const channel of this.#channels) channel._handleRelayGone(nk);
    for (const part of this.#parts) part.onRelayGone?.(nk);
  }

  _handleChange(): void {
    this.#handleStatus();
  }

  _handleFault(fault: LumameshError): void {
    void (async () => {
      // A page that has just been given this net can listen now.
      let refined = await Promise.resolve(fault);
      for (const part of this.#parts) refined = (await part.refineFault?.(refined)) ?? refined;
      // Reached, or closed, meanwhile.
      if (this.#pool._fault === null || this.#isClosed) return;
      this.#pool._fault = refined;
      this.#handleStatus();
      this.emit('error', refined);
    })();
  }

  /** The page's own relays. Throws `BAD_RELAY`. */
  #addSources(sources: readonly RelaySource[]): void {
    const own = sources.filter((source) => !this.#parts.some((part) => part.takeSource?.(source)));
    this.book.setSeeds('', readRelaySources(own, this.options.logger?.warn));
    for (const part of this.#parts) part.onStart?.();
    if (this.book.entries.length === 0 && own.length === sources.length)
      throw new LumameshError(
        'BAD_RELAY',
        'no relay is known: connect({ relays: [a record, or a line of relay.txt] })',
      );
  }

  #handleStatus(): void {
    this.emit('status', this.status);
    this.#tellIceServers();
  }

  #tellIceServers(): void {
    const { iceServers } = this;
    const text = JSON.stringify(iceServers);
    if (text === this.#toldIceServers) return;
    this.#toldIceServers = text;
    this.emit('iceServers', iceServers);
  }

  #tick(): void {
    this.#cancelTick();
    if (this.#isClosed) return;
    const now = this.platform.now();
    if (now - this.#tickedAt > ASLEEP_MS) return this.wake();
    this.#tickedAt = now;
    // First of all, so that nothing that goes wrong below stops the clock.
    this.#cancelTick = this.platform.setTimer(
      this.#pool._isDialling ? BUSY_TICK_MS : CALM_TICK_MS,
      () => this.#tick(),
    );
    for (const channel of this.#channels) channel._handleTick(now);
    for (const room of this.#rooms.values()) room._handleTick(now);
    this.#pool._handleTick(now);
    this.#sync();
    for (const part of this.#parts) part.onTick?.(now);
  }

  /**
   * A page that is kept for "back" is frozen, not gone. Its connections end now, so that others see
   * it leave; `wake` makes new ones.
   */
  #suspend(): void {
    for (const room of this.#rooms.values()) room._handleSuspend();
    this.#pool._suspend();
  }

  /** What a channel needs of the net. */
  get #channelHost(): ChannelHost {
    return {
      platform: this.platform,
      onListenerError: this.#onListenerError,
      _identityFor: async (roomId) => this.#identityFor(roomId),
      send: (relay, message) => this.send(relay, message),
      _handleStart: (channel) => this.#channels.add(channel),
      _handleReady: () => {
        this.#sync();
        this.replan();
      },
      _handleLeft: (channel) => {
        this.#channels.delete(channel);
        this.#sync();
      },
    };
  }

  /**
   * An identity for each room: relays cannot tell that two rooms have the same visitor, and no
   * counter of one is used in another.
   */
  async #identityFor(roomId: string): Promise<PeerIdentity> {
    const { identity } = this.options;
    if (identity !== undefined) return identity.peerFor(roomId);
    const part = this.#parts.find(({ identityFor }) => identityFor !== undefined);
    return part?.identityFor?.(roomId) ?? createPeerIdentity(this.platform.crypto.subtle);
  }

  #sync(): void {
    this.#pool._sync(this.#channels);
  }
}
