import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { existsSync } from 'node:fs';
import {
  appendFile,
  copyFile,
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { decodeRecordLine } from '@lumamesh/protocol';
import { patience } from '@lumamesh/testkit';
import { signSums, writeSums } from '../../tools/release.ts';
import { freePort } from '../../packages/relay/src/io/mesh/free-port.ts';
import { InstallRoot, type Outcome, whyNoRoot } from './root.ts';

/*
 * The Debian package: built for both architectures, looked at by lintian, and installed, upgraded, removed and purged by apt from a signed repository in a
 * Debian of its own. What its service does under a real systemd: tests/vm.
 */
const skip =
  whyNoRoot(['debootstrap', 'unshare', 'nsenter', 'chroot', 'dpkg-deb', 'gpg', 'lintian']) ?? false;
const LIMIT = { timeout: patience(400_000) };
const CHECKOUT = join(import.meta.dirname, '../..');
const DATA = '/var/lib/lumamesh-relay';
const CONFIG = '/etc/lumamesh-relay/relay.env';
const IDENTITY = ['node.key', 'server.crt', 'server.key', 'server.key.icepwd'];
/** `e_machine` of an ELF file (ELF-64 §4): what it runs on. */
const E_MACHINE_OFFSET = 18;
const EM_AARCH64 = 183;

let folder = '';
let root: InstallRoot;

function build(out: string, version: string, architecture: string): string {
  const parameters = ['--out', out, '--version', version, '--arch', architecture];
  execFileSync(process.execPath, ['tools/build-deb.ts', ...parameters, '--compression', 'gzip'], {
    cwd: CHECKOUT,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return join(out, `lumamesh-relay_${version}_${architecture}.deb`);
}

async function sha256(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
}

async function identity(path = root.path(DATA)): Promise<string> {
  return (await Promise.all(IDENTITY.map(async (name) => sha256(join(path, name))))).join();
}

async function exists(path: string): Promise<boolean> {
  // Links of the root lead to places in it.
  return lstat(root.path(path)).then(
    () => true,
    () => false,
  );
}

async function succeed(...command: readonly string[]): Promise<string> {
  const { code, text } = await root.run(command, { DEBIAN_FRONTEND: 'noninteractive' });
  assert.equal(code, 0, `${command.join(' ')}\n${text}`);
  return text;
}

/** Puts packages into the repository that the root's apt knows, signed. */
async function publish(...files: readonly string[]): Promise<void> {
  const debs = join(folder, 'debs');
  await mkdir(debs, { recursive: true });
  for (const file of files) await cp(file, join(debs, file.split('/').at(-1) ?? ''));
  const out = root.path('/srv/apt');
  execFileSync(
    process.execPath,
    ['tools/build-apt.ts', '--debs', debs, '--out', out, '--key', 'test@example.org'],
    {
      cwd: CHECKOUT,
      env: { ...process.env, GNUPGHOME: join(folder, 'gnupg') },
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  await copyFile(
    join(out, 'lumamesh-archive-keyring.asc'),
    root.path('/etc/apt/keyrings/lumamesh.asc'),
  );
  await succeed('apt-get', 'update');
}

describe('the Debian package', { skip }, () => {
  let first = '';
  let second = '';

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lumamesh-deb-'));
    first = build(folder, '1.0.0', 'amd64');
    second = build(folder, '1.1.0', 'amd64');
    root = await InstallRoot.make();
    // No service is started here: that takes a systemd.
    await root.run(['rmdir', '/run/systemd/system']);
    await mkdir(root.path('/etc/apt/keyrings'), { recursive: true });
    await writeFile(
      root.path('/etc/apt/sources.list.d/lumamesh.list'),
      'deb [signed-by=/etc/apt/keyrings/lumamesh.asc] file:/srv/apt stable main\n',
    );
    await mkdir(join(folder, 'gnupg'), { mode: 0o700 });
    execFileSync(
      'gpg',
      ['--batch', '--passphrase', '', '--quick-generate-key', 'test@example.org', 'ed25519'],
      { env: { ...process.env, GNUPGHOME: join(folder, 'gnupg') }, stdio: 'ignore' },
    );
  }, LIMIT);
  after(async () => {
    await (root as InstallRoot | undefined)?.remove();
    spawnSync('gpgconf', ['--kill', 'all'], {
      env: { ...process.env, GNUPGHOME: join(folder, 'gnupg') },
    });
    await rm(folder, { recursive: true, force: true });
  });

  it('is the same bytes each time it is built', LIMIT, async () => {
    const again = join(folder, 'again');
    await mkdir(again);
    assert.equal(await sha256(build(again, '1.0.0', 'amd64')), await sha256(first));
  });

  it('has nothing that lintian complains of', LIMIT, () => {
    const { status, stdout, stderr } = spawnSync(
      'lintian',
      ['--allow-root', '--fail-on', 'error,warning', first],
      { encoding: 'utf8' },
    );
    assert.deepEqual({ status, stdout }, { status: 0, stdout: '' }, stderr);
  });

  it('is built for arm64 here, too', LIMIT, async () => {
    const file = build(folder, '1.0.0', 'arm64');
    const unpacked = join(folder, 'arm64');
    execFileSync('dpkg-deb', ['--extract', file, unpacked]);
    const program = join(unpacked, 'usr/lib/lumamesh-relay/lumamesh-relay');
    const head = (await readFile(program)).subarray(0, 64);
    assert.equal(head.readUInt16LE(E_MACHINE_OFFSET), EM_AARCH64);
    assert.equal(
      execFileSync('dpkg-deb', ['--field', file, 'Architecture'], { encoding: 'utf8' }),
      'arm64\n',
    );
    if (!existsSync('/usr/bin/qemu-aarch64') || !existsSync('/usr/aarch64-linux-gnu/lib')) return;
    const said = execFileSync(
      'qemu-aarch64',
      ['-L', '/usr/aarch64-linux-gnu', program, '--version'],
      {
        encoding: 'utf8',
      },
    );
    assert.match(said, /^lumamesh-relay .* linux-arm64/);
  });

  it(
    'is installed from the signed repository, with user, settings and command',
    LIMIT,
    async () => {
      await publish(first);
      const said = await succeed(
        'apt-get',
        'install',
        '-y',
        '--no-install-recommends',
        'lumamesh-relay',
      );
      assert.match(said, /only this machine can reach the relay so far[\s\S]*PUBLIC_IP=/);
      const uid = Number(await succeed('id', '-u', 'lumamesh'));
      const { uid: owner, mode } = await stat(root.path(DATA));
      assert.deepEqual([owner, (mode & 0o777).toString(8)], [uid, '700']);
      const config = await stat(root.path(CONFIG));
      assert.deepEqual([config.uid, (config.mode & 0o777).toString(8)], [0, '640']);
      assert.equal(await succeed('stat', '-c', '%G', CONFIG), 'lumamesh\n');
      // Enabled, so it starts at the next boot.
      assert.ok(await exists('/etc/systemd/system/multi-user.target.wants/lumamesh-relay.service'));
      assert.match(await succeed('lumamesh-relay', '--version'), /^lumamesh-relay \d/);
      assert.match(await succeed('lumamesh-relay', 'config', 'check'), /can be used/);
      const port = await freePort('127.0.0.1');
      await appendFile(root.path(CONFIG), `PUBLIC_IP=9.9.9.9\nUDP_PORT=${port}\n`);
      await succeed('lumamesh-relay', 'keys', 'make');
      const { uid: keyOwner } = await stat(root.path(`${DATA}/node.key`));
      assert.equal(keyOwner, uid);
      const record = decodeRecordLine((await succeed('lumamesh-relay', 'encode')).trim());
      assert.ok(record.ok);
      assert.deepEqual([record.value.ip, record.value.port], ['9.9.9.9', port]);
    },
  );

  it('completes commands and options in three shells', LIMIT, () => {
    const tree = join(folder, 'tree');
    execFileSync('dpkg-deb', ['--extract', first, tree]);
    const bash = join(tree, 'usr/share/bash-completion/completions/lumamesh-relay');
    const complete = (words: readonly string[]): string =>
      execFileSync(
        'bash',
        [
          '-c',
          'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _lumamesh_relay; printf "%s\\n" "${COMPREPLY[@]}"',
          '-',
          bash,
          ...words,
        ],
        { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
      );
    assert.equal(complete(['lumamesh-relay', 'sta']), 'status\n');
    assert.equal(complete(['lumamesh-relay', 'keys', 're']), 'restore\n');
    assert.match(complete(['lumamesh-relay', 'check', '--']), /--list\n[\s\S]*--public-ip\n/);
    for (const [shell, file] of [
      ['zsh', 'zsh/vendor-completions/_lumamesh-relay'],
      ['fish', 'fish/vendor_completions.d/lumamesh-relay.fish'],
    ] as const)
      if (existsSync(`/usr/bin/${shell}`))
        execFileSync(shell, ['-n', join(tree, 'usr/share', file)]);
    const page = spawnSync(
      'man',
      ['--warnings', '-l', join(tree, 'usr/share/man/man1/lumamesh-relay.1.gz')],
      {
        encoding: 'utf8',
        env: { ...process.env, MANWIDTH: '80', LC_ALL: 'C.UTF-8' },
      },
    );
    if (page.error !== undefined) return;
    assert.equal(page.stderr, '');
    assert.match(page.stdout, /keys backup folder[\s\S]*MAX_SESSIONS, --max-sessions <n/);
  });

  it('is upgraded with identity and settings as they are, and goes with them', LIMIT, async () => {
    const before = await identity();
    const settings = await root.read(CONFIG);
    await publish(second);
    await succeed('apt-get', 'install', '-y', '--only-upgrade', 'lumamesh-relay');
    assert.match(await succeed('dpkg-query', '-W', 'lumamesh-relay'), /1\.1\.0/);
    assert.equal(await root.read(CONFIG), settings);
    assert.equal(await identity(), before);

    // install.sh does not install beside it.
    const refused = await root.run(['bash', `${root.checkout}/install.sh`, '--yes'], {
      PUBLIC_IP: '127.0.0.1',
    });
    assert.equal(refused.code, 2, refused.text);
    assert.match(refused.text, /the Debian package lumamesh-relay is installed here/);

    await succeed('apt-get', 'remove', '-y', 'lumamesh-relay');
    assert.ok(!(await exists('/usr/bin/lumamesh-relay')));
    assert.equal(await identity(), before, 'to remove is not to forget');
    assert.equal(await root.read(CONFIG), settings);
    await succeed('apt-get', 'install', '-y', 'lumamesh-relay=1.0.0');
    assert.equal(await identity(), before);
    await succeed('apt-get', 'purge', '-y', 'lumamesh-relay');
    for (const path of [DATA, '/etc/lumamesh-relay', '/usr/lib/lumamesh-relay'])
      assert.ok(!(await exists(path)), path);
    const left = await readdir(root.path('/etc/systemd/system'), { recursive: true });
    assert.deepEqual(
      left.filter((name) => name.includes('lumamesh')),
      [],
    );
  });

  it('gives install.sh its program, when signature and checksum are right', LIMIT, async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const release = root.path('/srv/release');
    const name = 'lumamesh-relay_1.1.0_amd64.deb';
    await mkdir(release);
    await copyFile(second, join(release, name));
    writeSums(release);
    signSums(release, privateKey.export({ type: 'pkcs8', format: 'pem' }));
    await writeFile(root.path('/srv/key.pem'), publicKey.export({ type: 'spki', format: 'pem' }));
    await succeed('mkdir', '-p', '/run/systemd/system');
    const settings = {
      PUBLIC_IP: '127.0.0.1',
      UDP_PORT: String(await freePort('127.0.0.1')),
      HEALTH_LISTEN: `127.0.0.1:${await freePort('127.0.0.1')}`,
    };
    const install = async (...flags: readonly string[]): Promise<Outcome> =>
      root.run(
        ['bash', `${root.checkout}/install.sh`, '--package', `/srv/release/${name}`, ...flags],
        settings,
      );
    const trusted = ['--key', '/srv/key.pem'];

    const unknown = await install();
    assert.equal(unknown.code, 2, unknown.text);
    assert.match(unknown.text, /nothing tells whether this package can be trusted/);
    const sums = await readFile(join(release, 'SHA256SUMS'), 'utf8');
    await writeFile(
      join(release, 'SHA256SUMS'),
      sums.replace(/^./, (one) => (one === '0' ? '1' : '0')),
    );
    assert.match((await install(...trusted)).text, /SHA256SUMS is not signed by that key/);
    await writeFile(join(release, 'SHA256SUMS'), sums);
    await appendFile(join(release, name), 'x');
    assert.match((await install(...trusted)).text, /the checksum of .* is not /);
    assert.ok(!(await exists('/opt/lumamesh/lumamesh-relay')));

    await copyFile(second, join(release, name));
    const { code, text } = await install(...trusted);
    assert.equal(code, 0, text);
    assert.match(text, /is signed by \/srv\/key\.pem\n[\s\S]*a client on this machine connects/);
    // Nothing was built, and no npm installed for it.
    assert.notEqual((await root.run(['npm', '--version'])).code, 0);
    assert.ok(!(await exists(`${root.checkout}/operator/package`)));
    // A package beside that is refused.
    const both = await root.run(['apt-get', 'install', '-y', 'lumamesh-relay'], {
      DEBIAN_FRONTEND: 'noninteractive',
    });
    assert.notEqual(both.code, 0);
    assert.match(both.text, /install\.sh has installed a relay in \/opt\/lumamesh/);
    const pinned = await install('--sha256', await sha256(second));
    assert.equal(pinned.code, 0, pinned.text);
    await succeed('bash', `${root.checkout}/uninstall.sh`, '--yes');
  });
});
