import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { ENTRIES } from '../../tools/client-entries.ts';
import { type Workshop, ROOT, openWorkshop } from './support.ts';

/*
 * The package from its tarball, in a fresh folder, in the hands of the tools that page authors have.
 * Browsers meet by its files in tests/browser, which takes them from the tarball as well.
 */

const opened = openWorkshop();
const skip = typeof opened === 'string' && opened;
/** Only touched by tests, which are skipped where there is none. */
const shop = opened as Workshop;

function runs(program: string, ...parameters: readonly string[]): string {
  const { status, output } = shop.run(program, ...parameters);
  assert.equal(status, 0, `${program} ${parameters.join(' ')}\n${output}`);
  return output;
}

/** Prints what the entries are: as a program in ES modules, or in CommonJS. */
const program = (isCommonJs: boolean): string => {
  const take = (names: string, from: string): string =>
    isCommonJs
      ? `const { ${names.replaceAll(' as ', ': ')} } = require('${from}');`
      : `import { ${names} } from '${from}';`;
  return `${take('LumameshError, connect', 'lumamesh')}
${take('connect as connectCore', 'lumamesh/core')}
${take('files, requests', 'lumamesh/features')}
${take('loadIdentity', 'lumamesh/identity')}
${take('useRoom', 'lumamesh/react')}
const codes = [() => connect({ relays: ['luma1.no'] }), () => connectCore({ relays: ['luma1.no'], features: [files(), requests()] })].map((run) => {
  try { run(); } catch (error) { return error instanceof LumameshError ? error.code : String(error); }
});
console.log('says', codes.join(), typeof loadIdentity, typeof useRoom);
`;
};
const SAID = /says BAD_RELAY,BAD_RELAY function function/;

