import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { RelayProcess, patience, until } from '@lumamesh/testkit';
import { firstFrame, freePort } from '../cli/support.ts';
import { makeDebian } from '../install/debian.ts';
import { whyNoRoot } from '../install/root.ts';

/*
 * The container image without a registry: the last stage of Containerfile, built by buildah on a Debian made by debootstrap in the place of
 * debian:bookworm-slim, with the program that `build:binary` makes here. What the stage before does is what tests/binary does.
 */
const CHECKOUT = join(import.meta.dirname, '../..');
const BASE = 'localhost/debian:of-this-machine';
const IMAGE = 'localhost/lumamesh-relay:test';
const UID = 10_001;
const skip = whyNoRoot(['debootstrap', 'buildah', 'chroot', 'strip']) ?? false;

interface ImageConfig {
  readonly User: string;
  readonly Entrypoint: readonly string[];
  readonly Env: readonly string[];
  readonly WorkingDir: string;
  readonly Volumes: Readonly<Record<string, object>>;
  readonly ExposedPorts: Readonly<Record<string, object>>;
  readonly StopSignal: string;
  readonly Healthcheck: { readonly Test: readonly string[] };
}

/** The stage that becomes the image, on another base, and with the program from the folder of the build. */
function lastStage(): string {
  const text = readFileSync(join(CHECKOUT, 'Containerfile'), 'utf8');
  const stage = text.slice(text.lastIndexOf('\nFROM ') + 1);
  const changed = stage
    .replace(/^FROM .*$/m, `FROM ${BASE}`)
    .replace(/^COPY --from=build \S+/m, 'COPY lumamesh-relay');
  assert.match(changed, /^COPY lumamesh-relay \/usr\/local\/bin\/lumamesh-relay$/m);
  return changed;
}

describe('the container image', { skip, timeout: 1_200_000 }, () => {
  let folder = '';
  let mounted = '';
  let config: ImageConfig | null = null;
  /** No daemon, no overlay file systems, no containers: what works in a container, too. */
  const buildah = (...parameters: readonly string[]): string => {
    const storage = ['--root', join(folder, 'storage'), '--runroot', join(folder, 'run')];
    const { status, stdout, stderr } = spawnSync(
      'buildah',
      [...storage, '--storage-driver', 'vfs', ...parameters],
      { encoding: 'utf8', env: { ...process.env, BUILDAH_ISOLATION: 'chroot' } },
    );
    assert.equal(status, 0, `buildah ${parameters.join(' ')}\n${stderr}`);
    return stdout.trim();
  };

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'lumamesh-image-'));
    const [root, context] = [join(folder, 'debian'), join(folder, 'context')];
    for (const path of [root, context]) mkdirSync(path);
    await makeDebian(root);
    execFileSync(process.execPath, ['tools/build-relay.ts'], {
      cwd: CHECKOUT,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const program = join(CHECKOUT, 'dist/relay/lumamesh-relay');
    copyFileSync(program, join(context, 'lumamesh-relay'));
    const base = buildah('from', 'scratch');
    buildah('add', '--quiet', base, root, '/');
    rmSync(root, { recursive: true });
    buildah('commit', '--quiet', '--rm', base, BASE);
    writeFileSync(join(context, 'Containerfile'), lastStage());
    const file = join(context, 'Containerfile');
    buildah('bud', '--pull-never', '--format', 'docker', '-t', IMAGE, '-f', file, context);
    const { Docker } = JSON.parse(buildah('inspect', '--type', 'image', IMAGE)) as {
      readonly Docker: { readonly config: ImageConfig };
    };
    config = Docker.config;
    mounted = buildah('mount', buildah('from', '--pull-never', IMAGE));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('runs as nobody in particular, has one port, one volume, and a check of its health', () => {
    assert.equal(config?.User, `${UID}:${UID}`);
    assert.deepEqual(Object.keys(config.ExposedPorts), ['3478/udp']);
    assert.deepEqual(Object.keys(config.Volumes), ['/data']);
    assert.equal(config.WorkingDir, '/data');
    assert.equal(config.StopSignal, 'SIGTERM');
    assert.deepEqual(config.Entrypoint, ['/usr/local/bin/lumamesh-relay']);
    assert.deepEqual(config.Healthcheck.Test[0], 'CMD');
    const { uid, mode } = statSync(join(mounted, 'data'));
    assert.deepEqual([uid, mode & 0o777], [UID, 0o700]);
    // Neither Node nor npm nor sources.
    for (const name of ['node', 'npm', 'git'])
      assert.notEqual(spawnSync('chroot', [mounted, 'which', name]).status, 0, name);
  });

  it('serves, is healthy, writes to its volume only, and stops within its time', async () => {
    const [port, health] = [await freePort(), await freePort()];
    const entry = (command: readonly string[]): string[] => [
      ...['chroot', `--userspec=${config?.User}`, mounted, 'env', '-i'],
      ...[...(config?.Env ?? []), 'PUBLIC_IP=127.0.0.1', `UDP_PORT=${port}`],
      // Others of this machine may have the port that the image asks at.
      `HEALTH_LISTEN=127.0.0.1:${health}`,
      ...['sh', '-c', 'cd /data && exec "$@"', '-', ...command],
    ];
    copyFileSync('/etc/resolv.conf', join(mounted, 'etc/resolv.conf'));
    writeFileSync(join(folder, 'before'), '');
    const relay = new RelayProcess({ command: entry(config?.Entrypoint ?? []) });
    try {
      assert.match(await firstFrame(await relay.ready()), /"action":"welcome"/);
      const check = entry((config?.Healthcheck.Test ?? []).slice(1));
      const [program = '', ...parameters] = check;
      await until(
        () => spawnSync(program, parameters).status === 0,
        () => String(spawnSync(program, parameters).stderr),
      );
      const startedAt = performance.now();
      relay.child.kill('SIGTERM');
      assert.equal(await relay.exitCode(), 0);
      assert.ok(performance.now() - startedAt < patience(6000));
      const find = ['-xdev', '-newer', join(folder, 'before'), '-type', 'f'];
      const written = execFileSync('find', [mounted, ...find], { encoding: 'utf8' })
        .split('\n')
        .filter((path) => path !== '')
        .map((path) => path.slice(mounted.length));
      assert.ok(
        written.length >= 4 && written.every((path) => path.startsWith('/data/')),
        written.join(),
      );
      for (const path of written) assert.equal(statSync(mounted + path).mode & 0o077, 0, path);
    } finally {
      await relay.end('SIGKILL');
    }
  });
});
