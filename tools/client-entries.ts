/*
 * What the package `lumamesh` consists of. A new entry is one more row here: its files, both kinds
 * of declarations, `exports`, the folder for old resolvers, its gate of size and its tests follow.
 */

/** Something that is imported from the package. */
export interface Entry {
  /** As `exports` has it. */
  readonly subpath: '.' | `./${string}`;
  /** The name of its files, without an extension. */
  readonly file: string;
  /** In packages/client/src. */
  readonly source: string;
  readonly platform: 'browser' | 'node';
  /** Min + gzip; `null` for what is published as it was written, and not watched. */
  readonly maxBytes: number | null;
  /** Sources, below packages/, that another entry's file has: imported from there, not copied. */
  readonly shares?: Readonly<Record<string, string>>;
  /** Whether importing it does something, as defining a custom element does. Default: no. */
  readonly hasSideEffects?: boolean;
}

export const ENTRIES: readonly Entry[] = [
  {
    subpath: '.',
    file: 'lumamesh',
    source: 'index.ts',
    platform: 'browser',
    maxBytes: 41_550,
  },
  {
    subpath: './core',
    file: 'lumamesh-core',
    source: 'core.ts',
    platform: 'browser',
    maxBytes: 24_500,
  },
  {
    subpath: './features',
    file: 'lumamesh-features',
    source: 'features/index.ts',
    platform: 'browser',
    maxBytes: 21_800,
    // One class of errors, whichever file throws.
    shares: { 'base/src/error.ts': 'lumamesh-core' },
  },
  {
    subpath: './identity',
    file: 'lumamesh-identity',
    source: 'identity.ts',
    platform: 'browser',
    maxBytes: 6500,
  },
  {
    subpath: './inspector',
    file: 'lumamesh-inspector',
    source: 'inspector.ts',
    platform: 'browser',
    maxBytes: 2600,
    hasSideEffects: true,
  },
  {
    subpath: './relay-list',
    file: 'lumamesh-relay-list',
    source: 'relay-list.ts',
    platform: 'browser',
    maxBytes: 2000,
  },
  {
    subpath: './react',
    file: 'lumamesh-react',
    source: 'react/index.ts',
    platform: 'browser',
    maxBytes: null,
    // The hooks and the page share one library.
    shares: { 'client/src/index.ts': 'lumamesh' },
  },
  {
    subpath: './node',
    file: 'lumamesh-node',
    source: 'platform/node/index.ts',
    platform: 'node',
    maxBytes: null,
  },
];

/** What `import 'lumamesh'` is where there is Node in the place of a browser. */
export const NODE_MAIN = 'lumamesh-node';

/** For `<script src>`: `globalThis.Lumamesh` is what `lumamesh` exports. */
export const GLOBAL_FILE = 'lumamesh.global.js';
export const GLOBAL_NAME = 'Lumamesh';

/**
 * Fetched only by who needs them, from beside the file that asks: by browsers without Ed25519, and
 * when relays cannot be reached, or statistics are asked for. What is for classic scripts, or CommonJS, has them inside.
 */
export const FILES_APART: Readonly<Record<string, string>> = {
  'lumamesh-ed25519.js': 'platform/browser/ed25519-fallback.ts',
  'lumamesh-network.js': 'features/diagnosis/network-help.ts',
  'lumamesh-statistics.js': 'features/statistics/statistics-help.ts',
};
