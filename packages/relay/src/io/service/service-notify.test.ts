import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { pause, until } from '@lumamesh/testkit';
import { silentLogger } from '../log.ts';
import { ServiceNotify } from './service-notify.ts';

/**
 * Each message takes less time than the one before, so that they would overtake each other; then it
 * is written down.
 */
const STAND_IN = `#!/bin/sh
count=$(cat "$NOTIFY_SOCKET.count" 2>/dev/null || echo 0)
echo $((count + 1)) > "$NOTIFY_SOCKET.count"
[ "$count" -gt 3 ] || sleep 0.$((4 - count))
echo "$1" >> "$NOTIFY_SOCKET"
`;

async function withStandIn(
  test: (environment: NodeJS.ProcessEnv, heard: () => Promise<readonly string[]>) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'lumamesh-notify-'));
  const socket = join(folder, 'said');
  try {
    await writeFile(join(folder, 'systemd-notify'), STAND_IN, { mode: 0o755 });
    const heard = async (): Promise<readonly string[]> =>
      (await readFile(socket, 'utf8').catch(() => '')).split('\n').filter((line) => line !== '');
    await test(
      { PATH: `${folder}:${process.env['PATH']}`, NOTIFY_SOCKET: socket, WATCHDOG_USEC: '40000' },
      heard,
    );
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

describe('what systemd is told', () => {
  it('comes in the order in which it happened', () =>
    withStandIn(async (environment, heard) => {
      const notify = new ServiceNotify(environment, silentLogger);
      void notify.ready('');
      notify.reloading();
      void notify.ready('');
      notify.stopping();
      await until(async () => (await heard()).length === 4, 'too late');
      assert.deepEqual(await heard(), ['READY=1', 'RELOADING=1', 'READY=1', 'STOPPING=1']);
    }));

  it('has signs of life in it that do not pile up, and that end when it is stopped', () =>
    withStandIn(async (environment, heard) => {
      const notify = new ServiceNotify(environment, silentLogger);
      notify.startWatchdog();
      // The first takes 0.4 s, in which twenty would be due.
      await until(async () => (await heard()).length > 0, 'too late');
      notify.reloading();
      await until(async () => (await heard()).includes('RELOADING=1'), 'too late');
      assert.ok((await heard()).indexOf('RELOADING=1') <= 3, (await heard()).join());
      notify.stopWatchdog();
      await until(async () => {
        const { length } = await heard();
        await pause(500);
        return (await heard()).length === length;
      }, 'it does not end');
    }));

  it('is nothing without NOTIFY_SOCKET; where the program is missing, that is said once', async () => {
    const warnings: string[] = [];
    const log = {
      ...silentLogger,
      warn: (_fields: object, message: string) => void warnings.push(message),
    };
    assert.equal(new ServiceNotify({ WATCHDOG_USEC: '40000' }, log).watchdogMs, null);
    await new ServiceNotify({ PATH: '' }, log).ready('');
    const notify = new ServiceNotify({ PATH: '/nowhere', NOTIFY_SOCKET: '/nowhere/socket' }, log);
    void notify.ready('');
    notify.stopping();
    await until(async () => warnings.length > 0, 'too late');
    await pause(200);
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? '', /systemd-notify does not work/);
  });
});
