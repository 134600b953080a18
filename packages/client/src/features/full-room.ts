import { LumameshError, dropOldest, utf8Encode } from '@lumamesh/base';
import { PairCipher, type PairKeys, createPairKeys } from '../../core/pair-cipher.ts';
import type { SendOptions } from '../../core/peer-frame.ts';
import type { PeerHost } from '../peer.ts';
import { Room, type RoomHost, type RoomOptions } from '../room.ts';
import { Forwarder } from './forwarding.ts';
import { FullPeer, type FullPeerHost, type Handshake } from './full-peer.ts';
import type { RequestHandler } from './requests.ts';

export interface FullRoomOptions extends RoomOptions {
  /** Called for every peer before it counts as open: who throws here does not let it in. Both sides have one, or neither. At most 15 s. */
  readonly handshake?: (peer: FullPeer, handshake: Handshake) => unknown;
  /** Whether this page carries sealed frames for two members that cannot reach each other (at most 128 KB/s for each pair). Default `true`. */
  readonly forward?: boolean;
}

export interface FullRoomHost extends RoomHost {
  /** Enters the room before the room: see {@link KnockRoom}. */
  knock(tag: number, onMismatch: () => void): { leave(): void };
}

/** Whom an action goes to: all, or these. */
export interface ActionOptions extends SendOptions {
  readonly to?: FullPeer | readonly FullPeer[];
}

export type ActionSend<Value> = (value: Value, options?: ActionOptions) => Promise<boolean>;
/** The answer takes the listener away. */
export type ActionListen<Value> = (listener: (value: Value, peer: FullPeer) => void) => () => void;

const MAX_NAME_LENGTH = 64;
const MAX_REMEMBERED = 1024;

/** The browsers that know a name (and password), and all that they do together. */
export class FullRoom extends Room<FullPeer> {
  declare protected readonly options: FullRoomOptions;
  declare protected readonly host: FullRoomHost;
  readonly #answers = new Map<string, RequestHandler<FullPeer>>();
  readonly #actions = new Map<string, Set<(value: unknown, peer: FullPeer) => void>>();
  readonly #streams = new Map<MediaStream, unknown>();
  readonly #forwarder: Forwarder;
  /** What members say of themselves. */
  readonly #presences = new Map<
    string,
    { readonly pairKey: string; readonly isWilling: boolean }
  >();
  /** By peer and its key, for as long as the room lasts: a cipher that began anew would take for new what was heard before. */
  readonly #ciphers = new Map<string, Promise<PairCipher>>();
  #keys: PairKeys | null = null;
  #knock: { leave(): void } | null = null;
  #saidOther = false;

  constructor(name: string, options: FullRoomOptions, host: FullRoomHost) {
    super(name, options, host);
    this.#forwarder = new Forwarder(host.platform);
    this.on('peer', (peer) => {
      for (const [stream, metadata] of this.#streams) peer.addStream(stream, metadata);
    });
  }

  /** A kind of message with a name and a type of its own: `const [send, on] = room.action<Move>('move')`. Throws `BAD_ACTION_NAME`. */
  action<Value = unknown>(name: string): [send: ActionSend<Value>, on: ActionListen<Value>] {
    checkName(name);
    const tag = `a${name}`;
    const listeners = this.#actions.get(tag) ?? new Set();
    this.#actions.set(tag, listeners);
    const send: ActionSend<Value> = async (value, { to, ...options } = {}) => {
      if (to === undefined) return this.broadcastTagged(tag, value, options);
      const peers = to instanceof FullPeer ? [to] : to;
      return (
        await Promise.all(peers.map(async (peer) => peer.sendTagged(tag, value, options)))
      ).every(Boolean);
    };
    const on: ActionListen<Value> = (listener) => {
      // The other pages give the value its type; a page that must be sure looks at it.
      const stored = listener as (value: unknown, peer: FullPeer) => void;
      listeners.add(stored);
      return () => listeners.delete(stored);
    };
    return [send, on];
  }

  /** Answers `peer.request(name, …)` of the others, until the answer of this is called. One handler for each name. Throws `BAD_ACTION_NAME`. */
  answer(name: string, handler: RequestHandler<FullPeer>): () => void {
    checkName(name);
    this.#answers.set(name, handler);
    return () => this.#answers.delete(name);
  }

  /** Sends a stream to everybody who is here and who comes. */
  addStream(stream: MediaStream, metadata: unknown = null): void {
    this.#streams.set(stream, metadata);
    for (const peer of this.peers) peer.addStream(stream, metadata);
  }

  removeStream(stream: MediaStream): void {
    this.#streams.delete(stream);
    for (const peer of this.peers) peer.removeStream(stream);
  }

  /** @internal */
  override async start(): Promise<void> {
    this.#keys = await createPairKeys(this.host.platform.crypto).catch(() => null);
    await super.start();
    await this.knock();
  }

  /** @internal */
  protected async knock(): Promise<void> {
    const { roomId } = this;
    if ((this.options.password ?? '') === '' || roomId === null || this.state === 'left') return;
    const digest = await this.host.platform.crypto.subtle.digest('SHA-256', utf8Encode(roomId));
    this.#knock = this.host.knock(new Uint8Array(digest)[0] ?? 0, () => {
      if (this.peers.length === 0 && !this.#saidOther)
        this.emit('error', new LumameshError('ROOM_KEY_MISMATCH', 'others use another password'));
      this.#saidOther = true;
    });
    // Left while this was asked for.
    if ((this.state as string) === 'left') this.#knock.leave();
  }

