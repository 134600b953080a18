import type { Instant, LumameshError } from '@lumamesh/base';
import type { ClientMessage, RelayMessage, RoomKind } from '@lumamesh/protocol';
import type {
  BaseNet,
  BasePeer,
  BaseRoom,
  CloseOptions,
  ConnectOptions,
  EventMap,
  Listenable,
  MissReason,
  NetEvents,
  NetStatus,
  PeerCloseReason,
  PeerEvents,
  RoomEvents,
  RoomOptions,
} from './api.ts';
import type { RelayBook } from './net/relay-book.ts';
import type { RelayChoice } from './net/relay-choice.ts';
import type { Measurable } from './platform/relay-channel.ts';
import type { KnownRelay } from './net/relay-source.ts';
import type { FrameSink, SendOptions } from './peer/peer-frame.ts';
import type { PeerSignal } from './peer/signal.ts';
import type { StructuredCodec } from './peer/value-frames.ts';
import type { Platform } from './platform/platform.ts';
import type { ChannelOwner } from './room/channel-host.ts';
import type { RoomChannel } from './room/channel.ts';
import type { PeerIdentity } from './room/peer-identity.ts';

/*
 * The kernel (net/, room/, peer/) knows relays, membership, sealed signaling and one connection for
 * each peer. Everything else is a feature: it is told what happens to a net, its rooms and their
 * peers, takes frames of its own, and adds methods to what the page sees.
 *
 *   connect({ features })
 *     feature.net(net)    once            → NetPart
 *     feature.room(room)  for each room   → RoomPart
 *     part.peer(peer)     for each peer   → PeerPart, or feature.peer(peer) where it needs no room
 *
 * All of a part is optional. What it puts under `api` becomes part of the page's object; the same
 * name twice is a mistake (BAD_FEATURE).
 */

/** What a feature adds to the types. */
export interface Api {
  /** Peers with all features, for what the room and its options say of them: `this['peerType']`. */
  readonly peerType: unknown;
  readonly net: unknown;
  readonly room: unknown;
  readonly peer: unknown;
  readonly roomOptions: unknown;
  readonly peerEvents: unknown;
  readonly roomEvents: unknown;
}

/** One part of the library. `A` declares what it adds to the types: see {@link Api}. */
export interface Feature<A extends Api = Api> {
  /** In error messages, and the field of its own in this page's presence. */
  readonly name: string;
  /** Writes and reads what JSON does not carry; of several features the last one counts. */
  readonly values?: StructuredCodec;
  net?(net: NetHandle): NetPart;
  room?(room: RoomHandle): RoomPart;
  peer?(peer: PeerHandle): PeerPart;
  /** Never there: carries `A` for the compiler. */
  readonly api?: A;
}

/** What a feature sees of the net. */
export interface NetHandle extends Listenable<NetEvents> {
  readonly platform: Platform;
  readonly options: ConnectOptions;
  readonly isClosed: boolean;
  readonly status: NetStatus;
  readonly rooms: Iterable<RoomHandle>;
  /** Rooms and channels that this page takes part in, by what its identity was used for there. */
  readonly stays: Iterable<Pick<RoomHandle, 'roomId' | 'counter'>>;
  /** What relays know the rooms by that this page takes part in. */
  readonly roomIds: ReadonlySet<string>;
  /** Which relays are known. */
  readonly book: RelayBook;
  /** Which relays are dialled and held; {@link replan} acts on what was changed. */
  readonly choice: RelayChoice;
  replan(): void;
  /**
   * Sends by one relay, or by all of them when `relay` is null or not held any more.
   * @returns whether any relay took it
   */
  send(relay: string | null, message: ClientMessage): boolean;
  /** What measures the connection to a relay that is dialled or held. */
  connectionTo(relay: string): Measurable | null;
  /** The page's own relays of one source that came later, in the place of those it had before. */
  setSeeds(source: string, relays: readonly KnownRelay[]): void;
  /**
   * Takes part in a channel, in which nobody is connected to. It begins with `_start()`.
   * @param kind `room`: as who joins the room of that name sees it
   */
  openChannel(kind: RoomKind, name: string, password: string, owner: ChannelOwner): RoomChannel;
  /** STUN of the relays held, the page's own servers, and what features have for some rooms. */
  iceServersOf(roomIds: readonly string[]): readonly RTCIceServer[];
  /** Who gives the same name and password means the same room. */
  roomKey(name: string, password?: string): string;
  readonly onListenerError: (error: unknown) => void;
  /** Something about a source of relays went wrong, or is well again; `key` names the source. */
  reportFault(key: string, error: LumameshError | null): void;
}

