import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import type { Plugin } from 'esbuild';
import { type Adapter, adapterFolder } from '../../tools/adapter-entries.ts';

const ROOT = join(import.meta.dirname, '../..');
/** Of the project's own, what the package asks its users for. */
const PEERS = ['react', 'react-dom', 'scheduler'];

let folder: string | null = null;

/**
 * The package as its users have it: built, packed, and installed from the tarball in a fresh folder,
 * which is what is returned. Once for all tests of a process.
 */
export function installPacked(): string {
  folder ??= install();
  return folder;
}

after(() => {
  if (folder !== null) rmSync(folder, { recursive: true, force: true });
});

/** The folders of adapters that were built, by their names. */
const adapters = new Set<string>();

/** The module of an adapter, as it is published. */
function builtAdapter(name: string): string {
  if (!adapters.has(name)) buildAdapters(name, '--scripts');
  adapters.add(name);
  return join(ROOT, 'packages/adapters', name, 'dist', `${name}.js`);
}

/** A file of the installed package. */
export function packedFile(file: string): string {
  return join(installPacked(), 'node_modules/lumamesh', file);
}

/**
 * Builds the package and packs what would be published; returns the tarball.
 * @param parameters of tools/build-client.ts
 */
export function packClient(destination: string, ...parameters: readonly string[]): string {
  const { status, stderr } = spawnSync(
    process.execPath,
    [join(ROOT, 'tools/build-client.ts'), ...parameters],
    { cwd: ROOT, encoding: 'utf8' },
  );
  assert.equal(status, 0, stderr);
  return pack(join(ROOT, 'packages/client/dist'), destination);
}

function pack(folder: string, destination: string): string {
  const packed = execFileSync('npm', ['pack', '--json', '--pack-destination', destination], {
    cwd: folder,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [name] = /[\w.-]+\.tgz/.exec(packed) ?? [];
  assert.ok(name !== undefined, packed);
  return join(destination, name);
}

/**
 * Builds the adapters and packs one as it would be published; returns the tarball.
 * @param parameters of tools/build-adapters.ts
 */
export function packAdapter(
  adapter: Adapter,
  destination: string,
  ...parameters: readonly string[]
): string {
  buildAdapters(adapter.name, ...parameters);
  return pack(join(ROOT, adapterFolder(adapter), 'dist'), destination);
}

function buildAdapters(...parameters: readonly string[]): void {
  const build = join(ROOT, 'tools/build-adapters.ts');
  const { status, stderr } = spawnSync(process.execPath, [build, ...parameters], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
}

/** Installs a tarball into a folder that has nothing else. It needs no network: it depends on nothing. */
export function installTarball(tarball: string, into: string): void {
  mkdirSync(into, { recursive: true });
  writeFileSync(join(into, 'package.json'), '{ "private": true }\n');
  const options = ['--offline', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  execFileSync('npm', ['install', ...options, tarball], { cwd: into, stdio: 'pipe' });
}

function install(): string {
  const made = mkdtempSync(join(tmpdir(), 'lumamesh-packed-'));
  // Browsers read no declarations.
  installTarball(packClient(made, '--scripts'), made);
  for (const name of PEERS)
    symlinkSync(join(ROOT, 'node_modules', name), join(made, 'node_modules', name), 'dir');
  return made;
}

/**
 * `lumamesh`, `lumamesh/core` and so on are those of the tarball, found as a bundler finds them.
 * With TEST_SOURCES=1 they are the sources, which is quicker and easier to debug.
 */
export function fromPacked(): Plugin {
  return {
    name: 'packed',
    setup: (bundler) => {
      bundler.onResolve(
        { filter: /^@lumamesh\/(yjs|trystero|tinybase|automerge|rxdb)$/ },
        ({ path }) =>
          process.env['TEST_SOURCES'] === '1'
            ? undefined
            : { path: builtAdapter(path.replace('@lumamesh/', '')) },
      );
      bundler.onResolve({ filter: /^(lumamesh|react|react-dom)(\/|$)/ }, async (found) => {
        const { path, kind, importer, pluginData: isAsked } = found;
        if (isAsked === true || process.env['TEST_SOURCES'] === '1') return undefined;
        const resolveDir = installPacked();
        return bundler.resolve(path, { kind, importer, resolveDir, pluginData: true });
      });
    },
  };
}
