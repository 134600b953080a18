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

/**
 * Frames that a third relay forwards: signed by their author, for one receiver, each with a higher
 * counter.
 */
export class Forwarding {
  readonly #options: ForwardingOptions;
  /** The last counter of each author. */
  readonly #counters = new Map<string, number>();
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
    if (counter <= (this.#counters.get(from) ?? -1)) return 'replayed';
    const data = forwardedBytes(from, this.#options.nk, counter, text);
    if (!this.#options.verifyBy(from, data, fromBase64Url(signature) ?? new Uint8Array(0)))
      return 'forged';
    dropOldest(this.#counters, MAX_COUNTERS);
    // To the end of the map: the author that was silent for longest is forgotten first.
    this.#counters.delete(from);
    this.#counters.set(from, counter);
    return null;
  }
}
