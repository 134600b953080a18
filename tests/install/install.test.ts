import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { appendFile, copyFile, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { type SignedRelayRecord, decodeRecordLine } from '@lumamesh/protocol';
import { patience, until } from '@lumamesh/testkit';
import { freePort } from '../../packages/relay/src/io/mesh/free-port.ts';
import { InstallRoot, type Outcome, collect, whyNoRoot } from './root.ts';
import { startStunStandIn } from './stun-stand-in.ts';

/* install.sh and uninstall.sh, run for real in one Debian root by one test after the other. Only PID 1 is a stand-in (stand-in-systemctl.sh). */
const skip = whyNoRoot() ?? false;
/** Of one test: it may install packages, run the tests, and build the relay twice. */
const LIMIT = { timeout: patience(600_000) };
const BINARY = '/opt/lumamesh/lumamesh-relay';
const DATA = '/opt/lumamesh/data';
const IDENTITY = ['node.key', 'server.crt', 'server.key', 'server.key.icepwd'];
/** An address of nobody here, which answers nothing. */
const FAR_ADDRESS = '10.255.255.1';

let root: InstallRoot;
let settings: Record<string, string> = {};
let health = 0;

function operator(name: string): string {
  return `${root.checkout}/operator/${name}`;
}

async function install(
  flags: readonly string[] = [],
  environment: Readonly<Record<string, string>> = {},
  input = '',
): Promise<Outcome> {
  return root.run(['bash', `${root.checkout}/install.sh`, ...flags], environment, input);
}

async function uninstall(...flags: readonly string[]): Promise<Outcome> {
  return root.run(['bash', `${root.checkout}/uninstall.sh`, ...flags]);
}

/** install.sh alone, where a user who may do nothing tries it: far enough for the address and the first fault after it. */
async function tryAlone(
  environment: Readonly<Record<string, string>>,
  flags: readonly string[] = [],
): Promise<Outcome> {
  return root.run(
    ['runuser', '-u', 'nobody', '--', 'bash', '/tmp/alone/install.sh', ...flags],
    environment,
  );
}

async function isServing(): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${health}/healthz`);
    return response.status === 200 && ((await response.json()) as { ok: boolean }).ok;
  } catch {
    return false;
  }
}

async function record(): Promise<SignedRelayRecord> {
  const decoded = decodeRecordLine((await root.read(operator('relay.txt'))).trim());
  assert.ok(decoded.ok);
  return decoded.value;
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

async function checksum(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(root.path(path)))
    .digest('hex');
}

async function checksums(folder: string, names: readonly string[]): Promise<string> {
  return (await Promise.all(names.map(async (name) => checksum(`${folder}/${name}`)))).join();
}

async function mode(path: string): Promise<string> {
  return ((await stat(root.path(path))).mode & 0o777).toString(8);
}

async function exists(path: string): Promise<boolean> {
  return stat(root.path(path)).then(
    () => true,
    () => false,
  );
}

/** What the stand-in for systemd has written down; /run is in the root's namespace only. */
async function standIn(name: string): Promise<string> {
  return (await root.run(['cat', `/run/stand-in/${name}`])).text;
}

async function hasFailedUnit(): Promise<boolean> {
  return (await root.run(['test', '-e', '/run/stand-in/failed'])).code === 0;
}

async function pid(): Promise<string> {
  return (await standIn('pid')).trim();
}

/** Runs a test with one of the checkout's sources changed, and puts it back. */
async function withSource(
  name: string,
  change: (text: string) => string,
  test: () => Promise<void>,
): Promise<void> {
  const path = root.path(`${root.checkout}/${name}`);
  const text = await readFile(path, 'utf8');
  const changed = change(text);
  assert.notEqual(changed, text);
  await writeFile(path, changed);
  try {
    await test();
  } finally {
    await writeFile(path, text);
  }
}

describe('install.sh and uninstall.sh', { skip }, () => {
  before(async () => {
    root = await InstallRoot.make();
    health = await freePort('127.0.0.1');
    settings = {
      PUBLIC_IP: '127.0.0.1',
      UDP_PORT: String(await freePort('127.0.0.1')),
      HEALTH_LISTEN: `127.0.0.1:${health}`,
    };
    await root.run(['install', '-d', '-o', 'nobody', '/tmp/alone']);
    await copyFile(root.path(`${root.checkout}/install.sh`), root.path('/tmp/alone/install.sh'));
  }, LIMIT);
  // A root that could not be made is none to remove.
  after(async () => (root as InstallRoot | undefined)?.remove());

  it(
    'refuses unknown flags and addresses that cannot be dialled, and says what to set',
    LIMIT,
    async () => {
      assert.deepEqual(await install(['--fast']), {
        code: 2,
        text: 'install.sh: unknown option --fast; there are --yes, --skip-tests, --rebuild, --package, --key, --sha256 and --help\n',
      });
      assert.match(
        (await install(['--help'])).text,
        /^Usage: .*--skip-tests {2}leave the tests out/s,
      );
      const refused: [string, RegExp][] = [
        ['relay.example.org', /PUBLIC_IP is "relay\.example\.org", which is no IPv4 address/],
        ['1.2.3', /no IPv4 address/],
        ['1.2.3.256', /no IPv4 address/],
        ['01.2.3.4', /no IPv4 address/],
        ['1.2.3.4 ', /no IPv4 address/],
        ['203.0.113.10', /the example of the documentation/],
        ['224.0.0.1', /PUBLIC_IP is 224\.0\.0\.1, which nobody can dial/],
        ['0.0.0.0', /which nobody can dial/],
      ];
      for (const [address, pattern] of refused) {
        const { code, text } = await tryAlone({ PUBLIC_IP: address });
        assert.equal(code, 2, text);
        assert.match(
          text,
          /FAILED in step 1 of 9 \(Public address\)\n {2}reason: .*\n {2}mend: {3}set PUBLIC_IP to /,
        );
        assert.match(text, pattern);
      }
      assert.match(
        (await tryAlone({ PUBLIC_IP: '9.9.9.9', UDP_PORT: '1000' })).text,
        /UDP_PORT is "1000"\n {2}mend: .*1024 to 65535, 80 or 443/,
      );
      assert.match(
        (await tryAlone({ PUBLIC_IP: '9.9.9.9', MAX_SESSIONS: 'abc' })).text,
        /FAILED in step 1 of 9 [\s\S]*MAX_SESSIONS is "abc"\n {2}mend: {3}set MAX_SESSIONS to a whole number/,
      );
      for (const name of ['ACCESS_TOKENS', 'ACCESS_TOKENS_FILE'])
        assert.match(
          (await tryAlone({ PUBLIC_IP: '9.9.9.9', [name]: '' })).text,
          new RegExp(
            `FAILED in step 1 of 9 [\\s\\S]*${name} is set, but empty\\n {2}mend: {3}give tokens; .*relay\\.env`,
          ),
        );
      assert.match(
        (await tryAlone({ PUBLIC_IP: '9.9.9.9', HEALTH_LISTEN: '7401' })).text,
        /HEALTH_LISTEN is "7401"/,
      );
      assert.match(
        (await tryAlone({ PUBLIC_IP: '100.64.3.4' })).text,
        /CGNAT, 100\.64\.0\.0\/10\): browsers cannot get in/,
      );
    },
  );

  it('believes an address that two sources tell, and no other', LIMIT, async () => {
    const servers = await Promise.all([
      startStunStandIn('9.9.9.9'),
      startStunStandIn('9.9.9.9'),
      startStunStandIn('8.8.4.4'),
      startStunStandIn('8.8.4.4', true),
    ]);
    const [one, same, other, forged] = servers.map(({ at }) => at);
    const detect = async (...list: (string | undefined)[]): Promise<Outcome> =>
      tryAlone({ LUMAMESH_STUN_SERVERS: list.join(' ') });
    try {
      const agreed = await detect(one, same);
      assert.match(
        agreed.text,
        new RegExp(`STUN server ${one}: 9\\.9\\.9\\.9\\n.*${same}: 9\\.9\\.9\\.9\\n`),
      );
      assert.match(
        agreed.text,
        /behind NAT: 9\.9\.9\.9 is not on it .*\n.*forward UDP port 3478 of 9\.9\.9\.9/,
      );
      assert.match(agreed.text, /browsers dial 9\.9\.9\.9, UDP port 3478\n\n\[2\/9\] Runtime/);
      // Next it needs npm, which this root does not have yet and this user may not install.
      assert.match(
        agreed.text,
        /FAILED in step 2 of 9 \(Runtime\)\n {2}reason: npm is missing\n {2}mend: {3}install npm/,
      );

      const mend = /mend: {3}set it yourself: PUBLIC_IP=/;
      for (const [list, pattern] of [
        [[one, other], /the sources disagree about the public address/],
        [[one], /only one source told the public address \(9\.9\.9\.9\)/],
        [[one, forged], /only one source told the public address \(9\.9\.9\.9\)/],
        [['127.0.0.1:9', 'no-such-host.invalid:3478'], /no source answers/],
      ] as const) {
        const { code, text } = await detect(...list);
        assert.equal(code, 2, text);
        assert.match(text, pattern);
        assert.match(text, mend);
      }
      const asked = await root.run(
        [
          'runuser',
          '-u',
          'nobody',
          '--',
          'script',
          '-qec',
          'bash /tmp/alone/install.sh',
          '/dev/null',
        ],
        {
          LUMAMESH_STUN_SERVERS: `${one} ${same} ${other}`,
          TERM: 'dumb',
        },
        'n\n',
      );
      assert.match(
        asked.text,
        /not all sources agree[\s\S]*Is 9\.9\.9\.9 the address that browsers shall dial\? \[Y\/n\][\s\S]*the detected address was not confirmed/,
      );
    } finally {
      for (const server of servers) server.close();
    }
  });

  it('installs on a machine without npm, and a client connects', LIMIT, async () => {
    assert.notEqual((await root.run(['npm', '--version'])).code, 0);
    const { code, text } = await install([], {
      ...settings,
      MESH_SALT: "an operator's salt",
      LOG_LEVEL: 'debug',
    });
    assert.equal(code, 0, text);
    for (let step = 1; step <= 9; step++) assert.ok(text.includes(`\n[${step}/9] `), text);
    assert.match(text, /installing with apt: npm/);
    assert.match(text, /Node v26\.\d+\.\d+, pinned by the lockfile/);
    assert.match(text, /\[3\/9\] Tests\n.*quick.*\n {2}\d+ passed, 0 failed/);
    assert.match(text, /lumamesh-relay \d+\.\d+\.\d+ \(commit \w+, Node v26/);
    assert.match(text, new RegExp(`ufw allow ${settings['UDP_PORT']}/udp`));
    const line = (await root.read(operator('relay.txt'))).trim();
    assert.ok(text.includes(line));
    assert.ok(await isServing());

    const uid = Number((await root.run(['id', '-u', 'lumamesh'])).text);
    const expected: [path: string, mode: string, uid: number][] = [
      ['/opt/lumamesh', '755', 0],
      [BINARY, '755', 0],
      ['/opt/lumamesh/relay.env', '640', 0],
      [DATA, '700', uid],
      ...IDENTITY.map((name): [string, string, number] => [`${DATA}/${name}`, '600', uid]),
      [operator('setup.env'), '600', 0],
      [operator('install.log'), '600', 0],
      [operator('keys-backup'), '700', 0],
      ...[...IDENTITY, 'SHA256SUMS'].map((name): [string, string, number] => [
        operator(`keys-backup/${name}`),
        '600',
        0,
      ]),
    ];
    for (const [path, bits, owner] of expected)
      assert.deepEqual(
        [path, await mode(path), (await stat(root.path(path))).uid],
        [path, bits, owner],
      );
    assert.deepEqual((await readdir(root.path('/opt/lumamesh'))).toSorted(), [
      'data',
      'lumamesh-relay',
      'lumamesh-relay.source',
      'relay.env',
    ]);
    assert.equal(
      await checksum('/etc/systemd/system/lumamesh-relay.service'),
      await checksum(`${root.checkout}/deploy/lumamesh-relay.service`),
    );
    // Nothing differs from machine to machine but for a port below 1024.
    assert.ok(!(await exists('/etc/systemd/system/lumamesh-relay.service.d')));
    assert.match(
      await root.read('/opt/lumamesh/relay.env'),
      new RegExp(
        `^LOG_LEVEL=debug\nMESH_SALT=\`an operator's salt\`\nPUBLIC_IP=127\\.0\\.0\\.1\nUDP_PORT=${settings['UDP_PORT']}$`,
        'm',
      ),
    );
    assert.match(text, /2\. This record names 127\.0\.0\.1[^\n]* DO NOT PUBLISH IT/);
    assert.ok(!text.includes('a pull request that adds this line'));
    assert.equal(typeof (await record()).mesh, 'string');
    assert.equal(
      (
        await root.run([
          'bash',
          '-c',
          `cd "${operator('keys-backup')}" && sha256sum --check --quiet SHA256SUMS`,
        ])
      ).code,
      0,
    );

    assert.match((await root.run(['cat', '/run/stand-in/notify'])).text, /^READY=1/m);
    assert.equal((await root.run(['test', '-e', '/run/stand-in/enabled'])).code, 0);
    const process = (await root.run(['cat', `/proc/${await pid()}/status`])).text;
    assert.match(process, new RegExp(`^Uid:\\s+${uid}\\s+${uid}`, 'm'));
    const checked = await root.run([BINARY, 'check', line]);
    assert.equal(checked.code, 0, checked.text);
    assert.match(
      await root.read(operator('install.log')),
      /^\d{4}-\d\d-\d\dT[\d:]+Z \$ npm test -- quick$/m,
    );
  });

  it('leaves a command on the PATH that reads what the service reads', LIMIT, async () => {
    const relay = async (...words: readonly string[]): Promise<Outcome> =>
      root.run(['env', '-C', '/root', 'lumamesh-relay', ...words]);
    const encoded = await relay('encode');
    assert.equal(encoded.code, 0, encoded.text);
    const lines = encoded.text.trim().split('\n');
    const shown = decodeRecordLine(lines.at(-1) ?? '');
    assert.ok(shown.ok, encoded.text);
    assert.deepEqual(lasting(shown.value), lasting(await record()));
    assert.match(
      encoded.text,
      /WARNING: this record names 127\.0\.0\.1[^\n]*\n.*Do not publish it/,
    );
    const status = await relay('status', '--once');
    assert.match(status.text, /^lumamesh-relay .* well\n/);
    assert.match((await relay('keys', 'show')).text, new RegExp(`^${DATA}/server\\.key\n`));
    assert.match((await relay('config', 'print')).text, /^LOG_LEVEL=debug # file$/m);
    // As the relay's user: what that cannot read is found, though root could.
    await root.run(['chown', 'root:', `${DATA}/node.key`]);
    assert.match((await relay('keys', 'show')).text, /node\.key.*KEY_FILE_UNREADABLE/);
    await root.run(['chown', 'lumamesh:', `${DATA}/node.key`]);
    // Files that are named are the caller's.
    assert.equal((await relay('keys', 'backup', 'mine')).code, 0);
    assert.equal(await checksums('/root/mine', IDENTITY), await checksums(DATA, IDENTITY));
    await rm(root.path(`${DATA}/server.crt`));
    const restored = await relay('keys', 'restore', 'mine');
    assert.equal(restored.code, 0, restored.text);
    assert.equal(
      (await stat(root.path(`${DATA}/server.crt`))).uid,
      Number((await root.run(['id', '-u', 'lumamesh'])).text),
    );
    // Others may ask, and no more.
    const other = await root.run(['runuser', '-u', 'nobody', '--', 'lumamesh-relay', 'encode']);
    assert.equal(other.code, 2);
    assert.match(other.text, /are for root: sudo lumamesh-relay encode\n/);
    assert.match(
      (await root.run(['runuser', '-u', 'nobody', '--', 'lumamesh-relay', '--version'])).text,
      /^lumamesh-relay \d/,
    );
    // Another relay than the installed one.
    assert.match(
      (await relay('config', 'print', '--config', '/dev/null')).text,
      /^# LOG_LEVEL=info$/m,
    );
  });

  it('reloads settings that can be used, and says so when they cannot', LIMIT, async () => {
    const path = root.path('/opt/lumamesh/relay.env');
    const before = await readFile(path, 'utf8');
    const process = await pid();
    await writeFile(path, `${before}MAX_ROOM_SIZE=many\n`);
    const refused = await root.run(['systemctl', 'reload', 'lumamesh-relay']);
    assert.equal(refused.code, 1, refused.text);
    assert.match(await standIn('log'), /MAX_ROOM_SIZE in .*is not allowed/);
    assert.deepEqual([await pid(), await isServing()], [process, true]);
    await writeFile(path, `${before}MAX_ROOM_SIZE=70\n`);
    assert.equal((await root.run(['systemctl', 'reload', 'lumamesh-relay'])).code, 0);
    await until(
      async () => (await standIn('log')).includes('"changed":["MAX_ROOM_SIZE"]'),
      'the settings were not read again',
    );
    await writeFile(path, before);
  });

  it(
    'run again it upgrades: the same identity, the same record, the edits of the operator',
    LIMIT,
    async () => {
      const [first, identity, before] = [
        await record(),
        await checksums(DATA, IDENTITY),
        await pid(),
      ];
      await appendFile(root.path('/opt/lumamesh/relay.env'), 'MAX_ROOM_SIZE=77\n');
      await withSource(
        'packages/relay/src/io/build-info.ts',
        (text) => text.replace('packageJson.version', "'0.1.99'"),
        async () => {
          const { code, text } = await install(['--skip-tests'], { LOG_LEVEL: '' });
          assert.equal(code, 0, text);
          assert.match(text, /keeping the identity/);
          assert.match(text, /\[3\/9\] Tests\n {2}! skipped, as --skip-tests says\n/);
        },
      );
      assert.ok(await isServing());
      assert.match(await standIn('log'), /"msg":"handed over"/);
      assert.notEqual(await pid(), before);
      assert.deepEqual(lasting(await record()), lasting(first));
      assert.ok((await record()).sequence > first.sequence);
      assert.equal(await checksums(DATA, IDENTITY), identity);
      assert.match((await root.run([BINARY, '--version'])).text, / 0\.1\.99 /);
      assert.doesNotMatch((await root.run([`${BINARY}.previous`, '--version'])).text, / 0\.1\.99 /);
      const relayEnv = await root.read('/opt/lumamesh/relay.env');
      assert.match(relayEnv, /^MAX_ROOM_SIZE=77\nMESH_SALT=`an operator's salt`$/m);
      assert.ok(!relayEnv.includes('LOG_LEVEL'));
      assert.match(await root.read(operator('install.log')), /skipped, as --skip-tests says/);
    },
  );

  it('builds nothing for a changed setting, and keeps the program before', LIMIT, async () => {
    const names = ['lumamesh-relay', 'lumamesh-relay.previous'];
    const before = await checksums('/opt/lumamesh', names);
    // The installed program is that of the test before.
    await withSource(
      'packages/relay/src/io/build-info.ts',
      (text) => text.replace('packageJson.version', "'0.1.99'"),
      async () => {
        const { code, text } = await install([], { MAX_ROOM_SIZE: '78' });
        assert.equal(code, 0, text);
        assert.match(text, /of these sources: nothing has to be built/);
        assert.equal(await checksums('/opt/lumamesh', names), before);
        assert.match(await root.read('/opt/lumamesh/relay.env'), /^MAX_ROOM_SIZE=78$/m);
        // Built again it has other bytes, and is the same program.
        const again = await install(['--rebuild', '--skip-tests'], { MAX_ROOM_SIZE: '77' });
        assert.equal(again.code, 0, again.text);
        assert.equal(await checksum('/opt/lumamesh/lumamesh-relay.previous'), before.split(',')[1]);
      },
    );
    assert.ok(await isServing());
  });

  it('leaves the relay running when the build fails', LIMIT, async () => {
    const [process, program] = [await pid(), await checksum(BINARY)];
    await withSource(
      'packages/relay/src/cli/main.ts',
      (text) => `${text}\nthis is no TypeScript;\n`,
      async () => {
        const { code, text } = await install(['--skip-tests']);
        assert.equal(code, 1, text);
        assert.match(
          text,
          /FAILED in step 4 of 9 \(Program\)\n {2}reason: the program could not be built\n[\s\S]*main\.ts[\s\S]*\n {2}mend: {3}mend what the lines above name/,
        );
        assert.match(text, /The installed relay is running\./);
      },
    );
    assert.deepEqual(
      [await pid(), await checksum(BINARY), await isServing()],
      [process, program, true],
    );
    assert.ok(!(await exists(`${BINARY}.new`)));
  });

  it('goes back to the program before when the new one does not get healthy', LIMIT, async () => {
    const names = ['lumamesh-relay', 'lumamesh-relay.previous', 'relay.env'];
    const before = await checksums('/opt/lumamesh', names);
    const told = await checksums(operator('.'), ['setup.env', 'relay.txt']);
    // Only what the service runs hangs: what install.sh runs before it has more parameters.
    const hang =
      "if (process.env['LUMAMESH_HAND_OVER'] !== undefined) process.exit(3);\nif (process.argv.length === 4) console.error('this is what it says itself');\nif (process.argv.length === 4 && process.argv[2] === '--config') await new Promise(() => setInterval(() => undefined, 1000));\n";
    await withSource(
      'packages/relay/src/cli/main.ts',
      (text) => hang + text,
      async () => {
        // A program that does not start takes over from nobody.
        const running = await pid();
        const untouched = await install(['--skip-tests']);
        assert.equal(untouched.code, 1, untouched.text);
        assert.match(
          untouched.text,
          /FAILED in step 7 of 9[\s\S]*the relay that was running has not been touched/,
        );
        assert.equal(await checksums('/opt/lumamesh', names), before);
        assert.deepEqual([await pid(), await isServing()], [running, true]);
        // With another unit it is restarted. Asked for at another place: the way back asks at the one before.
        await appendFile(root.path('/etc/systemd/system/lumamesh-relay.service'), '# of before\n');
        const { code, text } = await install(['--skip-tests'], {
          MAX_SESSIONS: '5',
          HEALTH_LISTEN: `127.0.0.1:${await freePort('127.0.0.1')}`,
        });
        assert.equal(code, 1, text);
        assert.match(
          text,
          /FAILED in step 7 of 9 \(Service\)\n {2}reason: the new program did not come up healthy[\s\S]*this is what it says itself[\s\S]*\n {2}mend: {3}/,
        );
        assert.match(
          text,
          /Rolled back: the previous program with its settings is running again\./,
        );
      },
    );
    assert.equal(await checksums('/opt/lumamesh', names), before);
    assert.equal(
      await checksums(operator('.'), ['setup.env', 'relay.txt']),
      told,
      'the next run takes nothing from one that failed',
    );
    assert.ok(await isServing());
    assert.deepEqual(
      (await readdir(root.path('/opt/lumamesh'))).filter((name) => name.startsWith('.')),
      [],
    );
    const checked = await root.run([
      BINARY,
      'check',
      (await root.read(operator('relay.txt'))).trim(),
    ]);
    assert.equal(checked.code, 0, checked.text);
  });

  it('names the setting that is not allowed, and is not run twice at a time', LIMIT, async () => {
    const bad = await install(['--skip-tests'], { MAX_ROOM_SIZE: 'many' });
    assert.equal(bad.code, 2, bad.text);
    assert.match(bad.text, /FAILED in step 1[\s\S]*MAX_ROOM_SIZE/);
    const odd = await install(['--skip-tests'], { LOG_LEVEL: 'loud' });
    assert.equal(odd.code, 2, odd.text);
    assert.match(odd.text, /FAILED in step 2[\s\S]*LOG_LEVEL[\s\S]*"loud"/);
    const holder = root.start([
      'flock',
      '/run/lumamesh-install.lock',
      'sh',
      '-c',
      'echo held; read line',
    ]);
    try {
      await once(holder.stdout ?? holder, 'data');
      assert.deepEqual(await install(), {
        code: 1,
        text: 'install.sh: another install.sh or uninstall.sh is running; wait for it\n',
      });
    } finally {
      holder.stdin?.end('\n');
      await once(holder, 'close');
    }
    assert.ok(await isServing());
  });

  it('ends at once on Ctrl+C, and the relay goes on', LIMIT, async () => {
    // In a process group of its own, as on a terminal.
    const child = root.start([
      'setsid',
      '--wait',
      'bash',
      '-c',
      'echo "group $$"; exec bash "$1" --skip-tests --rebuild',
      '-',
      `${root.checkout}/install.sh`,
    ]);
    const text = collect(child);
    const hasEnded = once(child, 'close') as Promise<[number | null]>;
    await until(() => text().includes('[4/9]'), text, 120_000);
    await root.run(['bash', '-c', `kill -INT -- -${/^group (\d+)$/m.exec(text())?.[1]}`]);
    assert.deepEqual((await hasEnded)[0], 130, text());
    assert.match(text(), /FAILED in step 4 of 9 \(Program\)\n {2}reason: interrupted \(SIGINT\)/);
    assert.ok(await isServing());
  });

  it(
    'warns when the public address does not answer from this machine, and keeps the identity over a new address',
    LIMIT,
    async () => {
      const first = await record();
      const { code, text } = await install(['--skip-tests'], { PUBLIC_IP: FAR_ADDRESS });
      assert.equal(code, 0, text);
      assert.match(
        text,
        new RegExp(
          `a client on this machine connects\\n.*dials ${FAR_ADDRESS.replaceAll('.', '\\.')} does not connect\\n.*NAT hairpinning`,
        ),
      );
      assert.deepEqual(lasting(await record()), { ...lasting(first), ip: FAR_ADDRESS });
    },
  );

  it('uninstalls but for the identity, of which the same relay is made again', LIMIT, async () => {
    const [identity, uid] = [
      await checksums(DATA, IDENTITY),
      (await root.run(['id', '-u', 'lumamesh'])).text,
    ];
    assert.ok(Number(uid) > 0);
    assert.equal((await uninstall()).code, 2, 'without a terminal and --yes it must not begin');
    await rm(root.path(operator('keys-backup')), { recursive: true });
    const { code, text } = await uninstall('--yes');
    assert.equal(code, 0, text);
    assert.match(text, /Kept: .*\/operator\/keys-backup/);
    assert.ok(!(await isServing()));
    assert.equal(await checksums(operator('keys-backup'), IDENTITY), identity);
    for (const path of [
      '/opt/lumamesh',
      '/etc/systemd/system/lumamesh-relay.service',
      '/etc/systemd/system/lumamesh-relay.service.d',
      '/usr/local/bin/lumamesh-relay',
    ])
      assert.ok(!(await exists(path)), path);
    assert.ok(!(await hasFailedUnit()));
    assert.notEqual((await root.run(['id', '-u', 'lumamesh'])).code, 0);
    assert.match((await uninstall('--yes')).text, /^Nothing is installed here/);

    const again = await install(['--skip-tests', '--yes'], { PUBLIC_IP: '127.0.0.1' });
    assert.equal(again.code, 0, again.text);
    assert.match(again.text, /restoring the identity from/);
    assert.equal(await checksums(DATA, IDENTITY), identity);
    assert.match(await root.read('/opt/lumamesh/relay.env'), /MESH_SALT=`an operator's salt`/);
    assert.ok(await isServing());
  });

  it('stops an uninstallation that cannot keep the identity', LIMIT, async () => {
    const key = await readFile(root.path(`${DATA}/node.key`));
    await writeFile(root.path(`${DATA}/node.key`), 'half a k');
    try {
      const { code, text } = await uninstall('--yes');
      assert.notEqual(code, 0);
      assert.match(text, /the identity could not be backed up: .*node\.key/);
    } finally {
      await writeFile(root.path(`${DATA}/node.key`), key);
    }
    assert.ok(await isServing());
    assert.equal((await uninstall('--yes')).code, 0);
  });

  it('leaves nothing of a first installation that does not come up', LIMIT, async () => {
    const socket = createSocket('udp4');
    socket.bind(Number(settings['UDP_PORT']), '127.0.0.1');
    await once(socket, 'listening');
    try {
      const { code, text } = await install(['--skip-tests'], { LISTEN_IP: '127.0.0.1' });
      assert.equal(code, 1, text);
      assert.match(
        text,
        /FAILED in step 7[\s\S]*UDP port \d+ is taken[\s\S]*stopped and removed again/,
      );
    } finally {
      socket.close();
    }
    for (const path of [
      BINARY,
      '/etc/systemd/system/lumamesh-relay.service',
      '/usr/local/bin/lumamesh-relay',
    ])
      assert.ok(!(await exists(path)), path);
    assert.ok(!(await hasFailedUnit()));
  });

  it('without systemd it prints the command that runs the relay', LIMIT, async () => {
    await root.run(['rmdir', '/run/systemd/system']);
    const { code, text } = await install(['--skip-tests']);
    assert.equal(code, 0, text);
    assert.match(text, /systemd does not run here\.\n {2}To start the relay by hand:\n/);
    assert.match(
      text,
      /started for a moment, as a trial\n.*healthy[\s\S]*a client on this machine connects/,
    );
    assert.ok(!(await isServing()));
    const command =
      /^ {4}(cd \/opt\/lumamesh\/data && runuser -u lumamesh -- \/opt.*)$/m.exec(text)?.[1] ?? '';
    assert.ok(command.endsWith(' --config /opt/lumamesh/relay.env'), text);
    const relay = root.start(['bash', '-c', command]);
    const hasEnded = once(relay, 'close');
    try {
      await Promise.race([once(relay.stdout ?? relay, 'data'), hasEnded]);
      const checked = await root.run([
        BINARY,
        'check',
        (await root.read(operator('relay.txt'))).trim(),
      ]);
      assert.equal(checked.code, 0, checked.text);
      const refused = await uninstall('--yes');
      assert.match(refused.text, /a relay that was started by hand is running \(process (\d+)\)/);
      // The minimum of Debian has kill in the shell only.
      assert.equal(
        (await root.run(['bash', '-c', `kill ${/\(process (\d+)\)/.exec(refused.text)?.[1]}`]))
          .code,
        0,
      );
      await hasEnded;
    } finally {
      if (relay.exitCode === null) relay.kill('SIGKILL');
    }
    assert.equal((await uninstall('--yes')).code, 0);
  });
});
