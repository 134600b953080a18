import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { SLOWNESS_VARIABLE, measureSlowness } from '../packages/testkit/src/waiting.ts';
import { type Outcome, type RunSettings, SuiteRun } from './testing/run-suite.ts';
import { has, isRoot, sandboxPrefix } from './testing/sandbox.ts';
import { SUITES, type Suite, findSuites } from './testing/suites.ts';

/*
 * `npm test`: the fast suites; `npm run test:slow`: the slow ones; `npm run test:all`: both.
 * `npm test -- unit cli` runs these, `npm test -- tests/mesh/doctor.test.ts` one file. Suites run
 * side by side where each has namespaces of its own; what they print is kept apart. What a suite
 * needs from the system is installed where that is possible (root on Debian) and loudly named where
 * it is not. On CI a skip is a failure.
 *
 * The last lines tell once more what has failed, and count tests over all suites; with TEST_TOTALS,
 * the name of a file, also over the runs before this one that were given the same file.
 */

/** Rounds of work for the figure that all limits of this run follow: about half a second. */
const CALIBRATION_ROUNDS = 80;
const isCi = (process.env['CI'] ?? '') !== '';

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Installs what is missing, where this is Debian and we may; tests that lack it say so themselves. */
function install(suites: readonly Suite[]): void {
  const missing = suites
    .flatMap(({ needs }) => Object.entries(needs))
    .filter(([program]) => !has(program));
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map(([, name]) => name))];
  const wanted = packages.join(' ');
  if (!isRoot || !has('apt-get')) {
    say(`! not installed: ${packages.join(', ')}`);
    say(`! As root on Debian: apt-get update && apt-get install -y ${wanted}`);
    return;
  }
  say(`installing ${packages.join(', ')}`);
  for (const command of ['apt-get update', `apt-get install -y ${wanted}`]) {
    const { status, stderr } = spawnSync(
      'sh',
      ['-c', `DEBIAN_FRONTEND=noninteractive ${command}`],
      { encoding: 'utf8' },
    );
    if (status !== 0) say(`! ${command} failed: ${stderr.trim().split('\n').at(-1) ?? ''}`);
  }
}

/** The suites that the words after `npm test --` name. */
function chooseSuites(words: readonly string[]): readonly Suite[] {
  const names = words.filter((word) => !word.startsWith('--'));
  if (names.length === 0)
    return SUITES.filter(
      ({ when }) =>
        (when === 'fast' && !words.includes('--slow')) ||
        (when === 'slow' && (words.includes('--slow') || words.includes('--all'))),
    );
  const found = findSuites(names);
  const unknown = names.filter((_, i) => found[i] === null);
  if (unknown.length > 0) {
    const known = SUITES.map(({ name }) => name).join(', ');
    say(`there is no suite ${unknown.join(', ')}; there are ${known}, and paths of test files`);
    process.exit(2);
  }
  return found.filter((suite) => suite !== null);
}

/**
 * Runs suites, some at a time. One of them prints as it goes; what the others print is held back
 * until it is their turn.
 */
async function runSuites(
  suites: readonly Suite[],
  settings: RunSettings,
): Promise<readonly Outcome[]> {
  const prefixes = suites.map(({ network }) => sandboxPrefix(network));
  // Without namespaces they would meet at ports.
  const isApart = prefixes.every((prefix) => prefix !== null);
  const atOnce = isApart ? Math.max(2, availableParallelism()) : 1;
  const waiting = [...suites.entries()];
  const running = new Set<SuiteRun>();
  const held = new Map<SuiteRun, string>();
  let front: SuiteRun | null = null;
  const totals: Outcome[] = [];

  const advance = (): void => {
    const [next] = held;
    front = next?.[0] ?? null;
    if (next === undefined) return;
    process.stdout.write(next[1]);
    held.delete(next[0]);
    if (!running.has(next[0])) advance();
  };
  const lane = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [i, suite] = next;
      const run: SuiteRun = new SuiteRun(suite, (text) => {
        if (front === run) process.stdout.write(text);
        else held.set(run, (held.get(run) ?? '') + text);
      });
      running.add(run);
      held.set(run, '');
      if (front === null) advance();
      totals.push(await run.start(prefixes[i] ?? [], settings));
      running.delete(run);
      if (front === run) advance();
    }
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => {
      for (const run of running) run.end();
      say(`\n${signal}: ended`);
      process.exit(130);
    });
  await Promise.all(Array.from({ length: atOnce }, lane));
  return totals;
}

/** Adds to what earlier runs have left in the file of TEST_TOTALS, and leaves the sum there. */
function addUp(outcomes: readonly Outcome[]): Outcome {
  const file = process.env['TEST_TOTALS'] ?? '';
  const earlier = file !== '' && existsSync(file) ? readFileSync(file, 'utf8').trim() : '';
  const all = [...(earlier === '' ? [] : [JSON.parse(earlier) as Outcome]), ...outcomes];
  const sum = (key: 'passed' | 'failed' | 'skipped'): number =>
    all.reduce((total, one) => total + one[key], 0);
  const total = {
    passed: sum('passed'),
    failed: sum('failed'),
    skipped: sum('skipped'),
    failures: all.map(({ failures }) => failures).join(''),
  };
  if (file !== '') writeFileSync(file, JSON.stringify(total));
  return total;
}

const suites = chooseSuites(process.argv.slice(2));
install(suites);
const slowness = Number(process.env[SLOWNESS_VARIABLE] ?? measureSlowness(CALIBRATION_ROUNDS));
if (slowness > 1) say(`this machine is ${slowness.toFixed(1)} times slower: limits are longer`);
const compileCache = mkdtempSync(join(tmpdir(), 'lumamesh-compiled-'));
process.once('exit', () => rmSync(compileCache, { recursive: true, force: true }));
const { passed, failed, skipped, failures } = addUp(
  await runSuites(suites, { slowness, compileCache }),
);
if (failures !== '') say(`\n✖ what has failed, once more:\n\n${failures}`);
if (skipped > 0)
  say(
    `\n! ${skipped} tests were skipped; each says above what it lacks${isCi ? ', and on CI that is a failure' : ''}`,
  );
say(`\n${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = failed > 0 || (isCi && skipped > 0) ? 1 : 0;
