import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { RelayProcess, until } from '@lumamesh/testkit';
import { join as joinRoom, makePeer } from './honest.ts';

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

class Node {
  readonly #i: number;
  readonly #folder: string;
  readonly #port: number;
  relay: RelayProcess;

  constructor(i: number, folder: string, port: number) {
    this.#i = i;
    this.#folder = folder;
    this.#port = port;
    this.relay = this.#start();
  }

  #start(): RelayProcess {
    const address = (i: number): string => `127.0.${50 + i}.1`;
    const own = address(this.#i);
    const file = (name: string): string => join(this.#folder, `${this.#i}.${name}`);
    return new RelayProcess({
      environment: {
        PUBLIC_IP: own,
        LISTEN_IP: own,
        UDP_PORT: String(this.#port),
        CERT_FILE: file('crt'),
        KEY_FILE: file('key'),
        NODE_KEY: file('node'),
        MESH_FILE: file('mesh'),
        MESH_SALT: 'soak',
        MESH_LISTEN: `${own}:${this.#port + 1}`,
        MESH_PEERS: this.#i === 0 ? '' : `${address(0)}:${this.#port + 1}`,
        HEALTH_LISTEN: `${own}:${this.#port + 2}`,
      },
    });
  }

  async sessions(): Promise<number> {
    const own = `127.0.${50 + this.#i}.1`;
    const response = await fetch(`http://${own}:${this.#port + 2}/statsz`);
    const { sessions } = (await response.json()) as {
      readonly sessions: { readonly established: number; readonly halfOpen: number };
    };
    return sessions.established + sessions.halfOpen;
  }

  sample(atS: number): Sample {
    const folder = `/proc/${this.relay.child.pid ?? 0}`;
    const status = readFileSync(`${folder}/status`, 'utf8');
    return {
      atS,
      residentMb: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024,
      handles: readdirSync(`${folder}/fd`).length,
    };
  }

  async kill(): Promise<void> {
    this.relay.child.kill('SIGKILL');
    if (!this.relay.hasEnded) await once(this.relay.child, 'exit');
  }

  async restart(): Promise<SignedRelayRecord> {
    await this.kill();
    this.relay = this.#start();
    return this.relay.ready();
  }
}

/** A visit: joins a room at one of the relays, says something to whoever is there, and goes. */
async function visit(record: SignedRelayRecord, i: number): Promise<void> {
  const room = `soak${i % 8}`.padEnd(43, '-');
  const others: string[] = [];
  const { stub } = await joinRoom(record, `127.3.${i % 200}.1`, makePeer(), room, (frame) => {
    if (frame['action'] === 'peer-joined') others.push(String(frame['peer']));
  });
  await new Promise((resolve) => setTimeout(resolve, 300));
  for (const to of others.slice(0, 5))
    stub.say({ action: 'signal', room, to, data: 'x'.repeat(300) });
  await new Promise((resolve) => setTimeout(resolve, 200));
  // Every third one vanishes: the relay finds out by itself.
  stub.close(i % 3 !== 0);
}

export async function soak(seconds: number, log?: (line: string) => void): Promise<SoakResult> {
  const folder = mkdtempSync(join(tmpdir(), 'lumamesh-soak-'));
  const port = 21_000 + Math.floor(Math.random() * 8000);
  const nodes = Array.from({ length: RELAYS }, (_, i) => new Node(i, folder, port));
  const watched = nodes.slice(0, -1);
  const samples = watched.map((): Sample[] => []);
  try {
    const records = await Promise.all(nodes.map(async ({ relay }) => relay.ready()));
    const startedAt = performance.now();
    const elapsedS = (): number => (performance.now() - startedAt) / 1000;
    let visits = 0;
    for (let round = 0; round < 6 || elapsedS() < seconds; round++) {
      await Promise.all(
        Array.from({ length: CLIENTS_PER_ROUND }, async (_, i) => {
          const record = records[i % (round % 2 === 0 ? RELAYS : RELAYS - 1)];
          if (record !== undefined) await visit(record, (visits += 1));
        }),
      );
      // A relay that is killed is back in the next round, with its mesh.
      if (round % 4 === 2) records[RELAYS - 1] = await (nodes.at(-1) as Node).restart();
      const counts = async (): Promise<number[]> =>
        Promise.all(watched.map(async (node) => node.sessions()));
      await until(
        async () => (await counts()).every((count) => count === 0),
        async () => `sessions stay: ${(await counts()).join(', ')}`,
        ROUND_LIMIT_MS,
      );
      for (const [i, node] of watched.entries()) samples[i]?.push(node.sample(elapsedS()));
      log?.(`${Math.round(elapsedS())} s, ${visits} visits: ${samples.map(describe).join('; ')}`);
    }
    const growths = samples.map(growthOf);
    const isFlat = growths.every(
      ({ megabytes, handles }) => megabytes <= MAX_GROWTH_MB && handles <= MAX_MORE_HANDLES,
    );
    return { isFlat, text: `${visits} visits: ${JSON.stringify(growths)}` };
  } finally {
    await Promise.all(nodes.map(async (node) => node.kill()));
    rmSync(folder, { recursive: true, force: true });
  }
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
