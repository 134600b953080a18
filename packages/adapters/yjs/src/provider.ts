import type { Net, Room } from 'lumamesh';
import { Awareness } from 'y-protocols/awareness';
import type { Doc } from 'yjs';
import { AwarenessSync } from './awareness-sync.ts';
import { DocumentSync } from './document-sync.ts';
import { ANSWER, ASK, AWARENESS, BYE, type Bytes, HELLO, UPDATE, decodeFrame } from './frames.ts';
import type { Clock } from './clock.ts';
import { Link, type Post } from './link.ts';
import { Links } from './links.ts';
import { RoomLinks, type RoomUser } from './room-links.ts';
import { Tabs, type TabsUser, hasTabs, tabsName } from './tabs.ts';

/** A room to join for the document alone. */
export interface RoomToJoin {
  readonly net: Net;
  readonly name: string;
  readonly password?: string;
}

export interface ProviderOptions {
  /** Default: one of the provider's own. */
  readonly awareness?: Awareness;
  /**
   * Whether tabs of one browser talk to each other by BroadcastChannel only, and one of them to the
   * room for all; not where a room is given. Default `true`.
   */
  readonly filterBcConns?: boolean;
  /**
   * How many members this one talks to, about; edits are passed on to the others. At least 2.
   * Default: all of them.
   */
  readonly maxConns?: number;
  /** Tells documents that share a room apart. Default `yjs`. */
  readonly channel?: string;
}

/** What listeners of each event are called with. */
export interface ProviderEvents {
  /** This provider takes part, or does so no more (`connect`, `disconnect`). */
  status: { readonly connected: boolean };
  /** The document is that of the others. */
  synced: { readonly synced: boolean };
  /** Providers of other pages, and of other tabs, have come or gone. */
  peers: {
    readonly added: readonly string[];
    readonly removed: readonly string[];
    readonly webrtcPeers: readonly string[];
    readonly bcPeers: readonly string[];
  };
  /** What a member has sent could not be applied; nothing came of it. */
  error: { readonly error: unknown; readonly peer: string };
}

type Listener<Name extends keyof ProviderEvents> = (event: ProviderEvents[Name]) => void;

/** After the first contact there are soon connections enough. */
const ANNOUNCE_MS = 1000;

