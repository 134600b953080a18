import { createHash, createPrivateKey, sign } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { ADAPTERS, adapterFolder } from './adapter-entries.ts';

/*
 * The steps of a release that are ours (.github/workflows/release.yml, docs/releasing.md):
 *
 *   node tools/release.ts check v1.2.3        whether the tag is what the packages and CHANGELOG.md say
 *   node tools/release.ts collect FOLDER      copies what this machine has built, by names of releases
 *   node tools/release.ts sums FOLDER         writes SHA256SUMS of all that is in a folder
 *   node tools/release.ts sign FOLDER         SHA256SUMS.sig, by the Ed25519 key (PEM) in LUMAMESH_RELEASE_KEY
 *   node tools/release.ts verify FOLDER       whether the files of a folder are those of its SHA256SUMS
 */
const ROOT = join(import.meta.dirname, '..');
const SUMS = 'SHA256SUMS';
/** The signature's 64 bytes, as `openssl pkeyutl -verify -rawin` reads them (install.sh --package). */
const SIGNATURE = `${SUMS}.sig`;
const KEY_VARIABLE = 'LUMAMESH_RELEASE_KEY';
/** What carries the version of a release. */
const VERSIONED = [
  '.',
  'packages/client',
  'packages/relay',
  ...ADAPTERS.map((adapter) => adapterFolder(adapter)),
].map((folder) => join(folder, 'package.json'));

/** What is wrong with a tag; nothing when it may be released. */
export function faultsOfTag(tag: string, root = ROOT): readonly string[] {
  const version = /^v(\d+\.\d+\.\d+(?:-[\w.]+)?)$/.exec(tag)?.[1];
  if (version === undefined) return [`${tag} is not a tag such as v1.2.3`];
  const faults = VERSIONED.filter((file) => versionIn(join(root, file)) !== version).map(
    (file) => `${file} says ${versionIn(join(root, file))}, not ${version}`,
  );
  const changes = readFileSync(join(root, 'CHANGELOG.md'), 'utf8');
  if (!changes.split('\n').includes(`## ${version}`))
    faults.push(`CHANGELOG.md has no section "## ${version}"`);
  return faults;
}

function versionIn(file: string): string {
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

/** What this machine may have built, by the names that a release gives it. */
function artefacts(root: string): ReadonlyMap<string, string> {
  const { platform, arch } = process;
  const extension = platform === 'win32' ? '.exe' : '';
  const relay = join(root, 'dist/relay');
  const files = new Map([
    ['lumamesh-relay.mjs', join(relay, 'lumamesh-relay.mjs')],
    [`lumamesh-relay-${platform}-${arch}${extension}`, join(relay, `lumamesh-relay${extension}`)],
  ]);
  const packages = existsSync(join(root, 'dist')) ? readdirSync(join(root, 'dist')) : [];
  for (const file of packages)
    if (/\.(deb|tgz)$/.test(file)) files.set(file, join(root, 'dist', file));
  return new Map([...files].filter(([, path]) => existsSync(path)));
}

/** Copies what has been built into a folder; returns the names. */
export function collect(folder: string, root = ROOT): readonly string[] {
  mkdirSync(folder, { recursive: true });
  const found = artefacts(root);
  if (found.size === 0) throw new Error('nothing has been built: npm run build:binary');
  for (const [name, path] of found) copyFileSync(path, join(folder, name));
  return [...found.keys()];
}

function filesIn(folder: string): readonly string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== SUMS && entry.name !== SIGNATURE)
    .map(({ name }) => name)
    .toSorted();
}

/** As `sha256sum` writes and reads it. */
export function writeSums(folder: string): string {
  const text = filesIn(folder)
    .map((file) => `${sha256(join(folder, file))}  ${file}\n`)
    .join('');
  writeFileSync(join(folder, SUMS), text);
  return text;
}

/** Signs the sums of a folder (RFC 8032). Throws when the key is none of Ed25519. */
export function signSums(folder: string, pem: string): void {
  const key = createPrivateKey(pem);
  if (key.asymmetricKeyType !== 'ed25519') throw new Error(`${KEY_VARIABLE} is no Ed25519 key`);
  writeFileSync(join(folder, SIGNATURE), sign(null, readFileSync(join(folder, SUMS)), key));
}

/** Files that are not what the sums say, are missing, or have no sum. */
export function wrongFiles(folder: string): readonly string[] {
  const lines = readFileSync(join(folder, SUMS), 'utf8').split('\n').filter(Boolean);
  const sums = new Map(lines.map((line) => [line.slice(66), line.slice(0, 64)]));
  const files = filesIn(folder);
  const wrong = files.filter((file) => sums.get(file) !== sha256(join(folder, file)));
  return [...wrong, ...[...sums.keys()].filter((file) => !files.includes(file))];
}

function sha256(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

function main([step = '', value = '']: readonly string[]): void {
  const say = (lines: readonly string[]): void => {
    for (const line of lines) process.stdout.write(`${line}\n`);
  };
  const fail = (faults: readonly string[]): void => {
    say(faults);
    if (faults.length > 0) process.exitCode = 1;
  };
  const steps: Readonly<Record<string, () => void>> = {
    check: () => fail(faultsOfTag(value)),
    collect: () => say(collect(value)),
    sums: () => say([writeSums(value).trimEnd()]),
    sign: () => signSums(value, process.env[KEY_VARIABLE] ?? ''),
    verify: () => fail(wrongFiles(value).map((file) => `not as ${SUMS} says: ${file}`)),
  };
  const run = steps[step];
  if (run === undefined || value === '')
    fail([`usage: node tools/release.ts ${Object.keys(steps).join('|')} VALUE`]);
  else run();
}

if (import.meta.main) main(process.argv.slice(2));
