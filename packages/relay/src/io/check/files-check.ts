import { stat, statfs } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { RelayConfig } from '../config/config.ts';
import { identityFiles, loadIdentity } from '../identity.ts';
import { identityPaths } from '../key-backup.ts';
import type { Finding } from './finding.ts';

const FREE_BYTES_WANTED = 10 * 1024 * 1024;
const OTHERS = 0o077;

/** The identity, who may read it, and the disk that it is on. */
export async function* checkFiles(config: RelayConfig): AsyncGenerator<Finding> {
  const files = identityFiles(config);
  const modes = await Promise.all(
    identityPaths(files).map(async ({ path }) => ({ path, mode: await modeOf(path) })),
  );
  const missing = modes.filter(({ mode }) => mode === null);
  const folder = resolve(dirname(files.nodeKeyFile));
  if (missing.length === modes.length) {
    yield {
      name: 'identity',
      verdict: 'warn',
      detail: `there is none in ${folder} yet`,
      mend: '`lumamesh-relay keys make` makes one, as does the first start; `keys restore` brings one back',
    };
  } else {
    const open = modes.filter(({ mode }) => mode !== null && (mode & OTHERS) !== 0);
    yield open.length === 0
      ? { name: 'file modes', verdict: 'ok', detail: 'only their owner reads the identity files' }
      : {
          name: 'file modes',
          verdict: 'fail',
          detail: `others on this machine may read ${open.map(({ path }) => path).join(', ')}`,
          mend: `chmod 600 ${open.map(({ path }) => path).join(' ')}`,
        };
    try {
      const { nk } = await loadIdentity(files, { mayMake: false });
      yield { name: 'identity', verdict: 'ok', detail: nk };
    } catch (error) {
      yield { name: 'identity', verdict: 'fail', detail: (error as Error).message };
    }
  }
  try {
    const { bavail, bsize } = await statfs(folder);
    const isShort = bavail * bsize < FREE_BYTES_WANTED;
    yield {
      name: 'disk',
      verdict: isShort ? 'warn' : 'ok',
      detail: `${Math.floor((bavail * bsize) / 1e6)} MB free in ${folder}`,
      ...(isShort
        ? { mend: 'free some space: keys and the list of relays are written there' }
        : {}),
    };
  } catch (error) {
    yield {
      name: 'disk',
      verdict: 'fail',
      detail: (error as Error).message,
      mend: `make the folder ${folder}`,
    };
  }
}

async function modeOf(file: string): Promise<number | null> {
  try {
    return (await stat(file)).mode;
  } catch {
    return null;
  }
}
