import type { SignedRelayRecord } from '@lumamesh/protocol';
import type { VirtualNode } from './virtual-relay.ts';
import type { VirtualTime } from './virtual-time.ts';

/** One way over a link. */
export const LATENCY_MS = 20;
const DEGREE = 4;
/** A record and what libp2p puts around it. */
const RECORD_BYTES = 500;

/** Gossip as gossipsub does it: a relay passes a record on to a few others when it has found it good. */
export class VirtualGossip {
  readonly #time: VirtualTime;
  readonly #random: () => number;
  readonly #drain: (node: VirtualNode) => void;

  constructor(time: VirtualTime, random: () => number, drain: (node: VirtualNode) => void) {
    this.#time = time;
    this.#random = random;
    this.#drain = drain;
  }

  /** @param from the relay that it came from; `null` for the one that publishes it */
  forward(node: VirtualNode, record: SignedRelayRecord, from: VirtualNode | null): void {
    node.seenGossip.add(record.signature);
    const others = [...node.links.values()].filter((other) => other !== from);
    for (let i = 0; i < DEGREE && others.length > 0; i++) {
      const [other] = others.splice(Math.floor(this.#random() * others.length), 1);
      if (other === undefined) continue;
      node.bytesOut += RECORD_BYTES;
      this.deliver(node, other, record);
    }
  }

  deliver(from: VirtualNode, to: VirtualNode, record: SignedRelayRecord): void {
    this.#time.after(LATENCY_MS, () => {
      if (!to.isAlive || to.seenGossip.has(record.signature)) return;
      to.seenGossip.add(record.signature);
      const id = to.core.handleGossip(this.#time.now, from.nk, record, RECORD_BYTES);
      if (id === null) return;
      to.waiters.set(id, (verdict) => {
        if (verdict === 'accept') this.forward(to, record, from);
      });
      this.#drain(to);
    });
  }
}
