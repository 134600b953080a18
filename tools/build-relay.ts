import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

/*
 * `npm run build:binary`: the relay as one file, twice, in dist/relay:
 *
 *   lumamesh-relay.mjs   for those who have Node 22 or newer; the same bytes for the same commit and lockfile
 *   lumamesh-relay       that, with the pinned Node around it and V8's compiled code: runs where there is no Node
 *
 * `npm run build:binary -- --bundle` makes the first only.
 */
const ROOT = join(import.meta.dirname, '..');
const OUT = join(ROOT, 'dist/relay');
const BUNDLE = join(OUT, 'lumamesh-relay.mjs');
const BINARY = join(OUT, process.platform === 'win32' ? 'lumamesh-relay.exe' : 'lumamesh-relay');

/**
 * The commit that is built, with a mark for changes that are in no commit. A checkout that came
 * without git names its version only.
 */
function commitOf(): string {
  const git = (...parameters: string[]): string =>
    execFileSync('git', parameters, {
      cwd: ROOT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  try {
    const commit = git('rev-parse', '--short=12', 'HEAD');
    return git('status', '--porcelain', '--untracked-files=no') === ''
      ? commit
      : `${commit}-changed`;
  } catch {
    return process.env['LUMAMESH_COMMIT'] ?? 'unknown';
  }
}

/** When it was made: the same for everybody who builds it. A checkout without git does not know. */
function commitTimeOf(): string {
  const { status, stdout } = spawnSync('git', ['log', '-1', '--format=%ct'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  return status === 0 && /^\d+$/.test(stdout.trim()) ? stdout.trim() : 'undefined';
}

async function bundle(): Promise<void> {
  await build({
    absWorkingDir: ROOT,
    entryPoints: ['packages/relay/src/cli/main.ts'],
    bundle: true,
    minify: true,
    platform: 'node',
    format: 'esm',
    target: 'node22',
    outfile: BUNDLE,
    define: {
      LUMAMESH_COMMIT: JSON.stringify(commitOf()),
      LUMAMESH_COMMIT_TIME: commitTimeOf(),
      LUMAMESH_RELAY_LIST: JSON.stringify(readFileSync(join(ROOT, 'relay.txt'), 'utf8')),
    },
    // Libraries in CommonJS ask for Node's own modules by require.
    banner: {
      js: "#!/usr/bin/env node\nimport{createRequire}from'node:module';const require=createRequire(import.meta.url);",
    },
    legalComments: 'none',
    logLevel: 'warning',
  });
}

/**
 * Node without its debug symbols, where this machine has `strip`: a fifth smaller. It must be done
 * before the program is put in.
 */
function runtime(): string {
  const copy = join(OUT, 'node');
  copyFileSync(process.execPath, copy);
  if (process.platform === 'linux') spawnSync('strip', [copy]);
  return copy;
}

function makeBinary(): void {
  const node = runtime();
  const config = join(OUT, 'sea-config.json');
  rmSync(BINARY, { force: true });
  writeFileSync(
    config,
    JSON.stringify({
      main: BUNDLE,
      mainFormat: 'module',
      executable: node,
      output: BINARY,
      disableExperimentalSEAWarning: true,
      useCodeCache: true,
      // A small young generation: sessions live long, and memory is what a small machine lacks
      // (docs/operations.md).
      execArgv: ['--max-semi-space-size=1'],
      execArgvExtension: 'env',
    }),
  );
  const { status, stderr } = spawnSync(node, ['--build-sea', config], { encoding: 'utf8' });
  rmSync(node);
  rmSync(config);
  if (status !== 0) throw new Error(`node --build-sea failed: ${stderr}`);
  // macOS runs nothing whose signature does not fit.
  if (process.platform === 'darwin') execFileSync('codesign', ['--sign', '-', BINARY]);
}

function tell(file: string): void {
  const sum = createHash('sha256').update(readFileSync(file)).digest('hex');
  process.stdout.write(`${file}  ${(statSync(file).size / 1e6).toFixed(1)} MB  sha256 ${sum}\n`);
}

mkdirSync(OUT, { recursive: true });
await bundle();
tell(BUNDLE);
if (!process.argv.includes('--bundle')) {
  makeBinary();
  tell(BINARY);
}
