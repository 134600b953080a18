import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** Where a suite comes from. */
export interface Source {
  /** A public git repository. */
  readonly repository: string;
  /** All 40 digits. */
  readonly commit: string;
  /** What is needed of it; default all. */
  readonly paths?: readonly string[];
}

/** What a suite needs cannot be had: it was not run, which is no success. */
export class CannotFetch extends Error {}

/** A folder outside the tree with a suite in it, and what it is told to run. */
export class Checkout {
  readonly folder = mkdtempSync(join(tmpdir(), 'lumamesh-peer-suite-'));

  /** Removes it. */
  close(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  path(file: string): string {
    return join(this.folder, file);
  }

  write(file: string, text: string): void {
    mkdirSync(dirname(this.path(file)), { recursive: true });
    writeFileSync(this.path(file), text);
  }

  /** Runs a program in it, whose output is shown. Returns its exit code. */
  run(command: readonly string[], environment: Readonly<Record<string, string>> = {}): number {
    const [program = '', ...parameters] = command;
    // A runner's own variables would make the runners in it parts of this one.
    const { NODE_TEST_CONTEXT: _context, ...outside } = process.env;
    const { status, error } = spawnSync(program, parameters, {
      cwd: this.folder,
      env: {
        ...outside,
        PATH: `${this.path('node_modules/.bin')}:${outside['PATH']}`,
        ...environment,
      },
      stdio: 'inherit',
    });
    if (error !== undefined) throw error;
    return status ?? 1;
  }

  /** Takes the files of a commit: from a git directory on this machine, or from the network. */
  fetch({ repository, commit, paths = [] }: Source, mirror: string | undefined): void {
    const git = this.path('.peer.git');
    if (mirror === undefined) {
      this.#git(['init', '--quiet', '--bare', git]);
      const fetch = ['fetch', '--quiet', '--depth', '1', '--filter=blob:none', repository, commit];
      if (!this.#git(['--git-dir', git, ...fetch]))
        throw new CannotFetch(`${repository} ${commit}`);
    } else if (!existsSync(mirror)) throw new CannotFetch(`${mirror}: there is no such folder`);
    const from = mirror ?? git;
    const archive = this.path('.peer.tar');
    const wanted = ['archive', '--format=tar', `--output=${archive}`, commit, ...paths];
    if (!this.#git(['--git-dir', from, ...wanted]))
      throw new CannotFetch(`${from} does not have ${commit}`);
    spawnSync('tar', ['-xf', archive, '-C', this.folder]);
    for (const file of [archive, git]) rmSync(file, { recursive: true, force: true });
  }

  /** Packages of the npm registry, without their scripts. */
  install(dependencies: Readonly<Record<string, string>>): void {
    this.write(
      'package.json',
      `${JSON.stringify({ private: true, type: 'module', dependencies }, null, 2)}\n`,
    );
    const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    const lasting = ['--fetch-retries=1', '--fetch-timeout=60000'];
    // Those that need a browser of their own would download one.
    const environment = { PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD: '1' };
    if (this.run(['npm', 'install', ...quiet, ...lasting], environment) !== 0)
      throw new CannotFetch('npm install of what the suite needs');
  }

  #git(parameters: readonly string[]): boolean {
    return spawnSync('git', parameters, { stdio: ['ignore', 'inherit', 'inherit'] }).status === 0;
  }
}
