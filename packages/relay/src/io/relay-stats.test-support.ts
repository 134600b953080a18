import type { HealthStats, MeshStats } from './relay-stats.ts';

const STATS: HealthStats = {
  version: '1.2.3',
  commit: 'abc',
  runtime: 'Node',
  health: [],
  eventLoop: { p50Ms: 0, p99Ms: 2.5, maxMs: 9 },
  nodeId: 'N'.repeat(43),
  uptimeSeconds: 90_061,
  io: { name: 'native', reason: '' },
  sessions: { established: 5, halfOpen: 1, max: 10 },
  handshakes: { '1.3 x25519mlkem768': 7, '1.2 x25519': 2 },
  rooms: { rooms: 2, members: 4 },
  joins: 10,
  signals: 100,
  errors: 0,
  outside: { verdict: 'reached', by: 'dialBack', ageSeconds: 61, elsewhere: null, helpers: 3 },
  record: {
    expires: 1_800_000_000,
    published: 1_790_000_000,
    nickname: 'Tea room',
    contact: 'tea@example.org',
  },
  dialBacks: { reached: 4, unreached: 1, unknown: 0 },
  traffic: { datagramsIn: 50, datagramsOut: 60, bytesIn: 5_000_000, bytesOut: 999, sendErrors: 0 },
  drops: { 'ice.username': 3 },
  memory: { rssBytes: 90_000_000, heapUsedBytes: 1, heldBytes: 2, maxHeldBytes: 3 },
};

/** What a relay tells that has something of everything. */
export function sampleStats(change: Partial<HealthStats> = {}): HealthStats {
  return { ...STATS, ...change };
}

export const SAMPLE_TURN: NonNullable<HealthStats['turn']> = {
  credentials: 4,
  allocations: 2,
  forwardedDatagrams: 1000,
  forwardedBytes: 1_200_000,
  bytesPerSecond: 2_000_000,
};

export const SAMPLE_BANDWIDTH = { bytesPerSecond: 1_000_000, waitingBytes: 4096 };

export const SAMPLE_MONTHLY: NonNullable<HealthStats['monthly']> = {
  month: '2026-11',
  bytes: 250_000_000_000,
  max: 500_000_000_000,
  isResting: false,
};

export const SAMPLE_ACCESS = { tokens: 3, waiting: 1, denied: 7 };

export const SAMPLE_TCP = { sockets: 3 };

export const SAMPLE_MESH: MeshStats = {
  links: { outbound: 1, inbound: 2, proven: 3, accepted: 3, dialing: 0 },
  records: { known: 4, alive: 3, suspect: 1 },
  homes: { roomsHeld: 1, hintsHeld: 2, reporters: 1 },
  rooms: { reported: 1, remoteBytes: 0, newsWaiting: 0 },
  waitingBytes: 0,
  hints: { in: 1, out: 2 },
  signals: { in: 5, out: 6 },
  traffic: { hello: { inFrames: 1, inBytes: 100, outFrames: 1, outBytes: 200 } },
  drops: { 'mesh.frame': 2 },
  sockets: 3,
  bans: 1,
  identityConflicts: 0,
};
