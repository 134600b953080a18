/** What a yamux frame's header says (yamux specification, "Framing"). */
export interface YamuxHeader {
  readonly type: number;
  readonly flags: number;
  readonly length: number;
}

export const YAMUX_DATA = 0;
export const YAMUX_PING = 2;
export const YAMUX_SYN = 1;

const HEADER_BYTES = 12;

/**
 * Reads the headers in a stream of yamux frames, however it is cut, and passes over what they carry:
 * frames can be counted before anything is done about them.
 *
 * ```
 * version (1)  type (1)  flags (2)  stream id (4)  length (4)  [length bytes, if data]
 * ```
 */
export class YamuxHeaders {
  readonly #header = new Uint8Array(HEADER_BYTES);
  readonly #view = new DataView(this.#header.buffer);
  #have = 0;
  /** Bytes of the frame that are still to come. */
  #skip = 0;

  *push(chunk: Uint8Array): Iterable<YamuxHeader> {
    let at = 0;
    while (at < chunk.length) {
      const passed = Math.min(this.#skip, chunk.length - at);
      this.#skip -= passed;
      at += passed;
      const part = chunk.subarray(at, at + HEADER_BYTES - this.#have);
      this.#header.set(part, this.#have);
      this.#have += part.length;
      at += part.length;
      if (this.#have < HEADER_BYTES) return;
      this.#have = 0;
      const type = this.#view.getUint8(1);
      const length = this.#view.getUint32(8);
      if (type === YAMUX_DATA) this.#skip = length;
      yield { type, flags: this.#view.getUint16(2), length };
    }
  }
}
