import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readFile, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { LumameshError } from '@lumamesh/base';

const PRIVATE_MODE = 0o600;

/**
 * Writes a new file that holds `text` or does not exist at all: a full disk, a crash or a second
 * instance never leaves half of it. It is written and synced under another name, then linked to its
 * own, which fails where a file is. Returns what the file holds, which is another instance's text
 * when that was faster. Throws `KEY_FILE_UNWRITABLE`.
 */
export async function createKeyFile(file: string, text: string): Promise<string> {
  const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    await mkdir(dirname(file), { recursive: true });
    const handle = await open(temporary, 'wx', PRIVATE_MODE);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await link(temporary, file);
    return text;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return await readFile(file, 'utf8');
    throw new LumameshError('KEY_FILE_UNWRITABLE', `cannot write ${file}: ${message}`, {
      cause: error,
    });
  } finally {
    await unlink(temporary).catch(() => undefined);
  }
}

/** What a file holds, or `null` when there is none. Throws `KEY_FILE_UNREADABLE`. */
export async function readKeyFile(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return null;
    throw new LumameshError('KEY_FILE_UNREADABLE', `cannot read ${file}: ${message}`, {
      cause: error,
    });
  }
}
