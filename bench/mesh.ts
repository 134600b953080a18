import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { VirtualMesh } from '@lumamesh/testkit/mesh';
import { type MeshRelay, pause, until, withRelays } from '@lumamesh/testkit';
import { RoomClient, isComplete } from '../tests/mesh/support.ts';
import { cpuMs } from './process-usage.ts';

/*
 * `npm run bench:mesh -- [relays] [rooms]`: relay processes (bundled, as they are published) in a
 * line on loopback. How long until all know all, what a relay takes in memory, CPU and bytes when
 * nothing happens, and what the rooms cost; and what a hint costs in the core alone. As root it
 * runs in a network namespace of its own, so that the bytes on the wire are only those of the mesh.
 */
const count = Number(process.argv[2] ?? 30);
const rooms = Number(process.argv[3] ?? 10_000);
const IDLE_SECONDS = 30;
const ROOMS_PER_SESSION = 32;
/**
 * How a relay is started on a small machine (docs/operations.md): a small young generation, and one
 * arena for the allocator.
 */
const SMALL = { NODE_OPTIONS: '--max-semi-space-size=1', MALLOC_ARENA_MAX: '1' };

function enterNamespace(): void {
  if (process.env['LUMAMESH_BENCH_INSIDE'] === '1' || process.getuid?.() !== 0) return;
  const name = `lumamesh-bench-${process.pid}`;
  if (spawnSync('ip', ['netns', 'add', name]).status !== 0) return;
  spawnSync('ip', ['-n', name, 'link', 'set', 'lo', 'up']);
  const environment = { ...process.env, LUMAMESH_BENCH_INSIDE: '1' };
  const { status } = spawnSync(
    'ip',
    ['netns', 'exec', name, process.execPath, ...process.argv.slice(1)],
    { stdio: 'inherit', env: environment },
  );
  spawnSync('ip', ['netns', 'del', name]);
  process.exit(status ?? 1);
}

/** All bytes that crossed loopback; each is counted once. */
function wireBytes(): number {
  const line = readFileSync('/proc/net/dev', 'utf8')
    .split('\n')
    .find((text) => text.trim().startsWith('lo:'));
  return Number(line?.trim().split(/\s+/)[9] ?? 0);
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}

/**
 * Microseconds of CPU for one hint: choosing the homes, the frame, and the home's table, of both
 * relays together.
 */
function hintMicroseconds(): number {
  const mesh = new VirtualMesh(1);
  const home = mesh.add('home');
  const reporter = mesh.add('reporter', { peers: ['home'], isHidden: true });
  mesh.run(5000);
  const hints = 9000;
  const before = process.cpuUsage();
  for (let i = 0; i < hints; i++)
    reporter.core.handleLocalRooms(mesh.now, {
      type: 'localPresent',
      room: `bench-room-${i}`.padEnd(43, '_'),
      peer: 'peer'.padEnd(22, '_'),
      presence: 'x'.repeat(200),
      network: `20.0.${i % 250}.0/24`,
    });
  mesh.run(2000);
  const used = process.cpuUsage(before);
  const held = (home.core.stats(mesh.now) as { homes: { hintsHeld: number } }).homes.hintsHeld;
  if (held !== hints) throw new Error(`${held} hints are held, not ${hints}`);
  return (used.user + used.system) / hints;
}

enterNamespace();
const folder = mkdtempSync(join(tmpdir(), 'lumamesh-bench-'));
const bundle = join(folder, 'relay.mjs');
await build({
  entryPoints: [join(import.meta.dirname, '../packages/relay/src/cli/main.ts')],
  bundle: true,
  minify: true,
  platform: 'node',
  format: 'esm',
  outfile: bundle,
  banner: {
    js: "import{createRequire}from'node:module';const require=createRequire(import.meta.url);",
  },
});
process.env['RELAY_MAIN'] = bundle;

const report: Record<string, unknown> = {
  relays: count,
  rooms,
  microsecondsPerHint: Math.round(hintMicroseconds() * 10) / 10,
};
await withRelays(async (start) => {
  const relays: MeshRelay[] = Array.from({ length: count }, (_, i) =>
    start(i, i === 0 ? [] : [i - 1], SMALL),
  );
  await Promise.all(relays.map((relay) => relay.ready()));
  const pids = relays.map(({ child }) => child.pid ?? 0);
  report['secondsUntilAllKnowAll'] =
    Math.round(
      (await until(() => isComplete(relays), 'they do not all know each other', 300_000)) / 100,
    ) / 10;
  await pause(20_000);
  const measure = async (
    seconds: number,
  ): Promise<{ cpuMsPerSecond: number; bytesPerSecond: number }> => {
    const [cpu, bytes] = [sum(pids.map(cpuMs)), wireBytes()];
    await pause(seconds * 1000);
    const per = (value: number): number => Math.round((value / seconds / count) * 10) / 10;
    return {
      cpuMsPerSecond: per(sum(pids.map(cpuMs)) - cpu),
      bytesPerSecond: per(wireBytes() - bytes),
    };
  };
  report['idlePerRelay'] = await measure(IDLE_SECONDS);
  const clients: RoomClient[] = [];
  const before = sum(pids.map(cpuMs));
  const startedAt = performance.now();
  for (let room = 0; room < rooms; room += ROOMS_PER_SESSION) {
    const relay = relays[clients.length % count];
    if (relay === undefined) break;
    const client = await RoomClient.connect(relay.record);
    for (let i = room; i < Math.min(room + ROOMS_PER_SESSION, rooms); i++) {
      client.send({
        action: 'join',
        room: `bench-room-${i}`.padEnd(43, '_'),
        peer: `peer-${clients.length}`.padEnd(22, '_'),
        presence: 'x'.repeat(200),
      });
    }
    clients.push(client);
  }
  report['secondsToJoin'] = Math.round((performance.now() - startedAt) / 100) / 10;
  await pause(15_000);
  report['cpuMsPerRoomAndRelaysInAll'] =
    Math.round(((sum(pids.map(cpuMs)) - before) / rooms) * 100) / 100;
  const stats = await Promise.all(relays.map((relay) => relay.stats()));
  const homes = stats.map(
    (one) => (one as unknown as { homes: { hintsHeld: number } }).homes.hintsHeld,
  );
  report['hintsHeldByAllHomes'] = sum(homes);
  report['withRoomsPerRelay'] = await measure(IDLE_SECONDS);
  const rss = (await Promise.all(relays.map((relay) => relay.stats()))).map(({ memory }) =>
    Math.round(memory.rssBytes / 1e6),
  );
  const links = stats.map(({ links: { outbound, inbound } }) => outbound + inbound);
  report['residentMb'] = {
    median: rss.toSorted((a, b) => a - b)[count >> 1],
    max: Math.max(...rss),
  };
  report['linksPerRelay'] = { min: Math.min(...links), max: Math.max(...links) };
  await Promise.all(clients.map((client) => client.close()));
});
rmSync(folder, { recursive: true, force: true });
process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
