import type { Instant } from '@lumamesh/base';
import type { Platform } from '../../platform/platform.ts';
import { type StatsEntry, readPair } from '../relaying/selected-pair.ts';
import type { CandidateKind, PeerStats } from './peer-stats.ts';

/** Rates are taken over this much, once somebody has asked before. */
const WINDOW_MS = 1000;
/** And over this much at the first time. */
const FIRST_WINDOW_MS = 250;

/** What a connection had carried at some time, in bytes. */
type Sample = readonly [at: Instant, sent: number, received: number];

/** Of earlier calls, the oldest first. */
const samplesOf = new WeakMap<object, Sample[]>();

/** What of a peer is measured. */
export interface Measured {
  readonly connection: Pick<RTCPeerConnection, 'getStats' | 'connectionState'> | null;
  readonly platform: Pick<Platform, 'now' | 'setTimer'>;
}

/** Adds to what is known without it what the browser says of the connection. */
export async function measure(
  known: PeerStats,
  { connection, platform }: Measured,
): Promise<PeerStats> {
  if (connection === null) return known;
  let samples = samplesOf.get(connection);
  if (samples === undefined) {
    samples = [];
    samplesOf.set(connection, samples);
    const { bytesSent, bytesReceived } = await read(connection);
    samples.push([platform.now(), bytesSent, bytesReceived]);
  }
  // Who asks for the first time, or at the same time, waits for something to compare with.
  if (platform.now() - (samples[0]?.[0] ?? 0) < FIRST_WINDOW_MS || samples.length === 0)
    await new Promise<void>((resolve) => {
      platform.setTimer(FIRST_WINDOW_MS, resolve);
    });
  const { rttMs, isRelayed, ...found } = await read(connection);
  const now: Sample = [platform.now(), found.bytesSent, found.bytesReceived];
  const [sendRate = 0, receiveRate = 0] = ratesOf(now, samples);
  return {
    ...known,
    path: known.path === 'direct' && isRelayed ? 'relayed' : known.path,
    rttMs: known.rttMs || rttMs,
    connectionState: connection.connectionState,
    ...found,
    sendRate,
    receiveRate,
  };
}

async function read(connection: Pick<RTCPeerConnection, 'getStats'>) {
  const { pair, local, remote, isRelayed, pairs, transport } = await readPair(connection);
  // Chromium drops pairs that it gave up, and counts for the transport; Firefox counts for pairs.
  const total = (field: 'bytesSent' | 'bytesReceived'): number =>
    transport?.[field] ?? pairs.reduce((sum, entry) => sum + (entry[field] ?? 0), 0);
  return {
    isRelayed,
    rttMs: Math.round((pair?.currentRoundTripTime ?? 0) * 1000),
    ...kindOf('localCandidate', local),
    ...kindOf('remoteCandidate', remote),
    ...securityOf(transport),
    bytesSent: total('bytesSent'),
    bytesReceived: total('bytesReceived'),
  };
}

/** As on the wire: FEFC is DTLS 1.3, FEFD 1.2. */
export function securityOf({ tlsVersion, tlsGroup }: StatsEntry = {}): Partial<PeerStats> {
  const dtlsVersion = ({ FEFC: '1.3', FEFD: '1.2' } as const)[tlsVersion ?? ''];
  return {
    ...(dtlsVersion === undefined ? {} : { dtlsVersion }),
    ...(tlsGroup === undefined ? {} : { keyExchange: tlsGroup }),
  };
}

function kindOf<Name extends string>(
  name: Name,
  { candidateType, protocol }: StatsEntry = {},
): Partial<Record<Name, CandidateKind>> {
  if (candidateType === undefined || protocol === undefined) return {};
  // The compiler does not see that the computed name is this one.
  return { [name]: { type: candidateType, protocol } } as Record<Name, CandidateKind>;
}

/**
 * Bytes per second since the last sample that is old enough. Several callers do not disturb each
 * other: what is younger is kept for later, but not more than one for each window.
 */
function ratesOf(sample: Sample, samples: Sample[]): readonly number[] {
  const [at, ...totals] = sample;
  while (samples[1] !== undefined && at - samples[1][0] >= WINDOW_MS) samples.shift();
  const [oldest] = samples;
  const newest = samples.at(-1);
  if (newest === undefined || at - newest[0] >= FIRST_WINDOW_MS) samples.push(sample);
  if (oldest === undefined) return [];
  const [since, ...before] = oldest;
  const seconds = (at - since) / 1000;
  return totals.map((total, i) =>
    seconds > 0 ? Math.max(0, Math.round((total - (before[i] ?? 0)) / seconds)) : 0,
  );
}
