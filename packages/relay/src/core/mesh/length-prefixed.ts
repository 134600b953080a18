import { ByteWriter, type Decoded, decoded, dropped, utf8Decode, utf8Encode } from '@lumamesh/base';
import { MESH_LIMITS } from './mesh-frame.ts';

const LENGTH_BYTES = 4;
const MAX_CHUNKS = 64;

/** @returns The texts as they stand on a stream: each behind its length in four bytes, in UTF-8. */
export function encodeLengthPrefixed(texts: readonly string[]): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter(1024);
  for (const text of texts) {
    const bytes = utf8Encode(text);
    writer.uint32(bytes.length).bytes(bytes);
  }
  return writer.finish();
}

/**
 * Cuts a stream of {@link encodeLengthPrefixed} into its texts. It holds at most one of them, and
 * takes memory as bytes arrive, not as a length announces them.
 */
export class LengthPrefixedReader {
  #chunks: Uint8Array[] = [];
  #held = 0;

  /** @returns The texts that are complete now. After a drop the stream is of no use. */
  push(chunk: Uint8Array): Decoded<readonly string[]> {
    const texts: string[] = [];
    // A few bytes must not keep the whole buffer that they came in, nor be kept as thousands of
    // pieces.
    this.#chunks.push(chunk.length * 4 < chunk.buffer.byteLength ? chunk.slice() : chunk);
    this.#held += chunk.length;
    if (this.#chunks.length > MAX_CHUNKS) this.#peek(this.#held);
    while (this.#held >= LENGTH_BYTES) {
      const head = this.#peek(LENGTH_BYTES);
      const length = new DataView(head.buffer, head.byteOffset).getUint32(0);
      if (length > MESH_LIMITS.maxFrameBytes) return dropped('mesh.stream.tooLarge');
      if (this.#held < LENGTH_BYTES + length) break;
      const text = utf8Decode(this.#peek(LENGTH_BYTES + length).subarray(LENGTH_BYTES));
      if (text === null) return dropped('mesh.stream.utf8');
      texts.push(text);
      this.#skip(LENGTH_BYTES + length);
    }
    return decoded(texts);
  }

  /** @returns The first `length` bytes in one piece. */
  #peek(length: number): Uint8Array {
    const first = this.#chunks[0];
    if (first !== undefined && first.length >= length) return first.subarray(0, length);
    const joined = new Uint8Array(this.#held);
    let offset = 0;
    for (const chunk of this.#chunks) {
      joined.set(chunk, offset);
      offset += chunk.length;
    }
    this.#chunks = [joined];
    return joined.subarray(0, length);
  }

  #skip(length: number): void {
    const first = this.#chunks[0];
    if (first === undefined) return;
    this.#held -= length;
    if (first.length === length) this.#chunks.shift();
    else this.#chunks[0] = first.subarray(length);
  }
}
