import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import type { Checkout } from './checkout.ts';
import { addPublished } from './published.ts';
import type { PeerSuite } from './suites.ts';

const SUITE = 'test/unit/synchronizers/synchronizers.test.ts';
const SNAPSHOTS = 'test/unit/synchronizers/__snapshots__/synchronizers.test.ts.snap';
const ROOMS = join(import.meta.dirname, '../../packages/testkit/src/memory-rooms.ts');

/**
 * TinyBase's tests of synchronizers, with ours as one more of them. What stores hold afterwards has to
 * be what it is by its WebSocket synchronizer, to the stamps; how many messages that took is ours.
 */
export const tinybase: PeerSuite = {
  name: 'tinybase',
  source: {
    repository: 'https://github.com/tinyplex/tinybase',
    // v9.5.1
    commit: '3c142ecc7a34263db1ac00b3b25553a922405cc6',
    paths: ['package.json', 'test'],
  },
  prepare: async (checkout) => {
    const manifest = JSON.parse(readFileSync(checkout.path('package.json'), 'utf8')) as Manifest;
    const { vitest = '*', ws = '*' } = manifest.devDependencies;
    checkout.install({ tinybase: manifest.version, vitest: vitest.slice(1), ws: ws.slice(1) });
    addPublished(checkout, 'tinybase');
    await build({
      entryPoints: [ROOMS],
      outfile: checkout.path('memory-rooms.mjs'),
      bundle: true,
      format: 'esm',
      platform: 'node',
    });
    checkout.write('test/unit/synchronizers/lumamesh.ts', ENTRY);
    addEntry(checkout);
    copySnapshots(checkout);
    checkout.write('vitest.config.ts', CONFIG);
  },
  commands: () =>
    [
      ['synchronizers: ours', 'Lumamesh'],
      ['synchronizers: its own by WebSockets, the control', 'WsSynchronizer'],
    ].map(([title = '', pattern = '']) => ({
      title,
      command: ['vitest', 'run', SUITE, '-t', pattern],
      // What a snapshot does not have is a failure.
      environment: { CI: '1' },
    })),
};

interface Manifest {
  readonly version: string;
  readonly devDependencies: Readonly<Record<string, string>>;
}

const CONFIG = `export default { test: { include: ['${SUITE}'], testTimeout: 60_000 } };\n`;

/** In the shape of theirs; members of a room within the process, as their other entries are. */
const ENTRY = `import { createLumameshSynchronizer } from '@lumamesh/tinybase';
import { makeMemoryRoom } from '../../../memory-rooms.mjs';

export const lumamesh = {
  createEnvironment: () => ({ join: makeMemoryRoom(), count: 0 }),
  getSynchronizer: async (store, environment) => {
    const room = environment.join('member' + environment.count++);
    return createLumameshSynchronizer(store, room, { requestTimeoutSeconds: 0.04 });
  },
  pauseMilliseconds: 50,
};
`;

function addEntry(checkout: Checkout): void {
  const text = readFileSync(checkout.path(SUITE), 'utf8');
  const before = "  ['Custom Synchronizer', mockCustomSynchronizer],\n";
  const stats = ".toMatchSnapshot('stats')";
  if (!text.includes(before) || !text.includes(stats))
    throw new Error('its tests are not what this was written for');
  checkout.write(
    SUITE,
    // How many messages a synchronizer needs is its own affair.
    `import {lumamesh} from './lumamesh.ts';\n${text
      .replace(before, `${before}  ['Lumamesh', lumamesh],\n`)
      .replaceAll(stats, '.toEqual(expect.anything())')}`,
  );
}

/** What is expected of its WebSocket synchronizer is expected of ours. */
function copySnapshots(checkout: Checkout): void {
  const text = readFileSync(checkout.path(SNAPSHOTS), 'utf8');
  const known = text.split(/^(?=exports\[)/m).slice(1);
  const copies = known
    .filter((one) => /^exports\[`Syncs to\/from WsSynchronizer (?!.* stats \d)/.test(one))
    .map((one) => one.replace('WsSynchronizer', 'Lumamesh'));
  if (copies.length === 0) throw new Error('its snapshots are not what this was written for');
  checkout.write(SNAPSHOTS, `${text.trimEnd()}\n\n${copies.join('')}`);
}
