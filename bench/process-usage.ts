import { readFileSync } from 'node:fs';

/** Of utime and stime in /proc (USER_HZ). */
const TICK_MS = 10;

/** User and system time of a process and its threads, in ms (proc_pid_stat(5), fields 14 and 15). */
export function cpuMs(pid: number): number {
  // Behind the name, which may have spaces in it.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}
