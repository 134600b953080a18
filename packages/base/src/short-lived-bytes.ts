/**
 * One allocation for this many bytes. What is asked for is a view; a chunk is handed out once and
 * never again, so nothing is ever written over.
 */
const CHUNK_BYTES = 16_384;
const MAX_BYTES = 2048;
const ALIGNMENT_MASK = 7;

let chunk = new ArrayBuffer(0);
let used = 0;

/**
 * Zeros for what will be read in a moment and then be forgotten: datagrams, packets, records.
 * Whoever keeps some of it for longer copies it, since a view keeps the whole chunk: an allocation
 * for each datagram and each layer is a third of what passing a message on costs.
 */
export function shortLivedBytes(length: number): Uint8Array<ArrayBuffer> {
  if (length > MAX_BYTES) return new Uint8Array(length);
  if (used + length > chunk.byteLength) {
    chunk = new ArrayBuffer(CHUNK_BYTES);
    used = 0;
  }
  const view = new Uint8Array(chunk, used, length);
  used = (used + length + ALIGNMENT_MASK) & ~ALIGNMENT_MASK;
  return view;
}

/** A copy of `bytes`, of the same short life. */
export function shortLivedCopy(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const copy = shortLivedBytes(bytes.length);
  copy.set(bytes);
  return copy;
}