describe('the published package', { skip }, () => {
  after(() => shop.close());

  it('is in order for publint and for @arethetypeswrong/cli, and could be published', () => {
    assert.match(runs('publint', 'run', '--strict', shop.tarball), /All good/);
    runs('attw', shop.tarball, '--no-emoji');
    const published = shop.run('npm', 'publish', '--dry-run', shop.tarball);
    assert.match(published.output, /\+ lumamesh@/, published.output);
  });

  describe('types', () => {
    const matrix = [
      'typescript-5 node10',
      ...both('node16'),
      ...both('nodenext'),
      ...both('bundler'),
    ];
    for (const row of matrix)
      for (const skipLibCheck of [true, false])
        it(`${row}${skipLibCheck ? ', skipLibCheck' : ''}`, () => {
          const [compiler = '', moduleResolution = ''] = row.split(' ');
          const module =
            { node10: 'esnext', bundler: 'esnext' }[moduleResolution] ?? moduleResolution;
          const compilerOptions = {
            ...{ target: 'es2022', lib: ['es2022', 'dom'], types: [], noEmit: true },
            ...{ strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true },
            ...{ skipLibCheck, module, moduleResolution },
          };
          shop.write('uses.mts', uses());
          // `.cts` is CommonJS by itself; where resolution knows no such thing, both are alike.
          shop.write('uses.cts', uses());
          const config = { compilerOptions, files: ['uses.mts', 'uses.cts'] };
          shop.write('tsconfig.json', JSON.stringify(config));
          runs(process.execPath, `../node_modules/${compiler}/bin/tsc`, '-p', 'tsconfig.json');
        });

    it('are there: a mistake is found', () => {
      shop.write(
        'wrong.mts',
        "import { connect } from 'lumamesh';\nconnect({ relays: 5 }).join('tea');\n",
      );
      const { status, output } = shop.run(
        process.execPath,
        ...['../node_modules/typescript/bin/tsc', '--noEmit', '--module', 'nodenext'],
        ...['--target', 'es2022', '--types', '', '--ignoreConfig', 'wrong.mts'],
      );
      assert.notEqual(status, 0);
      assert.match(output, /TS2322|TS2769/);
      assert.match(output, /TS2339|TS2551/);
    });
  });

  describe('is bundled by', () => {
    const bundles: Readonly<Record<string, () => string>> = {
      esbuild: () => {
        runs('esbuild', 'page.mjs', '--bundle', '--format=esm', '--outfile=out/esbuild.mjs');
        return 'out/esbuild.mjs';
      },
      webpack: () => {
        shop.write(
          'webpack.mjs',
          `import webpack from 'webpack';
          webpack({ mode: 'production', entry: './page.mjs', output: { path: process.cwd() + '/out/webpack', publicPath: '/' }, target: 'web' },
            (error, stats) => { if (error || stats.hasErrors() || stats.hasWarnings()) { console.log(error ?? stats.toString()); process.exitCode = 1; } });`,
        );
        runs(process.execPath, 'webpack.mjs');
        return 'out/webpack/main.js';
      },
      rollup: () => {
        const parameters = ['-p', '@rollup/plugin-node-resolve', '-d', 'out/rollup'];
        // React is CommonJS, which plain Rollup does not read.
        runs('rollup', 'page.mjs', ...parameters, '-e', 'react', '--entryFileNames', '[name].mjs');
        return 'out/rollup/page.mjs';
      },
      vite: () => {
        shop.write('index.html', '<!doctype html><script type="module" src="/page.mjs"></script>');
        shop.write(
          'vite.config.mjs',
          "export default { build: { outDir: 'out/vite', modulePreload: false, rollupOptions: { output: { entryFileNames: 'page.mjs' } } } };",
        );
        runs('vite', 'build');
        return 'out/vite/page.mjs';
      },
      'vite for a server': () => {
        runs('vite', 'build', '--ssr', 'page.mjs', '--outDir', 'out/ssr');
        return 'out/ssr/page.mjs';
      },
      parcel: () => {
        shop.write('classic.html', '<!doctype html><script type="module" src="page.mjs"></script>');
        runs('parcel', 'build', 'page.mjs', '--no-cache', '--dist-dir', 'out/parcel');
        return 'out/parcel/page.js';
      },
      browserify: () => {
        runs('browserify', 'page.cjs', '-o', 'out/browserify.cjs');
        return 'out/browserify.cjs';
      },
    };
    for (const [name, bundle] of Object.entries(bundles))
      it(name, () => {
        shop.write('page.mjs', program(false));
        shop.write('page.cjs', program(true));
        shop.write('out/package.json', '{}');
        // Bundles for pages know the page by this name.
        const self = 'data:text/javascript,globalThis.self=globalThis';
        assert.match(runs(process.execPath, '--import', self, bundle()), SAID);
      });
  });

  describe('runs', () => {
    it('in Node, by import and by require; in Deno and Bun', () => {
      shop.write('page.mjs', program(false));
      shop.write('page.cjs', program(true));
      for (const file of ['page.mjs', 'page.cjs']) {
        assert.match(runs(process.execPath, file), SAID);
        assert.match(runs('bun', file), SAID);
      }
      assert.match(runs('deno', 'run', '--allow-read', '--allow-env', 'page.mjs'), SAID);
    });

    it('in Jest, as in a browser and as in Node; in Vitest', () => {
      shop.write(
        'jest.config.json',
        '{ "rootDir": ".", "roots": ["<rootDir>"], "testPathIgnorePatterns": [], "haste": { "retainAllFiles": true }, "testMatch": ["**/*.jest.cjs"], "transform": {} }',
      );
      shop.write(
        'one.jest.cjs',
        `const { LumameshError, connect } = require('lumamesh');
        const core = require('lumamesh/core');
        test('is there', () => {
          // In jsdom there is no WebCrypto.
          const codes = ['BAD_RELAY', 'INSECURE_ORIGIN'];
          for (const run of [connect, core.connect])
            try { run({ relays: ['luma1.no'] }); throw new Error('connected'); }
            catch (error) { expect(error).toBeInstanceOf(LumameshError); expect(codes).toContain(error.code); }
          for (const name of ['features', 'react', 'identity']) expect(Object.keys(require('lumamesh/' + name)).length).toBeGreaterThan(1);
        });`,
      );
      for (const environment of ['jsdom', 'node'])
        assert.match(runs('jest', '-c', 'jest.config.json', `--env=${environment}`), /1 passed/);
      shop.write(
        'one.test.mjs',
        `import { expect, test } from 'vitest';
        import { LumameshError, connect } from 'lumamesh';
        test('is there', () => expect(() => connect({ relays: ['luma1.no'] })).toThrow(LumameshError));`,
      );
      assert.match(runs('vitest', 'run', 'one.test.mjs'), /1 passed/);
    });

    it('where a page is rendered on a server: hooks of lumamesh/react give what there is before any net', () => {
      shop.write(
        'server.mjs',
        `import { createElement } from 'react';
        import { renderToString } from 'react-dom/server';
        import { useNet, useNetStatus, usePeers, usePresence, useRoom } from 'lumamesh/react';
        function App() {
          const net = useNet({ relays: ['luma1.no'] });
          const { room, state } = useRoom(net, 'tea', { nick: 'Ada' });
          const [others] = usePresence(room, {});
          return createElement('p', null, [String(net), String(useNetStatus(net)), String(room), state, usePeers(room).length, others.size].join());
        }
        console.log(typeof window, renderToString(createElement(App)));`,
      );
      assert.match(
        runs(process.execPath, 'server.mjs'),
        /undefined <p>null,null,null,\w+,0,0<\/p>/,
      );
    });
  });
});

function both(resolution: string): readonly string[] {
  return [`typescript-5 ${resolution}`, `typescript ${resolution}`];
}

/** Every name that docs/api gives to nets, rooms and peers, and uses of each entry with others. */
function uses(): string {
  const source = readFileSync(join(import.meta.dirname, 'page/uses.ts'), 'utf8');
  const document = readFileSync(join(ROOT, 'docs/api/lumamesh.md'), 'utf8');
  const objects = document.split('## Objects')[1]?.split('\n## ')[0] ?? '';
  const sections = objects.split('\n### ').slice(1);
  const documented = sections.flatMap((section) => {
    const title = section.split('\n')[0]?.trim() ?? '';
    if (!['Net', 'Room', 'Peer'].includes(title)) return [];
    const names = [...section.matchAll(/^- `(?:readonly )?(\w+)/gm)].map(([, name]) => `'${name}'`);
    return `export const all${title}: readonly (keyof ${title})[] = [${names.join()}];`;
  });
  assert.ok(documented.length === 3 && documented.every((line) => line.includes("'")));
  const named = ENTRIES.map(({ subpath }, i) => {
    const name = subpath.replace('.', 'lumamesh');
    return `import * as entry${i} from '${name}';\nexport const names${i} = Object.keys(entry${i});`;
  });
  return [...named, source, ...documented].join('\n');
}
