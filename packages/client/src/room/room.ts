import { Emitter, type Instant, LumameshError, later } from '@lumamesh/base';
import type {
  BaseRoom,
  CloseOptions,
  MissReason,
  PeerCloseReason,
  RoomEvents,
  RoomOptions,
  RoomState,
} from '../api.ts';
import { checkCloseOptions } from '../options.ts';
import { extend, toError } from '../extend.ts';
import type { Feature, RoomHandle, RoomPart } from '../feature.ts';
import type { SendOptions } from '../peer/peer-frame.ts';
import { Peer, type PeerHost } from '../peer/peer.ts';
import { encodeValue } from '../peer/plain-values.ts';
import type { StructuredCodec } from '../peer/value-frames.ts';
import { BYE, type PeerSignal, fieldsOf, parsePeerSignal } from '../peer/signal.ts';
import type { Platform } from '../platform/platform.ts';
import type { ChannelHost, ChannelOwner } from './channel-host.ts';
import { broadcast } from './broadcast.ts';
import { RoomChannel } from './channel.ts';
import type { Member } from './members.ts';
import { nickOf, roleOf } from './presence-fields.ts';

/**
 * Each peer is an RTCPeerConnection; a member with made-up identities must not open them without
 * end.
 */
const MAX_PEERS = 250;
/** A member that could not be reached is tried again after this. */
const MEMBER_RETRY_MS = 30_000;

/** What a room needs of the net around it. */
export interface RoomHost extends ChannelHost {
  readonly _configuration: () => RTCConfiguration;
  /** Whether all relays have said who is in a room. */
  readonly _isListed: (roomId: string) => boolean;
  readonly _handleRoomLeft: () => void;
}

