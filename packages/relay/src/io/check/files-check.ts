import { stat, statfs } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { RelayConfig } from '../config/config.ts';
import { identityFiles, loadIdentity } from '../identity.ts';
import { identityPaths } from '../key-backup.ts';
import { FULL_BELOW_BYTES, LOW_BELOW_BYTES } from '../service/machine-watch.ts';
import type { Finding } from './finding.ts';

const OTHERS = 0o077;

/** The identity, who may read it, and the disk that it is on. */
export async function* checkFiles(config: RelayConfig): AsyncGenerator<Finding> {
  const files = identityFiles(config);
  const modes = await Promise.all(
    identityPaths(files).map(async ({ path }) => ({ path, ...(await statOf(path)) })),
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
    yield* checkOwners(folder, modes);
    try {
      const { nk } = await loadIdentity(files, { mayMake: false });
      yield { name: 'identity', verdict: 'ok', detail: nk };
    } catch (error) {
      yield { name: 'identity', verdict: 'fail', detail: (error as Error).message };
    }
  }
  try {
    const { bavail, bsize } = await statfs(folder);
    const free = bavail * bsize;
    const verdict = free < FULL_BELOW_BYTES ? 'fail' : free < LOW_BELOW_BYTES ? 'warn' : 'ok';
    yield {
      name: 'disk',
      verdict,
      detail: `${Math.floor(free / 1e6)} MB free in ${folder}`,
      ...(verdict === 'ok'
        ? {}
        : {
            mend: 'free some space: keys and the list of relays are written there, and on a full disk a restart of the service fails',
          }),
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

/** Root reads everything; the service, whose folder it is, does not. */
async function* checkOwners(
  folder: string,
  files: readonly { readonly path: string; readonly uid: number | null }[],
): AsyncGenerator<Finding> {
  if (process.getuid?.() !== 0) return;
  const { uid } = await statOf(folder);
  const foreign = files.filter((file) => file.uid !== null && uid !== null && file.uid !== uid);
  if (foreign.length === 0) return;
  const paths = foreign.map(({ path }) => path).join(' ');
  yield {
    name: 'file owners',
    verdict: 'fail',
    detail: `who owns ${folder} cannot read ${paths}: the relay that runs there will not start again`,
    mend: `chown --reference=${folder} ${paths}`,
  };
}

async function statOf(
  file: string,
): Promise<{ readonly mode: number | null; readonly uid: number | null }> {
  try {
    const { mode, uid } = await stat(file);
    return { mode, uid };
  } catch {
    return { mode: null, uid: null };
  }
}
