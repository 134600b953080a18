import { bytesEqual, fromHex } from '@lumamesh/base';

/**
 * RFC 8446 §4.1.3: the last bytes of a server's random, when it could have spoken 1.3 and speaks
 * 1.2. The server's signature covers them, so who stands between two peers of 1.3 cannot bring them
 * to 1.2.
 */
const DOWNGRADED: Uint8Array = fromHex('444f574e47524401') ?? new Uint8Array(8);

/** Writes the mark into a server's random, in place. */
export function markDowngrade(serverRandom: Uint8Array): void {
  serverRandom.set(DOWNGRADED, serverRandom.length - DOWNGRADED.length);
}

export function isMarkedDowngraded(serverRandom: Uint8Array): boolean {
  return bytesEqual(serverRandom.subarray(serverRandom.length - DOWNGRADED.length), DOWNGRADED);
}
