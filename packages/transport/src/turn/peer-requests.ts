import { type Instant, type TokenBucket, later, readUint16 } from '@lumamesh/base';
import {
  type TransportAddress,
  decodeXorMappedAddress,
} from '../stun/attributes/xor-mapped-address.ts';
import { type StunMessage, findAttribute } from '../stun/message.ts';
import type { AllocationTable } from './allocation-table.ts';
import type { Allocation } from './allocation.ts';
import { MAX_CHANNEL_NUMBER, MIN_CHANNEL_NUMBER, TURN_ATTRIBUTE } from './turn-codes.ts';

/** RFC 8656 §9: "The Permission Lifetime MUST be 300 seconds". */
const PERMISSION_MS = 300_000;
/** RFC 8656 §12: channel bindings last for 10 minutes. */
const CHANNEL_MS = 600_000;

/** What an allocation asks for peers: permissions and channels. */
export class PeerRequests {
  readonly #table: AllocationTable;
  readonly #newPair: () => TokenBucket;

  /** @param newPair makes what a pair may send, in both directions */
  constructor(table: AllocationTable, newPair: () => TokenBucket) {
    this.#table = table;
    this.#newPair = newPair;
  }

  /** RFC 8656 §10.2: all of the peers that are named, or none. @returns An error, or `null`. */
  createPermission(
    now: Instant,
    allocation: Allocation,
    message: StunMessage,
  ): 400 | 403 | 443 | 508 | null {
    const peers = new Set<Allocation>();
    let isAnyNamed = false;
    for (const { type, value } of message.attributes) {
      if (type !== TURN_ATTRIBUTE.xorPeerAddress) continue;
      isAnyNamed = true;
      const address = decodeXorMappedAddress(value, message.transactionId);
      if (address === null) return 400;
      if (address.address.includes(':')) return 443;
      const peer = this.#peerAt(allocation, address.address);
      if (peer === null) return 403;
      peers.add(peer);
    }
    if (!isAnyNamed) return 400;
    if (!allocation.hasRoomFor(now, peers)) return 508;
    for (const peer of peers) this.#permit(now, allocation, peer);
    return null;
  }

  /** RFC 8656 §12.2, §12.3. @returns An error, or `null`. */
  bindChannel(
    now: Instant,
    allocation: Allocation,
    message: StunMessage,
  ): 400 | 403 | 443 | 508 | null {
    const number = findAttribute(message, TURN_ATTRIBUTE.channelNumber)?.value;
    const value = findAttribute(message, TURN_ATTRIBUTE.xorPeerAddress)?.value;
    if (number?.length !== 4 || value === undefined) return 400;
    const channel = readUint16(number, 0);
    const address = decodeXorMappedAddress(value, message.transactionId);
    if (channel < MIN_CHANNEL_NUMBER || channel > MAX_CHANNEL_NUMBER || address === null)
      return 400;
    if (address.address.includes(':')) return 443;
    const peer = this.#peerAt(allocation, address.address);
    if (peer === null || !isAt(peer, address)) return 403;
    if (!allocation.hasRoomFor(now, new Set([peer]))) return 508;
    // "If there is a conflict": a channel has one peer, and a peer one channel.
    const link = allocation.link(now, peer, this.#newPair);
    if (!allocation.bind(now, link, channel, later(now, CHANNEL_MS))) return 400;
    // §12.3: "installing or refreshing the permission" goes with it.
    this.#permit(now, allocation, peer);
    return null;
  }

  /** An allocation of another one in the same room; everything else is 403. */
  #peerAt(allocation: Allocation, address: string): Allocation | null {
    const peer = this.#table.atRelayed(address);
    return peer === undefined || peer === allocation || peer.grant.room !== allocation.grant.room
      ? null
      : peer;
  }

  #permit(now: Instant, allocation: Allocation, peer: Allocation): void {
    allocation.link(now, peer, this.#newPair).permittedUntil = later(now, PERMISSION_MS);
  }
}

function isAt({ relayed }: Allocation, { address, port }: TransportAddress): boolean {
  return relayed.address === address && relayed.port === port;
}
