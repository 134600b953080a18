import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { HOME_KINDS, type HomeKind, type NatTab } from '@lumamesh/testkit/browsers';
import { whySkipped, withNatNetwork } from './support.ts';

/*
 * `npm run matrix -- [--runs n] [--turn off] [--kinds a,b] [--rtt ms] [--json file]`: a Chromium and a Firefox, alone in a room, each
 * behind each kind of home, and so many ms from the other one and back (half of that
 * from the relay): whether they meet, by which path, and how long that takes from the moment in which the second one has joined.
 * Prints a table for the docs. Fails when a cell does not connect though TURN is on, or says no reason though it is off.
 */

const LIMIT_MS = 45_000;
const POLL_MS = 100;

interface Cell {
  readonly chromium: HomeKind;
  readonly firefox: HomeKind;
  /** `direct` or `relayed`; or why not. */
  readonly outcome: string;
  readonly medianMs: number | null;
}

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
let meetings = 0;

/** Lets two meet in a room of their own. Answers the path and the ms, or what they were told. */
async function meet(
  relays: readonly unknown[],
  ada: NatTab,
  bob: NatTab,
): Promise<readonly [outcome: string, ms: number | null]> {
  const number = (meetings += 1);
  const [nickA, nickB] = [`Ada ${number}`, `Bob ${number}`];
  const since = Date.now();
  const isNew = ({ at }: { readonly at: number }): boolean => at >= since;
  try {
    await ada.call('join', relays, `room ${number}`, nickA, '');
    await ada.waitFor('status', 'online', LIMIT_MS);
    await settle(async () => (await ada.log()).some((one) => isNew(one) && one.event === 'joined'));
    await bob.call('join', relays, `room ${number}`, nickB, '');
    let outcome = 'nothing said';
    let ms: number | null = null;
    await settle(async () => {
      const [ofAda, ofBob] = [(await ada.log()).filter(isNew), (await bob.log()).filter(isNew)];
      const opened = [
        ofAda.find(({ event, value }) => event === 'open' && value === nickB),
        ofBob.find(({ event, value }) => event === 'open' && value === nickA),
      ];
      const joined = ofBob.find(({ event }) => event === 'joined');
      const fault = [...ofAda, ...ofBob].find(({ event }) => event === 'error');
      const path = ofBob.findLast(({ event }) => event === 'path')?.value;
      const [first, second] = opened;
      if (first === undefined || second === undefined || joined === undefined) {
        if (fault !== undefined) outcome = String(fault.value);
        return fault !== undefined;
      }
      if (typeof path !== 'string') return false;
      outcome = path;
      ms = Math.max(first.at, second.at) - joined.at;
      return true;
    });
    return [outcome, ms];
  } finally {
    await ada.call('close');
    await bob.call('close');
  }
}

/** Waits until something is so, or for the limit. */
async function settle(isDone: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + LIMIT_MS; Date.now() < end;) {
    if (await isDone()) return;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
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
        const outcomes: string[] = [];
        const times: number[] = [];
        for (let i = 0; i < runs; i++) {
          // Each comes first in turn.
          const pair = i % 2 === 0 ? ([ada, bob] as const) : ([bob, ada] as const);
          const [outcome, ms] = await meet([relay.record], ...pair);
          outcomes.push(outcome);
          if (ms !== null) times.push(ms);
        }
        const outcome = [...new Set(outcomes)].join(' or ');
        cells.push({ chromium, firefox, outcome, medianMs: median(times) });
        process.stdout.write(`${chromium} ${firefox} ${outcome} ${String(median(times))} ms\n`);
      }
    process.stdout.write(`\n${table(cells)}\n`);
    if (values.json !== undefined)
      writeFileSync(values.json, `${JSON.stringify(cells, null, 2)}\n`);
    const isFine = ({ outcome, medianMs }: Cell): boolean =>
      outcome !== 'nothing said' && (values.turn !== 'on' || medianMs !== null);
    process.exitCode = cells.every(isFine) ? 0 : 1;
  },
  Number(values.rtt) / 4,
);
