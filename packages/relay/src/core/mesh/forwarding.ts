import { dropOldest, fromBase64Url, toBase64Url } from '@lumamesh/base';
import { type MeshFrame, type RoomFrame, forwardedBytes } from './mesh-frame.ts';

export interface ForwardingOptions {
  /** This relay's node key. */
  readonly nk: string;
  /** Ed25519 with this relay's node key, and with another's. */
  readonly sign: (data: Uint8Array) => Uint8Array;
  readonly verifyBy: (nk: string, data: Uint8Array, signature: Uint8Array) => boolean;
  /**
   * Where the counters of forwarded frames begin: higher than those of any earlier run, such as the
   * time in microseconds.
   */
  readonly firstCounter: number;
}

/** Relays whose forwarded frames are told from replays. */
const MAX_COUNTERS = 4096;
/** Frames that went different ways may overtake each other by this many of their author's. */
const WINDOW = 1024;

/** The counters of one author that were taken. */
interface Window {
  highest: number;
  readonly taken: Set<number>;
}

/**
 * Frames that a third relay forwards: signed by their author, for one receiver, each with a counter
 * of its own, under which it is taken once, whichever way it comes first.
 */
export class Forwarding {
  readonly #options: ForwardingOptions;
  /** By author. */
  readonly #windows = new Map<string, Window>();
  #counter: number;

  constructor(options: ForwardingOptions) {
    this.#options = options;
    this.#counter = options.firstCounter;
  }

  /** @returns What to send to a relay that is to forward the frame. */
  request(to: string, frame: RoomFrame): Extract<MeshFrame, { readonly type: 'forwardRequest' }> {
    this.#counter += 1;
    const counter = this.#counter;
    const text = JSON.stringify(frame);
    const signature = toBase64Url(
      this.#options.sign(forwardedBytes(this.#options.nk, to, counter, text)),
    );
    return { type: 'forwardRequest', to, counter, text, signature, frame };
  }

  /**
   * @returns Why a forwarded frame of a known author is not to be taken; `null` when it is, once.
   */
  accept({
    from,
    counter,
    text,
    signature,
  }: Extract<MeshFrame, { readonly type: 'forwarded' }>): 'replayed' | 'forged' | null {
    const window = this.#windows.get(from) ?? { highest: counter, taken: new Set() };
    if (counter <= window.highest - WINDOW || window.taken.has(counter)) return 'replayed';
    const data = forwardedBytes(from, this.#options.nk, counter, text);
    if (!this.#options.verifyBy(from, data, fromBase64Url(signature) ?? new Uint8Array(0)))
      return 'forged';
    window.highest = Math.max(window.highest, counter);
    window.taken.add(counter);
    if (window.taken.size > 2 * WINDOW)
      for (const old of window.taken) if (old <= window.highest - WINDOW) window.taken.delete(old);
    // To the end of the map: the author that was silent for longest is forgotten first.
    this.#windows.delete(from);
    dropOldest(this.#windows, MAX_COUNTERS);
    this.#windows.set(from, window);
    return null;
  }
}
