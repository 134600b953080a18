import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { LumameshError, isCanonicalIp } from '@lumamesh/base';
import {
  decodeRecordLine,
  encodeRecordLine,
  verifyEd25519,
  verifyRecord,
  type WebCryptoSubtle,
} from '@lumamesh/protocol';
import { readConfig } from './config/config.ts';
import { type IdentityFiles, loadIdentity } from './identity.ts';
import { makeRecord } from './record.ts';

async function withFolder(
  test: (files: IdentityFiles, folder: string) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'lumamesh-identity-'));
  try {
    await test(
      {
        certFile: join(folder, 'server.crt'),
        keyFile: join(folder, 'server.key'),
        nodeKeyFile: join(folder, 'node.key'),
      },
      folder,
    );
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function rejection(promise: Promise<unknown>): Promise<LumameshError> {
  const error: unknown = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof LumameshError, String(error));
  return error;
}

describe('the identity', () => {
  it('is four files, made with mode 0600 on the first start and the same ever after', () =>
    withFolder(async (files, folder) => {
      const first = await loadIdentity(files);
      const names = (await readdir(folder)).sort();
      assert.deepEqual(names, ['node.key', 'server.crt', 'server.key', 'server.key.icepwd']);
      for (const name of names)
        assert.equal((await stat(join(folder, name))).mode & 0o777, 0o600, name);
      assert.match(first.icePassword, /^[0-9a-f]{32}$/);
      const before = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
      const second = await loadIdentity(files);
      assert.deepEqual(
        [second.fingerprint, second.nk, second.icePassword],
        [first.fingerprint, first.nk, first.icePassword],
      );
      assert.deepEqual(
        await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8'))),
        before,
      );
    }));

  it('comes back from a copy of its files as the same node', () =>
    withFolder((files, folder) =>
      withFolder(async (copies, copyFolder) => {
        const original = await loadIdentity(files);
        for (const name of await readdir(folder))
          await writeFile(join(copyFolder, name), await readFile(join(folder, name)));
        const restored = await loadIdentity(copies);
        const config = readConfig({});
        const [a, b] = await Promise.all([
          makeRecord(config, original, { port: 3478 }, 1e12),
          makeRecord(config, restored, { port: 3478 }, 1e12),
        ]);
        assert.deepEqual(a, b);
      }),
    ));

  it('is not made anew over a damaged or foreign file, and the file stays as it is', () =>
    withFolder(async (files) => {
      await loadIdentity(files);
      const targets = [files.keyFile, files.certFile, files.nodeKeyFile, `${files.keyFile}.icepwd`];
      for (const file of targets) {
        const original = await readFile(file);
        for (const damage of [
          '',
          'garbage',
          original.subarray(0, original.length / 2).toString(),
        ]) {
          await writeFile(file, damage);
          const error = await rejection(loadIdentity(files));
          assert.equal(error.code, 'KEY_FILE_DAMAGED', `${file}: ${damage.slice(0, 20)}`);
          assert.ok(error.message.includes(file));
          assert.equal(await readFile(file, 'utf8'), damage);
        }
        await writeFile(file, original);
      }
      // The wrong kind of key in each place.
      const nodeKey = await readFile(files.nodeKeyFile);
      const serverKey = await readFile(files.keyFile);
      await writeFile(files.nodeKeyFile, serverKey);
      assert.equal((await rejection(loadIdentity(files))).code, 'KEY_FILE_DAMAGED');
      await writeFile(files.nodeKeyFile, nodeKey);
    }));

  it('says so when a certificate has lost its key, or belongs to another', () =>
    withFolder(async (files) => {
      await loadIdentity(files);
      const key = await readFile(files.keyFile);
      await rm(files.keyFile);
      assert.equal((await rejection(loadIdentity(files))).code, 'KEY_FILE_MISSING');
      await writeFile(files.keyFile, key);
      await withFolder(async (others) => {
        await loadIdentity(others);
        await writeFile(files.certFile, await readFile(others.certFile));
      });
      assert.equal((await rejection(loadIdentity(files))).code, 'KEY_FILE_DAMAGED');
    }));

  it('makes a certificate for a key that is there', () =>
    withFolder(async (files) => {
      const first = await loadIdentity(files);
      await rm(files.certFile);
      const second = await loadIdentity(files);
      assert.notEqual(second.fingerprint, first.fingerprint);
      assert.equal(second.nk, first.nk);
    }));

  it('ends in one node when two instances start at the same time', () =>
    withFolder(async (files) => {
      const results = await Promise.all([
        loadIdentity(files),
        loadIdentity(files),
        loadIdentity(files),
      ]);
      const settled = await loadIdentity(files);
      for (const result of results) assert.equal(result.nk, settled.nk);
    }));

  it('names the file that cannot be written or read', () =>
    withFolder(async (files, folder) => {
      await writeFile(join(folder, 'plain'), '');
      const inside = { ...files, keyFile: join(folder, 'plain', 'server.key') };
      const error = await rejection(loadIdentity(inside));
      assert.match(error.code, /^KEY_FILE_UN(WRITABLE|READABLE)$/);
      assert.ok(error.message.includes(inside.keyFile));
      if (process.getuid?.() !== 0) {
        await chmod(folder, 0o500);
        assert.equal((await rejection(loadIdentity(files))).code, 'KEY_FILE_UNWRITABLE');
        await chmod(folder, 0o700);
      }
    }));

  it('signs a record that anybody can check, and that fits a line', () =>
    withFolder(async (files) => {
      const identity = await loadIdentity(files);
      const config = readConfig({
        environment: {
          PUBLIC_IP: '203.0.113.10',
          PUBLIC_IP6: '2001:db8::10',
          PUBLIC_HOST: 'relay.example.org',
        },
      });
      const record = await makeRecord(config, identity, { port: 3478 }, Date.now());
      const line = encodeRecordLine(record);
      const decoded = decodeRecordLine(line);
      assert.ok(decoded.ok);
      assert.deepEqual(decoded.value, record);
      assert.ok(isCanonicalIp(record.ip));
      const verify = (
        key: Uint8Array<ArrayBuffer>,
        signature: Uint8Array<ArrayBuffer>,
        data: Uint8Array<ArrayBuffer>,
      ): Promise<boolean | null> =>
        verifyEd25519(crypto.subtle as unknown as WebCryptoSubtle, key, signature, data);
      assert.ok(await verifyRecord(record, verify));
      assert.ok(!(await verifyRecord({ ...record, port: 3479 }, verify)));
    }));
});
