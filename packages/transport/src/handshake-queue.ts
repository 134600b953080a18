import { Fifo, bytesEqual } from '@lumamesh/base';
import type { Slot } from './session-table.ts';
import { WaitingShares } from './waiting-shares.ts';

/** Of one session: more than the longest flight of a client. */
const MAX_OF_SESSION = 8;
/** Of networks. */
const SHARES = {
  maxBytes: 2 * 1024 * 1024,
  minShareBytes: 8192,
  maxMinSharesBytes: 8 * 1024 * 1024,
};
/** What a datagram that waits costs in memory besides. */
const OVERHEAD_BYTES = 256;
/** RFC 6347 §4.1: of a record in the clear; all that differs when it is sent again. */
const RECORD_HEADER_BYTES = 13;

export interface WaitingHandshake {
  readonly slot: Slot;
  readonly datagram: Uint8Array;
}

/**
 * What came for sessions whose handshake is not done. Each datagram may cost a key exchange or a
 * signature, so it waits until sessions that are open have been served, and networks have their
 * turns: who comes by hundreds from one waits for himself.
 */
export class HandshakeQueue {
  /** In the order of their turns. */
  readonly #networks = new Map<string, Fifo<WaitingHandshake>>();
  readonly #shares = new WaitingShares(SHARES);
  readonly #bySlot = new Map<Slot, Uint8Array[]>();

  get isEmpty(): boolean {
    return this.#networks.size === 0;
  }

  /** Whether something waits for a session: what comes next is behind it. */
  holds(slot: Slot): boolean {
    return this.#bySlot.has(slot);
  }

  /**
   * What waits already and is sent again is dropped: browsers do that after 50 ms, and each time
   * they would be sent the whole flight.
   * @returns Why the datagram is lost, as on its way, or `null`.
   */
  add(slot: Slot, datagram: Uint8Array): 'full' | 'repeated' | null {
    const ofSlot = this.#bySlot.get(slot) ?? [];
    const body = datagram.subarray(RECORD_HEADER_BYTES);
    if (ofSlot.some((other) => bytesEqual(other.subarray(RECORD_HEADER_BYTES), body)))
      return 'repeated';
    const { network } = slot.source;
    if (
      ofSlot.length >= MAX_OF_SESSION ||
      !this.#shares.take(network, datagram.length + OVERHEAD_BYTES)
    )
      return 'full';
    const queue = this.#networks.get(network) ?? new Fifo<WaitingHandshake>();
    // A copy: what was received is a view that keeps a whole chunk of other datagrams.
    const copy = datagram.slice();
    queue.push({ slot, datagram: copy });
    ofSlot.push(copy);
    this.#networks.set(network, queue);
    this.#bySlot.set(slot, ofSlot);
    return null;
  }

  /** @returns The next one, in turn by networks, or `null` when nothing waits. */
  take(): WaitingHandshake | null {
    for (const [network, queue] of this.#networks) {
      this.#networks.delete(network);
      const next = queue.shift();
      if (next === undefined) continue;
      this.#shares.release(network, next.datagram.length + OVERHEAD_BYTES);
      // Behind the others.
      if (queue.size > 0) this.#networks.set(network, queue);
      const ofSlot = this.#bySlot.get(next.slot);
      ofSlot?.shift();
      if (ofSlot?.length === 0) this.#bySlot.delete(next.slot);
      return next;
    }
    return null;
  }
}
