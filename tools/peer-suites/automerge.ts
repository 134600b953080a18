import { join } from 'node:path';
import type { PeerSuite } from './suites.ts';

const SUITE = join(
  import.meta.dirname,
  '../../packages/adapters/automerge/src/shipped-suite.test.ts',
);

/** The tests for network adapters that Automerge ships in its package, seven of them, ten times. */
export const automerge: PeerSuite = {
  name: 'automerge',
  source: { installed: '@automerge/automerge-repo' },
  prepare: () => undefined,
  commands: () => [
    { title: 'shipped suite', command: [process.execPath, '--test', SUITE], times: 10 },
  ],
};
