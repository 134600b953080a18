import { addressPrefix } from '@lumamesh/base';
import { isOpenToAll } from './access.ts';
import type { RelayRecord } from './relay-record.ts';

/**
 * How many relays are responsible for a room. With views that each miss 10 % of the relays, two
 * have no common home in 0.05 % of the cases.
 */
export const HOMES_PER_ROOM = 3;

/** What {@link Rendezvous} needs to know of a relay. */
export type RendezvousNode = Pick<RelayRecord, 'nk' | 'ip' | 'meshPort' | 'access'>;

interface Hashed<T> {
  readonly hash: number;
  readonly name: string;
  readonly value: T;
}

/**
 * Rendezvous hashing (highest random weight, Thaler and Ravishankar 1998) over relays: the same key
 * and the same relays give the same order, and a relay that comes or goes moves only what it wins
 * or held. Address prefixes (/24, /48) are ranked first and the relays in each after that, because
 * node keys can be ground by the million and addresses cannot: whoever has one prefix wins the
 * share of one prefix, however many relays stand in it. Relays that ask for a token come behind all
 * that do not: everybody may meet at these, and where there are too few the others help out.
 */
export class Rendezvous<Node extends RendezvousNode> {
  /** Of relays that let in everybody, and of the others. */
  readonly #prefixes: readonly (readonly Hashed<readonly Hashed<Node>[]>[])[];
  readonly size: number;

  constructor(nodes: Iterable<Node>) {
    const all = [...nodes];
    this.size = all.length;
    this.#prefixes = [
      byPrefix(all.filter(isOpenToAll)),
      byPrefix(all.filter((node) => !isOpenToAll(node))),
    ];
  }

  /**
   * The first `count` relays for a key: one of each prefix while there are prefixes left, then a
   * second of each, and so on. The order among prefixes, and within each, is that of their weights.
   */
  rank(key: string, count: number): readonly Node[] {
    const keyHash = hashText(key);
    const ranked: Node[] = [];
    for (const networks of this.#prefixes) {
      const prefixes = heaviest(networks, keyHash, count);
      const groups = prefixes.map(({ value }) => heaviest(value, keyHash, count));
      for (let round = 0; groups.some((group) => group.length > round); round++) {
        for (const group of groups) {
          const next = group[round];
          if (next !== undefined && ranked.length < count) ranked.push(next.value);
        }
      }
    }
    return ranked;
  }
}

function byPrefix<Node extends RendezvousNode>(
  nodes: readonly Node[],
): readonly Hashed<readonly Hashed<Node>[]>[] {
  const groups = new Map<string, Hashed<Node>[]>();
  for (const node of nodes) {
    const prefix = prefixOf(node);
    const group = groups.get(prefix);
    const member = { hash: hashText(node.nk), name: node.nk, value: node };
    if (group === undefined) groups.set(prefix, [member]);
    else group.push(member);
  }
  return [...groups].map(([name, value]) => ({ hash: hashText(name), name, value }));
}

/** The relays among which homes are chosen: those that other relays can reach as well. */
export function mayBeHome(node: RendezvousNode): boolean {
  return node.meshPort !== undefined;
}

/** The network a relay is counted under: that of its first address. */
export function prefixOf({ ip }: Pick<RelayRecord, 'ip'>): string {
  return addressPrefix(ip);
}

/**
 * The `count` of most weight for a key, heaviest first; names settle ties. Keeping the best few is
 * a tenth of the work of sorting all.
 */
function heaviest<T>(
  items: readonly Hashed<T>[],
  keyHash: number,
  count: number,
): readonly Hashed<T>[] {
  const best: Hashed<T>[] = [];
  for (const item of items) {
    let at = best.length;
    while (at > 0 && compare(item, best[at - 1] ?? item, keyHash) < 0) at -= 1;
    if (at >= count) continue;
    best.splice(at, 0, item);
    if (best.length > count) best.pop();
  }
  return best;
}

function compare<T>(a: Hashed<T>, b: Hashed<T>, keyHash: number): number {
  return mix(b.hash, keyHash) - mix(a.hash, keyHash) || (a.name < b.name ? -1 : 1);
}

/**
 * A weight from two hashes: the 32-bit finaliser of MurmurHash3 (public domain), over their sum so
 * that neither side cancels the other.
 */
function mix(a: number, b: number): number {
  return finalise((Math.imul(a, 0x9e3779b1) + b) | 0) >>> 0;
}

function finalise(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

/** FNV-1a over the characters of an ASCII text, finalised. */
function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return finalise(hash);
}
