import assert from 'node:assert/strict';

/*
 * Waiting in tests: for states, within limits that follow the machine. A limit is written for an
 * idle machine, with room; it grows by how much slower this one is, measured once for a whole run
 * (`npm test` hands the figure on) and again before anything is called too late.
 */

/** What `npm test` measured, for the test files that it starts. */
export const SLOWNESS_VARIABLE = 'LUMAMESH_TEST_SLOWNESS';
/** What one round of work takes on the idle machine that the limits were written on. */
const REFERENCE_ROUND_MS = 6;
const ROUND_STEPS = 4_000_000;
const DEFAULT_ROUNDS = 10;
/** No limit grows beyond this: what hangs has to end. */
const MAX_SLOWNESS = 20;
const LOOK_EVERY_MS = 25;
const DEFAULT_LIMIT_MS = 30_000;

let known = Number(process.env[SLOWNESS_VARIABLE] ?? 0);

/** Does a fixed amount of work, and returns how many times longer it took than on an idle machine; at least 1. */
export function measureSlowness(rounds = DEFAULT_ROUNDS): number {
  const startedAt = performance.now();
  let state = 1;
  for (let i = 0; i < rounds * ROUND_STEPS; i++) state = (Math.imul(state, 48_271) + i) | 0;
  // The result is looked at, so that no compiler leaves the work out.
  assert.ok(Number.isInteger(state));
  const tookMs = performance.now() - startedAt;
  return Math.min(MAX_SLOWNESS, Math.max(1, tookMs / (rounds * REFERENCE_ROUND_MS)));
}

/** A limit for an idle machine, as this one needs it: never shorter, and in whole milliseconds. */
export function patience(idleMs: number): number {
  if (!(known >= 1)) known = measureSlowness();
  return Math.ceil(idleMs * known);
}

/** The same for what has just been measured: the machine may be slower by now than when the run began. */
export function patienceNow(idleMs: number): number {
  known = Math.max(known, measureSlowness());
  return patience(idleMs);
}

/**
 * Waits for a state by asking again and again; returns how many milliseconds that took.
 * @param what what is missing when it does not come
 * @param limitMs on an idle machine
 */
export async function until(
  isDone: () => Promise<boolean> | boolean,
  what: string | (() => string | Promise<string>),
  limitMs = DEFAULT_LIMIT_MS,
): Promise<number> {
  const startedAt = performance.now();
  for (;;) {
    if (await isDone()) return performance.now() - startedAt;
    if (performance.now() - startedAt >= patience(limitMs)) {
      const before = patience(limitMs);
      if (patienceNow(limitMs) < before * 1.2)
        assert.fail(typeof what === 'string' ? what : await what());
    }
    await pause(LOOK_EVERY_MS);
  }
}

/** For what must not happen meanwhile, and for a pace; whoever awaits a state asks {@link until}. */
export async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}
