import { execFileSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Adapter, adapterFolder, adapterManifest } from './adapter-entries.ts';
import { peersOf } from './client-bundle.ts';
import { rollUp, withoutInternals } from './client-declarations.ts';
import { TSC } from './compiler.ts';

const ROOT = join(import.meta.dirname, '..');

/** The declarations of each adapter in one text, which imports those of its peers. */
export async function adapterDeclarations(
  adapters: readonly Adapter[],
): Promise<ReadonlyMap<string, string>> {
  const tree = mkdtempSync(join(tmpdir(), 'lumamesh-types-'));
  try {
    const parameters = [TSC, '-p', 'tsconfig.adapter-types.json', '--outDir', tree];
    execFileSync(process.execPath, parameters, { cwd: ROOT, stdio: 'inherit' });
    for (const file of globSync('**/*.d.ts', { cwd: tree })) {
      const path = join(tree, file);
      writeFileSync(path, withoutInternals(readFileSync(path, 'utf8')));
    }
    const declarations = new Map<string, string>();
    for (const adapter of adapters) {
      const input = join(tree, adapterFolder(adapter), 'src/index.d.ts');
      const peers = peersOf(adapterManifest(adapter).peerDependencies);
      declarations.set(adapter.name, await rollUp(tree, input, peers));
    }
    return declarations;
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
}
