import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { chmod, copyFile, readFile, readdir, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

/* A Debian of the release that this machine has, made by debootstrap once a week and unpacked after that. */
const CACHE = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'lumamesh-tests');
const MAX_AGE_MS = 7 * 86_400_000;

/** Makes the minimum of a Debian, and these packages, in an empty folder. */
export async function makeDebian(folder: string, packages: readonly string[] = []): Promise<void> {
  await chmod(folder, 0o755);
  const [release, ...mirror] = debianOfThisMachine();
  const archive = join(CACHE, `${[release, ...packages].join('+')}.tar`);
  const unpack = ['--numeric-owner', '--xattrs', '-C', folder];
  if (existsSync(archive) && Date.now() - statSync(archive).mtimeMs < MAX_AGE_MS) {
    execFileSync('tar', ['-xf', archive, ...unpack]);
  } else {
    const include = packages.length === 0 ? [] : [`--include=${packages.join(',')}`];
    execFileSync('debootstrap', ['--variant=minbase', ...include, release, folder, ...mirror], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    rmSync(join(folder, 'var/cache/apt/archives'), { recursive: true });
    mkdirSync(join(folder, 'var/cache/apt/archives/partial'), { recursive: true });
    mkdirSync(CACHE, { recursive: true });
    // Whole or not at all, whoever else makes the same.
    const own = `${archive}.${process.pid}`;
    execFileSync('tar', ['-cf', own, ...unpack, '.']);
    renameSync(own, archive);
  }
  // What a crash would lose here is nobody's loss: dpkg need not wait for the disk.
  await writeFile(join(folder, 'etc/dpkg/dpkg.cfg.d/unsafe-io'), 'force-unsafe-io\n');
  await copyAptConfiguration(folder);
}

/** Release and mirror that this machine's apt takes packages from. */
function debianOfThisMachine(): readonly [release: string, ...mirror: string[]] {
  const release =
    /^VERSION_CODENAME=(.*)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'bookworm';
  const targets = execFileSync(
    'apt-get',
    ['indextargets', '--format', '$(REPO_URI) $(RELEASE)', 'Created-By: Packages'],
    { encoding: 'utf8' },
  );
  const mirror = targets
    .split('\n')
    .map((line) => line.split(' '))
    .find((target) => target[1] === release)?.[0];
  return mirror === undefined ? [release] : [release, mirror];
}

/** How this machine's apt gets at packages (proxies and the like); its sources are those that debootstrap was given. */
async function copyAptConfiguration(folder: string): Promise<void> {
  const configuration = '/etc/apt/apt.conf.d';
  for (const name of await readdir(configuration)) {
    if (/\bAcquire\b/.test(await readFile(join(configuration, name), 'utf8')))
      await copyFile(join(configuration, name), join(folder, configuration, name));
  }
}
