import { Emitter, type Instant, LumameshError } from '@lumamesh/base';
import {
  type ClientMessage,
  type RelayMessage,
  type SignedRelayRecord,
  parseRecordJson,
} from '@lumamesh/protocol';
import { diagnose } from '../core/diagnosis.ts';
import { RelayBook } from '../core/relay-book.ts';
import { RelayChoice } from '../core/relay-choice.ts';
import {
  type KnownRelay,
  type RelaySource,
  readRelaySources,
  stunUrl,
} from '../core/relay-source.ts';
import { type PeerIdentity, createPeerIdentity } from '../core/peer-identity.ts';
import type { Peer } from './peer.ts';
import type { Platform } from './platform.ts';
import { RelayLink } from './relay-link.ts';
import { type Room, type RoomHost, type RoomOptions } from './room.ts';

const CACHE_KEY = 'lumamesh:relays';
/** How often things are looked at, while relays are dialled and while all is well. */
const BUSY_TICK_MS = 200;
const CALM_TICK_MS = 1000;
/** Time that passed unseen means that the machine was asleep. */
const ASLEEP_MS = 5000;
/** With no relay for this long the page is told why. */
const OFFLINE_AFTER_MS = 12_000;
const NODES_ASKED = 64;

export interface ConnectOptions {
  /** Records (objects or `relay.txt` lines), the text of a `relay.txt`, or its URL. All pages that are to meet name the same ones. */
  readonly relays?: string | readonly RelaySource[];
  /** Whether to learn of further relays and remember them. Default `true`. */
  readonly discover?: boolean;
  /** Further STUN and TURN servers; every relay reached is a STUN server already. */
  readonly iceServers?: readonly RTCIceServer[];
  /** Where relays are remembered: localStorage by default, nowhere with `null` (or where the page has none). */
  readonly storage?: PageStorage | null;
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
  readonly error: LumameshError | null;
}

export interface NetStatus {
  /** `online` with at least one relay. Direct peers do not depend on it. */
  readonly state: 'connecting' | 'online' | 'offline' | 'closed';
  /** What is going on, in words. */
  readonly text: string;
  /** Why there is no relay: a code of docs/errors.md; empty while there is one, or while the first ones are dialled. */
  readonly code: string;
  /** The page's own relays and those that are dialled or held. */
  readonly relays: readonly RelayStatus[];
  /** How many relays are known. */
  readonly known: number;
}

export type NetEvents = {
  status: [status: NetStatus];
  /** No relay can be used, and why; attempts go on. */
  error: [error: LumameshError];
};

/** The page's place in the network: its relays, its rooms, and who it is in them. */
export abstract class Net<R extends Room<Peer>> extends Emitter<NetEvents> {
  protected readonly platform: Platform;
  protected readonly options: ConnectOptions;
  readonly #onListenerError: (error: unknown) => void;
  readonly #storage: PageStorage | null;
  readonly #book: RelayBook;
  readonly #choice: RelayChoice;
  /** `null` while a relay's record is verified. */
  readonly #links = new Map<string, RelayLink | null>();
  readonly #errors = new Map<string, LumameshError>();
  /** By name and password: joining a room twice is being in it once. */
  readonly #rooms = new Map<string, R>();
  readonly #listeners: (() => void)[] = [];
  #cancelTick = (): void => undefined;
  #tickedAt: Instant;
  #onlineAt: Instant;
  #fault: LumameshError | null = null;
  #isDirty = false;
  #isClosed = false;

  constructor(options: ConnectOptions, platform: Platform) {
    const onListenerError = options.onListenerError ?? rethrowLater;
    super(onListenerError);
    this.platform = platform;
    this.options = options;
    this.#onListenerError = onListenerError;
    this.#storage =
      options.storage === undefined ? platform.storage('localStorage') : options.storage;
    this.#book = new RelayBook(() => platform.random());
    this.#choice = new RelayChoice(this.#book, () => platform.random());
    this.#tickedAt = this.#onlineAt = platform.now();
    // Malformed ICE servers throw here, where the page can see it, rather than later.
    if (options.iceServers !== undefined && platform.PeerConnection !== null)
      new platform.PeerConnection({ iceServers: [...options.iceServers] }).close();
  }

