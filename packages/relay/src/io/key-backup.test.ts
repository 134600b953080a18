import assert from 'node:assert/strict';
import {
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { type IdentityFiles, loadIdentity } from './identity.ts';
import { backupKeys, restoreKeys } from './key-backup.ts';

async function inFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'lumamesh-backup-'));
  try {
    await test(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

function filesIn(folder: string): IdentityFiles {
  return {
    certFile: join(folder, 'server.crt'),
    keyFile: join(folder, 'server.key'),
    nodeKeyFile: join(folder, 'node.key'),
  };
}

describe('a backup of the identity', () => {
  it('is private, has checksums, and brings the same relay back elsewhere, whatever its files are called there', () =>
    inFolder(async (folder) => {
      const files = filesIn(join(folder, 'live'));
      const identity = await loadIdentity(files);
      const backup = join(folder, 'backup');
      await backupKeys(files, backup);
      assert.deepEqual((await readdir(backup)).toSorted(), [
        'SHA256SUMS',
        'node.key',
        'server.crt',
        'server.key',
        'server.key.icepwd',
      ]);
      assert.equal((await stat(backup)).mode & 0o777, 0o700);
      for (const name of await readdir(backup))
        assert.equal((await stat(join(backup, name))).mode & 0o777, 0o600, name);
      const elsewhere = {
        certFile: join(folder, 'b/tls.pem'),
        keyFile: join(folder, 'b/tls.key'),
        nodeKeyFile: join(folder, 'b/me.key'),
      };
      const restored = await restoreKeys(backup, elsewhere);
      assert.deepEqual(
        [restored.nk, restored.fingerprint, restored.icePassword],
        [identity.nk, identity.fingerprint, identity.icePassword],
      );
      for (const file of [
        elsewhere.certFile,
        elsewhere.keyFile,
        `${elsewhere.keyFile}.icepwd`,
        elsewhere.nodeKeyFile,
      ])
        assert.equal((await stat(file)).mode & 0o777, 0o600, file);
    }));

  it('can be made again of the same identity, and is never written over by another', () =>
    inFolder(async (folder) => {
      const backup = join(folder, 'backup');
      await loadIdentity(filesIn(join(folder, 'one')));
      await loadIdentity(filesIn(join(folder, 'two')));
      await backupKeys(filesIn(join(folder, 'one')), backup);
      await backupKeys(filesIn(join(folder, 'one')), backup);
      const before = await readFile(join(backup, 'node.key'), 'utf8');
      await assert.rejects(backupKeys(filesIn(join(folder, 'two')), backup), {
        code: 'BACKUP_FAILED',
        message: /another relay/,
      });
      assert.equal(await readFile(join(backup, 'node.key'), 'utf8'), before);
      assert.equal((await readdir(backup)).length, 5, 'nothing is left beside it');
    }));

  it('holds the ICE password that counts, when that was given as ICE_PWD', () =>
    inFolder(async (folder) => {
      const files = { ...filesIn(join(folder, 'live')), icePassword: 'given/by/the/operator/1' };
      await loadIdentity(files);
      await backupKeys(files, join(folder, 'backup'));
      const restored = await restoreKeys(
        join(folder, 'backup'),
        filesIn(join(folder, 'elsewhere')),
      );
      assert.equal(restored.icePassword, files.icePassword);
    }));

  it('takes over no folder that holds something else, and completes one that was cut short', () =>
    inFolder(async (folder) => {
      const files = filesIn(join(folder, 'live'));
      await loadIdentity(files);
      const shared = join(folder, 'shared');
      await mkdir(shared, { mode: 0o755 });
      await writeFile(join(shared, 'server.key'), 'of the web server');
      await assert.rejects(backupKeys(files, shared), {
        code: 'BACKUP_FAILED',
        message: /something else \(server\.key\)/,
      });
      assert.deepEqual(
        [await readdir(shared), await readFile(join(shared, 'server.key'), 'utf8')],
        [['server.key'], 'of the web server'],
      );
      assert.equal((await stat(shared)).mode & 0o777, 0o755);
      const backup = join(folder, 'backup');
      await backupKeys(files, backup);
      await rm(join(backup, 'node.key'));
      await mkdir(join(backup, '.new-crash'));
      await backupKeys(files, backup);
      assert.ok((await readdir(backup)).includes('node.key'));
    }));

  it(
    'as root follows no link that leads out of the folder of the relay',
    { skip: process.getuid?.() !== 0 && 'takes root' },
    () =>
      inFolder(async (folder) => {
        const files = filesIn(join(folder, 'live'));
        await loadIdentity(files);
        await rename(files.nodeKeyFile, join(folder, 'elsewhere'));
        await symlink(join(folder, 'elsewhere'), files.nodeKeyFile);
        await assert.rejects(backupKeys(files, join(folder, 'backup')), {
          code: 'BACKUP_FAILED',
          message: /ELOOP/,
        });
      }),
  );

  it('is only made of a whole and sound identity', () =>
    inFolder(async (folder) => {
      const files = filesIn(folder);
      await loadIdentity(files);
      await rm(files.nodeKeyFile);
      await assert.rejects(backupKeys(files, join(folder, 'b')), {
        code: 'KEY_FILE_MISSING',
        message: /node\.key/,
      });
      await assert.rejects(stat(files.nodeKeyFile), { code: 'ENOENT' }, 'and none is made for it');
      await writeFile(files.nodeKeyFile, 'half a key');
      await assert.rejects(backupKeys(files, join(folder, 'b')), { code: 'KEY_FILE_DAMAGED' });
    }));

  it('is restored whole or not at all: not when damaged, not over another identity', () =>
    inFolder(async (folder) => {
      const backup = join(folder, 'backup');
      await loadIdentity(filesIn(join(folder, 'one')));
      await backupKeys(filesIn(join(folder, 'one')), backup);
      const target = filesIn(join(folder, 'target'));
      await mkdir(join(folder, 'target'));
      await writeFile(target.nodeKeyFile, 'of somebody else');
      await assert.rejects(restoreKeys(backup, target), {
        code: 'RESTORE_FAILED',
        message: /node\.key is there already .*nothing was written/,
      });
      assert.deepEqual(await readdir(join(folder, 'target')), ['node.key']);
      await rm(target.nodeKeyFile);
      const key = await readFile(join(backup, 'server.key'), 'utf8');
      for (const damaged of [key.slice(0, -10), `${key} `, '']) {
        await writeFile(join(backup, 'server.key'), damaged);
        await assert.rejects(restoreKeys(backup, target), {
          code: 'RESTORE_FAILED',
          message: /SHA256SUMS/,
        });
      }
      await rm(join(backup, 'SHA256SUMS'));
      await assert.rejects(restoreKeys(backup, target), { code: 'RESTORE_FAILED' });
      assert.deepEqual(await readdir(join(folder, 'target')), []);
    }));

  it('is refused when its files, though whole, do not belong together', () =>
    inFolder(async (folder) => {
      await loadIdentity(filesIn(join(folder, 'one')));
      await loadIdentity(filesIn(join(folder, 'two')));
      await backupKeys(filesIn(join(folder, 'one')), join(folder, 'b1'));
      await backupKeys(filesIn(join(folder, 'two')), join(folder, 'b2'));
      const sums = (await readFile(join(folder, 'b1/SHA256SUMS'), 'utf8')).split('\n');
      const others = (await readFile(join(folder, 'b2/SHA256SUMS'), 'utf8')).split('\n');
      await writeFile(
        join(folder, 'b1/server.crt'),
        await readFile(join(folder, 'b2/server.crt'), 'utf8'),
      );
      await writeFile(
        join(folder, 'b1/SHA256SUMS'),
        sums.map((line, i) => (line.endsWith('server.crt') ? others[i] : line)).join('\n'),
      );
      await assert.rejects(restoreKeys(join(folder, 'b1'), filesIn(join(folder, 'target'))), {
        code: 'RESTORE_FAILED',
        message: /not the certificate/,
      });
    }));
});
