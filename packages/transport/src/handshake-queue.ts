import { Fifo, bytesEqual } from '@lumamesh/base';
import type { Slot } from './session-table.ts';

/** Of one session: more than the longest flight of a client. */
const MAX_OF_SESSION = 8;
/** Of all, at what it costs; shares of those that came first were larger: there may be twice as much. */
const MAX_BYTES = 2 * 1024 * 1024;
/** However many wait, each network has so much, up to so much of all. */
const MIN_SHARE_BYTES = 8192;
const MAX_MIN_SHARES_BYTES = 8 * 1024 * 1024;
/** What a datagram that waits costs in memory besides. */
const OVERHEAD_BYTES = 256;

/** RFC 6347 §4.1: of a record in the clear; all that differs when it is sent again. */
const RECORD_HEADER_BYTES = 13;

export interface WaitingHandshake {
  readonly slot: Slot;
  readonly datagram: Uint8Array;
}

interface Queue {
  readonly waiting: Fifo<WaitingHandshake>;
  bytes: number;
}

/**
 * What came for sessions whose handshake is not done. Each datagram may cost a key exchange or a
 * signature, so it waits until sessions that are open have been served, and networks have their
 * turns: who comes by hundreds from one waits for himself.
 */
export class HandshakeQueue {
  /** In the order of their turns. */
  readonly #networks = new Map<string, Queue>();
  readonly #bySlot = new Map<Slot, Uint8Array[]>();
  #bytes = 0;

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
    const queue = this.#networks.get(network) ?? {
      waiting: new Fifo<WaitingHandshake>(),
      bytes: 0,
    };
    const cost = datagram.length + OVERHEAD_BYTES;
    const networks = this.#networks.size + (queue.bytes === 0 ? 1 : 0);
    const bytes = queue.bytes + cost;
    const share = Math.max(MIN_SHARE_BYTES, MAX_BYTES / networks);
    const most = bytes > MIN_SHARE_BYTES ? 2 * MAX_BYTES : MAX_MIN_SHARES_BYTES;
    if (ofSlot.length >= MAX_OF_SESSION || bytes > share || this.#bytes + cost > most)
      return 'full';
    // A copy: what was received is a view that keeps a whole chunk of other datagrams.
    const copy = datagram.slice();
    queue.waiting.push({ slot, datagram: copy });
    ofSlot.push(copy);
    queue.bytes = bytes;
    this.#bytes += cost;
    this.#networks.set(network, queue);
    this.#bySlot.set(slot, ofSlot);
    return null;
  }

  /** @returns The next one, in turn by networks, or `null` when nothing waits. */
  take(): WaitingHandshake | null {
    for (const [network, queue] of this.#networks) {
      this.#networks.delete(network);
      const next = queue.waiting.shift();
      if (next === undefined) continue;
      const cost = next.datagram.length + OVERHEAD_BYTES;
      queue.bytes -= cost;
      this.#bytes -= cost;
      // Behind the others.
      if (queue.bytes > 0) this.#networks.set(network, queue);
      const ofSlot = this.#bySlot.get(next.slot);
      ofSlot?.shift();
      if (ofSlot?.length === 0) this.#bySlot.delete(next.slot);
      return next;
    }
    return null;
  }
}
