import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { SLOWNESS_VARIABLE, patience, until } from '../../packages/testkit/src/waiting.ts';
import { type Outcome, SuiteRun } from './run-suite.ts';
import { type Suite, findSuites } from './suites.ts';

/* Suites that hang, and what is left of them: nothing. */

const PROGRAM = join(import.meta.dirname, '../test.ts');
const skip = process.platform !== 'linux' && 'looks for processes in /proc';

/** Starts a process that leaves the group of the test, and one without its environment; then waits for ever. */
const hanging = (seconds: number): string => `
import { spawn } from 'node:child_process';
import { it } from 'node:test';
it('hangs', async () => {
  spawn('sleep', ['${seconds}'], { detached: true, stdio: 'inherit' });
  spawn('sleep', ['${seconds}'], { env: { PATH: process.env.PATH } });
  await new Promise(() => setInterval(() => undefined, 1000));
});
`;
const LINGERING = `
import { it } from 'node:test';
it('leaves a timer behind', () => void setInterval(() => undefined, 1000));
`;
const ASKING = `
import { it } from 'node:test';
const ask = () => setTimeout(ask, 20);
it('asks for ever', () => void ask());
`;
const FAILING = `
import { it } from 'node:test';
it('goes well', () => undefined);
it('goes wrong', () => { throw new Error('for this reason'); });
`;

/** The library's file as its users have it, beside the test. */
const LIBRARY = `
import { mkdirSync, writeFileSync } from 'node:fs';
import { it } from 'node:test';
it('is left a timer by a library', async () => {
  const folder = new URL('node_modules/', import.meta.url);
  mkdirSync(folder);
  writeFileSync(new URL('library.mjs', folder), 'export const run = () => void setTimeout(() => {}, 99_000);');
  (await import(new URL('library.mjs', folder))).run();
});
`;

async function withFile(source: string, test: (file: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'lumamesh-hang-'));
  try {
    const file = join(folder, 'a.test.mjs');
    await writeFile(file, source);
    await test(file);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Runs a test with a file that hangs and a way to count the processes that it has started. */
async function withHanging(
  test: (file: string, count: () => Promise<number>) => Promise<void>,
): Promise<void> {
  const seconds = randomInt(100_000, 1_000_000);
  const count = async (): Promise<number> => {
    const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
    const lines = await Promise.all(
      pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '')),
    );
    return lines.filter((line) => line === `sleep\0${seconds}\0`).length;
  };
  await withFile(hanging(seconds), (file) => test(file, count));
}

async function runFile(
  file: string,
  ceilingSeconds: number,
  files: Suite['files'] = 'apart',
): Promise<[Outcome, string]> {
  const [suite] = findSuites([file]);
  assert.ok(suite !== undefined && suite !== null);
  let output = '';
  const run = new SuiteRun(
    { ...suite, files, ceilingMinutes: ceilingSeconds / 60 },
    (text) => (output += text),
  );
  const compileCache = process.env['NODE_COMPILE_CACHE'] ?? '';
  return [await run.start([], { slowness: 1, compileCache }), output];
}

describe('a suite', { skip }, () => {
  it('that hangs is ended at its ceiling with all that it has started, and has failed', () =>
    withHanging(async (file, count) => {
      const [{ failures, ...counts }, output] = await runFile(file, 3);
      assert.deepEqual(counts, { passed: 0, failed: 1, skipped: 0 }, output);
      assert.match(failures, /^── .*a\.test\.mjs\ntook longer than/);
      assert.match(output, /took longer than \d+ s and was ended/);
      await until(async () => (await count()) === 0, 'processes go on');
    }));

  for (const files of ['apart', 'together'] as const)
    it(`whose files run ${files} ends when one does not though its tests are over, and has failed`, () =>
      withFile(LINGERING, async (file) => {
        const [counts, output] = await runFile(file, 60, files);
        assert.ok(counts.failed > 0, output);
        assert.match(output, /the tests are over, and the file does not end: .*Timeout/);
        assert.match(output, /^a timer of 1000 ms, set\n.*\n.*a\.test\.mjs:3/m);
      }));

  it('tells who still asks when its tests are over', () =>
    withFile(ASKING, async (file) => {
      const [, output] = await runFile(file, 60, 'together');
      assert.match(output, /^a timer of 20 ms, set\n.*\n.*ask .*a\.test\.mjs:3/m);
    }));

  it('does not wait for what libraries leave behind, and says so', () =>
    withFile(LIBRARY, async (file) => {
      const [counts, output] = await runFile(file, 60, 'together');
      assert.deepEqual([counts.passed, counts.failed], [1, 0], output);
      assert.match(output, /not waited for: a timer of 99000 ms, set\n.*\n.*library\.mjs:1/);
    }));

  it('tells what has failed, and nothing of what has passed', () =>
    withFile(FAILING, async (file) => {
      const [{ failures, ...counts }, output] = await runFile(file, 60);
      assert.deepEqual(counts, { passed: 1, failed: 1, skipped: 0 }, output);
      assert.match(failures, /✖ goes wrong[^]*Error: for this reason/);
      assert.doesNotMatch(failures, /goes well/);
    }));

  it('ends with npm test on Ctrl+C, and when that is killed', () =>
    withHanging(async (file, count) => {
      for (const signal of ['SIGINT', 'SIGKILL'] as const) {
        // Where there is no sandbox, nobody is left to end what a killed process has started.
        if (signal === 'SIGKILL' && process.getuid?.() !== 0) return;
        const child = spawn(process.execPath, [PROGRAM, file], {
          env: { ...process.env, [SLOWNESS_VARIABLE]: String(patience(1)) },
          stdio: 'ignore',
        });
        await until(async () => (await count()) === 2, 'the file does not start');
        child.kill(signal);
        const [code] = (await once(child, 'exit')) as [number | null];
        assert.equal(code, signal === 'SIGINT' ? 130 : null);
        await until(async () => (await count()) === 0, `processes go on after ${signal}`);
      }
    }));
});
