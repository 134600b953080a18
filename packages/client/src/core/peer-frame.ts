import { LumameshError } from '@lumamesh/base';

/**
 * What a page may send: binary as it is, everything else as JSON. On the wire a binary message is a binary frame, and a JSON value is a text
 * frame with `j` before it; other first letters are the library's own.
 */
export type SendableValue = unknown;

/** Turns a value into a frame. Throws `NOT_SENDABLE` for what JSON cannot say (functions, cycles, BigInt, `undefined`). */
export function encodePeerFrame(value: SendableValue): string | Uint8Array<ArrayBuffer> | ArrayBuffer {
  if (value instanceof ArrayBuffer) return value;
  if (ArrayBuffer.isView(value)) {
    const { buffer, byteOffset, byteLength } = value;
    // A view of shared memory cannot be sent as it is, so it is copied.
    return buffer instanceof ArrayBuffer ? new Uint8Array(buffer, byteOffset, byteLength) : new Uint8Array(buffer, byteOffset, byteLength).slice();
  }
  let json: string | undefined;
  try {
    json = JSON.stringify(value);
  } catch (error) {
    throw new LumameshError('NOT_SENDABLE', `the value cannot be written as JSON: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  if (json === undefined) throw new LumameshError('NOT_SENDABLE', `a value of type ${typeof value} cannot be written as JSON`);
  return `j${json}`;
}

export function frameBytes(frame: string | Uint8Array | ArrayBuffer): number {
  // Three bytes for a UTF-16 unit is the most that UTF-8 takes.
  return typeof frame === 'string' ? frame.length * 3 : frame.byteLength;
}

/** What a frame says, or `null` when it is none of ours. */
export function decodePeerFrame(data: unknown): { readonly value: unknown } | null {
  if (data instanceof ArrayBuffer) return { value: new Uint8Array(data) };
  if (typeof data !== 'string' || !data.startsWith('j')) return null;
  try {
    return { value: JSON.parse(data.slice(1)) as unknown };
  } catch {
    return null;
  }
}
