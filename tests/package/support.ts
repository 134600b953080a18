import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { installTarball, packClient } from '../browser/packed.ts';

export const ROOT = join(import.meta.dirname, '../..');
const TOOLS = join(import.meta.dirname, 'tools');
const LISTED = ['package.json', 'package-lock.json'];
/** What npm says where the registry cannot be reached. */
const NO_REGISTRY =
  /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT)\b/;
/**
 * Where there is no network npm waits 70 s for each thing that it asks for, and `publish --dry-run`
 * asks although it publishes nothing: the tests would seem to hang.
 */
const WITHOUT_RETRIES = { npm_config_fetch_retries: '0' };

export interface Finished {
  readonly status: number | null;
  /** All that it printed. */
  readonly output: string;
}

/** A folder with the tools, and in it one with nothing but the installed package. */
export interface Workshop {
  readonly tarball: string;
  /** Programs in it find `lumamesh` beside them, and the tools above. */
  readonly folder: string;
  /** Writes a file in the folder. */
  write(file: string, text: string): void;
  /** Runs a program of the tools, or any other, in the folder. */
  run(program: string, ...parameters: readonly string[]): Finished;
  close(): void;
}

/**
 * Installs the tools, once for each lockfile, and the package as it is now in a fresh folder. A text
 * says why not: the registry cannot be reached.
 */
export function openWorkshop(): Workshop | string {
  const tools = installTools();
  if (!existsSync(tools)) return tools;
  const folder = mkdtempSync(join(tools, 'work-'));
  const tarball = packClient(folder);
  installTarball(tarball, folder);
  const programs = `${join(tools, 'node_modules/.bin')}:${process.env['PATH'] ?? ''}`;
  // A runner's own variables would make the runners in it parts of this one.
  const { NODE_TEST_CONTEXT: _context, ...environment } = process.env;
  return {
    tarball,
    folder,
    write(file, text) {
      mkdirSync(dirname(join(folder, file)), { recursive: true });
      writeFileSync(join(folder, file), text);
    },
    run: (program, ...parameters) => {
      const { status, stdout, stderr, error } = spawnSync(program, parameters, {
        cwd: folder,
        env: {
          ...environment,
          ...WITHOUT_RETRIES,
          PATH: programs,
          NODE_ENV: 'production',
          NO_COLOR: '1',
        },
        encoding: 'utf8',
      });
      return { status, output: `${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}` };
    },
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** The folder where the tools are, or why they are not. */
function installTools(): string {
  const hash = createHash('sha256');
  for (const file of LISTED) hash.update(readFileSync(join(TOOLS, file)));
  const cache = join(ROOT, 'node_modules/.cache');
  const folder = join(cache, `lumamesh-package-${hash.digest('hex').slice(0, 12)}`);
  if (existsSync(folder)) return folder;
  mkdirSync(cache, { recursive: true });
  const made = mkdtempSync(join(cache, 'installing-'));
  for (const file of LISTED) copyFileSync(join(TOOLS, file), join(made, file));
  const { status, stderr } = spawnSync(
    'npm',
    ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', '--prefer-offline'],
    { cwd: made, encoding: 'utf8', env: { ...process.env, ...WITHOUT_RETRIES } },
  );
  if (status === 0) {
    // Scripts of packages are not run, but this one puts the program where its command looks.
    const bun = join(made, 'node_modules/bun');
    const placed = spawnSync(process.execPath, ['install.js'], { cwd: bun, encoding: 'utf8' });
    if (placed.status !== 0) throw new Error(`bun was not installed: ${placed.stderr}`);
    renameSync(made, folder);
    return folder;
  }
  rmSync(made, { recursive: true, force: true });
  const [reason] = NO_REGISTRY.exec(stderr) ?? [];
  if (reason === undefined) throw new Error(`npm ci of tests/package/tools failed: ${stderr}`);
  return `the npm registry cannot be reached (${reason})`;
}
