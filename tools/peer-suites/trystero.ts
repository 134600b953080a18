import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { findBrowser } from '@lumamesh/testkit/browsers';
import { build } from 'esbuild';
import type { Checkout } from './checkout.ts';
import { addPublished, withRelay } from './published.ts';
import type { PeerSuite } from './suites.ts';

const WHOSE: Readonly<Record<string, string>> = {
  lumamesh: 'ours',
  'ws-relay': 'its ws relay, the control',
};
/** Packages of the repository that its tests import. */
const PACKAGES = ['core', 'mqtt', 'nostr', 'torrent', 'ws-relay'];

/**
 * Trystero's browser tests (Playwright) and Node specs, with our strategy as one more of theirs, and
 * their own ws relay beside it as the control. Its packages are bundled as its own build does it; the
 * strategies that need an account or a public network are left out.
 */
export const trystero: PeerSuite = {
  name: 'trystero',
  source: {
    repository: 'https://github.com/dmotz/trystero',
    commit: 'dfdba65702636496e9da2fe53ecca517f5195072',
  },
  prepare: async (checkout) => {
    const { devDependencies } = json(checkout, 'package.json') as Manifest;
    const wanted = ['@playwright/test', 'chalk', 'jiti', 'serve', 'source-map', 'werift', 'ws'];
    checkout.install({
      // The versions that it names, and no newer ones.
      ...Object.fromEntries(wanted.map((name) => [name, devDependencies[name]?.slice(1) ?? '*'])),
      mqtt: '^5.15.2',
      '@noble/secp256k1': '^3.1.0',
    });
    addPublished(checkout, 'trystero');
    // One more package of theirs, so that there is one core.
    mkdirSync(checkout.path('packages/lumamesh/src'), { recursive: true });
    cpSync(
      checkout.path('node_modules/@lumamesh/trystero/trystero.js'),
      checkout.path('packages/lumamesh/src/index.ts'),
    );
    const manifest = {
      name: '@trystero-p2p/lumamesh',
      type: 'module',
      exports: './dist/index.mjs',
    };
    checkout.write('packages/lumamesh/package.json', JSON.stringify(manifest));
    mkdirSync(checkout.path('node_modules/@trystero-p2p'), { recursive: true });
    for (const name of [...PACKAGES, 'lumamesh']) await addPackage(checkout, name);
    for (const name of ['ws-relay', 'lumamesh']) await bundleForBrowsers(checkout, name);

    append(
      checkout,
      'test/strategy-configs.ts',
      `strategyConfigs['lumamesh'] = {relayConfig: {relays: [process.env['LUMAMESH_RELAY']]}}`,
    );
    append(
      checkout,
      'test/node/node.spec.ts',
      `runNodeTests('lumamesh', {timeout: 30_000})\nrunPassiveNodeTest('lumamesh', {timeout: 30_000})`,
    );
    checkout.write(
      'test/lumamesh.spec.ts',
      `import runTests from './tests'\nrunTests('lumamesh')\n`,
    );
    checkout.write('playwright.installed.config.ts', playwrightConfig());
    // Their programs are started by `pnpm exec`, which needs nothing else of pnpm.
    checkout.write('node_modules/.bin/pnpm', '#!/bin/sh\nshift\nexec "$@"\n');
    checkout.run(['chmod', '+x', 'node_modules/.bin/pnpm']);
  },
  commands: () => [
    ...['lumamesh', 'ws-relay'].map((name) => ({
      title: `Node specs, ${WHOSE[name]}`,
      command: withRelay(
        ...['node', '--import', 'jiti/register', '--test'],
        ...[`--test-name-pattern=Trystero: ${name} `, 'test/node/node.spec.ts'],
      ),
    })),
    ...['chromium', 'firefox'].flatMap((browser) =>
      ['lumamesh', 'ws-relay'].map((name) => ({
        title: `browser tests in ${browser}, ${WHOSE[name]}`,
        command: withRelay(
          ...['playwright', 'test', '--config=playwright.installed.config.ts', '--workers=1'],
          ...[`--project=${browser}`, `test/${name}.spec.ts`],
        ),
      })),
    ),
  ],
};

interface Manifest {
  readonly devDependencies: Readonly<Record<string, string>>;
}

function json(checkout: Checkout, file: string): unknown {
  return JSON.parse(readFileSync(checkout.path(file), 'utf8'));
}

function append(checkout: Checkout, file: string, text: string): void {
  writeFileSync(checkout.path(file), `\n${text}\n`, { flag: 'a' });
}

/** One of its packages, as its own build makes it. */
async function addPackage(checkout: Checkout, name: string): Promise<void> {
  const folder = checkout.path(`packages/${name}`);
  for (const entry of name === 'ws-relay' ? ['index', 'server'] : ['index'])
    await build({
      entryPoints: [`${folder}/src/${entry}.ts`],
      outfile: `${folder}/dist/${entry}.mjs`,
      bundle: true,
      packages: 'external',
      format: 'esm',
      platform: 'node',
    });
  symlinkSync(folder, checkout.path(`node_modules/@trystero-p2p/${name}`));
}

/** A strategy as its test page loads it. */
async function bundleForBrowsers(checkout: Checkout, name: string): Promise<void> {
  const empty = checkout.path('scripts/empty.ts');
  await build({
    entryPoints: [checkout.path(`packages/${name}/src/index.ts`)],
    outfile: checkout.path(`dist/trystero-${name}.min.js`),
    bundle: true,
    format: 'esm',
    target: 'es2022',
    sourcemap: true,
    alias: {
      '@trystero-p2p/core': checkout.path('packages/core/src/index.ts'),
      crypto: empty,
      'node:crypto': empty,
    },
  });
}

/** Their configuration, with the browsers of this machine in the place of Playwright's own. */
function playwrightConfig(): string {
  const installed = {
    chromium: { executablePath: findBrowser('chromium') },
    firefox: { executablePath: findBrowser('firefox'), channel: 'moz-firefox' },
  };
  return `import config from './playwright.config'
const installed = ${JSON.stringify(installed)}
export default {
  ...config,
  reporter: 'list',
  projects: ['chromium', 'firefox'].map(name => ({
    name,
    use: {
      browserName: name,
      channel: installed[name].channel,
      launchOptions: {...config.use.launchOptions, executablePath: installed[name].executablePath}
    }
  }))
}
`;
}
