import { dirname, join } from 'node:path';
import { type BuildOptions, type Plugin, build } from 'esbuild';
import { type MinifyOptions, minify } from 'terser';
import { type Adapter, adapterFolder, adapterManifest } from './adapter-entries.ts';
import { ENTRIES, type Entry, FILES_APART, GLOBAL_FILE, GLOBAL_NAME } from './client-entries.ts';

const ROOT = join(import.meta.dirname, '..');
const PACKAGES = join(ROOT, 'packages');
const CLIENT = join(PACKAGES, 'client/src');

/**
 * A leading underscore marks what is internal to the library: neither pages nor features nor the
 * wire see it, and the published files shorten it. Nothing else is shortened.
 */
export const INTERNAL_NAMES = /^_[a-z]/;
/** What every browser with data channels that we know of understands. */
const BROWSERS = 'es2022';
/** What browserify's parser knows. */
const COMMON_JS = 'es2019';
/** The oldest that is not beyond its end for long; newer ones differ in nothing that we use. */
const NODE = 'node20';

/** A file as it is published, and its map. */
export interface Bundle {
  readonly file: string;
  /** Without the comment that names the map: it is no part of what pages wait for. */
  readonly code: string;
  /** With its sources in it, which have paths from the root of the repository. */
  readonly map: string;
}

type Kind = 'esm' | 'cjs' | 'iife';

/** Entries as ES modules and CommonJS, the one for classic scripts, and the files apart. */
export async function bundleAll(): Promise<readonly Bundle[]> {
  const bundles: Bundle[] = [];
  for (const entry of ENTRIES)
    bundles.push(await bundleEntry(entry, 'esm'), await bundleEntry(entry, 'cjs'));
  const [whole] = ENTRIES;
  if (whole !== undefined) bundles.push(await bundleEntry(whole, 'iife'));
  for (const [file, source] of Object.entries(FILES_APART)) {
    const bundle = await bundleApart(file, source);
    assertNothingInternal(bundle);
    bundles.push(bundle);
  }
  return bundles;
}

/** One file. Only those that share something import another one of the package. */
export async function bundleEntry(entry: Entry, kind: Kind): Promise<Bundle> {
  const extension = kind === 'cjs' ? 'cjs' : 'js';
  const file = kind === 'iife' ? GLOBAL_FILE : `${entry.file}.${extension}`;
  const { text, map } = await run({
    entryPoints: [join(CLIENT, entry.source)],
    outfile: join(PACKAGES, 'client/dist', file),
    format: kind,
    platform: entry.platform === 'node' ? 'node' : 'browser',
    target: entry.platform === 'node' ? NODE : kind === 'cjs' ? COMMON_JS : BROWSERS,
    // They need no newer parser than the rest of the file that has them.
    supported: { bigint: true },
    minify: entry.maxBytes !== null,
    external: ['react'],
    ...(kind === 'iife' && { globalName: GLOBAL_NAME }),
    plugins: [...(kind === 'esm' ? [APART] : []), share(entry, extension)],
  });
  const made = entry.maxBytes === null ? { text, map } : await shorten(file, text, map, kind);
  // By this never-run line Node knows the names that a CommonJS file exports.
  const hint = kind === 'cjs' ? `0&&(module.exports={${(await namesOf(entry)).join()}});\n` : '';
  return { file, code: `${made.text}${hint}`, map: made.map };
}

/** An adapter as an ES module, which imports its peers. */
export async function bundleAdapter(adapter: Adapter): Promise<Bundle> {
  const file = `${adapter.name}.js`;
  const dist = `${adapterFolder(adapter)}/dist`;
  const external = Object.keys(adapterManifest(adapter).peerDependencies);
  const { text, map } = await run(
    {
      entryPoints: [join(ROOT, adapterFolder(adapter), 'src/index.ts')],
      outfile: join(ROOT, dist, file),
      format: 'esm',
      platform: 'neutral',
      target: BROWSERS,
      minify: true,
      external,
    },
    dist,
  );
  const made = await shorten(file, text, map, 'esm');
  return { file, code: made.text, map: made.map };
}

