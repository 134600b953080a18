import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { WITHOUT_PION } from '@lumamesh/testkit';
import { CASES, type Figures } from './cases.ts';
import type { PeerName } from './peers/peer-process.ts';
import { plotOf } from './plot.ts';
import { type Line, type Round, linesOf, tableOf } from './report.ts';

/*
 * `npm run bench -- [--rounds 3] [--cases set-up,burst] [--peers lumamesh,pion] [--json FILE]
 * [--svg FILE]`: what a relay costs, beside what others would run. Each peer runs in a process of
 * its own, loaded from another, by turns; user and system time are the operating system's. Linux
 * only. A table is printed, with medians and, in brackets, the least and the most of all rounds.
 */
const OURS: PeerName = 'lumamesh';
const ALL: readonly PeerName[] = [
  OURS,
  'lumamesh without native I/O',
  ...(WITHOUT_PION === false ? (['pion'] as const) : []),
  'ws over TLS',
];
/** Other settings of ours; asked for by name. */
const VARIANTS: readonly PeerName[] = ['lumamesh by X25519', 'lumamesh by DTLS 1.2'];
/** This takes long, and is asked for by name. */
const BY_NAME_ONLY: readonly string[] = ['grown-to-10000'];
const DEFAULT_CASES = Object.keys(CASES).filter((name) => !BY_NAME_ONLY.includes(name));

const { values } = parseArgs({
  args: process.argv.slice(2),
  options: {
    rounds: { type: 'string', default: '3' },
    cases: { type: 'string', default: DEFAULT_CASES.join(',') },
    peers: { type: 'string', default: ALL.join(',') },
    json: { type: 'string' },
    svg: { type: 'string' },
  },
});

function git(...parameters: string[]): string {
  try {
    return execFileSync('git', parameters, { encoding: 'utf8', stdio: 'pipe' }).trim();
  } catch {
    return '';
  }
}

async function measure(name: string, peers: readonly PeerName[], rounds: number): Promise<Line[]> {
  const run = CASES[name];
  if (run === undefined)
    throw new Error(`there is no case ${name}; there are ${Object.keys(CASES).join(', ')}`);
  const results: Round[] = [];
  for (let round = 0; round < rounds; round++) {
    const figures: [PeerName, Figures][] = [];
    // Another begins in each round.
    for (let i = 0; i < peers.length; i++) {
      const peer = peers[(i + round) % peers.length];
      if (peer !== undefined) figures.push([peer, await run(peer)]);
    }
    results.push(Object.fromEntries(figures));
  }
  return linesOf(results, OURS);
}

if (WITHOUT_PION !== false) process.stderr.write(`SKIPPED: ${WITHOUT_PION}\n`);
const peers = values.peers.split(',').map((peer) => {
  const known = [...ALL, ...VARIANTS].find((name) => name === peer);
  if (known === undefined)
    throw new Error(`there is no peer ${peer}; there are ${[...ALL, ...VARIANTS].join(', ')}`);
  return known;
});
const rounds = Number(values.rounds);
const lines: Line[] = [];
const loadBefore = loadavg();
for (const name of values.cases.split(',')) {
  const ofCase = await measure(name, peers, rounds);
  process.stdout.write(`${tableOf(ofCase, peers, OURS)}\n\n`);
  lines.push(...ofCase);
}
const commit = `${git('rev-parse', '--short', 'HEAD') || 'unknown'}${git('status', '--porcelain') === '' ? '' : ' with changes'}`;
const machine = {
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  memoryGb: Math.round(totalmem() / 2 ** 30),
  node: process.version,
};
const load = { before: loadBefore, after: loadavg() };
const about = { commit, date: new Date().toISOString(), machine, load, rounds };
process.stdout.write(`${JSON.stringify(about)}\n`);
if (values.json !== undefined)
  writeFileSync(values.json, `${JSON.stringify({ ...about, lines }, null, 2)}\n`);
if (values.svg !== undefined)
  writeFileSync(
    values.svg,
    plotOf(
      lines.filter(({ figure }) => /CPU (ms|us)|burst p99|session KB/.test(figure)),
      `Lumamesh divided by others (less is better), commit ${commit}`,
    ),
  );
