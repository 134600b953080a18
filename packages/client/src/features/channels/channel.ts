import { Emitter, type LumameshError } from '@lumamesh/base';
import type { Listenable, RoomState } from '../../api.ts';
import { toError } from '../../extend.ts';
import type { NetHandle } from '../../feature.ts';
import { fieldsOf } from '../../peer/signal.ts';
import type { ChannelOwner } from '../../room/channel-host.ts';
import type { RoomChannel } from '../../room/channel.ts';
import type { Member } from '../../room/members.ts';
import { CHANNEL_LIMITS, takeValue } from './channel-values.ts';
import type { SignalPace } from './signal-pace.ts';

export interface ChannelOptions {
  /** As that of a room: the derivation is slow, and nothing can be read without it. */
  readonly password?: string;
  /** What the others learn of this page, sealed: JSON of at most `channel.limits.maxPresenceBytes`. */
  readonly presence?: unknown;
}

export type ChannelMemberEvents = {
  /** What it has signaled to this page. */
  signal: [value: unknown];
  /** What it says of itself now. */
  presence: [value: unknown];
  /** It is gone. Last event. */
  left: [];
};

/** Somebody in a channel, from coming to leaving: who comes back is another object. */
export interface ChannelMember extends Listenable<ChannelMemberEvents> {
  /** Self-certifying: the hash of the key that signs everything it says. */
  readonly id: string;
  /** What it says of itself; `undefined` while it was only heard to signal. Written by a stranger. */
  readonly presence: unknown;
  readonly isGone: boolean;
  /**
   * Sends JSON of at most `channel.limits.maxSignalBytes` to this member alone, sealed, by a relay:
   * about a hundred a second of a page, further ones wait. A member that has said nothing for 1.5 s
   * is told once more, by all relays; it hears it once.
   * Throws `NOT_SENDABLE`, `MESSAGE_TOO_LARGE` or `TOO_MUCH_PENDING`.
   * @returns whether a relay took it, which is not yet whether the member has it; never rejects
   */
  signal(value: unknown): Promise<boolean>;
}

export type ChannelEvents = {
  /** The keys are there, and with them this page's own id. */
  ready: [selfId: string];
  /** Somebody is there. */
  joined: [member: ChannelMember];
  /** Somebody is gone. */
  left: [member: ChannelMember];
  /** A member says something else of itself: `member.presence`. */
  presence: [member: ChannelMember];
  signal: [value: unknown, member: ChannelMember];
  status: [state: RoomState];
  /** Something went wrong that the page may want to tell: ROOM_KEY_MISMATCH, TOO_MANY_ROOMS, … */
  error: [error: LumameshError];
};

/** Presence and sealed signals of those who know a name (and password), without connections. */
export interface Channel extends Listenable<ChannelEvents> {
  readonly name: string;
  /** `joined`: a relay has taken us in, and has named all members. */
  readonly state: RoomState;
  /** This page's own id; empty until `ready`. */
  readonly selfId: string;
  /** Resolves with this page's own id; rejects with `ROOM_LEFT`, or what went wrong. */
  readonly ready: Promise<string>;
  readonly members: readonly ChannelMember[];
  /** Bytes, as JSON, of presence and signals. */
  readonly limits: { readonly maxPresenceBytes: number; readonly maxSignalBytes: number };
  /**
   * Servers for connections to its members: `net.iceServers`, of TURN servers only those by which
   * members of this channel can be reached.
   */
  readonly iceServers: readonly RTCIceServer[];
  /** What the others learn of this page. */
  readonly presence: unknown;
  member(id: string): ChannelMember | undefined;
  /**
   * Says something else of this page. Relays take about one a second in the long run; of what
   * changes faster the latest is told. Throws `NOT_SENDABLE` or `MESSAGE_TOO_LARGE`.
   */
  setPresence(presence: unknown): void;
  /** Leaves. The channel is of no use afterwards. */
  leave(): void;
}

/** What a channel needs around it. */
export interface PageChannelHost {
  readonly net: NetHandle;
  readonly onListenerError: (error: unknown) => void;
  readonly pace: SignalPace;
  readonly _handleLeft: () => void;
}

export class PageChannel extends Emitter<ChannelEvents> implements Channel, ChannelOwner {
  readonly name: string;
  readonly limits = CHANNEL_LIMITS;
  readonly #host: PageChannelHost;
  readonly #channel: RoomChannel;
  readonly #members = new Map<string, PageMember>();
  #said: unknown;
  #state: RoomState = 'joining';

  /** Throws `NOT_SENDABLE`, `MESSAGE_TOO_LARGE` and `NET_CLOSED`. */
  constructor(name: string, { password = '', presence }: ChannelOptions, host: PageChannelHost) {
    const events = ['ready', 'joined', 'left', 'presence', 'signal', 'status', 'error'] as const;
    super(host.onListenerError, events);
    this.name = name;
    this.#host = host;
    this.#said = takePresence(presence);
    this.#channel = host.net.openChannel('channel', name, password, this);
  }

