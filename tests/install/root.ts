import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { patience } from '@lumamesh/testkit';
import { makeDebian } from './debian.ts';

/*
 * A Debian of its own to install in: a debootstrap root with nothing but the minimum, entered through chroot in a mount and a process namespace, so that all
 * of it ends with one process. The network is the machine's. What it gets besides: the checkout as it lies here, and stand-ins for PID 1's programs.
 */
const CHECKOUT = join(import.meta.dirname, '../..');
/** Where the checkout lies in the root; operators have folders with spaces. */
const HOME = '/root/my lumamesh';
const NEEDED = ['debootstrap', 'unshare', 'nsenter', 'chroot', 'tar', 'git'];
/** How long a relay may take to say that it is ready. */
const START_LIMIT_MS = 10_000;
const FOLDERS = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin'];

export interface Outcome {
  readonly code: number | null;
  /** Standard output and standard error, as they came. */
  readonly text: string;
}

/** Why there can be no such root here, or `null`. */
export function whyNoRoot(programs: readonly string[] = NEEDED): string | null {
  if (process.getuid?.() !== 0)
    return 'takes root: it installs a system service in a root of its own';
  const missing = programs.filter(
    (program) => !FOLDERS.some((folder) => existsSync(join(folder, program))),
  );
  return missing.length === 0
    ? null
    : `not installed: ${missing.join(', ')} (Debian: apt-get install debootstrap systemd util-linux git)`;
}

export class InstallRoot {
  readonly folder: string;
  readonly checkout = HOME;
  readonly #holder: ChildProcess;
  readonly #pid: string;
  readonly #environment: Readonly<Record<string, string>>;

  private constructor(
    folder: string,
    holder: ChildProcess,
    pid: string,
    environment: Readonly<Record<string, string>>,
  ) {
    this.folder = folder;
    this.#holder = holder;
    this.#pid = pid;
    this.#environment = environment;
  }

  static async make(): Promise<InstallRoot> {
    const folder = await mkdtemp(join(tmpdir(), 'lumamesh-install-'));
    try {
      await makeDebian(folder);
      const environment = await prepareNetwork(folder);
      execFileSync(
        'bash',
        [
          '-c',
          'set -o pipefail; mkdir -p "$1" && git ls-files -coz --exclude-standard | tar --null --ignore-failed-read -cf - -T - | tar -xf - -C "$1"',
          '-',
          folder + HOME,
        ],
        {
          cwd: CHECKOUT,
          stdio: ['ignore', 'ignore', 'inherit'],
        },
      );
      for (const [source, program] of [
        ['stand-in-systemctl.sh', 'systemctl'],
        ['stand-in-journalctl.sh', 'journalctl'],
        ['stand-in-systemd-notify.pl', 'systemd-notify'],
      ] as const) {
        await copyFile(join(import.meta.dirname, source), join(folder, 'usr/local/bin', program));
        await chmod(join(folder, 'usr/local/bin', program), 0o755);
      }
      return new InstallRoot(folder, ...(await enter(folder)), environment);
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** A path of the root, as this process finds it. */
  path(inside: string): string {
    return join(this.folder, inside);
  }

  async read(inside: string): Promise<string> {
    return readFile(this.path(inside), 'utf8');
  }

  start(
    command: readonly string[],
    environment: Readonly<Record<string, string>> = {},
  ): ChildProcess {
    const variables = Object.entries({ ...this.#environment, ...environment }).map(
      ([name, value]) => `${name}=${value}`,
    );
    const inside = ['chroot', this.folder, 'env', '-i', ...variables, ...command];
    return spawn('nsenter', ['--target', this.#pid, '--mount', '--pid', ...inside], {
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
  }

  /** Runs a program in the root, without a terminal. */
  async run(
    command: readonly string[],
    environment: Readonly<Record<string, string>> = {},
    input = '',
  ): Promise<Outcome> {
    const child = this.start(command, environment);
    const text = collect(child);
    // A program that reads nothing may have ended before this: what it said counts.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, text: text() };
  }

  /** Ends everything that runs in the root, and removes it. */
  async remove(): Promise<void> {
    const hasEnded = once(this.#holder, 'exit');
    // The first process of the namespace dies with it, and all others with that one; so do the mounts.
    this.#holder.kill('SIGKILL');
    await hasEnded;
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}

/** What a program prints from now on. */
export function collect(child: ChildProcess): () => string {
  let text = '';
  const add = (data: Buffer): void => void (text += data.toString());
  child.stdout?.on('data', add);
  child.stderr?.on('data', add);
  return () => text;
}

/** Name servers, certificates and npm's registry as this machine has them; answers the environment of programs in the root. */
async function prepareNetwork(folder: string): Promise<Readonly<Record<string, string>>> {
  await copyFile('/etc/resolv.conf', join(folder, 'etc/resolv.conf'));
  const environment: Record<string, string> = {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: '/root',
    LANG: 'C.UTF-8',
    // Of the stand-in for systemctl.
    STAND_IN_START_TIMEOUT_S: String(Math.ceil(patience(START_LIMIT_MS) / 1000)),
  };
  for (const name of [
    'http_proxy',
    'https_proxy',
    'no_proxy',
    'HTTP_PROXY',
    'HTTPS_PROXY',
    'NO_PROXY',
  ]) {
    const value = process.env[name];
    if (value !== undefined) environment[name] = value;
  }
  const registry = execFileSync('npm', ['config', 'get', 'registry'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }).trim();
  if (/^https?:/.test(registry)) environment['npm_config_registry'] = registry;
  const certificates = process.env['NODE_EXTRA_CA_CERTS'];
  if (certificates !== undefined && existsSync(certificates)) {
    const inside = '/etc/ssl/certificates-of-the-machine.crt';
    await mkdir(join(folder, 'etc/ssl'), { recursive: true });
    await copyFile(certificates, join(folder, inside));
    environment['NODE_EXTRA_CA_CERTS'] = inside;
  }
  return environment;
}

/** Starts the process that holds the namespaces; it ends when its standard input does, so also when this process is killed. */
async function enter(folder: string): Promise<[holder: ChildProcess, pid: string]> {
  const script =
    'mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && mount -t tmpfs tmpfs "$1/run" && mkdir -p "$1/run/systemd/system" && echo ready && read -r';
  const parameters = [
    '--mount',
    '--propagation',
    'private',
    '--pid',
    '--fork',
    '--kill-child',
    'bash',
    '-c',
    script,
    '-',
    folder,
  ];
  const holder = spawn('unshare', parameters, { stdio: ['pipe', 'pipe', 'inherit'] });
  const [said] = (await Promise.race([once(holder.stdout, 'data'), once(holder, 'exit')])) as [
    unknown,
  ];
  if (!String(said).startsWith('ready'))
    throw new Error('no namespaces for the root: unshare failed');
  const pid = readFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`, 'utf8').trim();
  return [holder, pid];
}
