import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fromBase64Url } from '@lumamesh/base';
import { signRecord } from '@lumamesh/protocol';
import { isSignedBy, isSignedRecord } from '../record.ts';
import { Bans } from './bans.ts';
import { MAX_SAVED_RECORDS, loadMeshFile, saveMeshFile } from './mesh-file.ts';
import { deriveMeshSecret } from './mesh-salt.ts';

const { privateKey } = generateKeyPairSync('ed25519');
const RECORD = await signRecord(
  {
    fingerprint: Array.from({ length: 32 }, () => 'AB').join(':'),
    ip: '203.0.113.10',
    port: 3478,
    ufrag: 'luma',
    pwd: '0123456789abcdef0123456789abcdef',
    nk: String(privateKey.export({ format: 'jwk' }).x),
    sequence: 1,
    expires: 2,
  },
  async (data) => sign(null, data, privateKey),
);

describe('the file of known relays', () => {
  it('holds what was saved, leaves out what cannot be read, and is empty where it is missing', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'lumamesh-file-'));
    const file = join(folder, 'mesh-relays.txt');
    try {
      assert.deepEqual(await loadMeshFile(file), []);
      await saveMeshFile(file, [RECORD]);
      assert.deepEqual(await loadMeshFile(file), [RECORD]);
      assert.equal((await stat(file)).mode & 0o777, 0o600);
      await writeFile(file, `${await readFile(file, 'utf8')}luma1.damaged\nnonsense\n\u0000\n`);
      assert.deepEqual(await loadMeshFile(file), [RECORD]);
      await saveMeshFile(
        file,
        Array.from({ length: MAX_SAVED_RECORDS + 50 }, () => RECORD),
      );
      assert.equal((await loadMeshFile(file)).length, MAX_SAVED_RECORDS);
      assert.deepEqual(await readdir(folder), ['mesh-relays.txt']);
      await assert.rejects(saveMeshFile(join(folder, 'missing/file'), [RECORD]));
      await writeFile(file, 'x'.repeat(2_000_000));
      assert.deepEqual(await loadMeshFile(file), []);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

describe('a salt', () => {
  it('gives every relay the same mesh id and key, and another salt others', async () => {
    const one = await deriveMeshSecret('a text');
    assert.deepEqual(await deriveMeshSecret('a text'), one);
    assert.equal(fromBase64Url(one.mesh)?.length, 16);
    assert.equal(one.psk.length, 32);
    const other = await deriveMeshSecret('a text ');
    assert.notEqual(other.mesh, one.mesh);
    assert.notDeepEqual(other.psk, one.psk);
    // What relays of all versions must agree on.
    assert.equal(one.mesh, 'SgnHACTJ-Bq90090V8Ylug');
  });
});

describe('bans', () => {
  it('end, and are bounded', () => {
    const bans = new Bans(3);
    bans.add(0, ['a', 'b'], 1000);
    assert.ok(bans.has(999, 'a') && !bans.has(1000, 'a') && !bans.has(0, 'c'));
    bans.add(0, ['c', 'd'], 1000);
    assert.equal(bans.size, 3);
    assert.ok(!bans.has(1, 'a') && bans.has(1, 'd'));
  });
});

it('signatures are checked by node key, and a key that is none verifies nothing', () => {
  assert.ok(isSignedRecord(RECORD));
  assert.ok(!isSignedRecord({ ...RECORD, port: 3479 }));
  assert.ok(!isSignedBy('', new Uint8Array(1), new Uint8Array(64)));
  assert.ok(!isSignedBy('A'.repeat(43), new Uint8Array(1), new Uint8Array(64)));
  assert.ok(!isSignedBy(RECORD.nk, new Uint8Array(1), new Uint8Array(3)));
});
