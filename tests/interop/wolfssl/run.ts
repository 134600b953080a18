import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildWolfssl } from './build.ts';

/*
 * Our DTLS 1.3 with the only other free stack of it that is not a browser's: `npm run
 * interop:wolfssl`, as root on Debian. With WOLFSSL_ROOT, the folder of a build that is there.
 */
const folder = await mkdtemp(join(tmpdir(), 'lumamesh-wolfssl-'));
try {
  const root = process.env['WOLFSSL_ROOT'] ?? (await buildWolfssl(folder));
  const { status } = spawnSync(
    process.execPath,
    ['--test', join(import.meta.dirname, 'wolfssl.test.ts')],
    { stdio: 'inherit', env: { ...process.env, WOLFSSL_ROOT: root } },
  );
  process.exitCode = status ?? 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}
