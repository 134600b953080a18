import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, describe, it } from 'node:test';
import { ADAPTERS, type Adapter, adapterManifest } from '../../tools/adapter-entries.ts';
import { packAdapter } from '../browser/packed.ts';
import { ROOT, type Workshop, openWorkshop } from './support.ts';

/* Each adapter from its tarball, beside the library from its own, in the hands of compilers. */

const opened = openWorkshop();
const skip = typeof opened === 'string' && opened;
/** Only touched by tests, which are skipped where there is none. */
const shop = opened as Workshop;

function runs(program: string, ...parameters: readonly string[]): string {
  const { status, output } = shop.run(program, ...parameters);
  assert.equal(status, 0, `${program} ${parameters.join(' ')}\n${output}`);
  return output;
}

/** Unpacks the tarball where it is found, and its peers beside it. */
function install(adapter: Adapter, tarball: string): void {
  const { name, peerDependencies } = adapterManifest(adapter);
  const folder = join(shop.folder, 'node_modules', name);
  mkdirSync(folder, { recursive: true });
  execFileSync('tar', ['-xzf', tarball, '--strip-components=1', '-C', folder]);
  for (const peer of Object.keys(peerDependencies)) {
    const link = join(shop.folder, 'node_modules', peer);
    if (existsSync(link)) continue;
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules', peer), link, 'dir');
  }
}

describe('the published adapters', { skip }, () => {
  after(() => shop.close());

  for (const adapter of ADAPTERS) {
    const { name } = adapterManifest(adapter);
    it(`${name} is in order for publint and for @arethetypeswrong/cli, and could be published`, () => {
      const tarball = packAdapter(adapter, shop.folder);
      install(adapter, tarball);
      assert.match(runs('publint', 'run', '--strict', tarball), /All good/);
      runs('attw', tarball, '--no-emoji', '--profile', 'esm-only');
      const published = shop.run('npm', 'publish', '--dry-run', tarball);
      assert.match(published.output, new RegExp(`\\+ ${name}@`), published.output);
    });

    it(`${name} is imported by Node, and its types are those of its peers`, () => {
      const program = `import * as adapter from '${name}';\nconsole.log(Object.keys(adapter).join());\n`;
      shop.write('uses.mts', program);
      shop.write('uses.mjs', program);
      for (const resolution of ['nodenext', 'bundler']) {
        const compilerOptions = {
          ...{ target: 'es2022', lib: ['es2022', 'dom'], types: [], noEmit: true, strict: true },
          // Peers answer for their own declarations.
          ...{ skipLibCheck: name !== '@lumamesh/yjs', moduleResolution: resolution },
          module: resolution === 'bundler' ? 'esnext' : resolution,
        };
        shop.write('tsconfig.json', JSON.stringify({ compilerOptions, files: ['uses.mts'] }));
        runs(process.execPath, '../node_modules/typescript/bin/tsc', '-p', 'tsconfig.json');
      }
      assert.match(runs(process.execPath, 'uses.mjs'), /Lumamesh/i);
    });
  }
});
