import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** Debian's name of an architecture, and what others call it. */
export const ARCHITECTURES = {
  amd64: { node: 'x64', strip: 'x86_64-linux-gnu-strip', binutils: 'binutils-x86-64-linux-gnu' },
  arm64: {
    node: 'arm64',
    strip: 'aarch64-linux-gnu-strip',
    binutils: 'binutils-aarch64-linux-gnu',
  },
} as const;
export type Architecture = keyof typeof ARCHITECTURES;

/**
 * The folder of the lockfile's Node for an architecture: what npm has installed here, or the same
 * package from the registry, unpacked once, with the checksum of the lockfile.
 */
export function nodeRuntime(root: string, architecture: Architecture): string {
  const name = `node-linux-${ARCHITECTURES[architecture].node}`;
  const installed = join(root, 'node_modules', name);
  if (existsSync(join(installed, 'bin/node'))) return installed;
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { version: string; integrity: string } | undefined>;
  };
  const locked = packages[`node_modules/${name}`];
  if (locked === undefined) throw new Error(`the lockfile has no ${name}`);
  const folder = join(root, 'dist/runtime', `${name}-${locked.version}`);
  if (existsSync(folder)) return folder;
  mkdirSync(join(root, 'dist/runtime'), { recursive: true });
  const own = mkdtempSync(join(root, 'dist/runtime/.new-'));
  try {
    const [file = ''] = execFileSync(
      'npm',
      ['pack', '--silent', '--pack-destination', own, `${name}@${locked.version}`],
      { cwd: own, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] },
    )
      .trim()
      .split('\n');
    const archive = join(own, file);
    const sum = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`;
    if (sum !== locked.integrity) throw new Error(`${file} is not what the lockfile names: ${sum}`);
    execFileSync('tar', ['-xzf', archive, '-C', own]);
    renameSync(join(own, 'package'), folder);
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
  return folder;
}