  get state(): RoomState {
    return this.#state;
  }

  get selfId(): string {
    return this.#channel.selfId;
  }

  get ready(): Promise<string> {
    return this.#channel._ready;
  }

  get members(): readonly ChannelMember[] {
    return [...this.#members.values()];
  }

  get iceServers(): readonly RTCIceServer[] {
    const { roomId } = this.#channel;
    return this.#host.net.iceServersOf(roomId === null ? [] : [roomId]);
  }

  get presence(): unknown {
    return this.#said;
  }

  member(id: string): ChannelMember | undefined {
    return this.#members.get(id);
  }

  setPresence(presence: unknown): void {
    this.#said = takePresence(presence);
    this.#channel._say().catch((cause: unknown) => this._handleError(toError(cause)));
  }

  leave(): void {
    if (this.#state === 'left') return;
    this.#host._handleLeft();
    this.#channel._leave();
    this.#setState('left');
    for (const id of [...this.#members.keys()]) this._handleMemberGone(id);
  }

  /** Begins: derives the keys, and asks to join. */
  _start(): void {
    this.#channel._start().catch((cause: unknown) => this._handleError(toError(cause)));
  }

  _presence(): object {
    return { value: this.#said };
  }

  _handleReady(selfId: string): void {
    this.emit('ready', selfId);
  }

  _handleMember(id: string, { presence, stay, revision }: Member): void {
    // What it said in an earlier stay, while it has only signaled in this one.
    if (revision < stay) return;
    const known = this.#members.get(id);
    const { value } = fieldsOf(presence);
    if (known?._stay === stay && known._revision >= revision) return;
    const isNew = known?._stay !== stay;
    const member = isNew ? this.#meet(id, stay) : known;
    member.presence = value;
    member._revision = revision;
    if (isNew) return this.emit('joined', member);
    member.emit('presence', value);
    this.emit('presence', member);
  }

  _handleMemberGone(id: string): void {
    const member = this.#members.get(id);
    this.#channel._release(id);
    if (member === undefined) return;
    this.#members.delete(id);
    member.isGone = true;
    member.emit('left');
    this.emit('left', member);
  }

  _handlePushedOut(id: string): void {
    this._handleMemberGone(id);
  }

  _handleSignal(from: string, payload: unknown): boolean {
    const { stay = 0 } = this.#channel._member(from) ?? {};
    const known = this.#members.get(from);
    // Nobody lists it, or it is another page by now: it can prove itself all the same.
    const isNew = known?._stay !== stay;
    const member = isNew ? this.#meet(from, stay) : known;
    if (isNew) this.emit('joined', member);
    const { value } = fieldsOf(payload);
    member.emit('signal', value);
    this.emit('signal', value, member);
    return true;
  }

  /** Whom this page has something to say to keeps its place in a crowd of those who are made up. */
  _isReached(id: string): boolean {
    return this.#members.get(id)?._isSignaled === true;
  }

  _handleJoined(): void {
    this.#setState('joined');
  }

  _handleError(error: LumameshError): void {
    this.emit('error', error);
  }

  /** Throws `TOO_MUCH_PENDING`. */
  _signal(member: PageMember, value: unknown): Promise<boolean> {
    const turn = this.#host.pace._take();
    return turn.then(() => !member.isGone && this.#channel._signal(member.id, { value }));
  }

  /** Somebody has come; whoever was there under this id was another page. */
  #meet(id: string, stay: number): PageMember {
    this._handleMemberGone(id);
    const member = new PageMember(id, stay, this.#host.onListenerError, this);
    this.#members.set(id, member);
    return member;
  }

  #setState(state: RoomState): void {
    if (this.#state === state || this.#state === 'left') return;
    this.#state = state;
    this.emit('status', state);
  }
}

class PageMember extends Emitter<ChannelMemberEvents> implements ChannelMember {
  readonly id: string;
  readonly #channel: PageChannel;
  /** Names its stay in the channel, and what it has said last in it. */
  readonly _stay: number;
  _revision = -1;
  _isSignaled = false;
  presence: unknown;
  isGone = false;

  constructor(
    id: string,
    stay: number,
    onListenerError: (error: unknown) => void,
    channel: PageChannel,
  ) {
    super(onListenerError, ['signal', 'presence', 'left']);
    this.id = id;
    this._stay = stay;
    this.#channel = channel;
  }

  signal(value: unknown): Promise<boolean> {
    const taken = takeValue(value, CHANNEL_LIMITS.maxSignalBytes, 'a signal');
    this._isSignaled = true;
    return this.#channel._signal(this, taken);
  }
}

function takePresence(presence: unknown): unknown {
  return takeValue(presence, CHANNEL_LIMITS.maxPresenceBytes, 'presence');
}
