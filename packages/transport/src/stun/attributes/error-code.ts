import { utf8Decode, utf8Encode } from '@lumamesh/base';

export interface ErrorCode {
  /** 300 … 699. */
  readonly code: number;
  readonly reason: string;
}

/**
 * The value of ERROR-CODE (RFC 8489 §14.8): class in the third byte, number in the fourth, then a
 * reason phrase.
 */
export function encodeErrorCode(error: ErrorCode): Uint8Array {
  const reason = utf8Encode(error.reason);
  const value = new Uint8Array(4 + reason.length);
  value[2] = Math.floor(error.code / 100);
  value[3] = error.code % 100;
  value.set(reason, 4);
  return value;
}

/** Reads ERROR-CODE, or `null` when it is malformed. */
export function decodeErrorCode(value: Uint8Array): ErrorCode | null {
  const errorClass = (value[2] ?? 0) & 7;
  const number = value[3] ?? 0;
  if (value.length < 4 || errorClass < 3 || errorClass > 6 || number > 99) return null;
  const reason = utf8Decode(value.subarray(4));
  return reason === null ? null : { code: errorClass * 100 + number, reason };
}
