import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from './load-generator.ts';
import { type LoadResult, type PeerName, PeerProcess, type Usage } from './peers/peer-process.ts';

/** Figures by name, in the unit that the name ends with; smaller is better in all of them. */
export type Figures = Readonly<Record<string, number>>;

interface Connected extends LoadResult {
  readonly connected: number;
  readonly failed: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

interface Signalled extends LoadResult {
  readonly received: number;
  readonly elapsedMs: number;
}

const WARM_SESSIONS = 200;
const SESSIONS = 1000;
const IDLE_MS = 5000;
const SIGNAL_MS = 4000;
const ROOM_SIZE = 250;

type Case = (name: PeerName) => Promise<Figures>;

/** What can be asked for; each runs in processes of its own. */
export const CASES: Readonly<Record<string, Case>> = {
  'set-up': (name) => withPeer(name, WARM_SESSIONS + SESSIONS, setUp),
  burst: (name) => withPeer(name, SESSIONS, burst),
  'signals-300': (name) => withPeer(name, WARM_SESSIONS, async (peer) => signals(peer, 300)),
  'signals-2048': (name) => withPeer(name, WARM_SESSIONS, async (peer) => signals(peer, 2048)),
  room: (name) => withPeer(name, ROOM_SIZE, room),
  'grown-to-10000': (name) =>
    withPeer(name, 10_000 + SESSIONS, async (peer) => grown(peer, 10_000)),
};

async function withPeer(
  name: PeerName,
  maxSessions: number,
  measure: (peer: PeerProcess) => Promise<Figures>,
): Promise<Figures> {
  const peer = await PeerProcess.start(name, maxSessions + 100);
  try {
    return await measure(peer);
  } finally {
    await peer.stop();
  }
}

const cpuMs = (before: Usage, after: Usage): number => after.cpuMs - before.cpuMs;

/** Set-up, eight at a time; then memory and CPU of sessions that do nothing. */
async function setUp(peer: PeerProcess): Promise<Figures> {
  await peer.load({ type: 'connect', sessions: WARM_SESSIONS, concurrency: 20 });
  const before = await peer.usage();
  const result = await peer.load<Connected>({
    type: 'connect',
    sessions: SESSIONS,
    concurrency: 8,
  });
  const after = await peer.usage();
  await sleep(IDLE_MS);
  const idle = await peer.usage();
  return {
    'start-up ms': peer.startMs,
    'set-up CPU ms': cpuMs(before, after) / result.connected,
    'set-up failed': result.failed,
    'set-up loop delay p99 ms': after.loopDelayP99Ms,
    'idle session KB': (after.rssBytes - before.rssBytes) / result.connected / 1024,
    'idle CPU of 1000 sessions ms/s':
      (cpuMs(after, idle) / (WARM_SESSIONS + SESSIONS)) * 1000 * (1000 / IDLE_MS),
    'set-up generator cores': result.generatorLoad,
  };
}

/** A thousand at once, against a peer that has just started. */
async function burst(peer: PeerProcess): Promise<Figures> {
  const result = await peer.load<Connected>({
    type: 'connect',
    sessions: SESSIONS,
    concurrency: SESSIONS,
  });
  const { loopDelayP99Ms } = await peer.usage();
  return {
    'burst p50 ms': result.p50Ms,
    'burst p99 ms': result.p99Ms,
    'burst failed': result.failed,
    'burst loop delay p99 ms': loopDelayP99Ms,
    'burst generator cores': result.generatorLoad,
  };
}

/** A thousand a second over a hundred pairs; then twenty pairs with one and with eight on the way. */
async function signals(peer: PeerProcess, bytes: number): Promise<Figures> {
  await peer.load({ type: 'connect', sessions: WARM_SESSIONS, concurrency: 20 });
  const common = { type: 'signal', durationMs: SIGNAL_MS, bytes } as const;
  const saturated = { ...common, pairs: 20 };
  await peer.load({ ...saturated, durationMs: 1000, outstanding: 8 });
  return {
    ...(await signal(peer, `${bytes} B, 1000/s`, { ...common, perSecond: 1000, pairs: 100 })),
    ...(await signal(peer, `${bytes} B, window 1`, { ...saturated, outstanding: 1 })),
    ...(await signal(peer, `${bytes} B, window 8`, { ...saturated, outstanding: 8 })),
  };
}

async function signal(peer: PeerProcess, what: string, command: Command): Promise<Figures> {
  const before = await peer.usage();
  const result = await peer.load<Signalled>(command);
  const after = await peer.usage();
  return {
    [`${what}: CPU us`]: (cpuMs(before, after) * 1000) / result.received,
    [`${what}: us between two`]: (result.elapsedMs * 1000) / result.received,
    [`${what}: loop delay p99 ms`]: after.loopDelayP99Ms,
    [`${what}: generator cores`]: result.generatorLoad,
  };
}

/** All into one room, at once: each is told to all who are there. */
async function room(peer: PeerProcess): Promise<Figures> {
  const before = await peer.usage();
  const result = await peer.load<Connected>({
    type: 'connect',
    sessions: ROOM_SIZE,
    concurrency: ROOM_SIZE,
    inOneRoom: true,
  });
  const after = await peer.usage();
  return {
    'room of 250: CPU ms a member': cpuMs(before, after) / result.connected,
    'room of 250: p99 ms': result.p99Ms,
    'room of 250: failed': result.failed,
  };
}

/** What one more session and one signal cost beside so many that are idle. */
async function grown(peer: PeerProcess, idle: number): Promise<Figures> {
  await peer.load({ type: 'connect', sessions: 100, concurrency: 8 });
  const few = await oneMore(peer);
  const before = await peer.usage();
  await peer.load({ type: 'connect', sessions: idle, concurrency: 50 });
  const after = await peer.usage();
  const many = await oneMore(peer);
  return {
    'beside 100: set-up CPU ms': few.setUpMs,
    [`beside ${idle}: set-up CPU ms`]: many.setUpMs,
    'beside 100: 300 B CPU us': few.signalUs,
    [`beside ${idle}: 300 B CPU us`]: many.signalUs,
    [`of ${idle}: idle session KB`]: (after.rssBytes - before.rssBytes) / idle / 1024,
  };
}

/** What sessions that do nothing cost meanwhile is measured first, and taken off. */
async function oneMore(peer: PeerProcess): Promise<{ setUpMs: number; signalUs: number }> {
  const atRest = await peer.usage();
  await sleep(IDLE_MS);
  const idleShare = cpuMs(atRest, await peer.usage()) / IDLE_MS;
  const spent = async <T>(work: () => Promise<T>): Promise<readonly [T, number]> => {
    const before = await peer.usage();
    const startedAt = performance.now();
    const result = await work();
    const tookMs = performance.now() - startedAt;
    return [result, cpuMs(before, await peer.usage()) - idleShare * tookMs];
  };
  const [set, setUpCpuMs] = await spent(async () =>
    peer.load<Connected>({ type: 'connect', sessions: 300, concurrency: 8 }),
  );
  const [result, signalCpuMs] = await spent(async () =>
    peer.load<Signalled>({
      type: 'signal',
      durationMs: SIGNAL_MS,
      bytes: 300,
      perSecond: 1000,
      pairs: 50,
    }),
  );
  return {
    setUpMs: setUpCpuMs / set.connected,
    signalUs: (signalCpuMs * 1000) / result.received,
  };
}