/** What is imported of peers, be it a part of one. */
export function peersOf(peerDependencies: Readonly<Record<string, string>>): RegExp {
  return new RegExp(`^(${Object.keys(peerDependencies).join('|')})(/|$)`);
}

/** A file that is fetched only when it is needed. Its names are those of its sources. */
async function bundleApart(file: string, source: string): Promise<Bundle> {
  const { text, map } = await run({
    entryPoints: [join(CLIENT, source)],
    outfile: join(PACKAGES, 'client/dist', file),
    format: 'esm',
    target: BROWSERS,
    minify: true,
  });
  return { file, code: text, map };
}

/**
 * Names are shortened in each file for itself: a file apart must not know what is internal to the
 * files that load it.
 */
function assertNothingInternal({ file, code }: Bundle): void {
  const found = /[.{,]\s*(_[a-z]\w*)/.exec(code)?.[1];
  if (found !== undefined)
    throw new Error(`${file} uses ${found}, which has another name in the files that load it`);
}

const APART: Plugin = {
  name: 'apart',
  setup: (bundler) =>
    bundler.onResolve({ filter: /./ }, ({ kind, path, resolveDir }) => {
      if (kind !== 'dynamic-import') return null;
      const source = join(resolveDir, path);
      const found = Object.entries(FILES_APART).find(([, known]) => join(CLIENT, known) === source);
      return found === undefined ? null : { path: `./${found[0]}`, external: true };
    }),
};

function share({ shares = {} }: Entry, extension: string): Plugin {
  return {
    name: 'share',
    setup: (bundler) =>
      bundler.onResolve({ filter: /^\./ }, ({ kind, importer, path }) => {
        const source = join(dirname(importer), path);
        const owner = Object.keys(shares).find((shared) => join(PACKAGES, shared) === source);
        return owner === undefined || kind === 'entry-point'
          ? null
          : { path: `./${shares[owner]}.${extension}`, external: true };
      }),
  };
}

interface Output {
  readonly text: string;
  readonly map: string;
}

/** What an entry exports. */
export async function namesOf({ source }: Entry): Promise<readonly string[]> {
  const { metafile } = await build({
    entryPoints: [join(CLIENT, source)],
    bundle: true,
    write: false,
    metafile: true,
    format: 'esm',
    packages: 'external',
  });
  return Object.values(metafile.outputs).flatMap((output) => output.exports);
}

/** @param dist where the file is to be, from the root of the repository */
async function run(options: BuildOptions, dist = 'packages/client/dist'): Promise<Output> {
  const { outputFiles = [] } = await build({
    bundle: true,
    write: false,
    sourcemap: 'external',
    absWorkingDir: ROOT,
    ...options,
  });
  const find = (isMap: boolean): string =>
    outputFiles.find(({ path }) => path.endsWith('.map') === isMap)?.text ?? '';
  return { text: find(false), map: fromRoot(find(true), dist) };
}

/** The paths of a map in a folder, from the root of the repository. */
function fromRoot(map: string, dist: string): string {
  const { sources, ...rest } = JSON.parse(map) as { sources: string[] };
  return JSON.stringify({ ...rest, sources: sources.map((source) => join(dist, source)) });
}

async function shorten(file: string, text: string, map: string, kind: Kind): Promise<Output> {
  const ecma = kind === 'cjs' ? 2018 : 2020;
  const options: MinifyOptions = {
    module: kind === 'esm',
    // The name that a classic script defines is all that it has.
    toplevel: kind === 'cjs',
    ecma,
    compress: {
      ecma,
      // Nobody counts the bytes of CommonJS.
      passes: kind === 'cjs' ? 1 : 4,
      pure_getters: true,
      unsafe: true,
      unsafe_arrows: true,
      unsafe_methods: true,
      hoist_props: false,
      keep_fargs: false,
    },
    mangle: { properties: { regex: INTERNAL_NAMES } },
    sourceMap: { content: map, filename: file, includeSources: true },
  };
  const { code, map: made } = await minify({ [file]: text }, options);
  if (code === undefined || typeof made !== 'string') throw new Error(`${file} came out empty`);
  return { text: `${code}\n`, map: made };
}
