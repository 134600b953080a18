import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RelayProcess } from '@lumamesh/testkit';
import { cpuMs } from '../process-usage.ts';
import { ATTACKS } from './attackers.ts';
import type { HonestReport } from './honest.ts';
import { makeMemoryGroup } from './memory-group.ts';

/*
 * `npm run attack -- [--seconds n] [--json file] [--memory MB] [--link Mbit/s] [names…]`: a relay as
 * operators run it, honest clients who must notice nothing, and one attacker after another. Each
 * meets a relay of its own, which is first measured in peace. Fails when a bound is broken.
 * `--memory`: the relay is killed beyond so much, as under MemoryMax. `--link`: all goes by one line
 * of that rate.
 */
const BOUND = { p99Factor: 3, p99Ms: 50, joinMs: 3000, residentMb: 256 };

export interface AttackResult {
  readonly name: string;
  readonly what: string;
  readonly quiet: HonestReport;
  readonly attacked: HonestReport;
  /** Of one core, in percent. */
  readonly quietCpu: number;
  readonly attackedCpu: number;
  readonly residentMb: number;
  /** Which bounds are broken. */
  readonly broken: readonly string[];
}

/** What the relay has to live with. */
export interface Surroundings {
  readonly memoryMb?: number | undefined;
  /** Of the line to the relay, each way. */
  readonly linkMbits?: number | undefined;
  /** For how long it is measured in peace: as long as under attack, unless that is of no interest. */
  readonly quietSeconds?: number;
}

