import { readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { ENTRIES, FILES_APART, GLOBAL_FILE, NODE_MAIN } from './client-entries.ts';

const ROOT = join(import.meta.dirname, '..');
/** The oldest Node that runs it; the library's own transport needs nothing newer. */
const NODE_RANGE = '>=20';

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly repository: { readonly url: string };
  readonly [field: string]: unknown;
}

const SOURCE = JSON.parse(
  readFileSync(join(ROOT, 'packages/client/package.json'), 'utf8'),
) as Manifest;

/** What a registry shows and installers need, as the workspace's package has it. */
export const KEPT = [
  'name',
  'version',
  'description',
  'keywords',
  'author',
  'license',
  'homepage',
  'repository',
  'bugs',
  'peerDependencies',
  'peerDependenciesMeta',
];

/** Resolvers that know `import` and `require` take ES modules or CommonJS, each with its types. */
const conditions = (file: string): object => ({
  import: { types: `./${file}.d.ts`, default: `./${file}.js` },
  require: { types: `./${file}.d.cts`, default: `./${file}.cjs` },
  default: `./${file}.js`,
});

/** The package.json that is published. */
export function publishedManifest(): Record<string, unknown> {
  const exports: Record<string, object | string> = {};
  for (const { subpath, file } of ENTRIES)
    exports[subpath] =
      subpath === '.'
        ? // A page's bundler first: tests and servers that play a browser say both.
          { browser: conditions(file), node: conditions(NODE_MAIN), ...conditions(file) }
        : conditions(file);
  const main = ENTRIES.find(({ subpath }) => subpath === '.')?.file ?? '';
  const effects = ENTRIES.filter(({ hasSideEffects }) => hasSideEffects === true).flatMap(
    ({ file }) => [`./${file}.js`, `./${file}.cjs`],
  );
  return {
    ...Object.fromEntries(KEPT.map((field) => [field, SOURCE[field]])),
    type: 'module',
    sideEffects: [`./${GLOBAL_FILE}`, ...effects],
    exports: { ...exports, './package.json': './package.json' },
    // For resolvers from before `exports`, which are those of pages: every Node of today reads that.
    main: `./${main}.cjs`,
    module: `./${main}.js`,
    types: `./${main}.d.ts`,
    unpkg: `./${GLOBAL_FILE}`,
    jsdelivr: `./${GLOBAL_FILE}`,
    files: publishedFiles(),
    engines: { node: NODE_RANGE },
    publishConfig: { access: 'public', provenance: true },
  };
}

/** All that is published, but for what npm adds by itself. */
function publishedFiles(): string[] {
  const scripts = [
    ...ENTRIES.flatMap(({ file }) => [`${file}.js`, `${file}.cjs`]),
    GLOBAL_FILE,
    ...Object.keys(FILES_APART),
  ];
  return [
    ...scripts.flatMap((script) => [script, `${script}.map`]),
    ...ENTRIES.flatMap(({ file }) => [`${file}.d.ts`, `${file}.d.cts`]),
    ...folders().map(([folder]) => folder),
  ];
}

/**
 * A folder for each subpath, with a package.json that leads to its files: what finds `lumamesh/core`
 * without reading `exports` (TypeScript's `node`, Parcel, browserify, Jest before 28).
 */
export function folders(): readonly (readonly [folder: string, manifest: object])[] {
  return ENTRIES.filter(({ subpath }) => subpath !== '.').map(
    ({ subpath, file, platform, hasSideEffects = false }) => [
      subpath.slice(2),
      {
        sideEffects: hasSideEffects ? [`../${file}.js`, `../${file}.cjs`] : false,
        main: `../${file}.cjs`,
        ...(platform === 'browser' && { module: `../${file}.js` }),
        types: `../${file}.d.ts`,
      },
    ],
  );
}

/** The README, with links that lead somewhere from a registry's page, too. */
export function publishedReadme(): string {
  return linkedReadme(ROOT, '');
}

/**
 * The README of a folder, with such links.
 * @param path of the folder, from the root of the repository
 */
export function linkedReadme(folder: string, path: string): string {
  const home = SOURCE.repository.url.replace(/^git\+/, '').replace(/\.git$/, '');
  return readFileSync(join(folder, 'README.md'), 'utf8').replaceAll(
    /\]\((?!https?:|#)([^)]+)\)/g,
    (_whole, target: string) => `](${home}/blob/main/${posix.join(path, target)})`,
  );
}
