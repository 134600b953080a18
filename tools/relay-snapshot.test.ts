import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { type RelayRecord, encodeRecordLine, signRecord } from '@lumamesh/protocol';
import { readRelayList } from '../packages/client/src/net/relay-source.ts';
import { checkSnapshot, makeSnapshot } from './relay-snapshot.ts';
import { PUBLIC_KEYS, makeKey } from './signing-key.ts';

const NOW = 1_800_000_000;
const DAY_SECONDS = 86_400;
const folder = mkdtempSync(join(tmpdir(), 'lumamesh-keys-'));
after(() => rmSync(folder, { recursive: true, force: true }));

async function lineOf(ip: string): Promise<string> {
  const key = generateKeyPairSync('ed25519').privateKey;
  const record: RelayRecord = {
    fingerprint: Array.from({ length: 32 }, () => 'AB').join(':'),
    ip,
    port: 3478,
    ufrag: 'luma',
    pwd: 'p'.repeat(32),
    nk: key.export({ format: 'jwk' }).x ?? '',
    sequence: NOW - 60,
    expires: NOW + 300 * DAY_SECONDS,
  };
  return encodeRecordLine(await signRecord(record, async (data) => sign(null, data, key)));
}

/** A tree with deploy/ in it, as the repository has one. */
function makeTree(name: string): string {
  const root = join(folder, name);
  mkdirSync(join(root, 'deploy'), { recursive: true });
  return root;
}

describe('keys of the project', () => {
  it('are made outside of the repository, for nobody else to read, with their public half in deploy/', () => {
    const root = makeTree('one');
    const file = join(folder, 'safe/release.pem');
    const said = makeKey('release', file, root);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const published = readFileSync(join(root, PUBLIC_KEYS.release), 'utf8');
    assert.match(published, /^-----BEGIN PUBLIC KEY-----/);
    assert.match(said.join('\n'), /as base64url: [\w-]{43}\n.*LUMAMESH_RELEASE_KEY/);
    // Once more it is the same key.
    const before = readFileSync(file, 'utf8');
    makeKey('release', file, root);
    assert.equal(readFileSync(file, 'utf8'), before);
    assert.equal(readFileSync(join(root, PUBLIC_KEYS.release), 'utf8'), published);
  });

  it('are neither put into the repository, nor exchanged silently, nor made of something else', () => {
    const root = makeTree('two');
    assert.throws(() => makeKey('list', join(root, 'key.pem'), root), /lies in the repository/);
    assert.throws(() => makeKey('list', join(root, 'a/b/key.pem'), root), /lies in the repository/);
    makeKey('list', join(folder, 'first.pem'), root);
    assert.throws(() => makeKey('list', join(folder, 'second.pem'), root), /holds another key/);
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
    writeFileSync(join(folder, 'rsa.pem'), rsa.export({ format: 'pem', type: 'pkcs8' }));
    assert.throws(() => makeKey('release', join(folder, 'rsa.pem'), root), /no Ed25519 key/);
    assert.ok(!existsSync(join(root, PUBLIC_KEYS.release)));
  });
});

describe('a snapshot of the public list', () => {
  const root = makeTree('three');
  const file = join(folder, 'list.pem');
  makeKey('list', file, root);
  const pem = readFileSync(file, 'utf8');
  const publicPem = readFileSync(join(root, PUBLIC_KEYS.list), 'utf8');

  it('holds the relays of the list, is believed until it expires, and is read as any relay.txt', async () => {
    const lines = [await lineOf('9.9.9.9'), await lineOf('8.8.8.8')];
    const list = Buffer.from(`# a comment\n${lines.join('\n')}\n`);
    const snapshot = makeSnapshot(list, pem, NOW, 7);
    assert.deepEqual(await checkSnapshot(snapshot, publicPem, NOW), { fault: null, lines });
    const { fault } = await checkSnapshot(snapshot, publicPem, NOW + 7 * DAY_SECONDS);
    assert.equal(fault, 'list.expired');
    assert.deepEqual(
      readRelayList(snapshot, undefined).map(({ ip }) => ip),
      ['9.9.9.9', '8.8.8.8'],
    );
    const other = generateKeyPairSync('ed25519').publicKey.export({ format: 'pem', type: 'spki' });
    assert.equal((await checkSnapshot(snapshot, other, NOW)).fault, 'list.forged');
  });

  it('is not made of a list with faults, of an empty one, for ever, or without the key', async () => {
    const list = Buffer.from(`${await lineOf('9.9.9.9')}\n`);
    assert.throws(() => makeSnapshot(Buffer.from('luma1.x\n'), pem, NOW), /the list:1:/);
    assert.throws(() => makeSnapshot(Buffer.from('# none\n'), pem, NOW), /no relay/);
    assert.throws(() => makeSnapshot(list, pem, NOW, 400), /list\.times/);
    assert.throws(() => makeSnapshot(list, pem, NOW, NaN), /list\.head/);
    assert.throws(() => makeSnapshot(list, '', NOW));
  });
});
