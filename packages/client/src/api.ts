import type { LumameshError } from '@lumamesh/base';
import type { RelayRecord } from '@lumamesh/protocol';
import type { SendOptions } from './peer/peer-frame.ts';
import type { RelaySource } from './net/relay-source.ts';
import type { Identity } from './room/peer-identity.ts';

/* What pages see of nets, rooms and peers when no feature adds to them. */

/** What listeners of each event are called with. */
export type EventMap = Record<string, readonly unknown[]>;

/** Typed events. */
export interface Listenable<Events extends EventMap> {
  /**
   * Calls `listener` on every `event` from now on.
   * @returns An unsubscribe function.
   */
  on<Name extends keyof Events>(
    event: Name,
    listener: (...values: Events[Name]) => void,
  ): () => void;
}

/** An observer sees and is seen; nobody connects to it, nor it to anybody, until one is asked to. */
export type PeerRole = 'member' | 'observer';

/**
 * `idle`: one of us is an observer, and nobody has asked for a connection yet (`peer.connect()`,
 * `peer.send()`). `connecting`: not there yet. `open`: values go straight to the peer. `forwarded`: they go,
 * end-to-end encrypted, through another member. `reconnecting`: the path was lost and another is
 * sought; reliable values wait. `closed`: the end.
 */
export type PeerState = 'idle' | 'connecting' | 'open' | 'forwarded' | 'reconnecting' | 'closed';

/**
 * `left`: it said goodbye. `lost`: it fell silent. `failed`: no path to it was found.
 * `room-left`: this page left the room. `refused`: by this page. `refused-by-peer`: by the other
 * one; it is left alone until it joins the room again.
 */
export type PeerCloseReason =
  | 'left'
  | 'lost'
  | 'failed'
  | 'room-left'
  | 'refused'
  | 'refused-by-peer';

/**
 * Why a member is no peer: what ended the last connection to it; `not-accepted`: by this page;
 * `full`: there are more members than `maxPeers`; `observer`: nobody has asked for a connection.
 */
export type MissReason = PeerCloseReason | 'not-accepted' | 'full' | 'observer';

/** How a peer, a room or a net is ended. */
export interface CloseOptions {
  /**
   * Whether what was sent before is delivered first, for at most 5 s; nothing is heard meanwhile.
   * Default `true`.
   */
  readonly flush?: boolean;
}

export type PeerEvents = {
  /** The peer can be talked to. Once. */
  open: [];
  /** A value as it was sent. */
  data: [value: unknown];
  /** How far a large value has come. */
  progress: [receivedBytes: number, totalBytes: number];
  status: [state: PeerState];
  /** The peer is gone: it left, or cannot be reached any more. Last event. */
  close: [reason: PeerCloseReason];
};

/** Another browser in the room. */
export interface BasePeer<Events extends EventMap = PeerEvents> extends Listenable<Events> {
  /** Self-certifying: the hash of the key that signs everything this peer says through relays. */
  readonly id: string;
  /** What the peer calls itself; sealed, so relays do not know it. Empty when it gave no name. */
  readonly nick: string;
  readonly role: PeerRole;
  readonly state: PeerState;
  /** Whether values go to the peer now. */
  readonly isOpen: boolean;
  /**
   * Whether they go by a connection to it, be that relayed (`path`), and not through another
   * member.
   */
  readonly isDirect: boolean;
  /** Bytes that the peer has not acknowledged yet. */
  readonly bufferedAmount: number;
  /**
   * The round-trip time to the peer in ms: the last one measured, a few seconds old at most.
   * 0 before there is one.
   */
  readonly rttMs: number;
  /**
   * Sends a value of up to 256 MB: JSON or a Uint8Array, and with the feature `structuredValues`,
   * which `lumamesh` has, what it names. Before the connection is open, and while it is lost, it
   * waits. Values arrive once and in order, but for those of more than 16 MB, which smaller ones
   * overtake (`lane`). The promise never rejects: `true` when the peer has it, `false` when it was
   * taken back (`signal`) or the peer is gone.
   * Throws `PEER_CLOSED`, `NOT_SENDABLE`, `MESSAGE_TOO_LARGE` or `TOO_MUCH_PENDING` (more than
   * 16 MB wait in its lane already: await what you send).
   */
  send(value: unknown, options?: SendOptions): Promise<boolean>;
  /** Connects to a peer that is `idle`; sending to it does so as well. */
  connect(): void;
  /**
   * Ends the connection to this peer, which is not let in again while this page is in the room;
   * `leave` follows at once. Resolves when what was sent before has arrived.
   */
  close(options?: CloseOptions): Promise<void>;
}

export interface RoomOptions {
  /** What the others see; sealed from relays. */
  readonly nick?: string;
  /**
   * Makes the room private: the derivation is slow, and without the password nothing of the room
   * can be read.
   */
  readonly password?: string;
  /**
   * How many others this page connects to at most; further ones are passed over, and `error` says
   * ROOM_FULL. Default 250.
   */
  readonly maxPeers?: number;
  /** Default `member`. */
  readonly role?: PeerRole;
}

/** `joining`: no relay has taken us in yet. `joined`: at least one has. `left`: the end. */
export type RoomState = 'joining' | 'joined' | 'left';

export type RoomEvents<Peer> = {
  /** The keys are there, and with them this page's own id. */
  ready: [selfId: string];
  /** Somebody is there (again). The connection follows: `peer.on('open')`. */
  peer: [peer: Peer];
  /** A peer is gone. */
  leave: [peer: Peer, reason: PeerCloseReason];
  /** A relay has taken us into the room; `peers` members were there. */
  joined: [peers: number];
  status: [state: RoomState];
  /** Something went wrong that the page may want to tell: ROOM_FULL, ROOM_KEY_MISMATCH, … */
  error: [error: LumameshError];
};

