import { createECDH, createHash } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { monotonicNow } from '@lumamesh/transport/io';

/*
 * How fast this machine is now, for verdicts about time: a limit is written for the machine that it was
 * measured on, and grows with how much slower this one is. A Raspberry Pi Zero, a share of a processor
 * and a machine that is overrun are all slow, and none of them is a relay that has died.
 */

/** What the work takes on the machine that limits were written on. */
const REFERENCE_MS = 12;
const ROUNDS = 60;
/** So many at a time; between them the event loop goes on. */
const ROUNDS_AT_ONCE = 5;
/** No limit grows beyond this: what is silent for ever has to be called so. */
const MAX_SLOWNESS = 30;
/** A machine changes its mind less often than it is asked. */
const KNOWN_MS = 10_000;

let known: { readonly slowness: Promise<number>; readonly atMs: number } | null = null;

/**
 * How many times slower this machine is than the one that limits were written on: 1 to 30. Measured
 * again after ten seconds at the earliest, since whoever makes us ask must not cost us more.
 */
export async function machineSlowness(): Promise<number> {
  const now = monotonicNow();
  if (known === null || now - known.atMs > KNOWN_MS) known = { slowness: measure(), atMs: now };
  return known.slowness;
}

/** The work is what a handshake is made of: a key agreement on P-256, and some hashing. */
async function measure(): Promise<number> {
  const other = createECDH('prime256v1');
  other.generateKeys();
  const publicKey = other.getPublicKey();
  const startedAt = monotonicNow();
  for (let round = 0; round < ROUNDS; round++) {
    const own = createECDH('prime256v1');
    own.generateKeys();
    createHash('sha256').update(own.computeSecret(publicKey)).digest();
    if (round % ROUNDS_AT_ONCE === ROUNDS_AT_ONCE - 1) await turn();
  }
  return Math.min(MAX_SLOWNESS, Math.max(1, (monotonicNow() - startedAt) / REFERENCE_MS));
}
