import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type RelayProcess, patience, until } from '@lumamesh/testkit';
import { finished, freePort, inFolder } from './support.ts';

/*
 * A machine much slower than the one that limits were written on (a Raspberry Pi Zero 2 at the start of
 * a program, an emulated one all the time): a process runs for one part of PARTS of its time.
 */
const PERIOD_MS = 500;
/** The program as one file has no compiled code with it: it would find no end of its handshake. */
const PARTS = process.env['RELAY_PROGRAM'] === undefined ? 100 : 20;
const LIMIT = { timeout: patience(170_000) };
const skip = process.platform === 'win32';

/** @returns A function that gives the process all its time again. */
function slowDown({ child }: RelayProcess): () => void {
  let resume: NodeJS.Timeout | undefined;
  const pauseAndResume = (): void => {
    child.kill('SIGSTOP');
    resume = setTimeout(() => child.kill('SIGCONT'), PERIOD_MS * (1 - 1 / PARTS));
  };
  const timer = setInterval(pauseAndResume, PERIOD_MS);
  const end = (): void => {
    clearInterval(timer);
    clearTimeout(resume);
    child.kill('SIGCONT');
  };
  child.once('exit', end);
  pauseAndResume();
  return end;
}

describe('a relay and its check on a machine that is much slower', { skip }, () => {
  it('is found to be well, and accused of nothing', LIMIT, () =>
    inFolder(async (_folder, run) => {
      const relay = run({ UDP_PORT: String(await freePort()) });
      await relay.ready();
      const check = run({}, 'check', relay.line);
      // Programs have started, and nothing has been sent.
      await until(() => check.stdout.includes('signature'), 'the check does not begin');
      const ends = [slowDown(relay), slowDown(check)];
      try {
        const { code, stdout, stderr } = await finished(check);
        assert.equal(code, 0, stdout + stderr);
        assert.doesNotMatch(stdout, /FAIL/);
        assert.match(stdout, /ok {3}join /);
      } finally {
        for (const end of ends) end();
      }
    }),
  );
});
