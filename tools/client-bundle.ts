import { basename, join } from 'node:path';
import { type Plugin, build } from 'esbuild';
import { minify } from 'terser';

const CLIENT = join(import.meta.dirname, '../packages/client/src');

/**
 * A leading underscore marks what is internal to the library: neither pages nor features nor the
 * wire see it, and the published files shorten it. Nothing else is shortened.
 */
const INTERNAL_NAMES = /^_[a-z]/;

/** What is published, by the name of its file; sizes are of the file min + gzip. */
export const CLIENT_FILES = {
  'lumamesh.js': { entry: 'index.ts', maxBytes: 24_700 },
  'lumamesh-core.js': { entry: 'core.ts', maxBytes: 16_000 },
  'lumamesh-features.js': { entry: 'features/index.ts', maxBytes: 15_550 },
  'lumamesh-identity.js': { entry: 'identity.ts', maxBytes: 6200 },
} as const;

/**
 * Fetched only by who needs them, from beside the file that asks: by browsers without Ed25519, and
 * when relays cannot be reached.
 */
export const FILES_APART = {
  'lumamesh-ed25519.js': 'platform/browser/ed25519-fallback.ts',
  'lumamesh-network.js': 'features/diagnosis/network-help.ts',
} as const;

const APART: Plugin = {
  name: 'apart',
  setup: (bundler) =>
    bundler.onResolve({ filter: /./ }, ({ kind, path }) => {
      if (kind !== 'dynamic-import') return null;
      const found = Object.entries(FILES_APART).find(
        ([, source]) => basename(source) === basename(path),
      );
      return found === undefined ? null : { path: `./${found[0]}`, external: true };
    }),
};

/** One class of errors, whichever file throws: the features have it from the core. */
const SHARED_ERROR: Plugin = {
  name: 'shared-error',
  setup: (bundler) => {
    bundler.onResolve({ filter: /^\.\/error\.ts$/ }, ({ importer }) =>
      importer.includes('/base/src/') ? { path: './lumamesh-core.js', external: true } : null,
    );
  },
};

/** One ES module for pages. Only that of the features imports another, the core. */
export async function bundleClient(file: keyof typeof CLIENT_FILES): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(CLIENT, CLIENT_FILES[file].entry)],
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    plugins: file === 'lumamesh-features.js' ? [APART, SHARED_ERROR] : [APART],
  });
  const { code } = await minify(outputFiles[0]?.text ?? '', {
    module: true,
    ecma: 2020,
    compress: {
      ecma: 2020,
      passes: 4,
      pure_getters: true,
      unsafe: true,
      unsafe_arrows: true,
      unsafe_methods: true,
      hoist_props: false,
      keep_fargs: false,
    },
    mangle: { properties: { regex: INTERNAL_NAMES } },
  });
  return `${code ?? ''}\n`;
}

/** A file that is fetched only when it is needed. */
export async function bundleApart(file: keyof typeof FILES_APART): Promise<string> {
  const entryPoints = [join(CLIENT, FILES_APART[file])];
  const { outputFiles } = await build({
    entryPoints,
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: 'es2022',
  });
  return outputFiles[0]?.text ?? '';
}
