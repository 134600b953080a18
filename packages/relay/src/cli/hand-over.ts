import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import { LumameshError } from '@lumamesh/base';
import { EXIT_FAILED, say } from './context.ts';

const SERVICE = 'lumamesh-relay.service';
const ASK_EVERY_MS = 200;
/** As long as a small machine may take to start the program, and then to change over. */
const LIMIT_MS = 150_000;
/** SIGUSR2 is 12: bit 11 of the mask of signals that a process handles (proc_pid_status(5)). */
const SIGUSR2_BIT = 11n;

/**
 * `hand-over`: has the service go on by the program that is installed now, without an end. Exit code
 * 1 where that one does not start, so that the old one goes on; 2 where nobody can hand over.
 */
export function addHandOverCommand(program: Command): void {
  program
    .command('hand-over')
    .description(
      'after an upgrade: the running service hands over to the program that is installed now; sessions dial again at once',
    )
    .action(async () => {
      const before = await show();
      if (before.pid === 0) throw refusal(`${SERVICE} does not run: systemctl start it`);
      if (!(await handlesSignal(before.pid)))
        throw refusal(
          `the running program is of before and cannot hand over: systemctl restart ${SERVICE}`,
        );
      process.kill(before.pid, 'SIGUSR2');
      const after = await newProcess(before);
      if (after !== null) return say(`${SERVICE} goes on as process ${after}`);
      process.stderr.write(
        `lumamesh-relay: the new program did not take over, the old one runs on; journalctl -u ${SERVICE} -n 20 says why\n`,
      );
      process.exitCode = EXIT_FAILED;
    });
}

/** `null` where the old process goes on. */
async function newProcess(before: Shown): Promise<number | null> {
  for (const endsAt = Date.now() + LIMIT_MS; Date.now() < endsAt; await sleep(ASK_EVERY_MS)) {
    const { pid, status } = await show();
    if (pid !== before.pid && pid !== 0) return pid;
    // What is said from before is of another time.
    if (status !== before.status && status.startsWith('the new program did not start')) return null;
  }
  return null;
}

interface Shown {
  readonly pid: number;
  readonly status: string;
}

async function show(): Promise<Shown> {
  try {
    const { stdout } = await promisify(execFile)('systemctl', [
      'show',
      SERVICE,
      '--property=MainPID,StatusText',
    ]);
    return {
      pid: Number(/^MainPID=(\d+)$/m.exec(stdout)?.[1] ?? 0),
      status: /^StatusText=(.*)$/m.exec(stdout)?.[1] ?? '',
    };
  } catch (error) {
    throw refusal('there is no service: systemctl does not answer', error);
  }
}

function refusal(text: string, cause?: unknown): LumameshError {
  return new LumameshError('NO_SERVICE', text, { cause });
}

/** One that does not would end by it. */
async function handlesSignal(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const mask = /^SigCgt:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0';
  return ((BigInt(`0x${mask}`) >> SIGUSR2_BIT) & 1n) === 1n;
}
