import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { generateKeyPairSync, verify } from 'node:crypto';
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { ADAPTERS, adapterFolder } from './adapter-entries.ts';
import { collect, faultsOfTag, wrongFiles, signSums, writeSums } from './release.ts';

const ROOT = join(import.meta.dirname, '..');
const FOLDERS = ['.', 'packages/client', 'packages/relay', ...ADAPTERS.map(adapterFolder)];
const folder = mkdtempSync(join(tmpdir(), 'lumamesh-release-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function makeTree(name: string, version: string, changes: string): string {
  const root = join(folder, name);
  for (const path of [...FOLDERS, 'dist/relay']) {
    mkdirSync(join(root, path), { recursive: true });
    writeFileSync(join(root, path, 'package.json'), JSON.stringify({ version }));
  }
  writeFileSync(join(root, 'CHANGELOG.md'), changes);
  return root;
}

describe('a release', () => {
  it('has the version of its packages, and a section of CHANGELOG.md', () => {
    const root = makeTree(
      'tag',
      '1.2.3',
      '# Changelog\n\n## Unreleased\n\n## 1.2.3\n\n- It is there.\n',
    );
    assert.deepEqual(faultsOfTag('v1.2.3', root), []);
    assert.equal(faultsOfTag('1.2.3', root).length, 1);
    assert.equal(faultsOfTag('v1.2.3; true', root).length, 1);
    const faults = faultsOfTag('v1.2.4', root);
    assert.equal(faults.length, FOLDERS.length + 1, faults.join('\n'));
    assert.match(faults.join(), /packages\/client\/package\.json says 1\.2\.3/);
    assert.match(faults.join(), /no section "## 1\.2\.4"/);
  });

  it('collects what was built under names that tell the machine, with sums that sha256sum reads', () => {
    const root = makeTree('built', '1.2.3', '');
    const out = join(folder, 'out');
    assert.throws(() => collect(out, root), /nothing has been built/);
    const binary = process.platform === 'win32' ? 'lumamesh-relay.exe' : 'lumamesh-relay';
    for (const file of [
      'relay/lumamesh-relay.mjs',
      `relay/${binary}`,
      'lumamesh-1.2.3.tgz',
      'x.deb',
    ])
      writeFileSync(join(root, 'dist', file), file);
    const names = collect(out, root);
    assert.equal(names.length, 4);
    assert.ok(
      names.some((name) => name.startsWith(`lumamesh-relay-${process.platform}-${process.arch}`)),
    );
    assert.equal(writeSums(out).trimEnd().split('\n').length, 4);
    assert.deepEqual(wrongFiles(out), []);
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    signSums(out, privateKey.export({ type: 'pkcs8', format: 'pem' }));
    assert.ok(
      verify(
        null,
        readFileSync(join(out, 'SHA256SUMS')),
        publicKey,
        readFileSync(join(out, 'SHA256SUMS.sig')),
      ),
    );
    assert.deepEqual(wrongFiles(out), [], 'the signature is no file of the sums');
    const { status, error } = spawnSync('sha256sum', ['--check', '--strict', 'SHA256SUMS'], {
      cwd: out,
    });
    if (error === undefined) assert.equal(status, 0);
    writeFileSync(join(out, 'lumamesh-relay.mjs'), 'another');
    rmSync(join(out, 'x.deb'));
    writeFileSync(join(out, 'unknown'), '');
    assert.deepEqual(wrongFiles(out).toSorted(), ['lumamesh-relay.mjs', 'unknown', 'x.deb']);
  });

  it('is made by a workflow whose scripts exist, and whose actions are pinned to a version', () => {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>;
    };
    for (const file of globSync('.github/workflows/*.yml', { cwd: ROOT })) {
      const text = readFileSync(join(ROOT, file), 'utf8');
      // Where a script may be missing, `--if-present` says so.
      for (const [, name = '', mayMiss] of text.matchAll(/npm run ([\w:-]+)( --if-present)?/g))
        assert.ok(name in scripts || mayMiss !== undefined, `${file}: ${name}`);
      for (const [, path = ''] of text.matchAll(/(?:node|bash) ((?:tools|\.ci)\/[\w./-]+)/g))
        assert.ok(existsSync(join(ROOT, path)), `${file}: ${path}`);
      for (const [, action = ''] of text.matchAll(/uses: (\S+)/g))
        assert.match(action, /^[\w.-]+\/[\w./-]+@v\d+$/, file);
    }
  });
});
