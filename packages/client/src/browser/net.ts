import { Emitter, LumameshError } from '@lumamesh/base';
import { type ClientMessage, type RelayMessage, type SignedRelayRecord, parseRecordJson, verifyEd25519, verifyRecord } from '@lumamesh/protocol';
import { createPeerIdentity } from '../core/peer-identity.ts';
import { type KnownRelay, type RelaySource, readRelaySources } from '../core/relay-source.ts';
import { webCrypto } from './platform.ts';
import { RelayLink, type RelayLinkState } from './relay-link.ts';
import { Room, type RoomOptions } from './room.ts';

/** Relays of different meshes, or of none, do not pass anything on to each other: so the first relays of a list are all joined. */
const MAX_RELAYS = 4;
/** With those that relays name as homes of our rooms. */
const MAX_LINKS = 8;
/** A home that cannot be reached is given up: others, and the relay that named it, serve as well. */
const MAX_HOME_LOSSES = 2;

export interface ConnectOptions {
  /** Records (objects or `relay.txt` lines), or the text of a `relay.txt`. All pages that are to meet name the same ones. */
  readonly relays: string | readonly RelaySource[];
  /** Further STUN and TURN servers; every relay reached is a STUN server already. */
  readonly iceServers?: readonly RTCIceServer[];
  /** Hears of errors in the page's own listeners. Default: thrown, for the console to show. */
  readonly onListenerError?: (error: unknown) => void;
}

export interface RelayStatus {
  /** The relay's node key. */
  readonly nk: string;
  readonly address: string;
  readonly state: RelayLinkState;
  /** How long the last connect took. */
  readonly connectMs: number;
  readonly error: LumameshError | null;
}

export interface NetStatus {
  /** `online` with at least one relay. Direct peers do not depend on it. */
  readonly state: 'connecting' | 'online' | 'offline' | 'closed';
  readonly relays: readonly RelayStatus[];
}

interface LinkEntry {
  readonly link: RelayLink;
  /** Named by another relay, not by the page. */
  readonly isHome: boolean;
  losses: number;
  error: LumameshError | null;
}

export type NetEvents = {
  status: [status: NetStatus];
  /** No relay can be used, with the reason of the last one. */
  error: [error: LumameshError];
};