/** A room as the kernel makes it: a channel, and a connection to each of its members. */
export class Room
  extends Emitter<RoomEvents<Peer>>
  implements BaseRoom<Peer>, RoomHandle, ChannelOwner, PeerHost
{
  readonly name: string;
  readonly options: RoomOptions;
  readonly _codec: StructuredCodec | undefined;
  readonly #host: RoomHost;
  readonly #channel: RoomChannel;
  readonly #features: readonly Feature[];
  readonly #parts: readonly RoomPart[];
  readonly #peers = new Map<string, Peer>();
  /** When a member without a connection is tried again. */
  readonly #retryAt = new Map<string, Instant>();
  /** Peers that the page has sent away; they are not met again. */
  readonly #refused = new Set<string>();
  /** Why there is no peer for a member. */
  readonly #missed = new Map<string, MissReason>();
  /** Peers that have sent this page away; they are left alone until they join again. */
  readonly #refusing = new Set<string>();
  #state: RoomState = 'joining';
  #ended: Promise<void> = Promise.resolve();
  #hasSaidFull = false;

  constructor(name: string, options: RoomOptions, features: readonly Feature[], host: RoomHost) {
    super(host.onListenerError, ['ready', 'peer', 'leave', 'joined', 'status', 'error']);
    this.name = name;
    this.options = options;
    this.#host = host;
    this.#features = features;
    this._codec = features.findLast(({ values }) => values !== undefined)?.values;
    this.#channel = new RoomChannel('room', name, options.password ?? '', host, this);
    this.#parts = features.map((feature) => feature.room?.(this) ?? {});
    for (const { api, events = [] } of this.#parts) {
      extend(this, api);
      this._addEvents(events);
    }
  }

  get platform(): Platform {
    return this.#host.platform;
  }

  get onListenerError(): (error: unknown) => void {
    return this.#host.onListenerError;
  }

  get peers(): readonly Peer[] {
    return [...this.#peers.values()];
  }

  get state(): RoomState {
    return this.#state;
  }

  get selfId(): string {
    return this.#channel.selfId;
  }

  get roomId(): string | null {
    return this.#channel.roomId;
  }

  get ready(): Promise<string> {
    return this.#channel._ready;
  }

  get memberIds(): readonly string[] {
    return this.#channel._members.map(([id]) => id);
  }

  get isListed(): boolean {
    const { roomId } = this;
    return this.#state === 'joined' && roomId !== null && this.#host._isListed(roomId);
  }

  whyMissed(id: string): MissReason | undefined {
    return this.#missed.get(id);
  }

  updatePresence(): void {
    this.#channel._say().catch((cause: unknown) => this.reportError(toError(cause)));
  }

  get counter(): number {
    return this.#channel.counter;
  }

  async broadcast(value: unknown, options?: SendOptions): Promise<boolean> {
    return this.broadcastFrame('', '', value, options);
  }

  async broadcastFrame(
    frame: string,
    argument: string,
    value: unknown,
    options?: SendOptions,
  ): Promise<boolean> {
    // Nobody is there to have it any more.
    if (this.#state === 'left') return false;
    return broadcast(this.peers, frame, argument, value, options, this._codec, (error) =>
      this.reportError(error),
    );
  }

  expectSendable(value: unknown): void {
    encodeValue(value, this._codec);
  }

  async leave(options?: CloseOptions): Promise<void> {
    checkCloseOptions(options);
    if (this.#state === 'left') return this.#ended;
    this.#host._handleRoomLeft();
    this.#channel._leave();
    this.#setState('left');
    const ended = this.peers.map(async (peer) => peer.end('room-left', options));
    this.#ended = Promise.all(ended).then(() => undefined);
    for (const part of this.#parts) part.onLeave?.();
    return this.#ended;
  }

  peer(id: string): Peer | undefined {
    return this.#peers.get(id);
  }

  reportError(error: LumameshError): void {
    this.emit('error', error);
  }

  call(listener: () => void): void {
    try {
      listener();
    } catch (error) {
      this.onListenerError(error);
    }
  }

  /** Begins: derives the keys, and asks to join. */
  async _start(): Promise<void> {
    try {
      await this.#channel._start(async () => {
        for (const part of this.#parts) await part.onStart?.();
      });
      if (this.#state !== 'left') for (const part of this.#parts) part.onReady?.();
    } catch (cause) {
      this.reportError(toError(cause, 'CRYPTO_FAILED'));
    }
  }

  /** The network may have changed: everybody is asked for a sign of life. */
  _handleWake(now: Instant): void {
    for (const peer of this.peers) peer._handleWake(now);
    this.#retryAt.clear();
  }

  /** The page is put aside: connections would end by themselves, and nobody be told. */
  _handleSuspend(): void {
    for (const peer of this.peers) void peer.end('left', { flush: false });
  }

  _handlePageHide(): void {
    for (const peer of this.peers) peer._handlePageHide();
  }

  /** To be called about every second. */
  _handleTick(now: Instant): void {
    for (const peer of this.peers) {
      try {
        peer._handleTick(now);
      } catch {
        // The browser opens no further connection for it.
        void peer.end('failed');
      }
    }
    for (const [id, { presence }] of this.#channel._members) {
      if (this.#peers.has(id) || now < (this.#retryAt.get(id) ?? now)) continue;
      this.#retryAt.set(id, later(now, MEMBER_RETRY_MS));
      this.#add(id, presence, this.selfId > id);
    }
  }

  _presence(): object {
    const nick = nickOf(this.options);
    const fields = this.#features.map(({ name }, i) => [name, this.#parts[i]?.presence?.()]);
    return { ...Object.fromEntries(fields), nick, role: this.options.role };
  }

  _handleMember(id: string, { presence }: Member, isListed: boolean, hasMissed: boolean): void {
    this.#retryAt.set(id, later(this.platform.now(), MEMBER_RETRY_MS));
    for (const [i, { name }] of this.#features.entries())
      this.#parts[i]?.onPresence?.(id, fieldsOf(presence)[name]);
    if (!isListed) this.#refusing.delete(id);
    // Who comes last offers first.
    const peer = this.#peers.get(id) ?? this.#add(id, presence, isListed);
    peer?._handleSeen(nickOf(presence), hasMissed);
    this.#tellMembers();
  }

  _handleMemberGone(id: string): void {
    this.#retryAt.delete(id);
    this.#refusing.delete(id);
    const peer = this.#peers.get(id);
    this.#missed.delete(id);
    if (peer === undefined) this.#channel._release(id);
    else peer._handleLeft();
    this.#tellMembers();
  }

  /** Of who was made up nothing is kept. */
  _handlePushedOut(id: string): void {
    this.#retryAt.delete(id);
    if (!this.#peers.has(id)) this._handleMemberGone(id);
  }

  _handleSignal(from: string, payload: unknown, counter: number): boolean {
    const signal = parsePeerSignal(payload);
    if (signal === null) return false;
    // A peer that was given up is still in the room, and tries again.
    const presence = this.#channel._member(from)?.presence;
    const isNews = presence !== undefined && signal.description?.type === 'offer';
    if (signal.bye) this.#refusing.add(from);
    // It thinks better of it.
    else if (isNews) this.#refusing.delete(from);
    // It may not have heard that it was sent away; or it is not accepted.
    if (isNews && !signal.bye && !this.#peers.has(from) && !this.#isWanted(from, presence))
      this._sendSignal(from, BYE);
    const peer = this.#peers.get(from) ?? (isNews ? this.#add(from, presence, false) : null);
    peer?.receiveSignal(signal, counter);
    return peer !== null;
  }

  _isReached(id: string): boolean {
    return this.#peers.get(id)?.isOpen === true;
  }

  _handleReady(selfId: string): void {
    this.emit('ready', selfId);
  }

  _handleJoined(): void {
    this.#setState('joined');
    this.emit('joined', this.#peers.size);
    this.#tellMembers();
  }

  _handleError(error: LumameshError): void {
    this.reportError(error);
  }

  _configuration(): RTCConfiguration {
    return this.#host._configuration();
  }

  _sendSignal(to: string, signal: PeerSignal): void {
    void this.#channel._signal(to, signal);
  }

  _handlePeerEnded(peer: Peer, reason: PeerCloseReason): void {
    const { id } = peer;
    if (this.#channel._member(id) !== undefined)
      this.#retryAt.set(id, later(this.platform.now(), MEMBER_RETRY_MS));
    if (reason === 'refused') this.#refused.add(id);
    if (reason === 'refused-by-peer') this.#refusing.add(id);
    if (this.#channel._member(id) !== undefined) this.#missed.set(id, reason);
    this.#peers.delete(id);
    this.#channel._release(id);
    this.emit('leave', peer, reason);
    this.#tellMembers();
  }

  _unroute(id: string): void {
    this.#channel._unroute(id);
  }

  _settle(id: string): void {
    this.#channel._settle(id);
  }

  _mayConnect(): boolean {
    const busy = this.peers.filter(({ state }) => state !== 'idle');
    if (busy.length < Math.min(this.options.maxPeers ?? MAX_PEERS, MAX_PEERS)) return true;
    // Who never answers makes room for who may.
    const silent = busy.find((peer) => peer._isSilent(this.platform.now()));
    void silent?.end('failed');
    return silent !== undefined;
  }

  /** Makes a peer of a member. What goes wrong with one concerns no other. */
  #add(id: string, presence: unknown, offersFirst: boolean): Peer | null {
    try {
      return this.#meet(id, presence, offersFirst);
    } catch (error) {
      this.#missed.set(id, 'failed');
      this.reportError(toError(error));
      return null;
    }
  }

  #meet(id: string, presence: unknown, offersFirst: boolean): Peer | null {
    if (this.#refusing.has(id) || !this.#isWanted(id, presence)) return null;
    const role = roleOf(presence);
    const isPassive = role === 'observer' || this.options.role === 'observer';
    if (!isPassive && !this._mayConnect()) {
      if (!this.#hasSaidFull)
        this.reportError(new LumameshError('ROOM_FULL', 'there are more members than maxPeers'));
      this.#hasSaidFull = true;
      this.#missed.set(id, 'full');
      return null;
    }
    this.#missed.delete(id);
    if (this.platform.PeerConnection === null)
      throw new LumameshError('WEBRTC_MISSING', 'no WebRTC to reach peers with');
    const peer = new Peer(id, nickOf(presence), role, this.selfId < id, this);
    peer._start(
      this.#features.map(
        (feature, i) => this.#parts[i]?.peer?.(peer) ?? feature.peer?.(peer) ?? {},
      ),
      isPassive ? null : offersFirst,
    );
    this.#peers.set(id, peer);
    this.emit('peer', peer);
    return peer;
  }

  /** Whether this page has not sent a member away, and all features accept it. */
  #isWanted(id: string, presence: unknown): boolean {
    if (this.#refused.has(id)) return false;
    const isAccepted = this.#parts.every((part) => part.accepts?.(id, presence) !== false);
    if (!isAccepted) this.#missed.set(id, 'not-accepted');
    return isAccepted;
  }

  #tellMembers(): void {
    for (const part of this.#parts) part.onMembers?.();
  }

  #setState(state: RoomState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.emit('status', state);
  }
}
