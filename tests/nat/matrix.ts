import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { HOME_KINDS, type HomeKind, type NatTab } from '@lumamesh/testkit/browsers';
import { type Meeting, meet } from './meet.ts';
import { whySkipped, withNatNetwork } from './support.ts';

/*
 * `npm run matrix -- [--runs n] [--turn off] [--kinds a,b] [--rtt ms] [--json file]`: a Chromium and a Firefox, alone in a room, each
 * behind each kind of home, and so many ms from the other one and back (half of that
 * from the relay): whether they meet, by which path, and how long that takes from the moment in which the second one has joined.
 * Prints a table for the docs. Fails when a cell does not connect though TURN is on, or says no reason though it is off.
 */

interface Cell {
  readonly chromium: HomeKind;
  readonly firefox: HomeKind;
  /** `direct` or `relayed`; or the code that both were told; or `nothing said`. */
  readonly outcome: string;
  readonly isConnected: boolean;
  /** Until both were open, or had both been told why not. */
  readonly medianMs: number | null;
  /** What they were told, in words, without their names. */
  readonly said: readonly string[];
}

/** Where nothing comes of a meeting within its limit. */
const NOTHING: Meeting = { outcome: 'nothing said', openMs: null, toldMs: null, said: [] };

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    turn: { type: 'string', default: 'on' },
    tcp: { type: 'string', default: 'on' },
    kinds: { type: 'string', default: HOME_KINDS.join(',') },
    rtt: { type: 'string', default: '50' },
    json: { type: 'string' },
  },
});
const runs = Number(values.runs);
const kinds = values.kinds.split(',') as HomeKind[];
const unknown = kinds.find((kind) => !(HOME_KINDS as readonly HomeKind[]).includes(kind));
if (unknown !== undefined) throw new Error(`no kind ${unknown}: ${HOME_KINDS.join(', ')}`);
const skipped = whySkipped();
if (skipped !== null) throw new Error(skipped);

function sayNothing(error: unknown): Meeting {
  process.stdout.write(`${String(error)}\n`);
  return NOTHING;
}

function median(all: readonly number[]): number | null {
  const sorted = all.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? null;
}

function table(cells: readonly Cell[]): string {
  const text = ({ outcome, medianMs }: Cell): string =>
    medianMs === null ? outcome : `${outcome} ${(medianMs / 1000).toFixed(2)} s`;
  return [
    `| Chromium ↓, Firefox → | ${kinds.join(' | ')} |`,
    `|---|${kinds.map(() => '---|').join('')}`,
    ...kinds.map(
      (chromium) =>
        `| ${chromium} | ${kinds
          .map((firefox) =>
            cells
              .filter((cell) => cell.chromium === chromium && cell.firefox === firefox)
              .map(text)
              .join(''),
          )
          .join(' | ')} |`,
    ),
  ].join('\n');
}

await withNatNetwork(
  [...kinds, ...kinds],
  async (network, open) => {
    const relay = await network.startRelay(
      {
        ...(values.tcp === 'on' ? { TCP_PORT: '443' } : {}),
        ...(values.turn === 'on' ? { TURN_RATE: '10000000' } : {}),
      },
      { families: 'dual-stack' },
    );
    const chromiums = new Map<HomeKind, NatTab>();
    const firefoxes = new Map<HomeKind, NatTab>();
    for (const [i, kind] of kinds.entries()) {
      chromiums.set(kind, await open(i, 'chromium'));
      firefoxes.set(kind, await open(kinds.length + i, 'firefox'));
    }
    const cells: Cell[] = [];
    for (const [chromium, ada] of chromiums)
      for (const [firefox, bob] of firefoxes) {
        const met: Meeting[] = [];
        for (let i = 0; i < runs; i++) {
          // Each comes first in turn.
          const pair = i % 2 === 0 ? ([ada, bob] as const) : ([bob, ada] as const);
          met.push(await meet([relay.record], ...pair).catch(sayNothing));
        }
        const outcome = [...new Set(met.map((one) => one.outcome))].join(' or ');
        const isConnected = met.every(({ openMs }) => openMs !== null);
        const times = met.map(({ openMs, toldMs }) => openMs ?? toldMs);
        const medianMs = median(times.filter((ms) => ms !== null));
        const said = [...new Set(met.flatMap((one) => one.said))].map((words) =>
          words.replace(/(Ada|Bob) \d+/, '…'),
        );
        cells.push({ chromium, firefox, outcome, isConnected, medianMs, said: [...new Set(said)] });
        process.stdout.write(`${chromium} ${firefox} ${outcome} ${times.join(' ')} ms\n`);
      }
    process.stdout.write(`\n${table(cells)}\n`);
    for (const words of new Set(cells.flatMap(({ said }) => said)))
      process.stdout.write(`told: ${words}\n`);
    if (values.json !== undefined)
      writeFileSync(values.json, `${JSON.stringify(cells, null, 2)}\n`);
    const isFine = ({ outcome, isConnected }: Cell): boolean =>
      isConnected || (values.turn !== 'on' && !outcome.includes(NOTHING.outcome));
    process.exitCode = cells.every(isFine) ? 0 : 1;
  },
  Number(values.rtt) / 4,
);
