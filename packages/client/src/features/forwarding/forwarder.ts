import { TokenBucket, dropOldest } from '@lumamesh/base';
import { HIGH_WATER_BYTES, type SendOptions } from '../../peer/peer-frame.ts';
import type { Platform } from '../../platform/platform.ts';

/*
 * Two peers that cannot reach each other directly ask a third member, which both can reach, to
 * forward what they say: end-to-end encrypted between the two, and bounded.
 *
 *   A → C   forward <B>         a sealed frame for B       C → B   forwarded <A>   the same, from A
 *   C → A   notForwarded <B>    C does not forward to B (any more)
 *
 * Frames of the unordered channel, which may be lost, travel unordered.
 */

/** What a page forwards for one peer; the sender keeps to half of it. */
export const FORWARDED_BYTES_PER_SECOND = 131_072;
export const FORWARDED_BURST_BYTES = 524_288;
const MAX_BUDGETS = 1024;
/**
 * A sealed frame of the ordered channel may come in parts, one of the other fits into a message.
 */
const MAX_FORWARDED_BYTES = { ordered: 70_000, unordered: 65_000 };
/** Who takes no refusals is told of no more. */
const MAX_REFUSED_BYTES = 65_536;
/** Sealing adds this to a frame. */
export const OVERHEAD_BYTES = 64;

/** A peer, as far as forwarding goes. */
export interface ForwardingPeer {
  readonly id: string;
  /** Reached directly. */
  readonly isDirect: boolean;
  /** Its presence says that it forwards for others. */
  readonly isWilling: boolean;
  /** What it has not acknowledged of what is forwarded to it, and of requests. */
  readonly requestBytes: number;
  sendFrame(
    frame: string,
    argument: string,
    value: unknown,
    options?: SendOptions,
  ): Promise<boolean>;
}

/** Forwards for others. */
export class Forwarder {
  readonly #platform: Platform;
  readonly #budgets = new Map<string, TokenBucket>();

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  /** A sealed frame of `from`, for `to`. The sender is told of what is not forwarded. */
  _forward(
    from: ForwardingPeer,
    to: ForwardingPeer | undefined,
    toId: string,
    bytes: Uint8Array,
    isReliable: boolean,
  ): void {
    const budget =
      this.#budgets.get(from.id) ??
      new TokenBucket(FORWARDED_BYTES_PER_SECOND, FORWARDED_BURST_BYTES);
    if (!this.#budgets.has(from.id)) dropOldest(this.#budgets, MAX_BUDGETS);
    this.#budgets.set(from.id, budget);
    // Refusals cost as well: whoever is over the budget hears nothing at all.
    if (!budget.take(this.#platform.now(), bytes.length + OVERHEAD_BYTES)) return;
    const isForwarded =
      to?.isDirect === true &&
      to.id !== from.id &&
      // Nothing is forwarded to who is already behind with reading.
      to.requestBytes < HIGH_WATER_BYTES &&
      bytes.length <= MAX_FORWARDED_BYTES[isReliable ? 'ordered' : 'unordered'];
    if (isForwarded)
      void to.sendFrame('forwarded', from.id, bytes, { reliable: isReliable, lane: 'requests' });
    else if (isReliable && from.requestBytes < MAX_REFUSED_BYTES)
      void from.sendFrame('notForwarded', toId, null, { lane: 'requests' });
  }
}
