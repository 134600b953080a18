import { EMPTY_BYTES } from './bytes.ts';

/**
 * Reads a datagram from front to back and never throws.
 * A read beyond the end returns zero (or no bytes) and clears {@link ok}; a decoder checks `ok`
 * once, at its end. Loops must end on `remaining`, which a failed read sets to zero.
 */
export class ByteReader {
  ok = true;
  offset: number;
  readonly #bytes: Uint8Array;
  readonly #end: number;

  constructor(bytes: Uint8Array, offset = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.offset = offset;
    this.#end = Math.min(end, bytes.length);
  }

  get remaining(): number {
    return this.#end - this.offset;
  }

  /** Whether everything was read and nothing was missing. */
  get done(): boolean {
    return this.ok && this.offset === this.#end;
  }

  #take(length: number): number {
    if (length > this.#end - this.offset) {
      this.ok = false;
      this.offset = this.#end;
      return -1;
    }
    const at = this.offset;
    this.offset += length;
    return at;
  }

  uint8(): number {
    const at = this.#take(1);
    return at < 0 ? 0 : (this.#bytes[at] ?? 0);
  }

  uint16(): number {
    const at = this.#take(2);
    return at < 0 ? 0 : ((this.#bytes[at] ?? 0) << 8) | (this.#bytes[at + 1] ?? 0);
  }

  uint24(): number {
    return this.#number(3);
  }

  uint32(): number {
    return this.#number(4);
  }

  uint48(): number {
    return this.#number(6);
  }

  #number(length: number): number {
    const at = this.#take(length);
    let value = 0;
    if (at >= 0) for (let i = at; i < at + length; i++) value = value * 256 + (this.#bytes[i] ?? 0);
    return value;
  }

  /** A view of the next `length` bytes; it shares memory with what is read. */
  bytes(length: number): Uint8Array {
    const at = this.#take(length);
    return at < 0 ? EMPTY_BYTES : this.#bytes.subarray(at, at + length);
  }

  /** A view of all that is left. */
  rest(): Uint8Array {
    return this.bytes(this.remaining);
  }

  skip(length: number): void {
    this.#take(length);
  }

  /** A reader over the next `length` bytes, which this reader has then passed. */
  sub(length: number): ByteReader {
    const at = this.#take(length);
    const inner =
      at < 0 ? new ByteReader(EMPTY_BYTES) : new ByteReader(this.#bytes, at, at + length);
    if (at < 0) inner.ok = false;
    return inner;
  }
}
