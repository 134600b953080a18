import { join } from 'node:path';
import { build } from 'esbuild';
import type { PeerSuite } from './suites.ts';

const ROOT = join(import.meta.dirname, '../..');

/**
 * Its tests of awareness, whose updates go through the provider's frames and rules on their way (its
 * sync protocol the provider does not speak: ADR 73).
 */
export const yProtocols: PeerSuite = {
  name: 'y-protocols',
  source: {
    repository: 'https://github.com/yjs/y-protocols',
    // v1.0.7
    commit: '85f5f895d654d73be620f202a03a1bf81cdf4892',
  },
  prepare: async (checkout) => {
    await build({
      entryPoints: [checkout.path('test.js')],
      outfile: checkout.path('bundle.mjs'),
      bundle: true,
      format: 'esm',
      platform: 'node',
      // One Yjs, and the y-protocols that the provider has.
      nodePaths: [join(ROOT, 'node_modules')],
      plugins: [
        {
          name: 'by-provider',
          setup: (bundler) => {
            bundler.onResolve({ filter: /^\.\/awareness(\.js)?$/ }, () => ({
              path: join(import.meta.dirname, 'awareness-by-provider.ts'),
            }));
          },
        },
      ],
    });
  },
  commands: () => [
    { title: 'awareness, by the provider', command: [process.execPath, 'bundle.mjs'] },
  ],
};
