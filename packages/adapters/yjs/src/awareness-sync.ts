import { isIntricate } from '@lumamesh/base';
import {
  type Awareness,
  applyAwarenessUpdate,
  encodeAwarenessUpdate,
  removeAwarenessStates,
} from 'y-protocols/awareness';
import { AWARENESS, type Bytes, encodeFrame } from './frames.ts';
import type { Link } from './link.ts';
import type { Links } from './links.ts';

/** Of one state, as JSON. */
const MAX_STATE_BYTES = 65_536;
/** States that come by one member as its own: it, and other tabs of its browser. */
const MAX_OWN_CLIENTS = 64;
/** Everybody that is known, and was. */
const MAX_CLIENTS = 1024;

interface Changes {
  readonly added: readonly number[];
  readonly updated: readonly number[];
  readonly removed: readonly number[];
}

/** Tells who is there, and what each of them points at. */
export class AwarenessSync {
  readonly #awareness: Awareness;
  readonly #origin: object;
  readonly #links: Links;

  /** @param origin of changes that others have made */
  constructor(awareness: Awareness, origin: object, links: Links) {
    this.#awareness = awareness;
    this.#origin = origin;
    this.#links = links;
    awareness.on('update', this.#handleChange);
  }

  _close(): void {
    this.#awareness.off('update', this.#handleChange);
    const others = [...this.#awareness.states.keys()];
    this.#forget(others.filter((client) => client !== this.#awareness.clientID));
  }

  /** Says to one that is new who we are, and whom it does not hear of otherwise. */
  _introduce(link: Link): void {
    const own = [this.#awareness.clientID, ...this.#clientsOfTabs(link)];
    const known = [...this.#awareness.states.keys()];
    this.#tell(link, true, own);
    if (link._isTab || this.#links._isPartial)
      this.#tell(
        link,
        false,
        known.filter((client) => !own.includes(client) && !link._clients.has(client)),
      );
  }

  /** Says to everybody who we are. */
  _announce(): void {
    const update = encodeAwarenessUpdate(this.#awareness, [this.#awareness.clientID]);
    this.#links._spread(AWARENESS, [1, update]);
  }

  _handleUpdate(link: Link, isOwn: boolean, update: Bytes, end: string): void {
    const accepted = entriesOf(update).filter(
      ({ client, bytes, state }) =>
        this.#mayBe(client, link, isOwn, bytes.length) && !isIntricate(state),
    );
    for (const { client, bytes } of accepted) {
      if (isOwn) link._clients.add(client);
      try {
        applyAwarenessUpdate(this.#awareness, encodeFrame(1, bytes), this.#origin);
      } catch {
        // What is no JSON is nobody's state.
      }
    }
    if (accepted.length === 0) return;
    // What another tab says of itself is ours for the room.
    const isOurs = link._isTab && isOwn ? 1 : 0;
    const count = [(accepted.length & 127) | 128, accepted.length >> 7];
    const rest = encodeFrame(...count, ...accepted.map(({ bytes }) => bytes));
    this.#links._spread(AWARENESS, [isOurs, rest], link, end);
  }

  /** Its states end with it. Where not everybody notices, the one beside it tells the others. */
  _handleGone(link: Link): void {
    const clients = [...link._clients].filter((client) => this.#awareness.states.has(client));
    if (clients.length === 0) return;
    const isTold = link._isTab || (this.#links._isPartial && this.#links._isBefore(link._id));
    const update = encodeAwarenessUpdate(this.#awareness, clients, new Map());
    this.#forget(clients);
    if (isTold) this.#links._spread(AWARENESS, [0, update]);
  }

  readonly #handleChange = ({ added, updated, removed }: Changes, origin: unknown): void => {
    const changed = [...added, ...updated, ...removed];
    // Who is silent for too long is removed by everybody for themselves.
    if (origin !== this.#origin && changed.includes(this.#awareness.clientID)) this._announce();
  };

  #tell(link: Link, isOwn: boolean, clients: readonly number[]): void {
    const told = clients.filter((client) => this.#awareness.states.has(client));
    if (told.length === 0) return;
    const update = encodeAwarenessUpdate(this.#awareness, told);
    if (link._take(update.length)) void link._send(true, AWARENESS, 0, isOwn ? 1 : 0, update);
  }

  #clientsOfTabs(except: Link): readonly number[] {
    const tabs = this.#links._heard.filter((link) => link._isTab && link !== except);
    return tabs.flatMap(({ _clients }) => [..._clients]);
  }

  /** Whether a member may say this of a client: of nobody else who speaks for himself, nor of us. */
  #mayBe(client: number, link: Link, isOwn: boolean, length: number): boolean {
    if (client === this.#awareness.clientID || length > MAX_STATE_BYTES) return false;
    if (link._clients.has(client)) return true;
    if (this.#links._heard.some(({ _clients }) => _clients.has(client))) return false;
    if (isOwn && link._clients.size >= MAX_OWN_CLIENTS) return false;
    const { meta } = this.#awareness;
    return meta.has(client) || meta.size < MAX_CLIENTS;
  }

  /** So that they may come back as they were. */
  #forget(clients: number[]): void {
    removeAwarenessStates(this.#awareness, clients, this.#origin);
    for (const client of clients) this.#awareness.meta.delete(client);
  }
}

interface Entry {
  readonly client: number;
  /** Client, clock and state, as they stand in the update. */
  readonly bytes: Bytes;
  /** JSON. */
  readonly state: Bytes;
}

/** The entries of an awareness update, as far as it is one. */
function entriesOf(update: Bytes): readonly Entry[] {
  const entries: Entry[] = [];
  let at = 0;
  /** A number in groups of seven bits, the lowest first; NaN where there is none. */
  const read = (): number => {
    for (let value = 0, factor = 1; factor < 2 ** 53; factor *= 128) {
      const byte = update[at++] ?? Number.NaN;
      value += (byte & 127) * factor;
      if (!(byte > 127)) return Number.isNaN(byte) ? byte : value;
    }
    return Number.NaN;
  };
  for (let left = read(); left > 0 && entries.length < MAX_CLIENTS; left--) {
    const start = at;
    const client = read();
    read();
    const length = read();
    at += length;
    if (!(at <= update.length)) break;
    const state = update.subarray(at - length, at);
    entries.push({ client, bytes: update.slice(start, at), state });
  }
  return entries;
}
