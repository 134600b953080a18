import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/*
 * Network namespaces of Linux by name, with iproute2 and nftables. All of it is synchronous: it takes milliseconds, and what has been made must be
 * removable while the process exits.
 */

/** These programs stand where a user's PATH does not look. */
export const SYSTEM_PATH = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;

export function isInstalled(program: string): boolean {
  return SYSTEM_PATH.split(':').some((folder) => existsSync(join(folder, program)));
}

export function addNamespace(name: string): void {
  run(['ip', 'netns', 'add', name]);
}

/** Ends every process that lives in the namespace, which is ours, and takes it away. Does nothing when it is not there. */
export function removeNamespace(name: string): void {
  const { stdout } = spawnSync('ip', ['netns', 'pids', name], {
    encoding: 'utf8',
    env: { PATH: SYSTEM_PATH },
  });
  for (const pid of (stdout ?? '').split('\n').filter((line) => line !== '')) {
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch {
      // It ended by itself meanwhile.
    }
  }
  spawnSync('ip', ['netns', 'del', name], { env: { PATH: SYSTEM_PATH } });
}

/** The command line that runs a command in a namespace; `ip` becomes that command, so its process id is the command's. */
export function inNamespace(name: string, command: readonly string[]): string[] {
  return ['ip', 'netns', 'exec', name, ...command];
}

/** Runs `ip` commands (without the word `ip`) in a namespace. Throws at the first that fails. */
export function ip(namespace: string, commands: readonly string[]): void {
  run(['ip', '-n', namespace, '-batch', '-'], commands.join('\n'));
}

/** Replaces all rules of a namespace at once. */
export function setRules(namespace: string, rules: string): void {
  run(inNamespace(namespace, ['nft', '-f', '-']), `flush ruleset\n${rules}`);
}

/** Sets entries under /proc/sys/net, such as `ipv4/ip_forward`: they are the namespace's own. */
export function setKernelSettings(
  namespace: string,
  settings: Readonly<Record<string, string>>,
): void {
  const script = Object.entries(settings).map(
    ([name, value]) => `echo ${value} > /proc/sys/net/${name}`,
  );
  run(inNamespace(namespace, ['sh', '-e', '-c', script.join('\n')]));
}

/**
 * What a bridge of the namespace passes on is none of the firewall's there. Where the kernel has br_netfilter (container hosts load it) it is, unless it is
 * told otherwise: then those behind one router would be kept from each other.
 */
export function exemptBridges(namespace: string): void {
  const names = ['iptables', 'ip6tables', 'arptables'].map((name) => `bridge-nf-call-${name}`);
  runShell(
    namespace,
    `cd /proc/sys/net/bridge 2> /dev/null || exit 0; for name in ${names.join(' ')}; do echo 0 > $name; done`,
  );
}

/** Runs a line of shell in a namespace. Throws when it fails. */
export function runShell(namespace: string, line: string): void {
  run(inNamespace(namespace, ['sh', '-e', '-c', line]));
}

function run(command: readonly string[], input = ''): void {
  const { status, stderr, error } = spawnSync(command[0] ?? '', command.slice(1), {
    input,
    encoding: 'utf8',
    env: { PATH: SYSTEM_PATH },
  });
  if (status !== 0) throw new Error(`${command.join(' ')}: ${error?.message ?? stderr.trim()}`);
}
