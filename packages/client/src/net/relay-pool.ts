import { type Instant, LumameshError } from '@lumamesh/base';
import {
  type ClientMessage,
  type RelayMessage,
  type SignedRelayRecord,
  isOpenToAll,
  proveAccess,
} from '@lumamesh/protocol';
import type { ConnectOptions, RelayStatus } from '../api.ts';
import type { Platform } from '../platform/platform.ts';
import type { HeldChannel } from '../room/channel-host.ts';
import { diagnose } from './diagnosis.ts';
import { mayEnter, noToken, tokenFor } from './relay-access.ts';
import { RelayBook } from './relay-book.ts';
import type { Measurable } from '../platform/relay-channel.ts';
import { type Loss, RelayChoice } from './relay-choice.ts';
import { RelayLink } from './relay-link.ts';
import { type KnownRelay, stunUrls } from './relay-source.ts';

/** With no relay for this long the page is told why. */
const OFFLINE_AFTER_MS = 12_000;

/** UDP has this long to find a relay before TCP is tried as well; less where it failed before. */
const TCP_AFTER_MS = 1500;
const TCP_SOON_MS = 250;

/** What the net does when something becomes of a relay. */
export interface RelayPoolOwner {
  _addressesOf(relay: KnownRelay): Promise<readonly string[]>;
  _handleRelayOpen(nk: string): void;
  _handleRelayMessage(nk: string, message: RelayMessage): void;
  /** A relay is not held any more. */
  _handleRelayGone(nk: string): void;
  /** What `status` shows has changed. */
  _handleChange(): void;
  /** No relay can be used. */
  _handleFault(fault: LumameshError): void;
}

/** The relays of a page: dials, holds and lets go what {@link RelayChoice} says. */
export class RelayPool {
  readonly book: RelayBook;
  readonly choice: RelayChoice;
  readonly #platform: Platform;
  readonly #options: ConnectOptions;
  readonly #logger: NonNullable<ConnectOptions['logger']>;
  readonly #owner: RelayPoolOwner;
  /** `null` while a relay's record is verified. */
  readonly #links = new Map<string, RelayLink | null>();
  /** By node key, or whatever else was the source of one. */
  readonly #errors = new Map<string, LumameshError>();
  #onlineAt: Instant;
  #isClosed = false;
  /** Why no relay can be used, once that is clear. */
  _fault: LumameshError | null = null;

  constructor(platform: Platform, options: ConnectOptions, owner: RelayPoolOwner) {
    this.#platform = platform;
    this.#options = options;
    this.#logger = options.logger ?? {};
    this.#owner = owner;
    this.book = new RelayBook(platform.random);
    this.choice = new RelayChoice(this.book, platform.random, (relay) => mayEnter(relay, options));
    this.#onlineAt = platform.now();
  }

  /** The page's own relays and those that are dialled or held. */
  get _statuses(): readonly RelayStatus[] {
    return this.book.entries.flatMap(({ record: { nk, ip, port }, isSeed, connectMs, isTcp }) => {
      const link = this.#links.get(nk);
      if (link === undefined && !isSeed) return [];
      const state = link === undefined ? 'waiting' : link?._isOpen === true ? 'open' : 'connecting';
      return {
        nk,
        address: `${ip}:${port}`,
        state,
        connectMs,
        transport: isTcp ? 'tcp' : 'udp',
        error: this.#errors.get(nk) ?? null,
      };
    });
  }

  /** While relays are dialled there is more to look at. */
  get _isDialling(): boolean {
    return this.#links.size === 0 || [...this.#links.values()].some((link) => !link?._isOpen);
  }

  /** Whether all relays that are sought have said who is in a room, or do not take it. */
  _isListed(roomId: string): boolean {
    return !this._isDialling && this.#open.every(({ _rooms }) => _rooms._isAnswered(roomId));
  }

  /** libwebrtc gathers from every server: two are enough to find one's addresses. */
  get _stunUrls(): readonly string[] {
    return this.#open.slice(0, 2).flatMap(({ relay }) => stunUrls(relay));
  }

  _connectionTo(relay: string): Measurable | null {
    return this.#links.get(relay)?._connection ?? null;
  }

