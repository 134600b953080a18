import { Fifo } from '@lumamesh/base';
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
  readonly #countBySlot = new Map<Slot, number>();
  #bytes = 0;

  get isEmpty(): boolean {
    return this.#networks.size === 0;
  }

  /** Whether something waits for a session: what comes next is behind it. */
  holds(slot: Slot): boolean {
    return this.#countBySlot.has(slot);
  }

  /** @returns False when there is no room, and the datagram is lost as on its way. */
  add(slot: Slot, datagram: Uint8Array): boolean {
    const count = this.#countBySlot.get(slot) ?? 0;
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
    if (count >= MAX_OF_SESSION || bytes > share || this.#bytes + cost > most) return false;
    // A copy: what was received is a view that keeps a whole chunk of other datagrams.
    queue.waiting.push({ slot, datagram: datagram.slice() });
    queue.bytes = bytes;
    this.#bytes += cost;
    this.#networks.set(network, queue);
    this.#countBySlot.set(slot, count + 1);
    return true;
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
      const count = (this.#countBySlot.get(next.slot) ?? 1) - 1;
      if (count > 0) this.#countBySlot.set(next.slot, count);
      else this.#countBySlot.delete(next.slot);
      return next;
    }
    return null;
  }
}
