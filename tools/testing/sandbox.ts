import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/*
 * Where a suite runs, so that all of it ends with it. As root on Linux: in a process, a mount and a
 * network namespace that die with their first process, and with this one. Elsewhere: in a process
 * group; what has left the group is found by a variable in its environment.
 */

export const isRoot = process.getuid?.() === 0;
const FOLDERS = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin'];
/** Every process of a suite has it in its environment, but for those that are given one of their own. */
export const MARK_VARIABLE = 'LUMAMESH_TEST_SUITE';

/** The first process: reaps what others leave behind, and ends with the tests. Named namespaces are its own. */
const FIRST = 'mount -t proc proc /proc && mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns';
const NETWORK = [
  'ip link set lo up',
  'ip link add outside type veth peer name inside',
  'ip addr add 10.77.0.1/24 dev outside',
  'ip link set outside up',
  'ip link set inside up',
  'ip route add default dev outside',
  'mount -t sysfs sysfs /sys',
].join(' && ');

export function has(program: string): boolean {
  if (program.startsWith('/')) return existsSync(program);
  return FOLDERS.some((folder) => existsSync(join(folder, program)));
}

/** What stands before a command that is to run in a sandbox; `null` where there can be none. */
export function sandboxPrefix(network: 'own' | 'machine'): readonly string[] | null {
  if (!isRoot || !['setpriv', 'unshare', 'mount'].every(has)) return null;
  const isOwn = network === 'own' && has('ip');
  const prefix = [
    ...['setpriv', '--pdeathsig', 'KILL', 'unshare', '--mount', '--propagation', 'private'],
    ...['--pid', '--fork', '--kill-child', ...(isOwn ? ['--net'] : [])],
    ...['sh', '-c', `${FIRST}${isOwn ? ` && ${NETWORK}` : ''} && { "$@"; exit $?; }`, 'sh'],
  ];
  return spawnSync(prefix[0] ?? '', [...prefix.slice(1), 'true']).status === 0 ? prefix : null;
}

/** Ends a process group, and whatever else carries the mark. */
export function endAll(group: number | undefined, mark: string): void {
  if (group !== undefined) kill(-group);
  for (const pid of processesWith(mark)) kill(pid);
}

/** Processes of ours in whose environment the mark stands. None where there is no /proc. */
export function processesWith(mark: string): readonly number[] {
  if (!existsSync('/proc/self/environ')) return [];
  return readdirSync('/proc')
    .map(Number)
    .filter(
      (pid) =>
        pid > 0 && pid !== process.pid && environmentOf(pid).includes(`${MARK_VARIABLE}=${mark}\0`),
    );
}

function environmentOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1');
  } catch {
    // It has ended, or is somebody else's.
    return '';
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
