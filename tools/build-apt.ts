import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { ARCHITECTURES } from './debian/node-runtime.ts';
import { ROOT, timeOfPackage } from './relay-program.ts';

/*
 * `npm run build:apt`: an apt repository of the packages in dist/, in dist/apt/, to be served as files:
 *
 *   npm run build:apt -- --key KEYID        signs it with that key of gpg's keyring, and puts the public one beside it
 *   npm run build:apt -- --debs FOLDER --out FOLDER --suite stable
 *
 * Without a key it is unsigned, which apt takes only from a source marked [trusted=yes].
 */
const COMPONENT = 'main';
const POOL = 'pool/main/l/lumamesh-relay';
const KEYRING = 'lumamesh-archive-keyring.asc';

/** What one package is in `Packages`: its own fields, and where it lies (Debian's repository format). */
function stanza(out: string, file: string): string {
  const path = join(out, POOL, file);
  const fields = execFileSync('dpkg-deb', ['--field', path], { encoding: 'utf8' }).trim();
  return `${fields}\nFilename: ${POOL}/${file}\nSize: ${statSync(path).size}\nSHA256: ${sha256(path)}\n`;
}

function sha256(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

function release(folder: string, suite: string, files: readonly string[]): string {
  const sums = files.map((file) => {
    const path = join(folder, file);
    return ` ${sha256(path)} ${statSync(path).size} ${file}`;
  });
  return [
    'Origin: Lumamesh',
    'Label: Lumamesh',
    `Suite: ${suite}`,
    `Codename: ${suite}`,
    `Date: ${new Date(timeOfPackage() * 1000).toUTCString()}`,
    `Architectures: ${Object.keys(ARCHITECTURES).join(' ')}`,
    `Components: ${COMPONENT}`,
    'Description: relays of the Lumamesh signaling network',
    'SHA256:',
    ...sums,
    '',
  ].join('\n');
}

function sign(folder: string, key: string, out: string): void {
  const gpg = (...parameters: string[]): void =>
    void execFileSync('gpg', ['--batch', '--yes', '--local-user', key, ...parameters], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  gpg('--output', join(folder, 'InRelease'), '--clearsign', join(folder, 'Release'));
  gpg('--output', join(folder, 'Release.gpg'), '--armor', '--detach-sign', join(folder, 'Release'));
  gpg('--output', join(out, KEYRING), '--armor', '--export', key);
}

const { values } = parseArgs({
  options: {
    debs: { type: 'string', default: join(ROOT, 'dist') },
    out: { type: 'string', default: join(ROOT, 'dist/apt') },
    suite: { type: 'string', default: 'stable' },
    key: { type: 'string' },
  },
});
const { debs, out, suite, key } = values;
const packages = readdirSync(debs).filter((file) => /^lumamesh-relay_.*\.deb$/.test(file));
if (packages.length === 0) throw new Error(`no packages in ${debs}: npm run build:deb`);
const dists = join(out, 'dists', suite);
rmSync(dists, { recursive: true, force: true });
mkdirSync(join(out, POOL), { recursive: true });
for (const file of packages) copyFileSync(join(debs, file), join(out, POOL, file));
// Whatever was published before stays installable.
const pool = readdirSync(join(out, POOL)).toSorted();
const indexes: string[] = [];
for (const architecture of Object.keys(ARCHITECTURES)) {
  const folder = `${COMPONENT}/binary-${architecture}`;
  const text = pool
    .filter((file) => file.endsWith(`_${architecture}.deb`))
    .map((file) => stanza(out, file))
    .join('\n');
  mkdirSync(join(dists, folder), { recursive: true });
  writeFileSync(join(dists, folder, 'Packages'), text);
  writeFileSync(join(dists, folder, 'Packages.gz'), gzipSync(text, { level: 9 }));
  indexes.push(`${folder}/Packages`, `${folder}/Packages.gz`);
}
writeFileSync(join(dists, 'Release'), release(dists, suite, indexes));
if (key !== undefined) sign(dists, key, out);
process.stdout.write(
  `${out}: ${pool.join(', ')}${key === undefined ? ' (not signed)' : `, signed by ${key}`}\n`,
);
