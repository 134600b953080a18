import { readFileSync, readdirSync } from 'node:fs';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { type MeshRelay, makeJoiningPeer, until, withRelays } from '@lumamesh/testkit';
import { join as joinRoom } from './honest.ts';

/*
 * `npm run soak -- 3600`: three relays of a mesh, clients that connect, join, signal, leave politely
 * or vanish, and one of the relays killed and started again every so often. What the two others
 * hold is looked at whenever all clients have gone: it must not grow.
 */
const RELAYS = 3;
const CLIENTS_PER_ROUND = 60;
const ROUND_LIMIT_MS = 60_000;
/** Of resident memory, from the second third of the run to its end: less is what heaps breathe. */
const MAX_GROWTH_MB = 24;
const MAX_MORE_HANDLES = 16;

interface Sample {
  readonly atS: number;
  readonly residentMb: number;
  readonly handles: number;
}

export interface SoakResult {
  readonly isFlat: boolean;
  readonly text: string;
}

function sampleOf({ child }: MeshRelay, atS: number): Sample {
  const folder = `/proc/${child.pid ?? 0}`;
  const status = readFileSync(`${folder}/status`, 'utf8');
  return {
    atS,
    residentMb: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024,
    handles: readdirSync(`${folder}/fd`).length,
  };
}

async function sessionsOf(relay: MeshRelay): Promise<number> {
  const { established, halfOpen } = (await relay.stats()).sessions;
  return established + halfOpen;
}

/** A visit: joins a room at one of the relays, says something to whoever is there, and goes. */
async function visit(record: SignedRelayRecord, i: number): Promise<void> {
  const room = `soak${i % 8}`.padEnd(43, '-');
  const others: string[] = [];
  const { stub } = await joinRoom(
    record,
    `127.3.${i % 200}.1`,
    makeJoiningPeer(),
    room,
    (frame) => {
      if (frame['action'] === 'peer-joined') others.push(String(frame['peer']));
    },
  );
  await new Promise((resolve) => setTimeout(resolve, 300));
  for (const to of others.slice(0, 5))
    stub.say({ action: 'signal', room, to, data: 'x'.repeat(300) });
  await new Promise((resolve) => setTimeout(resolve, 200));
  // Every third one vanishes: the relay finds out by itself.
  stub.close(i % 3 !== 0);
}

export async function soak(seconds: number, log?: (line: string) => void): Promise<SoakResult> {
  const samples: Sample[][] = [];
  let visits = 0;
  await withRelays(async (start) => {
    const watched = Array.from({ length: RELAYS - 1 }, (_, i) => start(i, i === 0 ? [] : [0]));
    const startLast = (): MeshRelay => start(RELAYS - 1, [0]);
    let last = startLast();
    for (const _ of watched) samples.push([]);
    const records = await Promise.all([...watched, last].map(async (relay) => relay.ready()));
    const startedAt = performance.now();
    const elapsedS = (): number => (performance.now() - startedAt) / 1000;
    const counts = async (): Promise<number[]> => Promise.all(watched.map(sessionsOf));
    for (let round = 0; round < 6 || elapsedS() < seconds; round++) {
      await Promise.all(
        Array.from({ length: CLIENTS_PER_ROUND }, async (_, i) => {
          const record = records[i % (round % 2 === 0 ? RELAYS : RELAYS - 1)];
          if (record !== undefined) await visit(record, (visits += 1));
        }),
      );
      // A relay that is killed is back in the next round, with its mesh.
      if (round % 4 === 2) {
        await last.end('SIGKILL');
        last = startLast();
        records[RELAYS - 1] = await last.ready();
      }
      await until(
        async () => (await counts()).every((count) => count === 0),
        async () => `sessions stay: ${(await counts()).join(', ')}`,
        ROUND_LIMIT_MS,
      );
      for (const [i, relay] of watched.entries()) samples[i]?.push(sampleOf(relay, elapsedS()));
      log?.(`${Math.round(elapsedS())} s, ${visits} visits: ${samples.map(describe).join('; ')}`);
    }
  });
  const growths = samples.map(growthOf);
  const isFlat = growths.every(
    ({ megabytes, handles }) => megabytes <= MAX_GROWTH_MB && handles <= MAX_MORE_HANDLES,
  );
  return { isFlat, text: `${visits} visits: ${JSON.stringify(growths)}` };
}

function describe(samples: readonly Sample[]): string {
  const { residentMb = 0, handles = 0 } = samples.at(-1) ?? {};
  return `${Math.round(residentMb)} MB, ${handles} handles`;
}

/** What the last third holds more than the one before: what a process needs once is there by then. */
function growthOf(samples: readonly Sample[]): { megabytes: number; handles: number } {
  const third = Math.max(1, Math.floor(samples.length / 3));
  const least = (part: readonly Sample[], of: (sample: Sample) => number): number =>
    Math.min(...part.map(of));
  const [middle, last] = [samples.slice(third, 2 * third), samples.slice(-third)];
  const grown = (of: (sample: Sample) => number): number =>
    Math.round(10 * (least(last, of) - least(middle, of))) / 10;
  return {
    megabytes: grown(({ residentMb }) => residentMb),
    handles: grown(({ handles }) => handles),
  };
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

if (process.argv[1] === import.meta.filename) {
  const { isFlat, text } = await soak(Number(process.argv[2] ?? 180), say);
  say(`${isFlat ? 'flat' : 'NOT FLAT'}: ${text}`);
  process.exitCode = isFlat ? 0 : 1;
}
