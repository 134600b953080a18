import { basename, join } from 'node:path';
import { type Plugin, build } from 'esbuild';
import { minify } from 'terser';

const CLIENT = join(import.meta.dirname, '../packages/client/src');

/**
 * Names that are seen neither by pages nor on the wire, so the published files may shorten them. Everything that the DOM or the language has is kept by
 * terser itself; tests/browser/published.test.ts runs what comes out.
 */
const INTERNAL_NAMES =
  /^(handle[A-Z]\w*|make[A-Z]\w*|is(?!Open$|Direct$|Array$|Integer$|SafeInteger$|View$)[A-Z]\w*|dueAt|retryAt|failures|lot|unixSeconds|setTimer|dialRelay|verifyRecord|PeerConnection|sendTagged|broadcastTagged|roomId|joinMessage|beginAnew|setDetour|needsHelp|offersFirst|wants|addSeeds?|serialise|addRoom|removeRoom|identityFor|addressesOf|readSources|sendSignal|admit|cipherFor|carriers|rttMs|probe|restart|pump|seal|seek|knock|carry|record|sources|needsHelp|cancelTimer|attach|ask|handle|enter|onChange|forged|expand|pause|lookInto|platform)$/;

/** What is published, by the name of its file; sizes are of the file min + gzip. */
export const CLIENT_FILES = {
  'lumamesh.js': { entry: 'browser/index.ts', maxBytes: 20 * 1024 },
  'lumamesh-core.js': { entry: 'browser/core.ts', maxBytes: 14 * 1024 },
} as const;

/** Fetched only by who needs them, from beside the file that asks: by browsers without Ed25519, and when relays cannot be reached. */
export const FILES_APART = {
  'lumamesh-ed25519.js': 'browser/ed25519-fallback.ts',
  'lumamesh-network.js': 'browser/full/network-help.ts',
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

/** One ES module with nothing to import, for pages: the whole library, or its core. */
export async function bundleClient(file: keyof typeof CLIENT_FILES): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(CLIENT, CLIENT_FILES[file].entry)],
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    plugins: [APART],
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
