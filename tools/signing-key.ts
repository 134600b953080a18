import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';

/*
 * `npm run make:key -- release|list FILE`: makes an Ed25519 key that is the project's, or takes the one that FILE holds. FILE gets the
 * private half (PEM, 0600) and must not lie in the repository; the public half goes to deploy/, to be committed.
 *
 *   release  signs SHA256SUMS of releases (tools/release.ts sign), which install.sh --package believes
 *   list     signs the list of relays (tools/relay-snapshot.ts), which pages believe
 */
const ROOT = join(import.meta.dirname, '..');
export const PUBLIC_KEYS = {
  release: 'deploy/release-key.pem',
  list: 'deploy/relay-list-key.pem',
} as const;
const SECRETS = { release: 'LUMAMESH_RELEASE_KEY', list: 'LUMAMESH_LIST_KEY' } as const;

/** Makes a key, or reads the one of the file; returns what to say. Throws on what would lose or expose one. */
export function makeKey(
  kind: keyof typeof PUBLIC_KEYS,
  file: string,
  root = ROOT,
): readonly string[] {
  const folder = dirname(resolve(file));
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = join(realpathSync(folder), basename(file));
  if (!relative(realpathSync(root), path).startsWith('..'))
    throw new Error(`${path} lies in the repository, where a private key must not be`);
  const known = read(path);
  if (known === null) {
    const pem = generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' });
    // Never over another file.
    writeFileSync(path, pem, { mode: 0o600, flag: 'wx' });
  }
  const key = createPrivateKey(readFileSync(path));
  if (key.asymmetricKeyType !== 'ed25519') throw new Error(`${path} holds no Ed25519 key`);
  const publicKey = createPublicKey(key);
  const pem = publicKey.export({ format: 'pem', type: 'spki' });
  const published = PUBLIC_KEYS[kind];
  const before = read(join(root, published));
  if (before !== null && before !== pem)
    throw new Error(
      `${published} holds another key: who replaces it says so in CHANGELOG.md, and removes that file first`,
    );
  writeFileSync(join(root, published), pem);
  return [
    `${known === null ? 'made' : 'read'}: ${path} (keep it off this machine, too; who has it can sign as the project)`,
    `public half: ${published}, to be committed; as base64url: ${publicKey.export({ format: 'jwk' }).x}`,
    `for the workflow: gh secret set ${SECRETS[kind]} < ${path}`,
  ];
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

if (import.meta.main) {
  const [kind = '', file = ''] = process.argv.slice(2);
  try {
    if (!(kind === 'release' || kind === 'list') || file === '')
      throw new Error('usage: npm run make:key -- release|list FILE');
    process.stdout.write(`${makeKey(kind, file).join('\n')}\n`);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}
