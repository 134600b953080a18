import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = '/sys/fs/cgroup';
const BYTES_PER_MB = 1_048_576;

/** What MemoryMax of a service is: a group of processes with so much memory, beyond it one is killed. */
export interface MemoryGroup {
  /** Stands before a program, which then runs in the group. */
  readonly prefix: readonly string[];
  /** To be called when all that ran in it has ended. */
  remove(): void;
}

/**
 * Makes a group of processes (cgroup(7), either version). Throws where that is not allowed: it takes
 * root, and a kernel with memory groups.
 */
export function makeMemoryGroup(maxMb: number): MemoryGroup {
  const isUnified = existsSync(join(ROOT, 'cgroup.controllers'));
  const folder = join(ROOT, isUnified ? '' : 'memory', `lumamesh-attack-${process.pid}`);
  mkdirSync(folder, { recursive: true });
  const limit = String(maxMb * BYTES_PER_MB);
  if (isUnified) {
    writeFileSync(join(folder, 'memory.max'), limit);
    writeFileSync(join(folder, 'memory.swap.max'), '0');
  } else writeFileSync(join(folder, 'memory.limit_in_bytes'), limit);
  return {
    prefix: ['sh', '-c', `echo $$ > ${folder}/cgroup.procs && exec "$@"`, 'sh'],
    remove: () => rmdirSync(folder),
  };
}
