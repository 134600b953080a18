import { after } from 'node:test';
import { patience } from '../../packages/testkit/src/waiting.ts';

/*
 * Loaded into every process that has tests: ends it when all of its tests are over and something
 * of theirs still holds it, as a test does that has timed out. That is a failure of the file, which
 * tells where the timers were set that hold it. Timers of libraries, such as the one that drives
 * browsers, hold nothing: they are nobody's fault here.
 */
const GRACE_MS = 10_000;
/** Timers shorter than this are remembered only when the tests are over, as those of who asks again and again. */
const LONG_MS = 1000;

type SetTimer = typeof setTimeout | typeof setInterval;

let rememberedMs = LONG_MS;
/** Node itself keeps those that still hold the process: nothing else is kept alive by this. */
const timers: WeakRef<NodeJS.Timeout>[] = [];
const setAt = new WeakMap<NodeJS.Timeout, Error>();
const { setTimeout } = globalThis;

function remembering<Set extends SetTimer>(set: Set): Set {
  const wrapped = (...values: Parameters<Set>): unknown => {
    const timer: NodeJS.Timeout = Reflect.apply(set, globalThis, values);
    const [, ms = 0] = values;
    if (ms >= rememberedMs) {
      timers.push(new WeakRef(timer));
      setAt.set(timer, new Error(`${ms} ms, set`));
    }
    return timer;
  };
  // With what Node hangs on it, such as the form that answers a promise.
  return Object.defineProperties(wrapped, Object.getOwnPropertyDescriptors(set)) as Set;
}

/** Those that still hold the process, each with where it was set. */
function holding(): readonly (readonly [NodeJS.Timeout, string])[] {
  return timers.flatMap((reference) => {
    const timer = reference.deref();
    if (timer === undefined || !timer.hasRef() || isOver(timer)) return [];
    return [[timer, setAt.get(timer)?.stack?.replace('Error: ', '') ?? ''] as const];
  });
}

/** It has run, or was cleared. */
function isOver(timer: NodeJS.Timeout): boolean {
  return (timer as unknown as { readonly _destroyed: boolean })._destroyed;
}

function letGoOfLibraries(): void {
  for (const [timer, stack] of holding())
    if (/^ +at .*node_modules/.test(stack.split('\n')[2] ?? '')) {
      timer.unref();
      process.stderr.write(`not waited for: a timer of ${stack}\n`);
    }
}

function end(): void {
  const held = process.getActiveResourcesInfo().join(', ');
  const told = holding().map(([, stack]) => `a timer of ${stack}\n`);
  process.stderr.write(`the tests are over, and the file does not end: ${held}\n${told.join('')}`);
  process.exit(1);
}

// Not in a process that only runs others, one for each file.
const hasTests =
  process.env['NODE_TEST_CONTEXT'] !== undefined ||
  process.execArgv.includes('--test-isolation=none');
if (hasTests) {
  globalThis.setTimeout = remembering(setTimeout);
  globalThis.setInterval = remembering(setInterval);
  after(() => {
    rememberedMs = 0;
    letGoOfLibraries();
    setTimeout(end, patience(GRACE_MS)).unref();
  });
}
