import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { RelayProcess } from '@lumamesh/testkit';

/** Whom systemd shows as the service's process, and what that says of itself, a file tells. */
const SYSTEMCTL = '#!/bin/sh\ncat "${0%/*}/shown"\n';
const FAILED = 'the new program did not start at';

/** A service that says, asked to hand over, what systemd shows half a second later; ends with the test. */
async function withService(
  before: string,
  after: string,
  test: (handOver: RelayProcess) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'lumamesh-hand-over-'));
  const shown = join(folder, 'shown');
  const code = `
    const { writeFileSync } = require('node:fs');
    process.on('SIGUSR2', () => setTimeout(() => writeFileSync(process.argv[1], process.argv[2].replace('<pid>', process.pid)), 500));
    process.stdout.write('up');
    setInterval(() => undefined, 1000);`;
  const service: ChildProcess = spawn(process.execPath, ['-e', code, shown, after], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    if (service.stdout !== null) await once(service.stdout, 'data');
    await writeFile(shown, `MainPID=${service.pid}\nStatusText=${before}\n`);
    await writeFile(join(folder, 'systemctl'), SYSTEMCTL, { mode: 0o755 });
    const path = `${folder}:${process.env['PATH']}`;
    await test(new RelayProcess({ parameters: ['hand-over'], environment: { PATH: path } }));
  } finally {
    service.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

describe('lumamesh-relay hand-over', () => {
  it('is told of this time, and not of the last one, which failed', () =>
    withService(
      `${FAILED} 2026-01-01T00:00:00.000Z; all is well`,
      'MainPID=1\nStatusText=all is well\n',
      async (handOver) => {
        assert.equal(await handOver.exitCode(), 0, handOver.stderr);
        assert.match(handOver.stdout, /goes on as process 1/);
      },
    ));

  it('ends with 1 where the new program does not start, also for the second time', () =>
    withService(
      `${FAILED} 2026-01-01T00:00:00.000Z; all is well`,
      `MainPID=<pid>\nStatusText=${FAILED} 2026-01-01T00:10:00.000Z; all is well\n`,
      async (handOver) => {
        assert.equal(await handOver.exitCode(), 1, handOver.stderr);
        assert.match(handOver.stderr, /the old one runs on/);
      },
    ));
});