const CLOCK: Clock = {
  now: () => performance.now(),
  setTimer: (ms, run) => {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};

/** Keeps a Yjs document the same in all pages of a room. */
export class LumameshProvider {
  readonly doc: Doc;
  readonly awareness: Awareness;
  /** The room, while this page is in it; another tab may be in it for this one. */
  room: Room | null = null;
  /** Whether it is to take part: since `connect` until `disconnect`. */
  shouldConnect = false;
  readonly #given: Room | RoomToJoin;
  readonly #options: ProviderOptions;
  readonly #clock: Clock;
  readonly #listeners = new Map<keyof ProviderEvents, Set<Listener<never>>>();
  #part: Part | null = null;

  /**
   * Takes part at once.
   * @param where a room that the page has joined, or one to join and leave with the document
   * @param clock for tests
   */
  constructor(
    doc: Doc,
    where: Room | RoomToJoin,
    options: ProviderOptions = {},
    clock: Clock = CLOCK,
  ) {
    this.doc = doc;
    this.#given = where;
    this.#options = options;
    this.#clock = clock;
    this.awareness = options.awareness ?? new Awareness(doc);
    doc.on('destroy', this.#handleDestroy);
    this.connect();
  }

  /** Whether it takes part. */
  get connected(): boolean {
    return this.#part !== null;
  }

  /** Whether the document is that of the others, as far as they were met. */
  get synced(): boolean {
    return this.#part?._isSynced === true;
  }

  /** Takes part, as it does from the beginning. */
  connect(): void {
    this.shouldConnect = true;
    if (this.#part !== null) return;
    this.#part = new Part(this, this.#given, this.#options, this.#clock, this._emit);
    this._emit('status', { connected: true });
  }

  /** Takes no part any more; edits go on, and are told when it connects again. */
  disconnect(): void {
    this.shouldConnect = false;
    if (this.#part === null) return;
    this.#part._close();
    this.#part = null;
    this.room = null;
    this._emit('status', { connected: false });
  }

  /** Disconnects for good; ends the awareness, unless it was given. */
  destroy(): void {
    this.disconnect();
    this.doc.off('destroy', this.#handleDestroy);
    if (this.#options.awareness === undefined) this.awareness.destroy();
    this.#listeners.clear();
  }

  on<Name extends keyof ProviderEvents>(event: Name, listener: Listener<Name>): void {
    this.#listeners.set(event, (this.#listeners.get(event) ?? new Set()).add(listener));
  }

  once<Name extends keyof ProviderEvents>(event: Name, listener: Listener<Name>): void {
    const once: Listener<Name> = (value) => {
      this.off(event, once);
      listener(value);
    };
    this.on(event, once);
  }

  off<Name extends keyof ProviderEvents>(event: Name, listener: Listener<Name>): void {
    this.#listeners.get(event)?.delete(listener);
  }

  readonly _emit: Emit = (event, value) => {
    for (const listener of [...(this.#listeners.get(event) ?? [])])
      (listener as Listener<typeof event>)(value);
  };

  readonly #handleDestroy = (): void => this.destroy();
}

type Emit = <Name extends keyof ProviderEvents>(event: Name, value: ProviderEvents[Name]) => void;

/** All there is between `connect` and `disconnect`. */
class Part implements RoomUser, TabsUser {
  readonly _clock: Clock;
  _isSynced = false;
  readonly #provider: LumameshProvider;
  readonly #where: Room | RoomToJoin;
  readonly #options: ProviderOptions;
  readonly #emit: Emit;
  readonly #links: Links;
  readonly #document: DocumentSync;
  readonly #awareness: AwarenessSync;
  #roomLinks: RoomLinks | null = null;
  #leave: (() => void) | null = null;
  #tabs: Tabs | null = null;
  #carrier = '';
  #isClosed = false;

  constructor(
    provider: LumameshProvider,
    where: Room | RoomToJoin,
    options: ProviderOptions,
    clock: Clock,
    emit: Emit,
  ) {
    this.#provider = provider;
    this.#where = where;
    this.#options = options;
    this._clock = clock;
    this.#emit = emit;
    this.#links = new Links({
      _selfId: () => this.#roomLinks?._selfId ?? '',
      _members: () => this.#roomLinks?._members ?? [],
      _postToTabs: (frame) => this.#tabs?._post(frame),
    });
    this.#document = new DocumentSync(provider.doc, {
      _clock: clock,
      _origin: provider,
      _links: this.#links,
      _handleSynced: () => {
        this._isSynced = true;
        emit('synced', { synced: true });
        // Who is not connected to us has not been told by us.
        clock.setTimer(ANNOUNCE_MS, () => {
          if (!this.#isClosed && this.#links._isPartial) this.#awareness._announce();
        });
      },
      _handleError: (error, peer) => emit('error', { error, peer }),
    });
    this.#awareness = new AwarenessSync(provider.awareness, provider, this.#links);
    if (!('net' in where)) this.#enter(where);
    else if (options.filterBcConns === false) this.#join(where);
    else void this.#shareTabs(where);
  }

  _close(): void {
    this.#isClosed = true;
    for (const link of this.#links._heard) void link._send(true, BYE);
    this.#awareness._close();
    this.#document._close();
    this.#roomLinks?._close();
    this.#leave?.();
    this.#tabs?._close();
    this._isSynced = false;
    const ids = this.#links._heard.map(({ _id }) => _id);
    this.#links._byId.clear();
    if (ids.length > 0) this.#tellPeers([], ids);
  }

  _handleElected(): void {
    this._handleTabGone(this.#carrier);
    this.#carrier = '';
    if ('net' in this.#where) this.#join(this.#where);
  }

  _handleMember(id: string, post: Post): void {
    if (this.#links._byId.has(id)) return;
    this.#document._greet(this.#add(id, false, post));
  }

  _handleCarrier(id: string, post: Post): void {
    if (this.#carrier === id) return;
    this._handleTabGone(this.#carrier);
    this.#carrier = id;
    this.#document._greet(this.#add(id, true, post));
  }

  _handleFrame(id: string, frame: Bytes, post: Post): void {
    this.#receive(this.#links._byId.get(id) ?? this.#add(id, false, post), frame);
  }

  _handleTabFrame(id: string, frame: Bytes, post: Post): void {
    this.#receive(this.#links._byId.get(id) ?? this.#add(id, true, post), frame);
  }

  _handleProgress(id: string): void {
    const link = this.#links._byId.get(id);
    if (link !== undefined) this.#document._handleProgress(link);
  }

  _handleTabGone(id: string): void {
    this._handleGone(id);
  }

  _handleGone(id: string): void {
    const link = this.#links._byId.get(id);
    if (link === undefined) return;
    this.#links._byId.delete(id);
    this.#document._handleGone(link);
    this.#awareness._handleGone(link);
    if (link._isHeard) this.#tellPeers([], [id]);
  }

  #add(id: string, isTab: boolean, post: Post): Link {
    const self = isTab ? (this.#tabs?._id ?? '') : (this.#roomLinks?._selfId ?? '');
    const greet = (behind: Link): void => {
      if (this.#links._byId.get(id) === behind) this.#document._greet(behind);
    };
    const budget = this.#links._budgetOf(id);
    const link = new Link(id, self, isTab, this._clock, budget, post, greet);
    this.#links._byId.set(id, link);
    return link;
  }

  #receive(link: Link, bytes: Bytes): void {
    const frame = decodeFrame(bytes);
    if (frame === null || this.#isClosed) return;
    const { _kind } = frame;
    // What members write is the document; all else has a budget.
    if (_kind !== UPDATE && _kind !== ANSWER && !link._take(bytes.length)) return;
    switch (_kind) {
      case HELLO: {
        const isNew = !link._isHeard;
        this.#document._handleHello(link, frame._flags, frame._digest);
        if (!isNew) return;
        this.#awareness._introduce(link);
        this.#tellPeers([link._id], []);
        return;
      }
      case ASK:
        return this.#document._handleAsk(link, frame._vector);
      case ANSWER:
        return this.#document._handleAnswer(link, frame._digest, frame._vector, frame._update);
      case UPDATE:
        // What could not be read is nothing to pass on.
        if (this.#document._handleUpdate(link, frame._update))
          this.#links._spread(UPDATE, [frame._update], link, frame._end);
        return;
      case AWARENESS:
        return this.#awareness._handleUpdate(link, frame._isOwn, frame._update, frame._end);
      case BYE:
        return this._handleGone(link._id);
      default:
    }
  }

  #enter(room: Room): void {
    const { channel = 'yjs', maxConns = Number.POSITIVE_INFINITY } = this.#options;
    this.#provider.room = room;
    this.#roomLinks = new RoomLinks(room, channel, Math.max(2, maxConns), this);
  }

  #join({ net, name, password }: RoomToJoin): void {
    const { maxConns } = this.#options;
    const room = net.joinRoom(name, {
      ...(password === undefined ? {} : { password }),
      // Who is to be connected to a few only chooses them.
      ...(maxConns === undefined ? {} : { role: 'observer' }),
    });
    this.#leave = () => void room.leave();
    this.#enter(room);
  }

  async #shareTabs(where: RoomToJoin): Promise<void> {
    const isShared = await hasTabs();
    const name = isShared ? await tabsName(where.name, where.password ?? '') : '';
    if (this.#isClosed) return;
    if (isShared) this.#tabs = new Tabs(name, this);
    else this.#join(where);
  }

  #tellPeers(added: readonly string[], removed: readonly string[]): void {
    const heard = this.#links._heard;
    const ids = (isTab: boolean): readonly string[] =>
      heard.filter((link) => link._isTab === isTab).map(({ _id }) => _id);
    this.#emit('peers', { added, removed, webrtcPeers: ids(false), bcPeers: ids(true) });
  }
}