export interface NetPart {
  /** Methods for the net. */
  readonly api?: object;
  /**
   * Takes an entry of `connect({ relays })` for itself, to add seeds later.
   * @returns whether it did
   */
  takeSource?(source: unknown): boolean;
  /** Relays were named and are about to be dialled. */
  onStart?(): void;
  /** Addresses at which to dial a relay, or `null` for those of its record. */
  addressesOf?(relay: KnownRelay): Promise<readonly string[] | null>;
  /** Who this page is in a room. */
  readonly identityFor?: (roomId: string) => Promise<PeerIdentity>;
  /** Servers by which members of some rooms can be reached. */
  iceServers?(roomIds: readonly string[]): readonly RTCIceServer[];
  onRelayOpen?(nk: string): void;
  /** A relay is not held any more. */
  onRelayGone?(nk: string): void;
  onRelayMessage?(nk: string, message: RelayMessage): void;
  /** Why no relay can be used, as far as more can be found out than their errors say. */
  refineFault?(fault: LumameshError): Promise<LumameshError>;
  /** About every second. */
  onTick?(now: Instant): void;
  /** The page is visible again, has thawed, or has another network. */
  onWake?(): void;
  /** The page goes: the last moment to keep something. */
  onPageHide?(): void;
  onClose?(): void;
}

/** What a feature sees of a room, besides what pages see. */
export interface RoomHandle extends BaseRoom<PeerHandle> {
  readonly platform: Platform;
  readonly options: RoomOptions;
  /** What relays know the room by; `null` until it is derived. */
  readonly roomId: string | null;
  /** The first counter that this page's identity in the room has not used. */
  readonly counter: number;
  peer(id: string): PeerHandle | undefined;
  /** Those whom relays list, this page left out. */
  readonly memberIds: readonly string[];
  /** Whether all relays that are sought have said who is there. */
  readonly isListed: boolean;
  /** Why there is no peer for a member; undefined while that is not decided. */
  whyMissed(id: string): MissReason | undefined;
  /** What features say of this page has changed: the others are told. */
  updatePresence(): void;
  reportError(error: LumameshError): void;
  /** For events of the feature's own, too. */
  emit(event: string, ...values: readonly unknown[]): void;
  /** Whether the page listens to an event. */
  has(event: string): boolean;
  /** Calls a listener of the page; what it throws goes to `onListenerError`. */
  call(listener: () => void): void;
  /** Throws `NOT_SENDABLE` for a value that no peer could be sent. */
  expectSendable(value: unknown): void;
  /** Sends a frame to all peers, as {@link PeerHandle.sendFrame} does. */
  broadcastFrame(
    frame: string,
    argument: string,
    value: unknown,
    options?: SendOptions,
  ): Promise<boolean>;
}

export interface RoomPart {
  /** Events of the feature's own, for listeners of the room. */
  readonly events?: readonly string[];
  /** Methods for the room. */
  readonly api?: object;
  peer?(peer: PeerHandle): PeerPart;
  /** Before anything is said of this page: what {@link presence} needs is made here. */
  onStart?(): Promise<void>;
  /** What the members learn of this page, under the feature's name in its presence. */
  presence?(): unknown;
  /** What a member says of itself there, before it becomes a peer and whenever it is heard. */
  onPresence?(id: string, presence: unknown): void;
  /**
   * Whether a member may be connected to; asked before that, and again when it says something else
   * of itself.
   * @param presence all of it: `nick`, `role` and what features say under their names
   */
  accepts?(id: string, presence: unknown): boolean;
  /** Who is there, or who of them is a peer, has changed. */
  onMembers?(): void;
  /** The room's id and keys are there, and relays are told. */
  onReady?(): void;
  onLeave?(): void;
}

/** What a feature sees of a peer, besides what pages see. */
export interface PeerHandle extends BasePeer {
  readonly platform: Platform;
  /** Gives way when both sides do the same at once. */
  readonly isPolite: boolean;
  /** Whether the peer was let in. */
  readonly isAdmitted: boolean;
  /** What the peer has not acknowledged in the lane of requests, in bytes. */
  readonly requestBytes: number;
  /** The direct connection, while it is open and the peer was let in. */
  readonly connection: RTCPeerConnection | null;
  /** The state of the direct connection of now, or of the last one. */
  readonly link: LinkState;
  /** Whether a feature has something for the peer that goes by a connection only. */
  readonly needsConnection: boolean;
  /** For events of the feature's own, too. */
  emit(event: string, ...values: readonly unknown[]): void;
  /** Whether the page listens to an event. */
  has(event: string): boolean;
  readonly onListenerError: (error: unknown) => void;
  /**
   * Sends a value for the feature that takes `frame` on the other side, in the order of its lane.
   * The other side's kernel passes over frames that it does not know. Throws as `send` does.
   * @param frame up to 16 letters; @param argument a line of up to 96 characters, or empty
   */
  sendFrame(
    frame: string,
    argument: string,
    value: unknown,
    options?: SendOptions,
  ): Promise<boolean>;
  /** A signal of the other side that came by a path of the feature's own. */
  receiveSignal(signal: PeerSignal): void;
  /** Values go this way while there is no direct connection; `null` ends that. */
  setAlternatePath(path: FrameSink | null): void;
  /** A frame that came by a path of the feature's own. */
  receiveFrame(path: FrameSink, lane: number, data: unknown): void;
  /** Ends the peer for a reason that the page is told. */
  end(reason: PeerCloseReason, options?: CloseOptions): Promise<void>;
  /** What waits may go on: the alternate path has capacity again. */
  pump(): void;
  /**
   * Signals go to the peer by all relays, and not by the connection, which seems to be dead, until
   * it is heard.
   */
  reroute(): void;
  /** Begins another direct connection from the start. */
  restartConnection(): void;
}

