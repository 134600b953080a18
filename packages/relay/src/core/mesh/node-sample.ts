import { toBase64Url } from '@lumamesh/base';
import { LIMITS, Rendezvous, type SignedRelayRecord } from '@lumamesh/protocol';
import type { NodePage } from '../remote-rooms.ts';

/** Of the records in one `nodes` frame. */
const MAX_NODES_BYTES = LIMITS.maxFrameBytes - 256;
const CURSOR = /^([A-Za-z0-9_-]{8})\.(\d{1,5})$/;

/**
 * Random samples of the relays that may be told of, page by page: one relay of each address prefix
 * before a second of any. The cursor names the sample and how far it has been told, so pages of one
 * sample hold each relay once, and nothing is kept of them here.
 */
export class NodeSample {
  readonly #list: () => readonly SignedRelayRecord[];
  readonly #random: () => number;
  /** Made when it is first asked for after a change. */
  #nodes: Rendezvous<SignedRelayRecord> | null = null;

  /**
   * @param list the relays that may be told of
   * @param random a number in [0, 1)
   */
  constructor(list: () => readonly SignedRelayRecord[], random: () => number) {
    this.#list = list;
    this.#random = random;
  }

  /** The relays are others now. */
  invalidate(): void {
    this.#nodes = null;
  }

  /** @param after the cursor of the page before, or empty */
  page(limit: number, after: string): NodePage {
    const [, seed = this.#randomSeed(), offsetText = '0'] = CURSOR.exec(after) ?? [];
    const offset = Number(offsetText);
    this.#nodes ??= new Rendezvous(this.#list());
    if (offset >= this.#nodes.size) return { nodes: [] };
    const nodes: SignedRelayRecord[] = [];
    let bytes = 0;
    for (const record of this.#nodes.rank(seed, offset + limit).slice(offset)) {
      bytes += JSON.stringify(record).length + 1;
      if (bytes > MAX_NODES_BYTES) break;
      nodes.push(record);
    }
    const end = offset + nodes.length;
    return end < this.#nodes.size && nodes.length > 0
      ? { nodes, next: `${seed}.${end}` }
      : { nodes };
  }

  #randomSeed(): string {
    return toBase64Url(Uint8Array.from({ length: 6 }, () => Math.floor(this.#random() * 256)));
  }
}
