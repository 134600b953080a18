import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chown, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { type RelayConfig, readConfig } from '../config/config.ts';
import { identityFiles, loadIdentity } from '../identity.ts';
import { checkFiles } from './files-check.ts';

const skip = process.getuid?.() !== 0 && 'other owners and full disks take root';
const SOMEBODY = 12_345;

async function verdicts(config: RelayConfig): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for await (const { name, verdict } of checkFiles(config)) found[name] = verdict;
  return found;
}

async function withFolder(
  test: (folder: string, config: RelayConfig) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'lumamesh-files-'));
  const disk = join(folder, 'disk');
  await mkdir(disk);
  const environment = {
    CERT_FILE: join(disk, 'server.crt'),
    KEY_FILE: join(disk, 'server.key'),
    NODE_KEY: join(disk, 'node.key'),
  };
  try {
    await test(disk, readConfig({ environment }));
  } finally {
    spawnSync('umount', [disk], { stdio: 'ignore' });
    await rm(folder, { recursive: true, force: true });
  }
}

describe('identity files that root looks at', { skip }, () => {
  it('belong to whoever has the folder, or the service cannot read them', () =>
    withFolder(async (folder, config) => {
      await loadIdentity(identityFiles(config));
      assert.equal((await verdicts(config))['file owners'], undefined);
      await chown(folder, SOMEBODY, SOMEBODY);
      assert.equal((await verdicts(config))['file owners'], 'fail');
      for (const file of ['server.crt', 'server.key', 'server.key.icepwd', 'node.key'])
        await chown(join(folder, file), SOMEBODY, SOMEBODY);
      assert.equal((await verdicts(config))['file owners'], undefined);
    }));

  it('are on a disk that is full (fail), nearly so (warn), or neither', () =>
    withFolder(async (folder, config) => {
      for (const [size, verdict] of [
        ['1m', 'fail'],
        ['50m', 'warn'],
        ['200m', 'ok'],
      ] as const) {
        const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder]);
        assert.equal(mounted.status, 0, String(mounted.stderr));
        assert.equal((await verdicts(config))['disk'], verdict);
        spawnSync('umount', [folder]);
      }
    }));
});