/** What became of a direct connection. */
export interface LinkState extends FrameSink {
  readonly isEnded: boolean;
  /** Open, and heard of just now. */
  readonly isResponsive: boolean;
  /** Both sides have said how they can be reached, and yet no path between them was found. */
  readonly hasNoDirectPath: boolean;
  /** Connectivity checks have found a path. */
  readonly hasPath: boolean;
  /** It is this side that has offered, and not answered, last. */
  readonly hasOffered: boolean;
  /** Asks for a sign of life, which also measures the round trip. */
  ask(now: Instant): void;
  /** Whether the other side has been heard after a moment. */
  wasHeardSince(at: Instant): boolean;
  /**
   * Gathers by `servers` besides those that the connection was made with: with the next offer or
   * answer, or, when it `restarts`, at once by an offer of this side (RFC 8445 §9).
   */
  useServers(servers: readonly RTCIceServer[], restarts: boolean): void;
}

export interface PeerPart {
  /** Methods for the peer. */
  readonly api?: object;
  /** What the feature emits, for pages to listen to, besides events named as its frames. */
  readonly events?: readonly string[];
  /** The frames that the feature takes, by name. */
  readonly frames?: Readonly<Record<string, FrameHandler>>;
  /**
   * Stands before everything else: what it rejects is not let in. Until it resolves nothing of the
   * peer is heard but frames with `isEarly`.
   */
  readonly admit?: () => Promise<void>;
  /**
   * Takes a signal for the other side, which would go through a relay otherwise.
   * @returns whether it did
   */
  takeSignal?(signal: PeerSignal): boolean;
  /** What a feature of the other side is told with each description, by names of its own. */
  describe?(): Readonly<Record<string, unknown>>;
  /** What the other side's features have said with a description, before that is applied. */
  onDescription?(said: Readonly<Record<string, unknown>>): void;
  /** Servers for a connection that is made now. */
  iceServers?(): readonly RTCIceServer[];
  /** Whether the feature has something for the peer that goes by a connection only. */
  needsConnection?(): boolean;
  /** There is a direct connection (again), to a peer that was let in. */
  onDirect?(connection: RTCPeerConnection): void;
  /**
   * The other side has opened a channel of its own.
   * @returns whether it is this feature's; a channel of nobody is closed
   */
  onChannel?(channel: RTCDataChannel): boolean;
  onTrack?(event: RTCTrackEvent): void;
  /** About every second. */
  onTick?(now: Instant): void;
  /** The other page was loaded anew: it knows nothing of what was said before. */
  onReset?(): void;
  onClose?(): void;
}

export interface FrameHandler {
  /** Sent and heard also before the peer was let in, ahead of everything else. */
  readonly isEarly?: true;
  /** @param isReliable whether it came in order, by a lane */
  handle(value: unknown, argument: string, isReliable: boolean): void;
}

/* The types of nets, rooms and peers with features; `A` is the union of what each adds. */

/** What all add together under a name, each looked at for itself: no type leads back to itself. */
type Added<A extends Api, Name extends keyof Api, Peer = unknown> = (
  A extends Api ? (added: (A & { readonly peerType: Peer })[Name]) => void : never
) extends (added: infer All) => void
  ? All
  : never;

export type PeerWith<A extends Api> = PeerEvents &
  Added<A, 'peerEvents'> extends infer Events extends EventMap
  ? BasePeer<Events> & Added<A, 'peer'>
  : never;
export type RoomWith<A extends Api> = RoomEvents<PeerWith<A>> &
  Added<A, 'roomEvents'> extends infer Events extends EventMap
  ? BaseRoom<PeerWith<A>, Events> & Added<A, 'room', PeerWith<A>>
  : never;
export type NetWith<A extends Api> = BaseNet<
  RoomWith<A>,
  RoomOptions & Added<A, 'roomOptions', PeerWith<A>>
> &
  Added<A, 'net'>;

/** What each of a list of features adds. */
export type ApiOf<Features extends readonly Feature[]> =
  | Api
  | (Features[number] extends infer One ? (One extends Feature<infer A> ? A : never) : never);
