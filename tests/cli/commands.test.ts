import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { chmod, mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import decodeQr from 'qr/decode.js';
import { type SignedRelayRecord, decodeRecordLine, encodeRecordLine } from '@lumamesh/protocol';
import { sampleStats } from '../../packages/relay/src/io/relay-stats.test-support.ts';
import {
  type StartRun,
  finished,
  freePort,
  inFolder,
  readJson,
  stubbornClient,
} from './support.ts';

interface Finding {
  readonly name: string;
  readonly verdict: 'ok' | 'warn' | 'fail' | 'skip';
  readonly detail: string;
  readonly ms?: number;
  readonly mend?: string;
}

const IDENTITY = ['node.key', 'server.crt', 'server.key', 'server.key.icepwd'];
/** What a whole check of a relay on loopback looks at, in this order. */
const STEPS = ['signature', 'expiry', 'address', 'UDP and STUN', 'ICE', 'DTLS', 'node key', 'join'];

/** The settings that put the identity into a folder. */
function filesIn(folder: string): Record<string, string> {
  return {
    CERT_FILE: join(folder, 'server.crt'),
    KEY_FILE: join(folder, 'server.key'),
    NODE_KEY: join(folder, 'node.key'),
  };
}

/** A record but for what is new each time it is signed. */
function lasting({
  sequence: _sequence,
  expires: _expires,
  signature: _signature,
  ...rest
}: SignedRelayRecord): object {
  return rest;
}

function readRecord(line: string): SignedRelayRecord {
  const record = decodeRecordLine(line.trim());
  assert.ok(record.ok, line);
  return record.value;
}

async function check(
  run: StartRun,
  ...parameters: string[]
): Promise<{ readonly code: number | null; readonly value: readonly Finding[] }> {
  const { code, value } = await readJson(run({}, 'check', ...parameters, '--json'));
  return { code, value: value as readonly Finding[] };
}

/** The last finding of a check, which says where it ended. */
async function checkEnd(run: StartRun, ...parameters: string[]): Promise<readonly unknown[]> {
  const { code, value } = await check(run, ...parameters);
  const { name, verdict, detail, mend } = value.at(-1) ?? {
    name: 'nothing',
    verdict: 'skip',
    detail: '',
  };
  assert.ok(verdict === 'ok' || mend !== undefined, 'what is wrong can be mended');
  return [code, name, verdict, detail];
}

/** The picture that a terminal with a dark background shows: two rows of pixels in a line of text, a block where it is light. */
function readQr(lines: readonly string[]): string {
  const width = lines[0]?.length ?? 0;
  const data = new Uint8Array(width * lines.length * 2 * 4);
  for (const [y, line] of lines.entries())
    for (const [x, character] of Array.from(line).entries()) {
      const rows = [character === '█' || character === '▀', character === '█' || character === '▄'];
      for (const [half, isLight] of rows.entries()) {
        const at = ((y * 2 + half) * width + x) * 4;
        data.fill(isLight ? 255 : 0, at, at + 3);
        data[at + 3] = 255;
      }
    }
  return decodeQr(enlarge(data, width, lines.length * 2));
}

/** As a camera sees it: some pixels for each module. */
function enlarge(
  source: Uint8Array,
  width: number,
  height: number,
  scale = 4,
): { width: number; height: number; data: Uint8Array } {
  const data = new Uint8Array(source.length * scale * scale);
  for (let y = 0; y < height * scale; y++)
    for (let x = 0; x < width * scale; x++) {
      const from = (Math.floor(y / scale) * width + Math.floor(x / scale)) * 4;
      data.set(source.subarray(from, from + 4), (y * width * scale + x) * 4);
    }
  return { width: width * scale, height: height * scale, data };
}

describe('lumamesh-relay keys', () => {
  it('make: four private files, which are kept when they are there; show: makes nothing', () =>
    inFolder(async (folder, run) => {
      const none = await finished(run({}, 'keys', 'show'));
      assert.deepEqual([none.code, none.stdout], [2, '']);
      assert.match(
        none.stderr,
        /^lumamesh-relay: there is no server\.key.*\[KEY_FILE_MISSING\]\n$/,
      );
      assert.deepEqual(await readdir(folder), []);
      const made = await finished(run({}, 'keys', 'make'));
      assert.equal(made.code, 0);
      assert.deepEqual((await readdir(folder)).toSorted(), IDENTITY);
      for (const name of IDENTITY)
        assert.equal((await stat(join(folder, name))).mode & 0o777, 0o600);
      for (const again of ['make', 'show'])
        assert.deepEqual(await finished(run({}, 'keys', again)), made);
    }));

  it('backup and restore: the same record elsewhere, and nobody else’s identity is written over', () =>
    inFolder(async (folder, run) => {
      await run({}, 'keys', 'make').exitCode();
      const backup = await finished(run({}, 'keys', 'backup', 'safe'));
      assert.equal(backup.code, 0);
      assert.ok(backup.stdout.includes(`lumamesh-relay keys restore "${join(folder, 'safe')}"`));
      const before = readRecord((await finished(run({}, 'encode'))).stdout);

      await mkdir(join(folder, 'new'));
      const elsewhere = filesIn(join(folder, 'new'));
      const restored = await finished(run(elsewhere, 'keys', 'restore', 'safe'));
      assert.equal(restored.code, 0, restored.stderr);
      const after = readRecord((await finished(run(elsewhere, 'encode'))).stdout);
      assert.deepEqual(lasting(after), lasting(before));

      const other = filesIn(join(folder, 'other'));
      await mkdir(join(folder, 'other'));
      await run(other, 'keys', 'make').exitCode();
      const [notRestored, notBackedUp] = [
        await finished(run(other, 'keys', 'restore', 'safe')),
        await finished(run(other, 'keys', 'backup', 'safe')),
      ];
      assert.equal(notRestored.code, 2);
      assert.match(notRestored.stderr, /nothing was written.*\[RESTORE_FAILED\]/);
      assert.equal(notBackedUp.code, 2);
      assert.match(notBackedUp.stderr, /identity of another relay.*\[BACKUP_FAILED\]/);
      await writeFile(join(folder, 'safe', 'node.key'), 'rotten');
      const rotten = await finished(run(filesIn(join(folder, 'third')), 'keys', 'restore', 'safe'));
      assert.equal(rotten.code, 2);
      assert.match(rotten.stderr, /the backup is damaged/);
      assert.ok(!(await readdir(folder)).includes('third'));
    }));
});

describe('lumamesh-relay encode and decode', () => {
  it('turn a record into a line and back, from files and pipes', () =>
    inFolder(async (folder, run) => {
      const piped = async (input: string, ...parameters: string[]): ReturnType<typeof finished> => {
        const command = run({}, ...parameters);
        command.child.stdin?.end(input);
        return finished(command);
      };
      await run({}, 'keys', 'make').exitCode();
      const line = (
        await finished(
          run(
            { PUBLIC_IP: '203.0.113.5', PUBLIC_HOST: 'relay.example.org', UDP_PORT: '4000' },
            'encode',
          ),
        )
      ).stdout.trim();
      const decoded = await finished(run({}, 'decode', line));
      assert.equal(decoded.code, 0, decoded.stderr);
      const record = JSON.parse(decoded.stdout) as SignedRelayRecord;
      assert.deepEqual(
        [record.ip, record.host, record.port],
        ['203.0.113.5', 'relay.example.org', 4000],
      );
      await writeFile(join(folder, 'record.json'), decoded.stdout);
      assert.equal((await finished(run({}, 'encode', 'record.json'))).stdout.trim(), line);
      assert.equal((await piped(decoded.stdout, 'encode', '-')).stdout.trim(), line);
      assert.equal((await piped(`${line}\n`, 'decode', '-')).stdout, decoded.stdout);

      // A line that leads nowhere is printed, and not quietly.
      const loopback = await finished(run({}, 'encode'));
      assert.equal(loopback.code, 0);
      assert.match(
        loopback.stderr,
        /WARNING: this record names 127\.0\.0\.1: only browsers on this/,
      );

      // One that was altered can be looked at, but the exit code tells.
      const altered = await finished(
        run({}, 'decode', encodeRecordLine({ ...record, port: 4001 })),
      );
      assert.equal(altered.code, 1);
      assert.match(altered.stdout, /"port": 4001/);
      assert.match(altered.stderr, /not signed by its node key/);
      // Fields that only later versions know may hold anything: no terminal obeys it, and it stays what it was.
      const odd = await finished(
        run(
          {},
          'decode',
          encodeRecordLine({ ...record, note: '\u009B2J\u202Ex' } as SignedRelayRecord),
        ),
      );
      assert.match(odd.stdout, /^[\n -~]*$/);
      assert.equal((JSON.parse(odd.stdout) as { note: string }).note, '\u009B2J\u202Ex');
      for (const [input, ...parameters] of [
        ['', 'decode', 'luma1.nonsense'],
        ['', 'decode', 'nonsense'],
        ['', 'encode', 'nowhere.json'],
        ['{', 'encode', '-'],
        ['{"ip":"203.0.113.5"}', 'encode', '-'],
      ] as const) {
        const failed = await piped(input, ...parameters);
        assert.deepEqual(
          [failed.code, failed.stdout, failed.stderr.split('\n').length],
          [2, '', 2],
          failed.stderr,
        );
        assert.match(failed.stderr, /\[BAD_(RECORD|ARGUMENT)\]/);
      }
    }));

  it('show the line as a QR code that a camera reads', () =>
    inFolder(async (_folder, run) => {
      await run({}, 'keys', 'make').exitCode();
      const encoded = await finished(run({}, 'encode', '--qr'));
      assert.equal(encoded.code, 0, encoded.stderr);
      const [line = '', ...picture] = encoded.stdout.trimEnd().split('\n');
      assert.equal(readQr(picture), line);
      const decoded = await finished(run({}, 'decode', line, '--qr'));
      assert.ok(
        decoded.stdout.endsWith(`\n${picture.join('\n')}\n`),
        'the same picture, behind the JSON',
      );
    }));
});

describe('lumamesh-relay check', () => {
  it('walks through all steps, each with its time, and says at which one it ends and why', () =>
    inFolder(async (folder, run) => {
      const record = await run({ UDP_PORT: String(await freePort()) }).ready();
      const line = encodeRecordLine(record);
      const good = await check(run, line);
      assert.equal(good.code, 0);
      assert.deepEqual(
        good.value.map(({ name }) => name),
        STEPS,
      );
      for (const { name, verdict, ms } of good.value.slice(3))
        assert.ok(verdict === 'ok' && ms !== undefined && ms >= 0, name);
      const text = await finished(run({}, 'check', line));
      assert.match(
        text.stdout,
        /^ok {3}DTLS +the certificate is the one of the record, by DTLS 1\.3 with x25519mlkem768 \(\d+ ms\)$/m,
      );

      const wrong = record.fingerprint.replace(/^../, (byte) => (byte === '00' ? '01' : '00'));
      const forged = await check(run, encodeRecordLine({ ...record, fingerprint: wrong }));
      assert.equal(forged.code, 1);
      assert.deepEqual(
        forged.value.filter(({ verdict }) => verdict === 'fail').map(({ name }) => name),
        ['signature', 'DTLS'],
      );
      assert.match(forged.value.at(-1)?.mend ?? '', /another certificate/);
      const [code, step, verdict] = await checkEnd(
        run,
        encodeRecordLine({ ...record, pwd: 'x'.repeat(22) }),
      );
      assert.deepEqual([code, step, verdict], [1, 'ICE', 'fail']);

      // A relay with the same certificate and another node key: signed well, and still not who answers.
      await run({ NODE_KEY: join(folder, 'other.key') }, 'keys', 'make').exitCode();
      const twin = (
        await finished(
          run({ NODE_KEY: join(folder, 'other.key'), UDP_PORT: String(record.port) }, 'encode'),
        )
      ).stdout.trim();
      assert.deepEqual((await checkEnd(run, twin)).slice(0, 3), [1, 'node key', 'fail']);

      const closed = await checkEnd(run, encodeRecordLine({ ...record, port: await freePort() }));
      assert.deepEqual(closed.slice(0, 3), [1, 'UDP and STUN', 'fail']);
      assert.match(String(closed[3]), /nothing comes back from 127\.0\.0\.1/);
    }));

  it('knows hosts, alone and in a list, and other addresses', () =>
    inFolder(async (folder, run) => {
      const record = await run({
        UDP_PORT: String(await freePort()),
        PUBLIC_IP: '192.0.2.7',
        PUBLIC_HOST: 'localhost',
        LISTEN_IP: '127.0.0.1',
      }).ready();
      const host = await check(run, `localhost:${record.port}`);
      assert.deepEqual(
        [host.code, ...host.value.map(({ name, verdict }) => `${name} ${verdict}`)],
        [0, 'DNS ok', 'UDP and STUN ok', 'identity skip'],
      );
      await writeFile(join(folder, 'relay.txt'), `# relays\n\n${encodeRecordLine(record)}\n`);
      const listed = await check(
        run,
        `localhost:${record.port}`,
        '--list',
        'relay.txt',
        '--address',
        '127.0.0.1',
      );
      assert.equal(listed.code, 0, JSON.stringify(listed.value));
      assert.ok(
        listed.value.some(
          ({ name, verdict, detail }) =>
            name === 'DNS' && verdict === 'warn' && detail.includes('192.0.2.7'),
        ),
      );
      assert.deepEqual([listed.value.at(-1)?.name, listed.value.at(-1)?.verdict], ['join', 'ok']);
      for (const parameters of [
        ['other.example', '--list', 'relay.txt'],
        ['localhost', '--list', 'none.txt'],
        ['no host'],
      ]) {
        const failed = await finished(run({}, 'check', ...parameters));
        assert.deepEqual(
          [failed.code, failed.stdout, failed.stderr.split('\n').length],
          [2, '', 2],
          failed.stderr,
        );
        assert.match(failed.stderr, /\[BAD_ARGUMENT\]/);
      }
    }));

  it('shows a private relay a token where there is one, and calls it no fault where there is none', () =>
    inFolder(async (folder, run) => {
      const environment = { UDP_PORT: String(await freePort()), ACCESS_TOKENS_FILE: 'tokens' };
      assert.match(
        (await finished(run({}, 'token'))).stderr,
        /^lumamesh-relay: .* \[KEY_FILE_MISSING\]\n$/,
      );
      await run({}, 'keys', 'make').exitCode();
      const made = await finished(run({}, 'token'));
      const [token = '', key = '', ...rest] = made.stdout.split('\n');
      assert.match(token, /^[\w-]{32}$/);
      assert.match(key, /^key:[\w-]{43}$/);
      assert.deepEqual([rest, made.stderr, made.code], [[''], '', 0]);
      assert.equal((await finished(run({}, 'token', token))).stdout, made.stdout);
      assert.equal((await finished(run({}, 'token', 'short'))).code, 2);
      assert.match((await finished(run(environment))).stderr, /ACCESS_TOKENS_FILE: cannot read/);

      await writeFile(join(folder, 'tokens'), `${key}\n`);
      const record = await run({ ...environment, NICKNAME: 'Den' }).ready();
      assert.equal(record.access, 'token');
      const line = encodeRecordLine(record);
      assert.deepEqual((await checkEnd(run, line)).slice(0, 3), [0, 'join', 'skip']);
      for (const shown of [token, key]) {
        const good = await readJson(run({ LUMAMESH_TOKEN: shown }, 'check', '--json', line));
        const findings = good.value as { readonly name: string; readonly verdict: string }[];
        assert.deepEqual([good.code, findings.at(-1)?.name], [0, 'join']);
        assert.equal(findings.at(-1)?.verdict, 'ok');
        assert.ok(findings.some(({ name }) => name === 'operator'));
      }
      const wrong = await readJson(run({}, 'check', '--json', '--token', 'x'.repeat(20), line));
      assert.equal(wrong.code, 1);
      assert.match(JSON.stringify(wrong.value), /ACCESS_DENIED.*ask its operator for a token/);
      assert.equal((await finished(run({ LUMAMESH_TOKEN: 'short' }, 'check', line))).code, 2);
    }));

  it('takes a full relay for what it is: well, but full', () =>
    inFolder(async (_folder, run) => {
      const record = await run({ UDP_PORT: String(await freePort()), MAX_SESSIONS: '1' }).ready();
      const { client } = await stubbornClient(record);
      assert.deepEqual((await checkEnd(run, encodeRecordLine(record))).slice(0, 3), [
        0,
        'node key',
        'warn',
      ]);
      await client.close();
    }));
});

describe('lumamesh-relay doctor', () => {
  it('looks at files, port, addresses and clock, and says what to mend', () =>
    inFolder(async (folder, run) => {
      // No time server is asked beyond this machine.
      const nobody = `127.0.0.1:${await freePort()}`;
      const UDP_PORT = String(await freePort());
      const diagnose = async (
        environment: Record<string, string> = {},
      ): Promise<Record<string, Finding & { readonly code: number | null }>> => {
        const { code, value } = await readJson(
          run({ UDP_PORT, ...environment }, 'doctor', '--ntp', nobody, '--json'),
        );
        return Object.fromEntries(
          (value as readonly Finding[]).map((finding) => [finding.name, { ...finding, code }]),
        );
      };
      const verdicts = (found: Record<string, Finding>, ...names: string[]): unknown[] =>
        names.map((name) => found[name]?.verdict);

      const empty = await diagnose();
      assert.deepEqual(
        verdicts(
          empty,
          'identity',
          'disk',
          'UDP port',
          'PUBLIC_IP',
          'NAT',
          'clock',
          'from outside',
        ),
        ['warn', 'ok', 'ok', 'warn', 'skip', 'skip', 'skip'],
      );
      assert.deepEqual(
        [empty['identity']?.code, await readdir(folder)],
        [0, []],
        'it makes nothing',
      );

      await run({}, 'keys', 'make').exitCode();
      await chmod(join(folder, 'server.key'), 0o644);
      const open = await diagnose({ LISTEN_IP: '203.0.113.99', PUBLIC_IP6: '2001:db8::7' });
      assert.deepEqual(verdicts(open, 'file modes', 'identity', 'LISTEN_IP', 'IPv6', 'UDP port'), [
        'fail',
        'ok',
        'fail',
        'fail',
        'fail',
      ]);
      assert.equal(open['file modes']?.code, 1);
      assert.match(open['file modes']?.mend ?? '', /^chmod 600 \S*server\.key$/);
      await chmod(join(folder, 'server.key'), 0o600);

      const HEALTH_LISTEN = `127.0.0.1:${await freePort()}`;
      const relay = run({ UDP_PORT, HEALTH_LISTEN });
      await relay.ready();
      const running = await diagnose({ HEALTH_LISTEN });
      assert.deepEqual(
        [running['UDP port']?.verdict, running['UDP port']?.detail, running['UDP port']?.code],
        ['ok', `this relay is running on UDP ${UDP_PORT}`, 0],
      );
      assert.deepEqual(verdicts(running, 'access', 'record', 'published line'), [
        'ok',
        'ok',
        'skip',
      ]);
      const tokens = { ACCESS_TOKENS: 'a-token-of-somebody' };
      const unread = await diagnose({ HEALTH_LISTEN, ...tokens });
      assert.deepEqual([unread['access']?.verdict, unread['access']?.code], ['warn', 0]);
      const line = (await finished(run({ UDP_PORT, PUBLIC_IP: '203.0.113.1' }, 'encode'))).stdout;
      await writeFile(join(folder, 'ours.txt'), `# of our pages\n${line}`);
      const listed = async (...parameters: string[]): Promise<readonly Finding[]> =>
        (
          await readJson(
            run({ UDP_PORT }, 'doctor', '--ntp', nobody, '--json', '--list', ...parameters),
          )
        ).value as readonly Finding[];
      const [elsewhere] = (await listed('ours.txt')).filter(
        ({ name }) => name === 'published line',
      );
      assert.equal(elsewhere?.verdict, 'fail');
      assert.match(
        elsewhere.detail,
        /line in ours\.txt says .*PUBLIC_IP 203\.0\.113\.1 \(here 127/,
      );
      assert.equal((await finished(run({ UDP_PORT }, 'doctor', '--list', 'none.txt'))).code, 2);
      await run({ NODE_KEY: 'another.key' }, 'keys', 'make').exitCode();
      assert.deepEqual(
        verdicts(await diagnose({ HEALTH_LISTEN, NODE_KEY: 'another.key' }), 'UDP port'),
        ['fail'],
      );
      relay.child.kill('SIGTERM');
      await relay.exitCode();

      // What keeps the relay from being tried out is found, and not the end of it all.
      const meshTaken = createServer().listen(0, '127.0.0.1');
      await once(meshTaken, 'listening');
      const MESH_LISTEN = `127.0.0.1:${(meshTaken.address() as AddressInfo).port}`;
      const untried = await diagnose({
        MESH_SALT: 'of the doctor',
        MESH_LISTEN,
        MESH_PEERS: '127.0.0.1:9',
      });
      assert.deepEqual([untried['dial back']?.verdict, untried['dial back']?.code], ['fail', 1]);
      assert.match(untried['dial back']?.detail ?? '', /MESH_LISTEN/);
      meshTaken.close();

      const socket = createSocket('udp4').bind(Number(UDP_PORT));
      await once(socket, 'listening');
      const taken = await diagnose();
      assert.deepEqual([taken['UDP port']?.verdict, taken['UDP port']?.code], ['fail', 1]);
      socket.close();
    }));
});

describe('lumamesh-relay status, config and help', () => {
  it('status: a view, or JSON, of a relay that runs; an exit code of 1 where none does', () =>
    inFolder(async (_folder, run) => {
      const HEALTH_LISTEN = `127.0.0.1:${await freePort()}`;
      const none = await finished(run({ HEALTH_LISTEN }, 'status'));
      assert.deepEqual([none.code, none.stdout], [1, '']);
      assert.match(none.stderr, /^lumamesh-relay: no relay answers at .*\[RELAY_NOT_RUNNING\]\n$/);
      const record = await run({
        UDP_PORT: String(await freePort()),
        HEALTH_LISTEN,
        MAX_SESSIONS: '77',
      }).ready();
      const { client } = await stubbornClient(record);
      const view = await finished(run({ HEALTH_LISTEN }, 'status', '--once'));
      assert.equal(view.code, 0, view.stderr);
      assert.match(view.stdout, /^sessions +[01] of 77/m);
      assert.ok(view.stdout.includes(record.nk));
      const { code, value } = await readJson(run({ HEALTH_LISTEN }, 'status', '--json'));
      assert.equal(code, 0);
      assert.partialDeepStrictEqual(value, { nodeId: record.nk, health: [] });
      await client.close();
    }));

  it('status --watch: a line each time where there is no terminal', () =>
    inFolder(async (_folder, run) => {
      const HEALTH_LISTEN = `127.0.0.1:${await freePort()}`;
      await run({ UDP_PORT: String(await freePort()), HEALTH_LISTEN }).ready();
      const view = await finished(
        run({ HEALTH_LISTEN }, 'status', '--watch', '--interval', '0.2', '--count', '3'),
      );
      assert.equal(view.code, 0, view.stderr);
      const [header, ...rows] = view.stdout.trimEnd().split('\n');
      assert.match(header ?? '', /^time +sessions +joins\/s .* health$/);
      assert.equal(rows.length, 3);
      for (const row of rows) assert.match(row, /^\d\d:\d\d:\d\d +0 +0 .*MB .*ms {2}\S/);
      for (const wrong of [
        ['--interval', '0'],
        ['--interval', 'x'],
        ['--count', '0'],
      ])
        assert.equal(
          (await finished(run({ HEALTH_LISTEN }, 'status', '--watch', ...wrong))).code,
          2,
        );
    }));

  it('status: whoever else listens there is no relay, and speaks to no terminal', () =>
    inFolder(async (_folder, run) => {
      let body = '';
      const server = createServer((_request, response) => response.end(body)).listen(
        0,
        '127.0.0.1',
      );
      await once(server, 'listening');
      const HEALTH_LISTEN = `127.0.0.1:${(server.address() as AddressInfo).port}`;
      for (body of ['{}', '[', '{"nodeId":"\\u001b[31m"}', `"${'x'.repeat(2e6)}"`]) {
        const failed = await finished(run({ HEALTH_LISTEN }, 'status', '--once'));
        assert.deepEqual(
          [failed.code, failed.stdout, failed.stderr.split('\n').length],
          [1, '', 2],
          failed.stderr,
        );
        assert.match(failed.stderr, /\[RELAY_NOT_RUNNING\]/);
      }
      const stats = sampleStats({
        version: '\u009B2J',
        commit: '\u001B[31m',
        drops: { 'a\u001B]0;b\u0007': 1 },
      });
      body = JSON.stringify(stats);
      const shown = await finished(run({ HEALTH_LISTEN }, 'status', '--once'));
      assert.equal(shown.code, 0, shown.stderr);
      assert.doesNotMatch(shown.stdout, /[^\P{Cc}\n]/u);
      server.close();
    }));

  it('config: says what counts and where it comes from, hides secrets, and refuses what the relay would refuse', () =>
    inFolder(async (folder, run) => {
      await writeFile(
        join(folder, 'relay.env'),
        'UDP_PORT=4001\nMAX_ROOM_SIZE=9\nMESH_SALT=a salt of the file\n',
      );
      const printed = await finished(
        run(
          { UDP_PORT: '4002' },
          'config',
          'print',
          '--config',
          'relay.env',
          '--max-sessions',
          '5',
        ),
      );
      assert.equal(printed.code, 0, printed.stderr);
      assert.ok(!printed.stdout.includes('a salt of the file'));
      for (const line of [
        /^UDP_PORT=4002 +# environment$/m,
        /^MAX_ROOM_SIZE=9 +# file$/m,
        /^# MESH_SALT is set \(file\), and not shown$/m,
        /^MAX_SESSIONS=5 +# flag$/m,
        /^# LOG_LEVEL=info$/m,
      ])
        assert.match(printed.stdout, line);
      assert.equal((await finished(run({}, 'config', 'check', '--config', 'relay.env'))).code, 0);
      const loose = await finished(run({ PUBLIC_IP6: '2001:0DB8::0010' }, 'keys', 'make'));
      assert.equal(loose.code, 0, loose.stderr);
      assert.equal(
        readRecord((await finished(run({ PUBLIC_IP6: '2001:0DB8::0010' }, 'encode'))).stdout).ip6,
        '2001:db8::10',
      );
      await writeFile(join(folder, 'relay.env'), 'UDP_PROT=4001\n');
      const misspelt = await finished(run({}, 'config', 'check', '--config', 'relay.env'));
      assert.equal(misspelt.code, 2);
      assert.match(misspelt.stderr, /there is no setting UDP_PROT/);
    }));

  it('help names every command and setting; version names commit and runtime', () =>
    inFolder(async (_folder, run) => {
      const help = await finished(run({}, '--help'));
      assert.equal(help.code, 0);
      for (const word of [
        'run',
        'keys',
        'encode',
        'decode',
        'check',
        'doctor',
        'status',
        'config',
        '--public-ip',
        '--log-addresses',
        'MESH_SALT',
      ])
        assert.ok(help.stdout.includes(word), word);
      const version = await finished(run({}, '--version'));
      assert.match(
        version.stdout,
        /^lumamesh-relay \d+\.\d+\.\d+ \(commit \S+, Node v\d+\.\d+\.\d+ \S+, (no )?native I\/O.*\)\n$/,
      );
      const off = await finished(run({ NATIVE_IO: 'off' }, '--version'));
      assert.equal(off.code, 0);
      assert.match(off.stdout, /, no native I\/O: NATIVE_IO is off\)\n$/);
      // An experimental module is nothing that the operator could act on.
      assert.equal(version.stderr, '');
    }));
});
