import { execFileSync } from 'node:child_process';
import { cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { build } from 'esbuild';
import { CLIENT_FILES, FILES_APART, bundleApart, bundleClient } from './client-bundle.ts';

/*
 * `npm run build:client`: the package `lumamesh` as it is published, in packages/client/dist.
 * lumamesh.js alone is the file to drop into a page.
 */
const ROOT = join(import.meta.dirname, '..');
const CLIENT = join(ROOT, 'packages/client');
const DIST = join(CLIENT, 'dist');
/** Where the declarations of each of our packages begin. */
const DECLARATIONS: Readonly<Record<string, string>> = {
  '@lumamesh/base': 'types/base/src/index.js',
  '@lumamesh/protocol': 'types/protocol/src/index.js',
  '@lumamesh/transport': 'types/transport/src/index.js',
  '@lumamesh/transport/io': 'types/transport/src/io/index.js',
};

rmSync(DIST, { recursive: true, force: true });
mkdirSync(DIST, { recursive: true });
// The keys of CLIENT_FILES, and of FILES_APART.
for (const file of Object.keys(CLIENT_FILES) as (keyof typeof CLIENT_FILES)[])
  writeFileSync(join(DIST, file), await bundleClient(file));
for (const file of Object.keys(FILES_APART) as (keyof typeof FILES_APART)[])
  writeFileSync(join(DIST, file), await bundleApart(file));
await build({
  entryPoints: [join(CLIENT, 'src/react/index.ts')],
  outfile: join(DIST, 'lumamesh-react.js'),
  bundle: true,
  format: 'esm',
  target: 'es2022',
  external: ['react'],
  // The hooks and the page share one library.
  plugins: [
    {
      name: 'share',
      setup: (bundler) =>
        bundler.onResolve({ filter: /^\.\.\/index\.ts$/ }, () => ({
          path: './lumamesh.js',
          external: true,
        })),
    },
  ],
});
await build({
  entryPoints: [join(CLIENT, 'src/platform/node/index.ts')],
  outfile: join(DIST, 'lumamesh-node.js'),
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node22',
});
declare();
publish();

/** Declarations of everything that the entry points mention, with paths that need no workspace. */
function declare(): void {
  execFileSync('tsc', ['-p', 'tsconfig.client-types.json', '--outDir', join(DIST, 'types')], {
    cwd: ROOT,
    stdio: 'inherit',
  });
  for (const file of globSync('**/*.d.ts', { cwd: join(DIST, 'types') })) {
    const path = join(DIST, 'types', file);
    const text = readFileSync(path, 'utf8').replaceAll(
      /from '([^']+)'/g,
      (whole, specifier: string) => {
        const target = DECLARATIONS[specifier];
        if (target === undefined) return whole.replace(/\.ts'$/, ".js'");
        const from = relative(dirname(path), join(DIST, target));
        return `from '${from.startsWith('.') ? from : `./${from}`}'`;
      },
    );
    writeFileSync(path, text);
  }
}

function publish(): void {
  const { name, version, license, peerDependencies, peerDependenciesMeta } = JSON.parse(
    readFileSync(join(CLIENT, 'package.json'), 'utf8'),
  ) as Record<string, unknown>;
  const entry = (file: string, types: string): object => ({
    types: `./types/client/src/${types}.d.ts`,
    default: `./${file}`,
  });
  const exports = {
    '.': {
      node: entry('lumamesh-node.js', 'platform/node/index'),
      ...entry('lumamesh.js', 'index'),
    },
    './core': entry('lumamesh-core.js', 'core'),
    './features': entry('lumamesh-features.js', 'features/index'),
    './identity': entry('lumamesh-identity.js', 'identity'),
    './node': entry('lumamesh-node.js', 'platform/node/index'),
    './react': entry('lumamesh-react.js', 'react/index'),
  };
  const manifest = {
    name,
    version,
    license,
    type: 'module',
    sideEffects: false,
    description:
      'Browsers find each other by relays that need no signaling themselves, and talk directly',
    exports,
    peerDependencies,
    peerDependenciesMeta,
    engines: { node: '>=22' },
  };
  writeFileSync(join(DIST, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  for (const file of ['LICENSE', 'README.md']) cpSync(join(ROOT, file), join(DIST, file));
}
