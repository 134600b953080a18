import {
  type HandshakeFragment,
  type HandshakeMessage,
  handshakeMessage,
} from '../message/handshake-header.ts';

/**
 * How far ahead of the expected message one may be and still be held: a whole client flight is four
 * messages.
 */
const MAX_AHEAD = 4;
/**
 * Separate runs of bytes held of one message. A ClientHello of 4 KB in fragments of 128 B, every
 * other one lost, stays below.
 */
const MAX_RANGES = 16;

interface Partial {
  readonly type: number;
  readonly epoch: number;
  readonly body: Uint8Array;
  /** Disjoint, ascending `[start, end)` pairs that have arrived. */
  ranges: [number, number][];
}

export type ReassemblyResult =
  | 'held'
  | 'duplicate'
  | 'dtls.handshake.ahead'
  | 'dtls.handshake.tooLarge'
  | 'dtls.handshake.inconsistent'
  | 'dtls.handshake.ranges';

/**
 * Puts handshake messages together from fragments in any order, with duplicates and overlaps (RFC
 * 6347 §4.2.3), and hands them out by message_seq. It never holds more than `maxBytes`, counted by
 * what the fragments claim: 26 bytes that announce 16 MB buy nothing.
 */
export class HandshakeReassembler {
  readonly #maxBytes: number;
  readonly #partials = new Map<number, Partial>();
  #nextMessageSeq: number;
  #heldBytes = 0;

  /** @param nextMessageSeq the number of the message that is expected first */
  constructor(maxBytes: number, nextMessageSeq = 0) {
    this.#maxBytes = maxBytes;
    this.#nextMessageSeq = nextMessageSeq;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  get nextMessageSeq(): number {
    return this.#nextMessageSeq;
  }

  /**
   * Jumps ahead: a server's first message has message_seq 1 when a HelloVerifyRequest went before
   * it.
   */
  skipTo(messageSeq: number): void {
    for (const seq of this.#partials.keys()) if (seq < messageSeq) this.#drop(seq);
    this.#nextMessageSeq = Math.max(this.#nextMessageSeq, messageSeq);
  }

  /**
   * @param epoch whose keys the fragment came under: such a message takes the place of one that
   * anybody may have written.
   */
  add(fragment: HandshakeFragment, epoch = 0): ReassemblyResult {
    if (fragment.messageSeq < this.#nextMessageSeq) return 'duplicate';
    if (fragment.messageSeq >= this.#nextMessageSeq + MAX_AHEAD) return 'dtls.handshake.ahead';
    let partial = this.#partials.get(fragment.messageSeq);
    if (partial !== undefined && epoch > partial.epoch) {
      this.#drop(fragment.messageSeq);
      partial = undefined;
    }
    if (partial === undefined) {
      if (this.#heldBytes + fragment.length > this.#maxBytes) return 'dtls.handshake.tooLarge';
      partial = {
        type: fragment.type,
        epoch,
        body: new Uint8Array(fragment.length),
        ranges: [],
      };
      this.#partials.set(fragment.messageSeq, partial);
      this.#heldBytes += fragment.length;
    }
    if (
      partial.epoch !== epoch ||
      partial.type !== fragment.type ||
      partial.body.length !== fragment.length
    )
      return 'dtls.handshake.inconsistent';
    const ranges = mergeRange(
      partial.ranges,
      fragment.fragmentOffset,
      fragment.fragmentOffset + fragment.fragment.length,
    );
    if (ranges.length > MAX_RANGES) return 'dtls.handshake.ranges';
    partial.ranges = ranges;
    partial.body.set(fragment.fragment, fragment.fragmentOffset);
    return 'held';
  }

  /**
   * The next message in order, once it is whole.
   * @param epoch whose keys it must come under. One of an earlier epoch came before these keys were
   * there, from anybody: it goes.
   */
  take(epoch = 0): HandshakeMessage | null {
    const messageSeq = this.#nextMessageSeq;
    const message = this.#whole(messageSeq);
    if (message === null) return null;
    if (message.epoch < epoch) {
      this.#drop(messageSeq);
      return null;
    }
    this.#drop(messageSeq);
    this.#nextMessageSeq += 1;
    return message;
  }

  /**
   * As {@link take}, for the very first message of a server: a ClientHello with message_seq 1
   * follows a HelloVerifyRequest that we sent without keeping state.
   */
  takeFirst(): HandshakeMessage | null {
    const first = this.take();
    if (first !== null || this.#nextMessageSeq !== 0 || this.#whole(1) === null) return first;
    this.skipTo(1);
    return this.take();
  }

  clear(): void {
    this.#partials.clear();
    this.#heldBytes = 0;
  }

  #whole(messageSeq: number): HandshakeMessage | null {
    const partial = this.#partials.get(messageSeq);
    if (partial === undefined) return null;
    const { type, body, ranges, epoch } = partial;
    const isWhole =
      body.length === 0 ||
      (ranges.length === 1 && ranges[0]?.[0] === 0 && ranges[0][1] === body.length);
    if (!isWhole) return null;
    return handshakeMessage(type, messageSeq, body, epoch);
  }

  #drop(messageSeq: number): void {
    this.#heldBytes -= this.#partials.get(messageSeq)?.body.length ?? 0;
    this.#partials.delete(messageSeq);
  }
}

/** `ranges` with `[start, end)` merged in. */
function mergeRange(
  ranges: readonly [number, number][],
  start: number,
  end: number,
): [number, number][] {
  if (start === end) return [...ranges];
  const merged: [number, number][] = [];
  let from = start;
  let to = end;
  let placed = false;
  for (const range of ranges) {
    if (range[1] < from) merged.push(range);
    else if (range[0] > to) {
      if (!placed) merged.push([from, to]);
      placed = true;
      merged.push(range);
    } else {
      from = Math.min(from, range[0]);
      to = Math.max(to, range[1]);
    }
  }
  if (!placed) merged.push([from, to]);
  return merged;
}
