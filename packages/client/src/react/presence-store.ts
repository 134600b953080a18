import { LumameshError } from '@lumamesh/base';
import type { ActionListen, ActionSend, Peer, Room } from '../index.ts';
import { type Schedule, nextFrame } from './next-frame.ts';
import { UserCount } from './user-count.ts';

/*
 * What the pages of a room share of themselves, as messages of one action:
 *
 *   { value }        this is what I share now
 *   {}               I share nothing (any more)
 *   …, ask: true     and I have not heard what you share: say it
 *
 * Who begins to take part tells, and asks, everybody who is there; who opens later is told and
 * asked then. So nobody misses what was said before it listened, be it a component that is mounted
 * late or a page that was loaded again behind a connection that lived on.
 */
interface Message {
  readonly value?: unknown;
  readonly ask?: true;
}

const ACTION = 'lumamesh:presence';
/** Presence is small; who sends more is not heard. In UTF-16 units of its JSON. */
const MAX_JSON_LENGTH = 65_536;
/** The JSON of sharing nothing. */
const NOTHING = '';

export const NOBODY: ReadonlyMap<string, unknown> = new Map();

/* By room, for all components: a page has one presence in a room. */
const stores = new WeakMap<Room, PresenceStore>();

/** What is shared in one room. Changes, ours and those of others, take effect once in a frame. */
export class PresenceStore {
  readonly #room: Room;
  readonly #schedule: Schedule;
  readonly #send: ActionSend<Message>;
  readonly #listen: ActionListen<unknown>;
  readonly #users = new UserCount(() => this.#stop());
  readonly #subscribers = new Set<() => void>();
  /**
   * The JSON that each sharing component shares, the last one last: that is what the others see.
   */
  readonly #shared = new Set<{ readonly json: string }>();
  /** The JSON that each peer was last told. */
  readonly #told = new Map<Peer, string>();
  /** Those who have asked. */
  readonly #owed = new Set<Peer>();
  /**
   * Those to whom something is on its way: they hear the rest when it is through, so that never
   * more than one value waits for a slow peer.
   */
  readonly #sending = new Set<Peer>();
  readonly #heard = new Map<string, { readonly json: string; readonly value: unknown }>();
  #others = NOBODY;
  #isDue = false;
  #isStale = false;
  /** What takes the listeners away; empty while there are none. */
  #listeners: (() => void)[] = [];
  readonly #peerListeners = new Map<Peer, () => void>();

