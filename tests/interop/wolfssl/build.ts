import { spawnSync } from 'node:child_process';
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** As a program, a line for whoever waits, and the folder that it runs in. */
type Step = readonly [command: string, args: readonly string[], folder: string];

const APT_SOURCES = '/etc/apt/sources.list.d';
const NEEDED = ['build-essential', 'dpkg-dev', 'autoconf', 'automake', 'libtool'];

/**
 * Fetches the source of Debian's wolfSSL, whose package is built without DTLS 1.3, and builds its
 * example programs with it. Takes minutes.
 * @returns The folder of the build.
 */
export async function buildWolfssl(folder: string): Promise<string> {
  const lists = join(folder, 'lists');
  const sources = join(folder, 'sources');
  await mkdir(join(lists, 'partial'), { recursive: true });
  await mkdir(sources, { recursive: true });
  for (const name of await readdir(APT_SOURCES)) {
    if (!name.endsWith('.sources')) continue;
    const text = await readFile(join(APT_SOURCES, name), 'utf8');
    await writeFile(join(sources, name), text.replaceAll(/^Types: .*$/gm, 'Types: deb-src'));
  }
  const apt = [
    ['-o', 'Dir::Etc::sourcelist=/dev/null'],
    ['-o', `Dir::Etc::sourceparts=${sources}`],
    ['-o', `Dir::State::lists=${lists}`],
    ['-o', 'APT::Sandbox::User=root'],
  ].flat();
  run(['apt-get', ['install', '-y', '-qq', ...NEEDED], folder]);
  run(['apt-get', [...apt, '-qq', 'update'], folder]);
  run(['apt-get', [...apt, '-qq', 'source', 'wolfssl'], folder]);
  const name = (await readdir(folder)).find((each) => /^wolfssl-[\d.]+$/.test(each));
  if (name === undefined) throw new Error('there is no source of wolfSSL');
  const root = join(folder, name);
  await mendChaCha20(join(root, 'src', 'dtls13.c'));
  const options = ['dtls', 'dtls13', 'tls13', 'curve25519', 'ecc', 'aesgcm', 'static'];
  const disabled = ['--disable-shared', '--disable-crypttests'];
  run(['./autogen.sh', [], root]);
  run(['./configure', [...options.map((each) => `--enable-${each}`), ...disabled], root]);
  run(['make', ['-j2'], root]);
  return root;
}

/**
 * wolfSSL 5.5.4 asks for BIG_ENDIAN, which glibc defines on every machine, so it reads the counter
 * of ChaCha20's mask the wrong way round (RFC 9147 §4.2.3, RFC 8439 §2.3). Later ones do not.
 */
async function mendChaCha20(file: string): Promise<void> {
  const text = await readFile(file, 'utf8');
  await writeFile(file, text.replaceAll(/^#ifdef BIG_ENDIAN$/gm, '#ifdef BIG_ENDIAN_ORDER'));
}

function run([command, args, cwd]: Step): void {
  process.stdout.write(`${command} ${args.join(' ')}\n`);
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} failed:\n${stdout.slice(-2000)}${stderr}`);
}