/** The page's place in the network: its relays, its identity, its rooms. */
export class Net extends Emitter<NetEvents> {
  readonly #options: ConnectOptions;
  readonly #onListenerError: (error: unknown) => void;
  readonly #links = new Map<string, LinkEntry>();
  readonly #rooms = new Set<Room>();
  /** By name and password: joining a room twice is being in it once. */
  readonly #roomsByKey = new Map<string, Room>();
  readonly #handlePageHide = (event: { readonly persisted?: boolean }): void => {
    // A page that is kept for "back" is frozen, not gone; its connections have already ended with it.
    if (event.persisted !== true) this.close();
  };
  #isClosed = false;

  /** Use {@link connect}. */
  constructor(options: ConnectOptions) {
    const onListenerError = options.onListenerError ?? rethrowLater;
    super(onListenerError);
    // Both throw here, where the page can see it, rather than later: no WebCrypto on insecure origins, and malformed ICE servers.
    webCrypto();
    if (options.iceServers !== undefined && typeof RTCPeerConnection !== 'undefined') new RTCPeerConnection({ iceServers: [...options.iceServers] }).close();
    this.#options = options;
    this.#onListenerError = onListenerError;
    for (const relay of readRelaySources(options.relays).slice(0, MAX_RELAYS)) this.#addRelay(relay, false);
    globalThis.addEventListener?.('pagehide', this.#handlePageHide);
  }

  get status(): NetStatus {
    const relays = [...this.#links.values()].map(({ link, error }) => ({
      nk: link.relay.nk,
      address: `${link.relay.ip}:${link.relay.port}`,
      state: link.state,
      connectMs: link.connectMs,
      error,
    }));
    const isAny = (state: RelayLinkState): boolean => relays.some((relay) => relay.state === state);
    return { state: this.#isClosed ? 'closed' : isAny('open') ? 'online' : isAny('connecting') ? 'connecting' : 'offline', relays };
  }

  /** Joins a room by name; everybody who names it the same (with the same password) is there. Throws `NET_CLOSED` or `BAD_ROOM_NAME`. */
  joinRoom(name: string, options: RoomOptions = {}): Room {
    if (this.#isClosed) throw new LumameshError('NET_CLOSED', 'this net was closed: call connect() again');
    const key = `${name}\n${options.password ?? ''}`;
    const joined = this.#roomsByKey.get(key);
    if (joined !== undefined) return joined;
    const room = new Room(name, options, {
      onListenerError: this.#onListenerError,
      // An identity for each room: relays cannot tell that two rooms have the same visitor, and no counter of one is used in another.
      identity: async () => createPeerIdentity(webCrypto().subtle),
      iceServers: () => this.#iceServers(),
      send: (relay, message) => this.#send(relay, message),
      handleRoomReady: (ready) => this.#sendJoin(ready),
      handleRoomLeft: (left) => {
        this.#rooms.delete(left);
        this.#roomsByKey.delete(key);
      },
    });
    this.#rooms.add(room);
    this.#roomsByKey.set(key, room);
    return room;
  }

  /** Leaves all rooms, ends all peers, hangs up on all relays. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    globalThis.removeEventListener?.('pagehide', this.#handlePageHide);
    for (const room of this.#rooms) room.leave();
    for (const { link } of this.#links.values()) link.close();
    this.emit('status', this.status);
  }

  #addRelay(relay: KnownRelay, isHome: boolean): void {
    if (this.#links.has(relay.nk) || this.#links.size >= MAX_LINKS) return;
    const link = new RelayLink(relay, this.#onListenerError);
    const entry: LinkEntry = { link, isHome, losses: 0, error: null };
    this.#links.set(relay.nk, entry);
    link.on('open', () => {
      entry.error = null;
      entry.losses = 0;
      for (const room of this.#rooms) {
        room.handleRelayUp(relay.nk);
        this.#sendJoin(room, relay.nk);
      }
      this.emit('status', this.status);
    });
    link.on('message', (message) => this.#handleMessage(relay.nk, message));
    link.on('lost', (error) => this.#handleLoss(entry, error));
    void this.#dial(entry, relay);
  }

  async #dial(entry: LinkEntry, relay: KnownRelay): Promise<void> {
    if (await isForged(relay)) {
      entry.link.close();
      return this.#handleLoss(entry, new LumameshError('RELAY_FORGED', `the record of relay ${relay.ip}:${relay.port} is not signed by its node key`));
    }
    if (!this.#isClosed) entry.link.connect();
  }

  #handleLoss(entry: LinkEntry, error: LumameshError): void {
    if (this.#isClosed) return;
    entry.error = error;
    entry.losses += 1;
    if (entry.isHome && (entry.losses >= MAX_HOME_LOSSES || error.code === 'RELAY_FORGED')) {
      entry.link.close();
      this.#links.delete(entry.link.relay.nk);
      for (const room of this.#rooms) room.handleRelayGone(entry.link.relay.nk);
    }
    const { status } = this;
    this.emit('status', status);
    if (status.state === 'offline')
      this.emit('error', new LumameshError('RELAYS_UNREACHABLE', `no relay can be reached; the last one: ${error.message}`, { cause: error }));
  }

  #handleMessage(relay: string, message: RelayMessage): void {
    if (!('room' in message)) return;
    // A room that reaches over several relays: its homes are where everybody looks.
    for (const home of (message.action === 'joined' && message.homes) || []) {
      const record = parseRecordJson(home);
      if (record.ok) this.#addRelay(record.value, true);
    }
    for (const room of this.#rooms) if (room.roomId === message.room) room.handleMessage(relay, message);
  }

  #sendJoin(room: Room, relay: string | null = null): void {
    const message = room.joinMessage();
    if (message !== null) this.#send(relay, message);
  }

  #send(relay: string | null, message: ClientMessage): void {
    const chosen = relay === null ? undefined : this.#links.get(relay);
    // A way back that is gone is replaced by every way there is.
    if (chosen?.link.send(message) === true) return;
    for (const { link } of this.#links.values()) link.send(message);
  }

  #iceServers(): readonly RTCIceServer[] {
    const reached = [...this.#links.values()].filter(({ link }) => link.state === 'open');
    const urls = reached.map(({ link: { relay } }) => `stun:${relay.ip.includes(':') ? `[${relay.ip}]` : relay.ip}:${relay.port}`);
    // libwebrtc gathers from every server: two are enough to find one's address.
    const own = urls.length === 0 ? [] : [{ urls: urls.slice(0, 2) }];
    return [...own, ...(this.#options.iceServers ?? [])];
  }
}

/** Whether a signed record is certainly not its node's. A browser without Ed25519 cannot tell, and relies on the page that holds the record. */
async function isForged(relay: KnownRelay): Promise<boolean> {
  if (relay.signature === undefined) return false;
  const { subtle } = webCrypto();
  if (await verifyRecord(relay as SignedRelayRecord, (key, signature, data) => verifyEd25519(subtle, key, signature, data))) return false;
  return hasEd25519();
}

async function hasEd25519(): Promise<boolean> {
  try {
    await webCrypto().subtle.generateKey('Ed25519', false, ['sign', 'verify']);
    return true;
  } catch {
    return false;
  }
}

function rethrowLater(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