  override leave(): void {
    super.leave();
    this.#knock?.leave();
  }

  protected override presence(): object {
    return {
      ...super.presence(),
      pair: this.#keys?.publicKey,
      forward: this.options.forward ?? true,
    };
  }

  protected override handlePresence(id: string, presence: unknown): void {
    const { pair, forward } = (presence ?? {}) as { pair?: unknown; forward?: unknown };
    const isWilling = forward === true;
    const pairKey = typeof pair === 'string' ? pair : '';
    const peer = this.peer(id);
    if (peer !== undefined) peer.isWilling = isWilling;
    // Another key: the page was loaded anew, and what was agreed on with the one before is void.
    if ((this.#presences.get(id)?.pairKey ?? pairKey) !== pairKey) peer?.dropDetour();
    this.#presences.delete(id);
    dropOldest(this.#presences, MAX_REMEMBERED);
    this.#presences.set(id, { pairKey, isWilling });
  }

  protected override makePeer(id: string, nick: string, ownId: string, host: PeerHost): FullPeer {
    const full: FullPeerHost = {
      ...host,
      answers: this.#answers,
      handshake: this.options.handshake,
      handleRoomTag: (peer, tag, value) => this.#handleTag(peer, tag, value),
      cipherFor: (peer) => this.#cipherFor(peer),
      carriers: () => this.peers.filter((peer) => peer.isDirect),
      handleUnreachable: (peer) =>
        this.emit(
          'error',
          new LumameshError(
            'NEEDS_TURN',
            `no way to ${peer.nick || peer.id} was found: it takes a TURN server`,
          ),
        ),
    };
    const peer = new FullPeer(id, nick, ownId, full);
    peer.isWilling = this.#presences.get(id)?.isWilling ?? false;
    return peer;
  }

  #cipherFor(peer: FullPeer): Promise<PairCipher> | null {
    const pairKey = this.#presences.get(peer.id)?.pairKey ?? '';
    if (this.#keys === null || pairKey === '' || this.roomId === null) return null;
    const name = `${peer.id} ${pairKey}`;
    const known = this.#ciphers.get(name);
    if (known !== undefined) return known;
    const made = PairCipher.create(
      this.host.platform.crypto,
      this.#keys,
      pairKey,
      this.roomId,
      this.selfId,
      peer.id,
    );
    dropOldest(this.#ciphers, MAX_REMEMBERED);
    this.#ciphers.set(name, made);
    return made;
  }

  #handleTag(peer: FullPeer, tag: string, value: unknown): void {
    const other = tag.slice(1);
    if (tag[0] === 'a')
      for (const listener of this.#actions.get(tag) ?? []) this.#call(() => listener(value, peer));
    else if (tag[0] === 'n') this.peer(other)?.handleRefused(peer.id);
    // Only who is reached directly carries, and nobody for itself.
    else if (!(value instanceof Uint8Array) || !peer.isDirect || other === peer.id) return;
    else if (/^g/i.test(tag)) void this.peer(other)?.handleCarried(peer, value);
    else if (/^f/i.test(tag))
      this.#forwarder.carry(
        peer,
        this.options.forward === false ? undefined : this.peer(other),
        other,
        value,
        tag[0] === 'f',
      );
  }

  #call(listener: () => void): void {
    try {
      listener();
    } catch (error) {
      this.host.onListenerError(error);
    }
  }
}

/**
 * A room that everybody enters who joins one of this name with a password, whichever it is. Nobody connects in it; each shows eight bits of a hash of
 * what its password leads to, so that a wrong password is told rather than met with silence. Whoever knows the name sees that the room exists, and may
 * rule out 255 of 256 passwords, each at the cost of the slow derivation.
 */
export class KnockRoom extends FullRoom {
  readonly #tag: number;
  readonly #onMismatch: () => void;

  constructor(name: string, tag: number, onMismatch: () => void, host: FullRoomHost) {
    // The password makes its derivation slow, so that a relay cannot try names in bulk either.
    super(`${name}\nknock`, { maxPeers: 0, password: 'knock' }, host);
    this.#tag = tag;
    this.#onMismatch = onMismatch;
  }

  protected override async knock(): Promise<void> {}

  protected override presence(): object {
    return { tag: this.#tag };
  }

  protected override handlePresence(_id: string, presence: unknown): void {
    const { tag } = (presence ?? {}) as { tag?: unknown };
    if (typeof tag === 'number' && tag !== this.#tag) this.#onMismatch();
  }
}

/** Tags stand in front of each value, so they are short; a line break would end one early. */
function checkName(name: string): void {
  if (name === '' || name.length > MAX_NAME_LENGTH || name.includes('\n'))
    throw new LumameshError(
      'BAD_ACTION_NAME',
      `a name is one line of at most ${MAX_NAME_LENGTH} characters`,
    );
}
