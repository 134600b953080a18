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
const ROUNDS_OF_A_PART = 5;
/** Between them the event loop goes on. */
const PARTS = 12;
/** What this process does besides, as so many times the work at most. */
const MAX_BESIDES = 3;
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

/**
 * The work is what a handshake is made of: a key agreement on P-256, and some hashing. What takes the
 * processor away from this process counts. What this process does itself between the parts counts for
 * no more than a few times the work: one that is just starting is not a slow machine.
 */
async function measure(): Promise<number> {
  const other = createECDH('prime256v1');
  other.generateKeys();
  const publicKey = other.getPublicKey();
  const begunAt = monotonicNow();
  let workMs = 0;
  let besidesMs = 0;
  for (let part = 0; part < PARTS; part++) {
    const startedAt = monotonicNow();
    for (let round = 0; round < ROUNDS_OF_A_PART; round++) {
      const own = createECDH('prime256v1');
      own.generateKeys();
      createHash('sha256').update(own.computeSecret(publicKey)).digest();
    }
    const workedAt = monotonicNow();
    workMs += workedAt - startedAt;
    const before = process.cpuUsage();
    await turn();
    const { user, system } = process.cpuUsage(before);
    // Of all threads together.
    besidesMs += Math.min((user + system) / 1000, monotonicNow() - workedAt);
  }
  const tookMs = monotonicNow() - begunAt - besidesMs + Math.min(besidesMs, MAX_BESIDES * workMs);
  return Math.min(MAX_SLOWNESS, Math.max(1, tookMs / REFERENCE_MS));
}
