import type { ByteWriter } from '@lumamesh/base';
import { type ByteReader } from '@lumamesh/base';

/**
 * A parameter or error cause: type, length (header included), value, padded to four bytes (RFC 9260
 * §3.2.1, §3.3.10).
 */
export interface Parameter {
  readonly type: number;
  readonly value: Uint8Array;
}

/** More than any known stack puts into one chunk. */
const MAX_PARAMETERS = 32;
const PARAMETER_HEADER_BYTES = 4;

/**
 * All parameters up to the end of `reader`, or `null` when they are malformed or too many. The last
 * one's padding may be missing.
 */
export function readParameters(reader: ByteReader): Parameter[] | null {
  const parameters: Parameter[] = [];
  while (reader.remaining > 0) {
    const type = reader.uint16();
    const length = reader.uint16();
    if (length < PARAMETER_HEADER_BYTES || parameters.length === MAX_PARAMETERS) return null;
    const value = reader.bytes(length - PARAMETER_HEADER_BYTES);
    if (!reader.ok) return null;
    reader.skip(Math.min(-length & 3, reader.remaining));
    parameters.push({ type, value });
  }
  return reader.ok ? parameters : null;
}

export function writeParameter(writer: ByteWriter, parameter: Parameter): void {
  const length = PARAMETER_HEADER_BYTES + parameter.value.length;
  writer
    .uint16(parameter.type)
    .uint16(length)
    .bytes(parameter.value)
    .zeros(-length & 3);
}
