import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, globSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import {
  SLOWNESS_VARIABLE,
  measureSlowness,
  patience,
} from '../../packages/testkit/src/waiting.ts';
import { MARK_VARIABLE, endAll } from './sandbox.ts';
import type { Suite } from './suites.ts';

export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

export interface Outcome extends Counts {
  /** What the runner of Node says of the tests that failed, or why the suite was ended; empty when none did. */
  failures: string;
}

/** What all suites of a run have in common. */
export interface RunSettings {
  /** Of the machine, as measured at the beginning. */
  readonly slowness: number;
  /** A folder for compiled code: the tests start hundreds of relays of the same sources. */
  readonly compileCache: string;
}

/** On an idle machine. A test that waits for longer on purpose says so itself. */
const TEST_LIMIT_MS = 180_000;
/** Characters of what is told of a suite's failures once more when all suites are over. */
const FAILURES_LENGTH = 8000;
const ROOT = join(import.meta.dirname, '../..');
const FILE_END = join(import.meta.dirname, 'file-end.ts');
let suitesRun = 0;

/** One suite in processes of its own, from {@link start} to its counts; {@link end} ends all of them at once. */
export class SuiteRun {
  readonly suite: Suite;
  readonly #write: (text: string) => void;
  readonly #mark = `${process.pid}-${suitesRun++}`;
  readonly #folder = mkdtempSync(join(tmpdir(), 'lumamesh-test-'));
  #child: ChildProcess | null = null;
  #output = '';
  #fault: string | null = null;

  /** @param write is handed what the suite prints, as it comes */
  constructor(suite: Suite, write: (text: string) => void) {
    this.suite = suite;
    this.#write = write;
    // Roots are made in it, and entered by users who are not this one.
    chmodSync(this.#folder, 0o755);
  }

  /**
   * @param prefix of the sandbox; empty for none
   */
  async start(
    prefix: readonly string[],
    { slowness, compileCache }: RunSettings,
  ): Promise<Outcome> {
    const startedAt = performance.now();
    const files = testFiles(this.suite);
    this.#say(`\n── ${this.suite.name}: ${files.length} files\n`);
    // A runner of its own, also where a test starts it.
    const { NODE_TEST_CONTEXT: _context, ...environment } = process.env;
    const [program = '', ...parameters] = [
      ...prefix,
      process.execPath,
      '--import',
      FILE_END,
      '--test',
      '--test-reporter=spec',
      ...(this.suite.files === 'apart' ? ['--test-concurrency=1'] : ['--test-isolation=none']),
      `--test-timeout=${Math.round(TEST_LIMIT_MS * slowness)}`,
      ...files,
    ];
    const child = spawn(program, parameters, {
      cwd: ROOT,
      env: {
        ...environment,
        TMPDIR: this.#folder,
        NODE_COMPILE_CACHE: compileCache,
        [SLOWNESS_VARIABLE]: String(slowness),
        [MARK_VARIABLE]: this.#mark,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A process group of its own.
      detached: true,
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => this.#say(text));
    const hasClosed = new Promise((resolve) => child.once('close', resolve));
    const ceiling = this.#watch(this.suite.ceilingMinutes * 60_000);
    const status = await new Promise<number>((resolve) => {
      child.once('exit', (code) => resolve(code ?? 1));
      child.once('error', (error) => {
        this.#fault = error.message;
        resolve(1);
      });
    });
    clearInterval(ceiling);
    // What the files have left behind would keep the pipes open.
    this.end();
    await hasClosed;
    const counts = countTests(this.#output, status, this.#fault);
    const seconds = Math.round((performance.now() - startedAt) / 1000);
    this.#say(
      `── ${this.suite.name}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped, in ${seconds} s\n`,
    );
    return { ...counts, failures: counts.failed === 0 ? '' : this.#failures() };
  }

  #failures(): string {
    const [, ...told] = this.#output.split(/^✖ failing tests:$/m);
    const fault = this.#fault ?? 'has failed outside of its tests';
    const text = told.at(-1) ?? `${fault}\n${this.#output.slice(-FAILURES_LENGTH)}`;
    return `── ${this.suite.name}\n${text.slice(0, FAILURES_LENGTH).trim()}\n`;
  }

  /** Ends every process of the suite, and what it has written in its temporary folder. */
  end(): void {
    endAll(this.#child?.pid, this.#mark);
    // What has just been ended may still be at work there.
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }

  /** Ends a suite that takes longer than it may on this machine, as it is then. */
  #watch(ceilingMs: number): NodeJS.Timeout {
    const startedAt = performance.now();
    return setInterval(
      () => {
        const tookMs = performance.now() - startedAt;
        if (tookMs < patience(ceilingMs) || tookMs < ceilingMs * measureSlowness()) return;
        this.#fault = `took longer than ${Math.round(tookMs / 1000)} s and was ended`;
        this.#say(`\n✖ ${this.suite.name} ${this.#fault}\n`);
        this.end();
      },
      Math.min(5000, ceilingMs / 4),
    );
  }

  #say(text: string): void {
    this.#output += text;
    this.#write(text);
  }
}

function testFiles({ patterns }: Suite): readonly string[] {
  return patterns
    .flatMap((pattern) =>
      isAbsolute(pattern)
        ? [pattern]
        : globSync(pattern, { cwd: ROOT, exclude: (path) => path.includes('node_modules') }),
    )
    .toSorted();
}

/** Reads the end of what the runner of Node prints. What has died, or was ended, has not passed. */
function countTests(output: string, status: number, fault: string | null): Counts {
  const count = (word: string): number =>
    Number([...output.matchAll(new RegExp(`^ℹ ${word} (\\d+)$`, 'gm'))].at(-1)?.[1] ?? 0);
  const counts = {
    passed: count('pass'),
    failed: count('fail') + count('cancelled'),
    skipped: count('skipped') + count('todo'),
  };
  if ((status !== 0 || fault !== null) && counts.failed === 0) counts.failed = 1;
  // A suite that is skipped as a whole counts as one, by the line that says why.
  if (counts.passed + counts.failed + counts.skipped === 0)
    counts[/^\s*﹣ .*#/m.test(output) ? 'skipped' : 'failed'] = 1;
  return counts;
}
