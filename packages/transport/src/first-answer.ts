import { bytesEqual } from '@lumamesh/base';
import type { CookieVerdict } from './dtls/cookie-gate.ts';
import {
  type FirstFlightOptions,
  maxFirstFlightBytes,
  maxFirstFlightBytes13,
} from './dtls/first-flight.ts';
import type { Slot } from './session-table.ts';

/**
 * Whether the session itself replies to a ClientHello of an unproven address: to the one it began
 * with, if three times what came is enough for it.
 */
export function mayAnswer(
  slot: Pick<Slot, 'isChallenged' | 'helloRandom' | 'session'>,
  { random, missingBytes, is13, helloBytes }: Extract<CookieVerdict, { kind: 'challenge' }>,
  datagramBytes: number,
  options: FirstFlightOptions,
): boolean {
  if (slot.isChallenged) return false;
  if (slot.helloRandom !== null && !bytesEqual(slot.helloRandom, random)) return false;
  // A client of 1.3 that has part of our flight has no use for a HelloRetryRequest any more, but
  // tells us by ACKs what it lacks.
  if (is13 && slot.helloRandom !== null) return true;
  const flightBytes = is13
    ? maxFirstFlightBytes13(options, helloBytes)
    : maxFirstFlightBytes(options);
  return slot.session.amplification.allows(flightBytes, datagramBytes + missingBytes);
}
