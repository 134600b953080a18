/** Writes big-endian values into a buffer that grows as needed. */
export class ByteWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #length = 0;

  constructor(capacity = 128) {
    this.#bytes = new Uint8Array(capacity);
  }

  get length(): number {
    return this.#length;
  }

  #reserve(extra: number): number {
    const at = this.#length;
    const needed = at + extra;
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, at));
      this.#bytes = grown;
    }
    this.#length = needed;
    return at;
  }

  uint8(value: number): this {
    const at = this.#reserve(1);
    this.#bytes[at] = value;
    return this;
  }

  uint16(value: number): this {
    const at = this.#reserve(2);
    this.#bytes[at] = value >>> 8;
    this.#bytes[at + 1] = value;
    return this;
  }

  uint24(value: number): this {
    return this.uint8(value >>> 16).uint16(value & 0xffff);
  }

  uint32(value: number): this {
    return this.uint16(value >>> 16).uint16(value & 0xffff);
  }

  /** A value of up to 48 bits (record sequence numbers, Unix times). */
  uint48(value: number): this {
    return this.uint16(Math.floor(value / 0x1_0000_0000)).uint32(value >>> 0);
  }

  bytes(bytes: Uint8Array): this {
    const at = this.#reserve(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }

  zeros(length: number): this {
    const at = this.#reserve(length);
    this.#bytes.fill(0, at, at + length);
    return this;
  }

  /**
   * Writes what `body` writes, behind its length in `lengthBytes` bytes (TLS vectors, RFC 5246
   * §4.3).
   */
  vector(lengthBytes: 1 | 2 | 3, body: (writer: this) => void): this {
    const at = this.#reserve(lengthBytes);
    body(this);
    const length = this.#length - at - lengthBytes;
    for (let i = 0; i < lengthBytes; i++)
      this.#bytes[at + i] = length >>> (8 * (lengthBytes - 1 - i));
    return this;
  }

  /** A copy of what was written, of exactly its size. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }
}