  /** @internal Begins. Throws `BAD_RELAY` when no relay is known, or one is malformed. */
  start(): this {
    const { relays = [], discover } = this.options;
    const seeds = this.readSources(relays);
    for (const relay of seeds) this.#book.addSeed(relay);
    if (discover !== false) this.#book.load(this.#read(), this.platform.unixSeconds());
    if (this.#book.size === 0 && !this.isExpectingRelays)
      throw new LumameshError(
        'BAD_RELAY',
        'no relay is known: connect({ relays: [a record, or a line of relay.txt] })',
      );
    this.#listen();
    this.#tick();
    return this;
  }

  get status(): NetStatus {
    const relays: RelayStatus[] = [];
    for (const { record, isSeed, connectMs } of this.#book.entries) {
      const link = this.#links.get(record.nk);
      if (link === undefined && !isSeed) continue;
      const error = this.#errors.get(record.nk) ?? null;
      const state = link === undefined ? 'waiting' : link?.isOpen === true ? 'open' : 'connecting';
      relays.push({
        nk: record.nk,
        address: `${record.ip}:${record.port}`,
        state,
        connectMs,
        error,
      });
    }
    const open = relays.filter(({ state }) => state === 'open').length;
    const state = this.#isClosed
      ? 'closed'
      : open > 0
        ? 'online'
        : this.#fault === null
          ? 'connecting'
          : 'offline';
    const text =
      state === 'online' ? `${open} of ${this.#book.size} relays` : (this.#fault?.message ?? state);
    return {
      state,
      text,
      code: open > 0 ? '' : (this.#fault?.code ?? ''),
      relays,
      known: this.#book.size,
    };
  }

  /** Joins a room by name; everybody who names it the same (with the same password) is there. Throws `NET_CLOSED` or `BAD_ROOM_NAME`. */
  joinRoom(name: string, options: RoomOptions = {}): R {
    if (this.#isClosed) throw new LumameshError('NET_CLOSED', 'this net was closed');
    const key = JSON.stringify([name, options.password ?? ''].map((text) => text.normalize('NFC')));
    const joined = this.#rooms.get(key);
    if (joined !== undefined) return joined;
    return this.open(key, (host) => this.makeRoom(name, options, host));
  }

  /** Leaves all rooms, ends all peers, hangs up on all relays. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cancelTick();
    this.#save();
    for (const remove of this.#listeners) remove();
    for (const room of this.#rooms.values()) room.leave();
    for (const link of this.#links.values()) link?.close();
    this.#links.clear();
    this.emit('status', this.status);
  }

  /** Looks at once whether relays and peers are still there; the page's own events (online, visible again) do so by themselves. */
  wake(): void {
    if (this.#isClosed) return;
    const now = this.platform.now();
    this.#tickedAt = now;
    this.#choice.wake();
    for (const link of this.#links.values()) link?.probe(now);
    for (const room of this.#rooms.values()) room.handleWake(now);
    this.#tick();
  }

  /** @internal Takes part in a room, until it is left. */
  protected open(key: string, make: (host: RoomHost) => R): R {
    const room = make({
      platform: this.platform,
      onListenerError: this.#onListenerError,
      // An identity for each room: relays cannot tell that two rooms have the same visitor, and no counter of one is used in another.
      identity: async (roomId) => this.identityFor(roomId),
      iceServers: () => this.#iceServers(),
      send: (relay, message) => this.#send(relay, message),
      handleRoomReady: (roomId) => {
        this.#choice.addRoom(roomId, []);
        this.#sendJoin(room);
        this.#plan();
      },
      handleRoomLeft: (roomId) => {
        this.#rooms.delete(key);
        if (roomId !== null) this.#choice.removeRoom(roomId);
      },
    });
    this.#rooms.set(key, room);
    void room.start();
    return room;
  }

  /** @internal The page's own relays. */
  protected readSources(sources: string | readonly RelaySource[]): readonly KnownRelay[] {
    return readRelaySources(sources);
  }

  /** @internal Whether relays come later. */
  protected get isExpectingRelays(): boolean {
    return false;
  }

  /** @internal Relays of the page's own that came later. */
  protected addSeeds(relays: readonly KnownRelay[]): void {
    for (const relay of relays) this.#book.addSeed(relay);
    this.#plan();
  }

  /** @internal A list of relays could not be had. */
  protected handleListFailed(url: string, error: LumameshError): void {
    this.#errors.set(url, error);
    this.options.logger?.warn?.(error.message, error);
  }

  /** @internal */
  protected get seeds(): readonly KnownRelay[] {
    return [...this.#book.entries].filter(({ isSeed }) => isSeed).map(({ record }) => record);
  }

  /** @internal Where a relay is dialled. */
  protected async addressesOf({ ip, ip6 }: KnownRelay): Promise<readonly string[]> {
    return ip6 === undefined ? [ip] : [ip, ip6];
  }

  /** @internal Who this page is in a room. */
  protected async identityFor(_roomId: string): Promise<PeerIdentity> {
    return createPeerIdentity(this.platform.crypto.subtle);
  }

  /** @internal The page goes, or is put aside. */
  protected handlePageHide(_rooms: readonly R[]): void {}

  /** @internal Why no relay can be used, as far as more can be found out than their errors say. */
  protected async lookInto(fault: LumameshError): Promise<LumameshError> {
    return fault;
  }

  /** @internal */
  protected abstract makeRoom(name: string, options: RoomOptions, host: RoomHost): R;

  #tick(): void {
    this.#cancelTick();
    if (this.#isClosed) return;
    const now = this.platform.now();
    if (now - this.#tickedAt > ASLEEP_MS) return this.wake();
    this.#tickedAt = now;
    const isBusy = [...this.#links.values()].some((link) => link?.isOpen !== true);
    // First of all, so that nothing that goes wrong below stops the clock.
    this.#cancelTick = this.platform.setTimer(
      isBusy || this.#links.size === 0 ? BUSY_TICK_MS : CALM_TICK_MS,
      () => this.#tick(),
    );
    for (const link of this.#links.values()) link?.handleTick(now);
    for (const room of this.#rooms.values()) room.handleTick(now);
    this.#plan();
    this.#judge(now);
    if (this.#isDirty) this.#save();
  }

  #plan(): void {
    if (this.#isClosed) return;
    for (const action of this.#choice.plan(this.platform.now())) {
      if (action.type === 'dial') void this.#dial(action.relay);
      else this.#forget(action.nk);
    }
  }

  async #dial(relay: KnownRelay): Promise<void> {
    const { nk } = relay;
    this.#links.set(nk, null);
    // Where nobody can tell, a record is trusted as far as who holds it; what strangers told of was verified when it was taken.
    const isForged =
      relay.signature !== undefined &&
      (await this.platform.verifyRecord(relay as SignedRelayRecord)) === false;
    const addresses = isForged ? [] : await this.addressesOf(relay);
    // Hung up, or closed, while the record was looked at.
    if (this.#isClosed || this.#links.get(nk) !== null) return;
    if (isForged)
      return this.#handleLoss(
        nk,
        new LumameshError(
          'RELAY_FORGED',
          `the record of ${relay.ip}:${relay.port} is not signed by its node key`,
        ),
        true,
      );
    const link = new RelayLink(relay, addresses, this.platform, {
      open: () => this.#handleOpen(nk),
      message: (message) => void this.#handleMessage(nk, message),
      lost: (error) => {
        if (this.#links.get(nk) === link) this.#handleLoss(nk, error);
      },
    });
    this.#links.set(nk, link);
  }

  #forget(nk: string): void {
    this.#links.get(nk)?.close();
    this.#links.delete(nk);
    for (const room of this.#rooms.values()) room.handleRelayGone(nk);
  }

  #handleOpen(nk: string): void {
    this.#choice.handleOpened(nk, this.platform.now());
    this.#errors.delete(nk);
    this.#fault = null;
    this.#isDirty = true;
    this.options.logger?.info?.('relay reached', nk);
    for (const room of this.#rooms.values()) {
      room.handleRelayUp(nk);
      this.#sendJoin(room, nk);
    }
    // One page: it has a relay of each network first, which is more than a page needs.
    if (this.options.discover !== false)
      this.#links.get(nk)?.send({ action: 'nodes', limit: NODES_ASKED, after: '' });
    this.#plan();
    this.emit('status', this.status);
  }

  /** `isFinal`: the record is nobody's, and trying again would not change that. */
  #handleLoss(nk: string, error: LumameshError, isFinal = false): void {
    this.#forget(nk);
    if (this.#isClosed) return;
    this.#errors.set(nk, error);
    this.options.logger?.debug?.(error.message, error);
    this.#choice.handleLost(nk, isFinal, this.platform.now());
    this.#plan();
    this.#judge(this.platform.now());
    this.emit('status', this.status);
  }

  async #handleMessage(nk: string, message: RelayMessage): Promise<void> {
    if ('room' in message) {
      for (const room of this.#rooms.values())
        if (room.roomId === message.room) room.handleMessage(nk, message);
      // A room that reaches over several relays: its homes are where everybody looks.
      if (message.action === 'joined' && message.homes !== undefined) {
        const homes = await this.#learn(nk, message.homes);
        if ([...this.#rooms.values()].some(({ roomId }) => roomId === message.room))
          this.#choice.addRoom(message.room, homes);
        this.#plan();
      }
    } else if (message.action === 'welcome' || message.action === 'nodes') {
      await this.#learn(nk, message.action === 'welcome' ? [message.node] : message.nodes);
      this.#plan();
    }
  }

  /** Takes records that a relay told of; answers the node keys of those that are known now. Only what would be kept is verified. */
  async #learn(source: string, records: readonly unknown[]): Promise<readonly string[]> {
    const known: string[] = [];
    for (const json of records) {
      const record = parseRecordJson(json);
      const seconds = this.platform.unixSeconds();
      if (!record.ok) continue;
      if (
        this.#book.wants(record.value, source, seconds) &&
        (await this.platform.verifyRecord(record.value)) === true
      ) {
        this.#book.take(record.value, source, seconds);
        this.#isDirty = true;
      }
      if (this.#book.get(record.value.nk) !== undefined) known.push(record.value.nk);
    }
    return known;
  }

  /** Tells the page when there has been no relay for a while, and why. */
  #judge(now: Instant): void {
    const links = [...this.#links.values()];
    if (links.some((link) => link?.isOpen === true)) this.#onlineAt = now;
    const entries = [...this.#book.entries];
    const haveAllFailed = links.length === 0 && entries.every(({ failures }) => failures > 0);
    if (
      this.#fault !== null ||
      (now - this.#onlineAt < OFFLINE_AFTER_MS && !haveAllFailed) ||
      this.#errors.size === 0
    )
      return;
    this.#fault = diagnose([...this.#errors.values()]);
    void this.#explain(this.#fault);
  }

  async #explain(seen: LumameshError): Promise<void> {
    const fault = await this.lookInto(seen);
    // Reached, or closed, meanwhile.
    if (this.#fault === null || this.#isClosed) return;
    this.#fault = fault;
    this.emit('status', this.status);
    this.emit('error', fault);
  }

  #sendJoin(room: R, relay: string | null = null): void {
    const message = room.joinMessage();
    if (message !== null) this.#send(relay, message);
  }

  #send(relay: string | null, message: ClientMessage): boolean {
    // A way back that is gone is replaced by every way there is.
    if (relay !== null && this.#links.get(relay)?.send(message) === true) return true;
    let isSent = false;
    for (const link of this.#links.values()) isSent = link?.send(message) === true || isSent;
    return isSent;
  }

  #iceServers(): readonly RTCIceServer[] {
    const urls: string[] = [];
    for (const link of this.#links.values())
      if (link?.isOpen === true) urls.push(stunUrl(link.relay));
    // libwebrtc gathers from every server: two are enough to find one's address.
    return [
      ...(urls.length === 0 ? [] : [{ urls: urls.slice(0, 2) }]),
      ...(this.options.iceServers ?? []),
    ];
  }

  /** What the page and its machine go through. */
  #listen(): void {
    const on = (
      target: EventTarget | undefined,
      names: readonly string[],
      listener: (event: Event) => void,
    ): void => {
      for (const name of names) target?.addEventListener?.(name, listener);
      this.#listeners.push(() => {
        for (const name of names) target?.removeEventListener?.(name, listener);
      });
    };
    const page = globalThis as unknown as EventTarget;
    const wake = (): void => {
      if (globalThis.document?.visibilityState !== 'hidden') this.wake();
    };
    on(page, ['online', 'pageshow'], wake);
    on(globalThis.document, ['visibilitychange', 'resume'], wake);
    on(
      (globalThis.navigator as { readonly connection?: EventTarget } | undefined)?.connection,
      ['change'],
      wake,
    );
    on(page, ['pagehide'], (event) => {
      if ((event as PageTransitionEvent).persisted) return this.#suspend();
      this.handlePageHide([...this.#rooms.values()]);
      this.close();
    });
    const { signal } = this.options;
    if (signal?.aborted === true) queueMicrotask(() => this.close());
    on(signal, ['abort'], () => this.close());
  }

  /** A page that is kept for "back" is frozen, not gone. Its connections end now, so that others see it leave; `pageshow` makes new ones. */
  #suspend(): void {
    this.#save();
    for (const room of this.#rooms.values()) room.handleSuspend();
    for (const nk of [...this.#links.keys()]) {
      this.#forget(nk);
      this.#choice.handleHungUp(nk);
    }
  }

  #read(): string | null {
    try {
      return this.#storage?.getItem(CACHE_KEY) ?? null;
    } catch {
      return null;
    }
  }

  #save(): void {
    this.#isDirty = false;
    if (this.options.discover === false) return;
    try {
      this.#storage?.setItem(CACHE_KEY, this.#book.serialise());
    } catch {
      // Full, or not allowed: the next visit begins with the page's own relays.
    }
  }
}

function rethrowLater(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