  constructor(room: Room, schedule: Schedule = nextFrame) {
    this.#room = room;
    this.#schedule = schedule;
    [this.#send] = room.action<Message>(ACTION);
    // Of what strangers send nothing is known.
    [, this.#listen] = room.action(ACTION);
  }

  static of(room: Room): PresenceStore {
    const known = stores.get(room);
    const store = known ?? new PresenceStore(room);
    if (known === undefined) stores.set(room, store);
    return store;
  }

  /**
   * Takes part: hears what the others share, and tells them what is shared here.
   * @returns A function that ends it.
   */
  readonly subscribe = (onChange: () => void): (() => void) => {
    const release = this.#users.take();
    this.#subscribers.add(onChange);
    if (this.#listeners.length === 0) this.#start();
    return () => {
      this.#subscribers.delete(onChange);
      release();
    };
  };

  /** What the others share, by the id of their peer: the same map until something changes. */
  readonly others = (): ReadonlyMap<string, unknown> => this.#others;

  /**
   * Shares a value, given as JSON. Throws `MESSAGE_TOO_LARGE`.
   * @returns A function that ends it.
   */
  share(json: string): () => void {
    if (json.length > MAX_JSON_LENGTH)
      throw new LumameshError(
        'MESSAGE_TOO_LARGE',
        `presence takes at most ${MAX_JSON_LENGTH} characters of JSON`,
      );
    const entry = { json };
    this.#shared.add(entry);
    this.#due();
    return () => {
      this.#shared.delete(entry);
      this.#due();
    };
  }

  get #own(): string {
    return [...this.#shared].at(-1)?.json ?? NOTHING;
  }

  #start(): void {
    this.#listeners = [
      this.#listen((message, peer) => this.#handleMessage(message, peer)),
      this.#room.on('peer', (peer) => this.#watch(peer)),
      this.#room.on('leave', (peer) => this.#forget(peer)),
    ];
    for (const peer of this.#room.peers) this.#watch(peer);
    this.#due();
  }

  #stop(): void {
    if (this.#listeners.length === 0) return;
    for (const stop of [...this.#listeners, ...this.#peerListeners.values()]) stop();
    this.#listeners = [];
    this.#peerListeners.clear();
    for (const [peer, json] of this.#told)
      if (json !== NOTHING && isReached(peer)) void this.#tell(peer, NOTHING, false);
    this.#told.clear();
    this.#owed.clear();
    this.#sending.clear();
    this.#heard.clear();
    this.#others = NOBODY;
  }

  #watch(peer: Peer): void {
    this.#peerListeners.set(
      peer,
      peer.on('open', () => this.#due()),
    );
  }

  #forget(peer: Peer): void {
    this.#peerListeners.get(peer)?.();
    this.#peerListeners.delete(peer);
    this.#told.delete(peer);
    this.#owed.delete(peer);
    this.#sending.delete(peer);
    if (this.#heard.delete(peer.id)) this.#markStale();
  }

  #handleMessage(message: unknown, peer: Peer): void {
    if (typeof message !== 'object' || message === null || peer.state === 'closed') return;
    const { value, ask } = message as Message;
    if (ask === true && this.#own !== NOTHING) {
      this.#owed.add(peer);
      this.#due();
    }
    const json = value === undefined ? NOTHING : jsonOf(value);
    if (json === null) return;
    if (json.length > MAX_JSON_LENGTH || json === (this.#heard.get(peer.id)?.json ?? NOTHING))
      return;
    if (json === NOTHING) this.#heard.delete(peer.id);
    else this.#heard.set(peer.id, { json, value });
    this.#markStale();
  }

  #markStale(): void {
    this.#isStale = true;
    this.#due();
  }

  #due(): void {
    if (this.#isDue || this.#listeners.length === 0) return;
    this.#isDue = true;
    this.#schedule(() => {
      this.#isDue = false;
      if (this.#listeners.length === 0) return;
      this.#tellAll();
      this.#publish();
    });
  }

  #tellAll(): void {
    const own = this.#own;
    for (const peer of this.#room.peers) {
      if (!isReached(peer) || this.#sending.has(peer)) continue;
      const told = this.#told.get(peer);
      if (told === own && !this.#owed.has(peer)) continue;
      this.#told.set(peer, own);
      this.#owed.delete(peer);
      this.#sending.add(peer);
      void this.#tell(peer, own, told === undefined).then(() => {
        // Somebody else by now, or nobody, when it left meanwhile.
        if (
          this.#sending.delete(peer) &&
          (this.#told.get(peer) !== this.#own || this.#owed.has(peer))
        )
          this.#due();
      });
    }
  }

  async #tell(peer: Peer, json: string, asks: boolean): Promise<void> {
    const message: Message = {
      ...(json === NOTHING ? {} : { value: JSON.parse(json) as unknown }),
      ...(asks ? { ask: true } : {}),
    };
    try {
      await this.#send(message, { to: peer });
    } catch (error) {
      // What the page itself has in its queue comes first; a peer that is gone needs nothing.
      if (error instanceof LumameshError && error.code === 'TOO_MUCH_PENDING') this.#owed.add(peer);
    }
  }

  #publish(): void {
    if (!this.#isStale) return;
    this.#isStale = false;
    this.#others = new Map([...this.#heard].map(([id, { value }]) => [id, value]));
    for (const subscriber of [...this.#subscribers]) subscriber();
  }
}

/**
 * Whether the peer has been open: what is sent to it arrives, now or when it is back. Who is idle is
 * not connected to for this.
 */
function isReached({ state }: Peer): boolean {
  return state !== 'idle' && state !== 'connecting' && state !== 'closed';
}

/** `null` for what JSON does not take, which members may send all the same: a BigInt. */
function jsonOf(value: unknown): string | null {
  try {
    return JSON.stringify(value);
  } catch {
    return null;
  }
}
