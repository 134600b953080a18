import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, mkdtemp, open, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { LumameshError } from '@lumamesh/base';
import { type Identity, type IdentityFiles, loadIdentity } from './identity.ts';
import { createKeyFile, readKeyFile } from './key-file.ts';

const CHECKSUM_FILE = 'SHA256SUMS';
/** What a copy that was cut short leaves. */
const UNFINISHED = '.new-';
const PRIVATE_FILE = 0o600;
const PRIVATE_FOLDER = 0o700;
/** As sha256sum(1) writes them. */
const CHECKSUM_LINE = /^([0-9a-f]{64}) [ *](.+)$/;
/** What identity files are called in a backup, whatever they are called where they live. */
const NAMES = {
  key: 'server.key',
  icePassword: 'server.key.icepwd',
  certificate: 'server.crt',
  nodeKey: 'node.key',
} as const;

/**
 * The files of an identity: the one in a backup, and the one in use. The key before its
 * certificate, as when they are made.
 */
export function identityPaths(
  files: IdentityFiles,
): readonly { readonly name: string; readonly path: string }[] {
  return [
    { name: NAMES.key, path: files.keyFile },
    { name: NAMES.icePassword, path: `${files.keyFile}.icepwd` },
    { name: NAMES.certificate, path: files.certFile },
    { name: NAMES.nodeKey, path: files.nodeKeyFile },
  ];
}

/**
 * Copies a whole and sound identity into a folder (0700, files 0600) with their checksums. A backup
 * that is there already is replaced when it is of the same identity; one of another is never
 * touched. Throws `BACKUP_FAILED`, and what `loadIdentity` throws.
 */
export async function backupKeys(files: IdentityFiles, folder: string): Promise<readonly string[]> {
  const identity = await loadIdentity(files, { mayMake: false });
  const target = resolve(folder);
  try {
    const contents = new Map<string, Buffer>();
    for (const { name, path } of identityPaths(files)) {
      // A password that was given as ICE_PWD belongs to the identity as well.
      const isGiven = name === NAMES.icePassword && files.icePassword !== undefined;
      contents.set(
        name,
        isGiven ? Buffer.from(`${files.icePassword}\n`) : await readPlainFile(path),
      );
    }
    await requireOurs(identity, contents, target);
    await mkdir(target, { recursive: true, mode: PRIVATE_FOLDER });
    // Written beside and moved in: a full disk leaves the backup of yesterday.
    const temporary = await mkdtemp(join(target, UNFINISHED));
    try {
      const sums: string[] = [];
      for (const [name, data] of contents) {
        await writeFile(join(temporary, name), data, {
          mode: PRIVATE_FILE,
          flag: 'wx',
          flush: true,
        });
        sums.push(`${checksum(data)}  ${name}\n`);
      }
      await writeFile(join(temporary, CHECKSUM_FILE), sums.join(''), {
        mode: PRIVATE_FILE,
        flag: 'wx',
        flush: true,
      });
      for (const name of [...contents.keys(), CHECKSUM_FILE])
        await rename(join(temporary, name), join(target, name));
    } finally {
      await rm(temporary, { recursive: true, force: true });
    }
  } catch (error) {
    throw failed('BACKUP_FAILED', `cannot back up to ${target}`, error);
  }
  return [...Object.values(NAMES), CHECKSUM_FILE].map((name) => join(target, name));
}

/**
 * Puts a backup where the identity is to live, after its checksums and keys were found sound. Files
 * that are there already stay when they are the same; when one is another, nothing is written at
 * all. Throws `RESTORE_FAILED`.
 */
export async function restoreKeys(folder: string, files: IdentityFiles): Promise<Identity> {
  const source = resolve(folder);
  const texts = await readBackup(source);
  const there = await Promise.all(
    identityPaths(files).map(async ({ name, path }) => ({
      name,
      path,
      text: await readKeyFile(path),
    })),
  );
  const other = there.find(({ name, text }) => text !== null && text !== texts.get(name));
  if (other !== undefined) {
    throw new LumameshError(
      'RESTORE_FAILED',
      `${other.path} is there already and is not the one of the backup; nothing was written. Move the identity files away first if you want to give them up`,
    );
  }
  for (const { name, path, text } of there)
    if (text === null) await createKeyFile(path, texts.get(name) ?? '');
  return loadIdentity(withoutGivenPassword(files));
}

/** The files of a backup by name. Nothing but a sound one is read. */
async function readBackup(folder: string): Promise<ReadonlyMap<string, string>> {
  const texts = new Map<string, string>();
  try {
    const sums = new Map<string, string>();
    for (const line of (await readFile(join(folder, CHECKSUM_FILE), 'utf8')).split('\n')) {
      const [, sum, name] = CHECKSUM_LINE.exec(line) ?? [];
      if (sum !== undefined && name !== undefined) sums.set(basename(name), sum);
    }
    for (const name of Object.values(NAMES)) {
      const file = join(folder, name);
      const data = await readFile(file);
      if (checksum(data) !== sums.get(name))
        throw new Error(`${file} is not what ${CHECKSUM_FILE} says: the backup is damaged`);
      texts.set(name, data.toString());
    }
    await loadIdentity(filesIn(folder));
  } catch (error) {
    throw failed('RESTORE_FAILED', `cannot restore from ${folder}`, error);
  }
  return texts;
}

/**
 * A folder may be new, empty, or hold a backup of this very identity (perhaps in part, of a copy
 * that was cut short).
 */
async function requireOurs(
  identity: Identity,
  contents: ReadonlyMap<string, Buffer>,
  folder: string,
): Promise<void> {
  const names = (await readOptionalFolder(folder)).filter((name) => !name.startsWith(UNFINISHED));
  if ([...contents.keys()].every((name) => names.includes(name))) {
    const present = await loadIdentity(filesIn(folder), { mayMake: false });
    if (present.nk === identity.nk && present.fingerprint === identity.fingerprint) return;
    throw new Error(
      `it holds the identity of another relay (${present.nk}); give this one a folder of its own`,
    );
  }
  for (const name of names) {
    const isOurs =
      name === CHECKSUM_FILE ||
      contents.get(name)?.equals(await readFile(join(folder, name))) === true;
    if (!isOurs)
      throw new Error(`it holds something else (${name}); give the backup a folder of its own`);
  }
}

async function readOptionalFolder(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/**
 * Root reads a folder that belongs to the relay's user: it follows no link there, which could lead
 * to a key of its own, and waits for no pipe.
 */
async function readPlainFile(file: string): Promise<Buffer> {
  const handle = await open(
    file,
    constants.O_RDONLY |
      constants.O_NONBLOCK |
      (process.getuid?.() === 0 ? constants.O_NOFOLLOW : 0),
  );
  try {
    if (!(await handle.stat()).isFile()) throw new Error(`${file} is no file`);
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

function filesIn(folder: string): IdentityFiles {
  return {
    certFile: join(folder, NAMES.certificate),
    keyFile: join(folder, NAMES.key),
    nodeKeyFile: join(folder, NAMES.nodeKey),
  };
}

/** ICE_PWD, where it is set, stands above the file; what was restored is the files. */
function withoutGivenPassword({ certFile, keyFile, nodeKeyFile }: IdentityFiles): IdentityFiles {
  return { certFile, keyFile, nodeKeyFile };
}

function checksum(data: Buffer): string {
  return createHash('sha256').update(data).digest('hex');
}

function failed(code: string, what: string, error: unknown): LumameshError {
  return error instanceof LumameshError && error.code === code
    ? error
    : new LumameshError(code, `${what}: ${(error as Error).message}`, { cause: error });
}
