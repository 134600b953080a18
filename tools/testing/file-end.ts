import { after } from 'node:test';
import { patience } from '../../packages/testkit/src/waiting.ts';

/*
 * Loaded into every process that has tests: ends it when all of its tests are over and something
 * of theirs still holds it, as a test does that has timed out. That is a failure of the file.
 */
const GRACE_MS = 10_000;

// Not in a process that only runs others, one for each file.
const hasTests =
  process.env['NODE_TEST_CONTEXT'] !== undefined ||
  process.execArgv.includes('--test-isolation=none');
if (hasTests)
  after(() => {
    setTimeout(() => {
      process.stderr.write(
        `the tests are over, and the file does not end: ${process.getActiveResourcesInfo().join(', ')}\n`,
      );
      process.exit(1);
    }, patience(GRACE_MS)).unref();
  });
