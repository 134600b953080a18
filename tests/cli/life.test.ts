import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { copyFile, mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { patience, until } from '@lumamesh/testkit';
import { firstFrame, freePort, inFolder, stubbornClient } from './support.ts';

/* From start to stop: signals, a second instance, systemd, a full disk, and what is written into the log meanwhile. */
const has = (program: string): boolean =>
  spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
const skipNotify =
  !(has('systemd-notify') && has('perl')) &&
  'systemd-notify or perl is not installed (Debian: apt-get install systemd perl-base)';
/** The stand-in for PID 1: Node has no datagram sockets of this family. */
const NOTIFY_SERVER =
  'use Socket; socket(S,AF_UNIX,SOCK_DGRAM,0); bind(S,pack_sockaddr_un($ARGV[0])); $|=1; while(1){recv(S,$m,4096,0); print "$m\\n"}';
const skipMount = process.getuid?.() !== 0 && 'a full disk is a tmpfs, which takes root to mount';

describe('the life of a relay', () => {
  it('SIGTERM: sessions are told to go elsewhere, and it ends within 5 s though they stay', () =>
    inFolder(async (_folder, run) => {
      const relay = run({ UDP_PORT: String(await freePort()) });
      const { heard, client } = await stubbornClient(await relay.ready());
      const startedAt = performance.now();
      relay.child.kill('SIGTERM');
      await until(
        () => heard.some((frame) => frame.includes('"code":"RELAY_CLOSING"')),
        'nobody told the session',
      );
      assert.equal(await relay.exitCode(), 0);
      const ms = performance.now() - startedAt;
      // 3 s of patience with sessions.
      assert.ok(ms > 2500 && ms < patience(8000), `${ms} ms`);
      assert.match(relay.stderr, /"sessionsLeft":1,"msg":"stopped"/);
      await client.close();
    }));

  it('a second signal stops it at once', () =>
    inFolder(async (_folder, run) => {
      const relay = run({ UDP_PORT: String(await freePort()) });
      const { heard, client } = await stubbornClient(await relay.ready());
      relay.child.kill('SIGINT');
      await until(() => heard.length > 1, 'it does not stop');
      const startedAt = performance.now();
      relay.child.kill('SIGINT');
      assert.equal(await relay.exitCode(), 0);
      assert.ok(performance.now() - startedAt < patience(2000));
      await client.close();
    }));

  it('SIGHUP: limits, addresses and the log level of the file are taken over; what is wrong changes nothing', () =>
    inFolder(async (folder, run) => {
      const file = join(folder, 'relay.env');
      const write = (...lines: string[]): Promise<void> => writeFile(file, `${lines.join('\n')}\n`);
      const port = await freePort();
      await write('PUBLIC_IP=127.0.0.1', `UDP_PORT=${port}`, 'MAX_ROOM_SIZE=9');
      const relay = run({}, '--config', file);
      const record = await relay.ready();
      const welcome = async (): Promise<{
        limits: { maxRoomSize: number };
        node: { ip: string; sequence: number; udpPort: number };
      }> =>
        JSON.parse(await firstFrame(record)) as {
          limits: { maxRoomSize: number };
          node: { ip: string; sequence: number; udpPort: number };
        };
      assert.equal((await welcome()).limits.maxRoomSize, 9);

      await write(
        'PUBLIC_IP=203.0.113.9',
        `UDP_PORT=${port + 1}`,
        'MAX_ROOM_SIZE=12',
        'LOG_LEVEL=debug',
      );
      relay.child.kill('SIGHUP');
      await until(
        () => relay.stderr.includes('these settings take a restart'),
        () => relay.stderr,
      );
      assert.match(
        relay.stderr,
        /"changed":\["PUBLIC_IP","MAX_ROOM_SIZE","LOG_LEVEL"\],"msg":"settings were read again"/,
      );
      assert.match(relay.stderr, /"settings":\["UDP_PORT"\]/);
      const { limits, node } = await welcome();
      assert.deepEqual([limits.maxRoomSize, node.ip], [12, '203.0.113.9']);
      assert.ok(node.sequence > record.sequence);

      relay.child.kill('SIGHUP');
      await until(
        () => relay.stderr.split('these settings take a restart').length === 3,
        () => `it is still so: ${relay.stderr}`,
      );

      await write('MAX_ROOM_SIZE=lots');
      relay.child.kill('SIGHUP');
      await until(
        () => relay.stderr.includes('the old ones hold'),
        () => relay.stderr,
      );
      assert.match(relay.stderr, /MAX_ROOM_SIZE in .*relay\.env: \\"lots\\" is not allowed/);
      assert.equal((await welcome()).limits.maxRoomSize, 12);
    }));

  it('SIGHUP: an empty list of tokens opens no private relay, and config check names it; a line that is gone does', () =>
    inFolder(async (folder, run) => {
      const file = join(folder, 'relay.env');
      const port = `UDP_PORT=${await freePort()}`;
      await writeFile(file, `${port}\nACCESS_TOKENS=token-of-somebody-1\n`);
      const relay = run({}, '--config', file);
      const record = await relay.ready();
      const reload = async (text: string, said: string): Promise<void> => {
        await writeFile(file, text);
        relay.child.kill('SIGHUP');
        await until(
          () => relay.stderr.includes(said),
          () => relay.stderr,
        );
      };
      const asks = async (): Promise<boolean> =>
        (JSON.parse(await firstFrame(record)) as { node: { access?: string } }).node.access ===
        'token';
      const empty = ['ACCESS_TOKENS=', 'ACCESS_TOKENS= # of the vault', 'ACCESS_TOKENS_FILE=""'];
      for (const [i, line] of empty.entries()) {
        const variable = line.slice(0, line.indexOf('='));
        await reload(`${port}\n${line}\nMAX_ROOM_SIZE=${i + 5}\n`, `${variable} in `);
        await until(
          () => relay.stderr.split('the old ones hold').length === i + 2,
          () => relay.stderr,
        );
        assert.ok(await asks());
        const check = run({}, 'config', 'check', '--config', file);
        assert.equal(await check.exitCode(), 2);
        assert.match(
          check.stderr,
          new RegExp(`${variable} in .*relay\\.env is set, but empty: .*leave the setting out`),
        );
      }
      assert.ok(!relay.stderr.includes('settings were read again'));
      await reload(`${port}\n`, 'private no more');
      assert.ok(!(await asks()));
    }));

  it('SIGHUP with settings that only together make no record: the old ones hold', () =>
    inFolder(async (folder, run) => {
      const file = join(folder, 'relay.env');
      const settings = [
        `UDP_PORT=${await freePort()}`,
        `ICE_UFRAG=${'u'.repeat(256)}`,
        `ICE_PWD=${'p'.repeat(256)}`,
      ];
      await writeFile(file, settings.join('\n'));
      const relay = run({}, '--config', file);
      const record = await relay.ready();
      await writeFile(file, [...settings, `PUBLIC_HOST=${'a.'.repeat(100)}example`].join('\n'));
      relay.child.kill('SIGHUP');
      await until(
        () => relay.stderr.includes('the old ones hold'),
        () => relay.stderr,
      );
      assert.match(relay.stderr, /make no valid record/);
      assert.equal(
        (JSON.parse(await firstFrame(record)) as { node: object }).node.hasOwnProperty('host'),
        false,
      );
    }));

  it(
    'tells systemd when it is ready, alive, reading its settings again, and stopping',
    { skip: skipNotify },
    () =>
      inFolder(async (folder, run) => {
        const socket = join(folder, 'notify');
        const server = spawn('perl', ['-e', NOTIFY_SERVER, socket]);
        let heard = '';
        server.stdout.on('data', (data: Buffer) => (heard += data.toString()));
        try {
          await until(async () => (await stat(socket).catch(() => null)) !== null, 'no socket');
          const relay = run({
            UDP_PORT: String(await freePort()),
            NOTIFY_SOCKET: socket,
            WATCHDOG_USEC: '400000',
          });
          await relay.ready();
          await until(
            () => heard.includes('READY=1'),
            () => heard,
          );
          assert.match(
            heard,
            // A process that takes over is watched from now on, not from a sign of the one before.
            new RegExp(
              `READY=1\\nWATCHDOG=1\\nMAINPID=${relay.child.pid}\\nSTATUS=browsers dial 127\\.0\\.0\\.1:`,
            ),
          );
          await until(
            () => heard.split('WATCHDOG=1').length > 3,
            () => heard,
          );
          relay.child.kill('SIGHUP');
          await until(
            () => /RELOADING=1[^]*READY=1/.test(heard),
            () => heard,
          );
          relay.child.kill('SIGTERM');
          assert.equal(await relay.exitCode(), 0);
          await until(
            () => heard.includes('STOPPING=1'),
            () => heard,
          );
          assert.ok(!relay.stderr.includes('systemd-notify'), relay.stderr);
        } finally {
          server.kill('SIGKILL');
        }
      }),
  );

  it(
    'a full disk never leaves half a key, nor touches one that is there',
    { skip: skipMount },
    () =>
      inFolder(async (folder, run) => {
        const disk = join(folder, 'disk');
        await mkdir(disk);
        // Pages of 4 KB: one for each file.
        assert.equal(
          spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=12k', 'tmpfs', disk]).status,
          0,
        );
        try {
          const files = {
            CERT_FILE: join(disk, 'server.crt'),
            KEY_FILE: join(disk, 'server.key'),
            NODE_KEY: join(disk, 'node.key'),
          };
          const first = run({ UDP_PORT: String(await freePort()), ...files });
          assert.equal(await first.exitCode(), 2);
          assert.match(
            first.stderr,
            /^lumamesh-relay: cannot write .*ENOSPC.*\[KEY_FILE_UNWRITABLE\]\n$/,
          );
          const kept = await readdir(disk);
          assert.ok(kept.length > 0 && kept.length < 4, kept.join());
          const texts = await Promise.all(kept.map((name) => readFile(join(disk, name), 'utf8')));
          for (const text of texts) assert.match(text, /-----END [A-Z ]+-----\n$|^[0-9a-f]{32}\n$/);
          assert.equal(spawnSync('mount', ['-o', 'remount,size=1m', disk]).status, 0);
          const second = run({ UDP_PORT: String(await freePort()), ...files });
          await second.ready();
          assert.deepEqual(
            await Promise.all(kept.map((name) => readFile(join(disk, name), 'utf8'))),
            texts,
            'what was whole is kept',
          );
          second.child.kill('SIGKILL');
          await second.exitCode();
        } finally {
          spawnSync('umount', [disk]);
        }
      }),
  );

  it('warns when PUBLIC_HOST leads elsewhere', () =>
    inFolder(async (_folder, run) => {
      const relay = run({
        UDP_PORT: String(await freePort()),
        PUBLIC_HOST: 'localhost',
        PUBLIC_IP: '203.0.113.5',
      });
      assert.equal((await relay.ready()).host, 'localhost');
      await until(
        () => relay.stderr.includes('PUBLIC_HOST resolves to another address'),
        () => relay.stderr,
      );
    }));

  it('writes no address of a user down unless it is told to', () =>
    inFolder(async (folder, run) => {
      for (const [how, pattern] of [
        ['redacted', /"from":"127\.0\.0\.0\/24",.*"msg":"session opened"/],
        ['full', /"from":"127\.0\.0\.1",.*"msg":"session opened"/],
      ] as const) {
        const relay = run({
          UDP_PORT: String(await freePort()),
          LOG_LEVEL: 'debug',
          LOG_ADDRESSES: how,
          PUBLIC_IP: '127.0.0.1',
          NODE_KEY: join(folder, how),
        });
        await firstFrame(await relay.ready());
        await until(
          () => relay.stderr.includes('session closed'),
          () => relay.stderr,
        );
        assert.match(relay.stderr, pattern);
      }
    }));

  it('writes text for people where it is asked for it, and JSON otherwise', () =>
    inFolder(async (_folder, run) => {
      const text = run({ UDP_PORT: String(await freePort()), LOG_FORMAT: 'text' });
      await text.ready();
      await until(
        () => /^\[\d\d:\d\d:\d\d\] .*INFO.*: relay is up: /m.test(text.stderr),
        () => text.stderr,
      );
      const json = run({ UDP_PORT: String(await freePort()), NODE_KEY: 'other.key' });
      await json.ready();
      await until(() => json.stderr.includes('\n'), 'no line');
      for (const line of json.stderr.trim().split('\n'))
        assert.equal(typeof JSON.parse(line), 'object');
    }));

  it('is the same relay when it starts from a copy of its four files', () =>
    inFolder(async (folder, run) => {
      const first = run({ UDP_PORT: String(await freePort()) });
      const record = await first.ready();
      first.child.kill('SIGTERM');
      await first.exitCode();
      await mkdir(join(folder, 'moved'));
      for (const name of ['server.crt', 'server.key', 'server.key.icepwd', 'node.key'])
        await copyFile(join(folder, name), join(folder, 'moved', name));
      const files = {
        CERT_FILE: 'moved/server.crt',
        KEY_FILE: 'moved/server.key',
        NODE_KEY: 'moved/node.key',
      };
      const again = await run({ UDP_PORT: String(record.port), ...files }).ready();
      assert.deepEqual(
        { ...again, sequence: 0, expires: 0, signature: '' },
        { ...record, sequence: 0, expires: 0, signature: '' },
      );
    }));
});