export async function attack(
  name: string,
  seconds: number,
  { memoryMb, linkMbits = ATTACKS[name]?.linkMbits, quietSeconds = seconds }: Surroundings = {},
): Promise<AttackResult> {
  const folder = mkdtempSync(join(tmpdir(), 'lumamesh-attack-'));
  const port = 20_000 + Math.floor(Math.random() * 10_000);
  const group = memoryMb === undefined ? null : makeMemoryGroup(memoryMb);
  const relay = new RelayProcess({
    cwd: folder,
    prefix: group?.prefix ?? [],
    environment: {
      UDP_PORT: String(port),
      PUBLIC_IP: '127.0.0.1',
      LISTEN_IP: '127.0.0.1',
      ...ATTACKS[name]?.environment,
    },
  });
  const children: ChildProcess[] = [];
  try {
    const own = await relay.ready();
    let record = own;
    if (linkMbits !== undefined) {
      const parameters = [String(port), String(linkMbits)];
      const link = fork(join(import.meta.dirname, 'throttled-link.ts'), parameters);
      children.push(link);
      const [linkPort] = (await once(link, 'message')) as [number];
      record = { ...own, port: linkPort };
    }
    const { token } = ATTACKS[name] ?? {};
    const words = [JSON.stringify(record), ...(token === undefined ? [] : [token])];
    const honest = fork(join(import.meta.dirname, 'honest.ts'), words, {
      // JSON has no infinity, which is what a newcomer waits who never gets in.
      serialization: 'advanced',
    });
    children.push(honest);
    const [{ peers }] = (await once(honest, 'message')) as [{ readonly peers: readonly string[] }];
    const pid = relay.child.pid ?? 0;
    const measure = async (forSeconds: number): Promise<[HonestReport, number]> => {
      const before = cpuSoFar(pid);
      const startedAt = performance.now();
      honest.send('begin');
      await new Promise((resolve) => setTimeout(resolve, forSeconds * 1000));
      const cpu = (100 * (cpuSoFar(pid) - before)) / (performance.now() - startedAt);
      honest.send('end');
      const [report] = (await once(honest, 'message')) as [HonestReport];
      return [report, Math.round(cpu)];
    };
    const [quiet, quietCpu] = await measure(quietSeconds);
    const attacker = fork(join(import.meta.dirname, 'attackers.ts'), [
      name,
      JSON.stringify(record),
      JSON.stringify(peers),
    ]);
    children.push(attacker);
    await once(attacker, 'message');
    const [attacked, attackedCpu] = await measure(seconds);
    const residentMb = relay.hasEnded ? Number.NaN : Math.round(residentKb(pid) / 1024);
    const broken = findBroken(quiet, attacked, residentMb);
    const { what = '' } = ATTACKS[name] ?? {};
    return { name, what, quiet, attacked, quietCpu, attackedCpu, residentMb, broken };
  } finally {
    for (const child of children) child.kill('SIGKILL');
    relay.child.kill('SIGKILL');
    if (!relay.hasEnded) await once(relay.child, 'exit');
    group?.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}

function findBroken(quiet: HonestReport, attacked: HonestReport, residentMb: number): string[] {
  const { p99Factor, p99Ms, joinMs, residentMb: maxResident } = BOUND;
  const broken: string[] = [];
  if (Number.isNaN(residentMb)) broken.push('the relay has ended');
  if (!(attacked.p99Ms <= Math.max(p99Ms, p99Factor * quiet.p99Ms))) broken.push('p99');
  if (!(attacked.joinMaxMs <= joinMs)) broken.push('newcomers');
  if (attacked.lostSessions > 0) broken.push('sessions');
  if (attacked.seenLeaving > 0) broken.push('members');
  if (attacked.received < attacked.sent) broken.push('signals');
  if (residentMb > maxResident) broken.push('memory');
  return broken;
}

/** What a process has used so far; NaN when it has ended. */
function cpuSoFar(pid: number): number {
  return existsSync(`/proc/${pid}/stat`) ? cpuMs(pid) : Number.NaN;
}

function residentKb(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

function row(cells: readonly (string | number)[]): string {
  const widths = [16, 15, 17, 13, 11, 9, 8];
  return cells.map((cell, i) => String(cell).padEnd(widths[i] ?? 0)).join('');
}

function show({
  name,
  quiet,
  attacked,
  quietCpu,
  attackedCpu,
  residentMb,
  broken,
}: AttackResult): string {
  const round = (value: number): number => Math.round(value * 10) / 10;
  return row([
    name,
    `${round(quiet.p50Ms)}/${round(quiet.p99Ms)}`,
    `${round(attacked.p50Ms)}/${round(attacked.p99Ms)}`,
    `${attacked.received}/${attacked.sent}`,
    Math.round(attacked.joinMaxMs),
    `${quietCpu}/${attackedCpu}`,
    residentMb,
    broken.length === 0 ? 'holds' : `BROKEN: ${broken.join(', ')}`,
  ]);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

if (process.argv[1] === import.meta.filename) {
  const words = process.argv.slice(2);
  const take = (flag: string): string | undefined => {
    const i = words.indexOf(flag);
    return i < 0 ? undefined : words.splice(i, 2)[1];
  };
  const seconds = Number(take('--seconds') ?? 10);
  const file = take('--json');
  const numberOf = (text: string | undefined): number | undefined =>
    text === undefined ? undefined : Number(text);
  const surroundings = {
    memoryMb: numberOf(take('--memory')),
    linkMbits: numberOf(take('--link')),
  };
  const names = words.length === 0 ? Object.keys(ATTACKS) : words;
  const results: AttackResult[] = [];
  say(
    row([
      'attack',
      'quiet p50/p99',
      'attacked p50/p99',
      'signals',
      'join max',
      'CPU %',
      'MB',
      'verdict',
    ]),
  );
  for (const name of names) {
    if (ATTACKS[name] === undefined)
      throw new Error(`no attack ${name}: ${Object.keys(ATTACKS).join(', ')}`);
    const result = await attack(name, seconds, surroundings);
    results.push(result);
    say(show(result));
  }
  if (file !== undefined) writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`);
  process.exitCode = results.some(({ broken }) => broken.length > 0) ? 1 : 0;
}
