import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type Metafile, build } from 'esbuild';

/* What a relay's program is made of: the bundle, and a Node around it. */
export const ROOT = join(import.meta.dirname, '..');
export const OUT = join(ROOT, 'dist/relay');

function git(...parameters: string[]): string {
  // The checkout may belong to another user than the one who builds (root).
  return execFileSync('git', ['-c', `safe.directory=${ROOT}`, ...parameters], {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }).trim();
}

/**
 * The commit that is built, with a mark for changes that are in no commit. A checkout that came
 * without git names its version only.
 */
export function commitOf(): string {
  try {
    const commit = git('rev-parse', '--short=12', 'HEAD');
    return git('status', '--porcelain', '--untracked-files=no') === ''
      ? commit
      : `${commit}-changed`;
  } catch {
    return process.env['LUMAMESH_COMMIT'] ?? 'unknown';
  }
}

/**
 * When the commit was made, in seconds of the epoch: the same for everybody who builds it. A checkout
 * without git does not know.
 */
export function timeOfCommit(): number | null {
  try {
    return Number(git('log', '-1', '--format=%ct'));
  } catch {
    return null;
  }
}

/** The only time that a package names. */
export function timeOfPackage(): number {
  return timeOfCommit() ?? Number(process.env['SOURCE_DATE_EPOCH'] ?? 0);
}

/** Bundles the relay into one file for Node 22 or newer; answers what went into it. */
export async function makeBundle(outfile: string): Promise<Metafile> {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: ['packages/relay/src/cli/main.ts'],
    bundle: true,
    minify: true,
    platform: 'node',
    format: 'esm',
    target: 'node22',
    outfile,
    define: {
      LUMAMESH_COMMIT: JSON.stringify(commitOf()),
      // A checkout without git does not know.
      LUMAMESH_COMMIT_TIME: String(timeOfCommit() ?? 'undefined'),
      LUMAMESH_RELAY_LIST: JSON.stringify(readFileSync(join(ROOT, 'relay.txt'), 'utf8')),
    },
    // Libraries in CommonJS ask for Node's own modules by require.
    banner: {
      js: "#!/usr/bin/env node\nimport{createRequire}from'node:module';const require=createRequire(import.meta.url);",
    },
    legalComments: 'none',
    logLevel: 'warning',
    metafile: true,
  });
  return metafile;
}

export interface Executable {
  readonly bundle: string;
  /** The Node that is put around it; a copy of it is stripped and then changed. */
  readonly node: string;
  readonly output: string;
  /** A program that takes debug symbols out, a fifth of Node. */
  readonly strip: string | null;
  /**
   * V8's compiled code: quicker to start, but made by running it, so for this architecture only, and
   * not the same bytes each time.
   */
  readonly useCodeCache: boolean;
}

/** Puts a bundle into a Node: one file that needs neither. */
export function makeExecutable({ bundle, node, output, strip, useCodeCache }: Executable): void {
  const folder = dirname(output);
  mkdirSync(folder, { recursive: true });
  const copy = join(folder, 'node');
  const config = join(folder, 'sea-config.json');
  copyFileSync(node, copy);
  // Before the program is put in.
  if (strip !== null) spawnSync(strip, [copy]);
  // All by name: the folder must not stand in the program.
  copyFileSync(bundle, join(folder, 'main.mjs'));
  rmSync(output, { force: true });
  writeFileSync(
    config,
    JSON.stringify({
      main: 'main.mjs',
      mainFormat: 'module',
      executable: copy,
      output,
      disableExperimentalSEAWarning: true,
      useCodeCache,
      // A small young generation: sessions live long, and memory is what a small machine lacks
      // (docs/operations.md).
      execArgv: ['--max-semi-space-size=1'],
      execArgvExtension: 'env',
    }),
  );
  const { status, stderr } = spawnSync(process.execPath, ['--build-sea', basename(config)], {
    cwd: folder,
    encoding: 'utf8',
  });
  for (const file of [copy, config, join(folder, 'main.mjs')]) rmSync(file);
  if (status !== 0) throw new Error(`node --build-sea failed: ${stderr}`);
}