/** The browsers that know a name (and password), and what they say to each other. */
export interface BaseRoom<
  Peer,
  Events extends EventMap = RoomEvents<Peer>,
> extends Listenable<Events> {
  readonly name: string;
  /** Everybody seen in the room and not gone, connected or about to be. */
  readonly peers: readonly Peer[];
  readonly state: RoomState;
  /** This page's own id in the room, as the others see it; empty until `ready`. */
  readonly selfId: string;
  /** Resolves with this page's own id; rejects with `ROOM_LEFT`, or what went wrong. */
  readonly ready: Promise<string>;
  /**
   * Sends a value to every peer that is connected or about to be.
   * @returns like {@link BasePeer.send}: `true` when all have it
   */
  broadcast(value: unknown, options?: SendOptions): Promise<boolean>;
  /**
   * Says goodbye and ends all its peers. The room is of no use afterwards. Resolves when what was
   * sent before has arrived.
   */
  leave(options?: CloseOptions): Promise<void>;
}

/** Of a private relay; nothing where the page has none. */
export type RelayToken = string | null | undefined;

export interface ConnectOptions {
  /**
   * Records (objects or `relay.txt` lines) or the text of a `relay.txt`; with the feature
   * `relayLists`, which `lumamesh` has, also its URL. All pages that are to meet name the same
   * ones.
   */
  readonly relays?: string | readonly RelaySource[];
  /**
   * Lets this page into private relays: what their operators give out. One for all, or a function
   * that returns that of a relay by its record, and nothing where the page has none. Tokens are
   * proven, and told to nobody.
   */
  readonly token?: string | ((relay: RelayRecord) => RelayToken | Promise<RelayToken>);
  /**
   * Whether to learn of further relays and remember them (the feature `discovery`).
   * Default `true`.
   */
  readonly discover?: boolean;
  /** Further STUN and TURN servers; every relay reached is a STUN server already. */
  readonly iceServers?: readonly RTCIceServer[];
  /**
   * Anything else of the connections to peers: `iceTransportPolicy`, `certificates` and so on; its
   * `iceServers` come after those above.
   */
  readonly rtcConfiguration?: RTCConfiguration;
  /**
   * Where relays are remembered: localStorage by default, nowhere with `null` (or where the page
   * has none).
   */
  readonly storage?: PageStorage | null;
  /**
   * Who this page is beyond its visit: what `loadIdentity` of `lumamesh/identity` returns. Default:
   * a peer of its own in each room, for as long as the tab lives (the feature `sessionIdentity`).
   */
  readonly identity?: Identity;
  /** Closes the net when it aborts. */
  readonly signal?: AbortSignal;
  /** Hears what happens; `console` will do. Default: silence. */
  readonly logger?: Partial<
    Record<'debug' | 'info' | 'warn', (message: string, details?: unknown) => void>
  >;
  /** Hears of errors in the page's own listeners. Default: thrown, for the console to show. */
  readonly onListenerError?: (error: unknown) => void;
}

/** The part of the platform's Storage that is used. Either call may throw. */
export interface PageStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

export interface RelayStatus {
  /** The relay's node key. */
  readonly nk: string;
  readonly address: string;
  readonly state: 'connecting' | 'open' | 'waiting';
  /** How long the last connect took. */
  readonly connectMs: number;
  /** How it was reached the last time: over TCP only where UDP found nobody. */
  readonly transport: 'udp' | 'tcp';
  readonly error: LumameshError | null;
}

export interface NetStatus {
  /** `online` with at least one relay. Direct peers do not depend on it. */
  readonly state: 'connecting' | 'online' | 'offline' | 'closed';
  /** What is going on, in words. */
  readonly text: string;
  /**
   * Why there is no relay: a code of docs/errors.md; empty while there is one, or while the first
   * ones are dialled.
   */
  readonly code: string;
  /** The page's own relays and those that are dialled or held. */
  readonly relays: readonly RelayStatus[];
  /** How many relays are known. */
  readonly known: number;
}

export type NetEvents = {
  status: [status: NetStatus];
  /** `net.iceServers` has changed: a relay was reached or lost, or offers something else. */
  iceServers: [servers: readonly RTCIceServer[]];
  /** No relay can be used, and why; attempts go on. */
  error: [error: LumameshError];
};

/** The page's place in the network: its relays, its rooms, and who it is in them. */
export interface BaseNet<Room, Options = RoomOptions> extends Listenable<NetEvents> {
  readonly status: NetStatus;
  /**
   * Servers for connections of the page's own, as they are now: STUN of the relays held,
   * `connect({ iceServers })`, and with the feature `relaying`, which `lumamesh` has, TURN of relays
   * that offer it, by the rooms and channels that the page is in. A relay forwards between members
   * of one room only: for those of a channel there is `channel.iceServers`.
   */
  readonly iceServers: readonly RTCIceServer[];
  /**
   * Joins a room by name; everybody who names it the same (with the same password) is there. Who
   * is in it already gets the same room again, with the options of the first time.
   * Throws `NET_CLOSED`, `BAD_ROOM_NAME` or `BAD_ARGUMENT`.
   */
  joinRoom(name: string, options?: Options): Room;
  /**
   * Leaves all rooms, ends all peers, hangs up on all relays. Resolves when what was sent before
   * has arrived.
   */
  close(options?: CloseOptions): Promise<void>;
  /**
   * Looks at once whether relays and peers are still there; the page's own events (online, visible
   * again) do so by themselves.
   */
  wake(): void;
}