  /** Sends by one relay, or by all when `relay` is null, or cannot take it. */
  send(relay: string | null, message: ClientMessage): boolean {
    // A way back that is gone is replaced by every way there is.
    if (relay !== null && this.#links.get(relay)?._send(message) === true) return true;
    const takes = (link: RelayLink): boolean =>
      !('room' in message) || link._rooms._has(message.room);
    return this.#open.filter((link) => takes(link) && link._send(message)).length > 0;
  }

  /** Tells relays of the page's rooms, as far as they are not told and take them. */
  _sync(channels: Iterable<HeldChannel>): void {
    const links = this.#open;
    const isKnown = ({ roomId }: HeldChannel): boolean =>
      links.some(({ _rooms }) => _rooms._has(roomId ?? ''));
    // Who is nowhere yet comes first; of those who came first.
    const wanted = [...channels].toSorted((a, b) => Number(isKnown(a)) - Number(isKnown(b)));
    for (const link of links)
      link._rooms._sync(
        wanted.map((channel) => ({
          channel,
          roomId: channel.roomId,
          _joinMessage: channel._joinMessageFor(link.relay.nk, link._challenge),
        })),
        this.#platform.now(),
        (message) => link._send(message),
        ({ channel }) => {
          if (!isKnown(channel))
            channel._handleRefusal(
              'TOO_MANY_ROOMS',
              'the relay takes no further room of this page: it waits until another is left',
            );
        },
      );
  }

  _handleTick(now: Instant): void {
    for (const link of this.#links.values()) link?._handleTick(now);
    this._plan();
    this.#judge();
  }

  _handleWake(now: Instant): void {
    this.choice._wake();
    for (const link of this.#links.values()) link?._probe(now);
  }

  /** Does what {@link RelayChoice} says now. */
  _plan(): void {
    if (this.#isClosed) return;
    for (const action of this.choice._plan(this.#platform.now())) {
      if (action.type === 'dial') void this.#dial(action.relay);
      else this.#forget(action.nk);
    }
    // What the page has removed explains nothing any more.
    for (const nk of this.book.removed) this.#errors.delete(nk);
  }

  _reportFault(key: string, error: LumameshError | null): void {
    this.#errors.delete(key);
    if (error === null) return;
    this.#errors.set(key, error);
    this.#logger.warn?.(error.message, error);
  }

  /** Hangs up on all, to begin again later. */
  _suspend(): void {
    for (const nk of [...this.#links.keys()]) {
      this.#forget(nk);
      this.choice._handleHungUp(nk);
    }
  }

  _close(): void {
    this.#isClosed = true;
    for (const link of this.#links.values()) link?._close();
    this.#links.clear();
  }

  get #open(): readonly RelayLink[] {
    return [...this.#links.values()].filter((link) => link !== null).filter((link) => link._isOpen);
  }

  async #dial(relay: KnownRelay): Promise<void> {
    const { nk, ip, port, signature } = relay;
    this.#links.set(nk, null);
    // Where nobody can tell, a record is trusted as far as who holds it.
    const isForged =
      signature !== undefined &&
      (await this.#platform.verifyRecord(relay as SignedRelayRecord)) === false;
    const addresses = isForged ? [] : await this.#owner._addressesOf(relay);
    let token: Promise<string> | null = null;
    const askToken = async (): Promise<string> => (token ??= tokenFor(relay, this.#options));
    const refusal = isForged
      ? new LumameshError('RELAY_FORGED', `the record of ${ip}:${port} is not signed by its key`)
      : isOpenToAll(relay)
        ? null
        : await askToken().then(
            () => null,
            (error: LumameshError) => error,
          );
    // Hung up, or closed, while the record was looked at.
    if (this.#isClosed || this.#links.get(nk) !== null) return;
    if (refusal !== null) return this.#handleLoss(nk, refusal, isForged ? 'final' : 'lost');
    const isUdpBlocked = this.book.entries.some(({ isTcp }) => isTcp);
    const tcpAfterMs = isUdpBlocked ? TCP_SOON_MS : TCP_AFTER_MS;
    const wasDenied = this.#errors.get(nk)?.code === 'ACCESS_DENIED';
    const link: RelayLink = new RelayLink(relay, addresses, tcpAfterMs, wasDenied, this.#platform, {
      _prove: async (challenge) =>
        proveAccess(this.#platform.crypto.subtle, await askToken(), relay, challenge),
      _open: (isTcp) => this.#handleOpen(nk, link, isTcp),
      _message: (message) => this.#owner._handleRelayMessage(nk, message),
      _lost: (error, withinMs) => {
        if (this.#links.get(nk) === link)
          this.#handleLoss(nk, error, withinMs === undefined ? 'lost' : 'interrupted', withinMs);
      },
    });
    this.#links.set(nk, link);
  }

  #forget(nk: string): void {
    this.#links.get(nk)?._close();
    this.#links.delete(nk);
    this.#owner._handleRelayGone(nk);
  }

  #handleOpen(nk: string, { relay }: RelayLink, isTcp: boolean): void {
    this.choice._handleOpened(nk, isTcp, this.#platform.now());
    this.#errors.delete(nk);
    this._fault = null;
    this.#logger.info?.('relay reached', relay.nk);
    this.#owner._handleRelayOpen(nk);
    this._plan();
    this.#owner._handleChange();
  }

  #handleLoss(nk: string, error: LumameshError, kind: Loss, withinMs = 0): void {
    this.#forget(nk);
    if (this.#isClosed) return;
    this.#errors.set(nk, error);
    this.#logger.debug?.(error.message, error);
    const { code } = error;
    const why = /^(RELAY_PRIVATE|ACCESS_DENIED)$/.test(code)
      ? 'refused'
      : /^(OFFLINE|WEBRTC_B)/.test(code)
        ? 'offline'
        : kind;
    const goOn = (): void => {
      if (this.#links.has(nk)) return;
      this.choice._handleLost(nk, why, this.#platform.now());
      this._plan();
    };
    // Many are to come back one after another. Until then it keeps its place: no other relay is
    // dialled for it, by none of them.
    if (withinMs > 0) this.#platform.setTimer(withinMs * this.#platform.random(), goOn);
    else goOn();
    this.#judge();
    this.#owner._handleChange();
  }

  /** Tells when there has been no relay for a while, and why. */
  #judge(): void {
    const now = this.#platform.now();
    if (this.#open.length > 0) this.#onlineAt = now;
    let haveAllFailed = this.#links.size === 0;
    for (const { record, isSeed, failures } of this.book.entries) {
      const isKeptOut = !this.choice.mayEnter(record);
      if (isKeptOut && isSeed && !this.#errors.has(record.nk))
        this.#errors.set(record.nk, noToken(record));
      haveAllFailed &&= isKeptOut || failures > 0;
    }
    const isLate = now - this.#onlineAt >= OFFLINE_AFTER_MS || haveAllFailed;
    if (this._fault !== null || !isLate || this.#errors.size === 0) return;
    this._fault = diagnose([...this.#errors.values()]);
    this.#owner._handleFault(this._fault);
  }
}
