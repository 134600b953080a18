import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readdir, writeFile } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { RECORD_LINE_PREFIX, type SignedRelayRecord, decodeRecordLine } from '@lumamesh/protocol';
import { firstFrame, freePort, inFolder } from './support.ts';

const LONG_NAME = `${'a.'.repeat(100)}example`;

/* The program itself: what it prints, what it leaves behind, how it fails. */
describe('lumamesh-relay', () => {
  it('prints its record as JSON and as a line, serves by it, keeps its identity, and stops on SIGTERM', () =>
    inFolder(async (folder, run) => {
      const port = String(await freePort());
      const first = run({ UDP_PORT: port });
      const record = await first.ready();
      const [, line = ''] = first.stdout.split('\n');
      assert.ok(line.startsWith(RECORD_LINE_PREFIX));
      assert.deepEqual(decodeRecordLine(line), { ok: true, value: record });
      assert.deepEqual([record.ip, record.port, record.ufrag], ['127.0.0.1', Number(port), 'luma']);
      assert.deepEqual((await readdir(folder)).toSorted(), [
        'node.key',
        'server.crt',
        'server.key',
        'server.key.icepwd',
      ]);
      const welcome = JSON.parse(await firstFrame(record)) as {
        action: string;
        node: SignedRelayRecord;
      };
      assert.equal(welcome.action, 'welcome');
      assert.deepEqual(welcome.node, record);

      const second = run({ UDP_PORT: String(await freePort()) });
      assert.equal(await second.exitCode(), 2);
      assert.match(
        second.stderr,
        /^lumamesh-relay: a relay with the identity of node\.key is running .*\[IDENTITY_IN_USE\]\n$/,
      );
      const third = run({ UDP_PORT: port, NODE_KEY: 'another.key' });
      assert.equal(await third.exitCode(), 2);
      assert.match(
        third.stderr,
        new RegExp(`^lumamesh-relay: UDP port ${port} is taken .*\\[PORT_IN_USE\\]\\n$`),
      );

      first.child.kill('SIGTERM');
      assert.equal(await first.exitCode(), 0);
      const again = await run({}, '--udp-port', port).ready();
      assert.deepEqual(
        [again.fingerprint, again.nk, again.pwd],
        [record.fingerprint, record.nk, record.pwd],
      );
    }));

  it('ends with one clear line and a code other than zero on bad input', () =>
    inFolder(async (folder, run) => {
      const cases: [Record<string, string>, string[], RegExp][] = [
        [
          { PUBLIC_IP: 'nowhere' },
          [],
          /PUBLIC_IP: "nowhere" is not allowed, it must be an IPv4 address/,
        ],
        [{ UDP_PORT: '1000' }, [], /UDP_PORT: "1000" .*browsers refuse/],
        [{ ICE_PWD: 'short' }, [], /ICE_PWD: .* 22 to 256/],
        [{}, ['--max-room-size', 'many'], /--max-room-size: "many"/],
        [{}, ['--no-such-flag'], /unknown option/],
        [{}, ['surplus'], /there is no command "surplus"; there are run, keys, encode/],
        [{ LUMAMESH_CONFIG: join(folder, 'none.env') }, [], /--config: cannot read .*none\.env/],
        [{ KEY_FILE: join(folder, 'file', 'server.key') }, [], /server\.key/],
        [
          { ICE_UFRAG: 'u'.repeat(256), ICE_PWD: 'p'.repeat(256), PUBLIC_HOST: LONG_NAME },
          ['--udp-port', '34568'],
          /make no valid record.*larger/,
        ],
        [{ HEALTH_LISTEN: '203.0.113.77:1' }, ['--udp-port', '34567'], /HEALTH_LISTEN/],
      ];
      await writeFile(join(folder, 'file'), 'not a folder');
      for (const [environment, flags, pattern] of cases) {
        const failed = run(environment, ...flags);
        assert.notEqual(await failed.exitCode(), 0);
        assert.match(failed.stderr, pattern);
        assert.equal(failed.stderr.trim().split('\n').length, 1, failed.stderr);
        assert.equal(failed.stdout, '');
      }
    }));

  it('does not touch a damaged key file', () =>
    inFolder(async (folder, run) => {
      await writeFile(join(folder, 'node.key'), 'half a k');
      const failed = run({ UDP_PORT: String(await freePort()) });
      assert.equal(await failed.exitCode(), 2);
      assert.match(failed.stderr, /node\.key cannot be used.*KEY_FILE_DAMAGED/);
    }));

  it('serves health and statistics where it is told to, and nothing private', () =>
    inFolder(async (_folder, run) => {
      const health = await freePort();
      const relay = run({
        UDP_PORT: String(await freePort()),
        HEALTH_LISTEN: `127.0.0.1:${health}`,
      });
      const record = await relay.ready();
      await firstFrame(record);
      const get = async (
        path: string,
      ): Promise<{ status: number; body: Record<string, unknown> }> => {
        const response = await fetch(`http://127.0.0.1:${health}${path}`);
        return {
          status: response.status,
          body: (await response.json()) as Record<string, unknown>,
        };
      };
      const { status, body } = await get('/healthz');
      assert.deepEqual(
        [status, body['nodeId'], body['ok'], typeof body['ts']],
        [200, record.nk, true, 'number'],
      );
      const stats = await get('/statsz');
      assert.equal(stats.status, 200);
      assert.ok(JSON.stringify(stats.body).includes('datagramsIn'));
      assert.ok(!JSON.stringify(stats.body).includes('127.0.0.1'));
      assert.equal((await get('/else')).status, 404);
      // Whoever asks on without reading is hung up on.
      const greedy = connect(health, '127.0.0.1');
      greedy.write('GET /statsz HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(1000));
      greedy.on('error', () => undefined);
      await once(greedy, 'close');
      const metrics = await fetch(`http://127.0.0.1:${health}/metrics`);
      assert.match(await metrics.text(), /^lumamesh_sessions\{/m);
      // A web page that had its own name lead to loopback learns nothing.
      const asked = async (host: string): Promise<number | undefined> => {
        const [response] = (await once(
          request({ port: health, path: '/statsz', headers: { host } }).end(),
          'response',
        )) as [IncomingMessage];
        response.resume();
        return response.statusCode;
      };
      assert.deepEqual(
        await Promise.all(['localhost', `127.0.0.1:${health}`, '[::1]:80'].map(asked)),
        [200, 200, 200],
      );
      assert.deepEqual(
        await Promise.all(
          [`page.example:${health}`, '127.0.0.1.page.example', '203.0.113.5'].map(asked),
        ),
        [421, 421, 421],
      );
    }));

  it('lives through datagrams from port 0 and other nonsense', () =>
    inFolder(async (_folder, run) => {
      const port = await freePort();
      const relay = run({ UDP_PORT: String(port) });
      const record = await relay.ready();
      const socket = createSocket('udp4');
      const datagrams = Array.from({ length: 2000 }, (_, i) =>
        Uint8Array.from({ length: i % 60 }, (__, j) => (i * 31 + j * 7) & 255),
      );
      await Promise.all(
        datagrams.map(
          (data) => new Promise((resolve) => socket.send(data, port, '127.0.0.1', resolve)),
        ),
      );
      socket.close();
      assert.match(await firstFrame(record), /^\{"action":"welcome"/);
    }));
});
