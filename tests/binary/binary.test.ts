import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, copyFile, mkdir, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { RelayProcess, patience, until } from '@lumamesh/testkit';
import { findTestAddress } from '@lumamesh/testkit/browsers';
import { serveHarness, whySkipped } from '../browser/support.ts';
import { Tab } from '../browser/tab.ts';
import { firstFrame, freePort } from '../cli/support.ts';

/* The relay as one file: built, looked at, run where there is nothing else, and met through by real browsers. */

const ROOT = join(import.meta.dirname, '../..');
const OUT = join(ROOT, 'dist/relay');
const BINARY = join(OUT, 'lumamesh-relay');
const BUNDLE = join(OUT, 'lumamesh-relay.mjs');
/** Of all tests of the command line together. */
const CLI_LIMIT_MS = 600_000;
const skipChroot =
  (process.getuid?.() !== 0 || process.platform !== 'linux') &&
  'an empty root takes root, and Linux';
const skipBrowsers = whySkipped() ?? false;

let folder = '';

function build(checkout: string, commit: string, ...parameters: string[]): void {
  execFileSync(process.execPath, ['tools/build-relay.ts', ...parameters], {
    cwd: checkout,
    env: { ...process.env, LUMAMESH_COMMIT: commit },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

async function sha256(file: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(file))
    .digest('hex');
}

/** Starts a command that is a relay, and waits until it serves. */
async function start(
  command: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<RelayProcess> {
  const relay = new RelayProcess({ command, environment, cwd: folder });
  try {
    await relay.ready();
    return relay;
  } catch (error) {
    await relay.end('SIGKILL');
    throw error;
  }
}

function identityIn(path: string): Record<string, string> {
  return {
    CERT_FILE: `${path}/server.crt`,
    KEY_FILE: `${path}/server.key`,
    NODE_KEY: `${path}/node.key`,
    MESH_FILE: `${path}/mesh-relays.txt`,
  };
}

describe('the relay as one file', () => {
  before(async () => {
    build(ROOT, '');
    folder = await mkdtemp(join(tmpdir(), 'lumamesh-binary-'));
  });
  after(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it('tells commit and runtime; the bundle, too', () => {
    const expected =
      /^lumamesh-relay \d+\.\d+\.\d+ \(commit [0-9a-f]{12}(-changed)?, Node v\d+\.\d+\.\d+ \S+, native I\/O\)\n$/;
    const [binary, bundle] = [
      execFileSync(BINARY, ['--version'], { encoding: 'utf8' }),
      execFileSync(process.execPath, [BUNDLE, '-v'], { encoding: 'utf8' }),
    ];
    assert.match(binary, expected);
    assert.equal(bundle, binary);
  });

  it('has the same bytes when it is bundled again, elsewhere, of the same commit', async () => {
    const [, commit = ''] =
      /commit (\S+),/.exec(execFileSync(BINARY, ['--version'], { encoding: 'utf8' })) ?? [];
    // Under another path, with no git in it; beside this one, so that files can be linked instead of copied.
    const checkout = join(ROOT, 'dist/another checkout');
    await rm(checkout, { recursive: true, force: true });
    await mkdir(checkout, { recursive: true });
    for (const name of [
      'packages',
      'tools',
      'apps',
      'node_modules',
      'package.json',
      'relay.txt',
      'tsconfig.json',
      'tsconfig.base.json',
    ])
      execFileSync('cp', ['-al', join(ROOT, name), join(checkout, name)]);
    build(checkout, commit, '--bundle');
    assert.equal(
      await sha256(join(checkout, 'dist/relay/lumamesh-relay.mjs')),
      await sha256(BUNDLE),
    );
    assert.deepEqual(await readdir(join(checkout, 'dist/relay')), ['lumamesh-relay.mjs']);
    await rm(checkout, { recursive: true });
  });

  it('names no path of the machine that built it', async () => {
    const text = await readFile(BUNDLE, 'latin1');
    for (const path of [ROOT, tmpdir() + '/']) assert.ok(!text.includes(path), path);
  });

  it(
    'runs in a root with nothing but itself and the C libraries: no Node, no shell, no /proc',
    { skip: skipChroot },
    async () => {
      const root = join(folder, 'root');
      const libraries = execFileSync('ldd', [BINARY], { encoding: 'utf8' }).match(/\/\S+/g) ?? [];
      for (const library of libraries) {
        await mkdir(join(root, dirname(library)), { recursive: true });
        await copyFile(library, join(root, library));
      }
      await copyFile(BINARY, join(root, 'lumamesh-relay'));
      await mkdir(join(root, 'data'));
      for (const path of [folder, root, join(root, 'data')]) await chmod(path, 0o777);
      const inRoot = (...command: string[]): [string, ...string[]] => [
        'chroot',
        '--userspec=65534:65534',
        root,
        '/lumamesh-relay',
        ...command,
      ];
      const PATH = process.env['PATH'] ?? '';
      const environment = {
        PATH,
        PUBLIC_IP: '127.0.0.1',
        UDP_PORT: String(await freePort()),
        HEALTH_LISTEN: `127.0.0.1:${await freePort()}`,
        ...identityIn('/data'),
      };
      const relay = await start(inRoot(), environment);
      assert.match(await firstFrame(relay.record), /^\{"action":"welcome"/);
      const status = spawnSync('chroot', inRoot('status', '--once').slice(1), {
        env: environment,
        encoding: 'utf8',
      });
      assert.equal(status.status, 0, status.stderr);
      assert.match(status.stdout, /0 B resident|well/);
      assert.equal(await relay.end(), 0);
      assert.deepEqual((await readdir(join(root, 'data'))).toSorted(), [
        'node.key',
        'server.crt',
        'server.key',
        'server.key.icepwd',
      ]);
      // Without any network at all it can still make keys and lines.
      const alone = spawnSync('unshare', ['--net', ...inRoot('encode')], {
        env: environment,
        encoding: 'utf8',
      });
      assert.match(alone.stdout, /^luma1\./, alone.stderr);
    },
  );

  it('meets other relays in a mesh', async () => {
    const base = { MESH_SALT: 'of the binary', LOG_LEVEL: 'error' };
    const mesh = await Promise.all(
      [1, 2].map(async (i) => ({
        address: `127.0.${i}.1`,
        mesh: `127.0.${i}.1:${await freePort()}`,
        health: await freePort(),
      })),
    );
    const relays: RelayProcess[] = [];
    try {
      for (const [i, { address, mesh: listen, health }] of mesh.entries()) {
        await mkdir(join(folder, `relay ${i}`));
        const settings = {
          PUBLIC_IP: address,
          LISTEN_IP: address,
          UDP_PORT: String(await freePort()),
          MESH_LISTEN: listen,
          MESH_PEERS: i === 0 ? '' : (mesh[0]?.mesh ?? ''),
          HEALTH_LISTEN: `${address}:${health}`,
        };
        relays.push(
          await start([BINARY], {
            ...base,
            ...settings,
            ...identityIn(join(folder, `relay ${i}`)),
          }),
        );
      }
      const knows = async ({ address, health }: (typeof mesh)[number]): Promise<boolean> => {
        const response = await fetch(`http://${address}:${health}/statsz`);
        const stats = (await response.json()) as { mesh: { records: { alive: number } } };
        return stats.mesh.records.alive === 1;
      };
      await until(
        async () => (await Promise.all(mesh.map(knows))).every(Boolean),
        'they do not know each other',
        60_000,
      );
    } finally {
      for (const relay of relays) await relay.end();
    }
  });

  it(
    'passes the tests of the command line, as the sources do',
    { timeout: patience(CLI_LIMIT_MS) },
    async () => {
      const files = (await readdir(join(ROOT, 'tests/cli')))
        .filter((name) => name.endsWith('.test.ts'))
        .map((name) => join(ROOT, 'tests/cli', name));
      // Not as tests of this one, which would hear nothing else of them.
      const { NODE_TEST_CONTEXT: _context, ...environment } = process.env;
      const { status, stdout } = spawnSync(
        process.execPath,
        ['--test', '--test-reporter=tap', '--test-concurrency=1', ...files],
        {
          env: { ...environment, RELAY_PROGRAM: BINARY },
          encoding: 'utf8',
          maxBuffer: 100e6,
          timeout: patience(CLI_LIMIT_MS),
          killSignal: 'SIGKILL',
        },
      );
      assert.equal(status, 0, stdout);
      assert.match(stdout, /^# pass [1-9]\d+$/m);
    },
  );

  it('lets Chromium and Firefox meet', { skip: skipBrowsers }, async () => {
    const address = findTestAddress() ?? '';
    await mkdir(join(folder, 'for browsers'));
    const settings = {
      PUBLIC_IP: address,
      UDP_PORT: String(await freePort()),
      LOG_LEVEL: 'error',
      ...identityIn(join(folder, 'for browsers')),
    };
    const relay = await start([BINARY], settings);
    const page = await serveHarness();
    const tabs: Tab[] = [];
    try {
      for (const name of ['chromium', 'firefox'] as const)
        tabs.push(await Tab.open(name, page.url));
      const [ada, bob] = tabs as [Tab, Tab];
      await ada.call('join', [relay.record], 'tea', 'Ada', '');
      await ada.waitFor('joined', 0);
      await bob.call('join', [relay.record], 'tea', 'Bob', '');
      await Promise.all([ada.waitFor('open', 'Bob'), bob.waitFor('open', 'Ada')]);
      await ada.call('broadcast', 'through one file', true);
      await bob.waitFor('data', 'through one file');
      // It says goodbye at once, for both go elsewhere, and they stay connected.
      assert.equal(await relay.end(), 0);
      await bob.call('broadcast', 'without it', true);
      await ada.waitFor('data', 'without it');
    } finally {
      for (const tab of tabs) await tab.close().catch(() => undefined);
      await page.close();
      await relay.end();
    }
  });
});
