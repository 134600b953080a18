import { LumameshError, utf8Encode } from '@lumamesh/base';
import { LIMITS } from '@lumamesh/protocol';
import { isPlain, refuse } from '../../peer/plain-values.ts';
import { SEALED_OVERHEAD_BYTES } from '../../room/sealing.ts';

/** `{"value":,"stay":}` and a counter. */
const FIELDS_BYTES = 40;

/** Bytes of JSON that fit into a sealed text of so many characters of base64url. */
export function roomIn(sealedLength: number): number {
  return Math.floor((sealedLength * 3) / 4) - SEALED_OVERHEAD_BYTES - FIELDS_BYTES;
}

/** What a channel takes, in bytes of JSON as UTF-8. */
export const CHANNEL_LIMITS = {
  maxPresenceBytes: roomIn(LIMITS.maxPresenceLength),
  maxSignalBytes: roomIn(LIMITS.maxSignalLength),
} as const;

/**
 * A value as it is told, `undefined` being `null`: no later change of the page's own object changes
 * what is sent. Throws `NOT_SENDABLE`, `MESSAGE_TOO_LARGE`.
 */
export function takeValue(value: unknown = null, maxBytes: number, what: string): unknown {
  if (!isPlain(value)) refuse(value);
  const json = JSON.stringify(value);
  // A page's value may have any length: it is not encoded to learn that it is too long.
  if (json.length > maxBytes || utf8Encode(json).length > maxBytes)
    throw new LumameshError('MESSAGE_TOO_LARGE', `${what} has at most ${maxBytes} bytes as JSON`);
  return JSON.parse(json) as unknown;
}
