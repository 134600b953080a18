import { type Instant, later } from '@lumamesh/base';
import { encodeAck } from '../message/ack.ts';
import type { RecordNumber } from '../record/record-layer.ts';

/** More records than any flight has; those that came last count. */
const MAX_NUMBERS = 32;

/**
 * What is to be acknowledged of the peer's handshake records (RFC 9147 §7.1), and when: at once
 * would cost a datagram of its own, so it waits a little for one to ride in.
 */
export class Acknowledger {
  #numbers: RecordNumber[] = [];
  #dueAt: Instant | null = null;

  get dueAt(): Instant | null {
    return this.#dueAt;
  }

  /** A record whose messages were of use, or had been before. */
  note({ epoch, recordSequenceNumber }: RecordNumber): void {
    this.#numbers.push({ epoch, recordSequenceNumber });
    if (this.#numbers.length > MAX_NUMBERS) this.#numbers.shift();
  }

  /** Acknowledges what was noted within so much time. */
  schedule(now: Instant, delayMs: number): void {
    const dueAt = later(now, delayMs);
    if (this.#numbers.length > 0 && (this.#dueAt === null || dueAt < this.#dueAt))
      this.#dueAt = dueAt;
  }

  /** Our next flight has acknowledged everything, or nobody is there any more. */
  clear(): void {
    this.#numbers = [];
    this.#dueAt = null;
  }

  /** @returns The content of the ACK record that is to be sent, or `null` when none is. */
  take(): Uint8Array | null {
    if (this.#dueAt === null) return null;
    const content = encodeAck(this.#numbers);
    this.clear();
    return content;
  }
}
