import { getHeapStatistics } from 'node:v8';
import type { TurnCounts } from '@lumamesh/transport';
import type { DialBackResult } from '@lumamesh/protocol';
import type { IoPath, UdpTraffic } from '@lumamesh/transport/io';
import type { MonthlyStats } from './monthly-watch.ts';
import type { OutsideStats } from './outside/outside-watch.ts';

export interface MeshPurposeTraffic {
  readonly inFrames: number;
  readonly inBytes: number;
  readonly outFrames: number;
  readonly outBytes: number;
}

/** What `/statsz` tells of the mesh, as far as programs of ours read it. */
export interface MeshStats {
  readonly links: {
    readonly outbound: number;
    readonly inbound: number;
    readonly proven: number;
    readonly accepted: number;
    readonly dialing: number;
  };
  readonly records: { readonly known: number; readonly alive: number; readonly suspect: number };
  readonly homes: {
    readonly roomsHeld: number;
    readonly hintsHeld: number;
    readonly reporters: number;
  };
  readonly rooms: {
    readonly reported: number;
    /** Of members over other relays. */
    readonly remoteBytes: number;
    readonly newsWaiting: number;
  };
  /** For other relays. */
  readonly waitingBytes: number;
  readonly hints: { readonly in: number; readonly out: number };
  readonly signals: { readonly in: number; readonly out: number };
  readonly traffic: Readonly<Record<string, MeshPurposeTraffic>>;
  readonly drops: Readonly<Record<string, number>>;
  readonly sockets: number;
  readonly bans: number;
  readonly identityConflicts: number;
}

/** Figures of a relay since its start: no addresses of users, no room ids. */
export interface RelayStats {
  readonly nodeId: string;
  readonly uptimeSeconds: number;
  /** What carries datagrams and encrypts, and why that is not native code. */
  readonly io: Pick<IoPath, 'name' | 'reason'>;
  readonly sessions: {
    readonly established: number;
    readonly halfOpen: number;
    readonly max: number;
  };
  /** Handshakes that were finished, by version and group: `1.3 x25519mlkem768`. */
  readonly handshakes: Readonly<Record<string, number>>;
  readonly rooms: { readonly rooms: number; readonly members: number };
  readonly joins: number;
  readonly signals: number;
  readonly errors: number;
  /** Whether anybody gets in from outside. */
  readonly outside: OutsideStats;
  /**
   * Until when its record holds, and its line in the public list that came with this program; and
   * what the record says of its operator.
   */
  readonly record: {
    readonly expires: number;
    readonly published: number | null;
    readonly nickname?: string;
    readonly contact?: string;
  };
  /** Relays that were dialled because they asked, by what came of it. */
  readonly dialBacks: Readonly<Record<DialBackResult, number>>;
  readonly traffic: Readonly<UdpTraffic>;
  readonly drops: Readonly<Record<string, number>>;
  readonly memory: {
    readonly rssBytes: number;
    readonly heapUsedBytes: number;
    /** What sessions make the relay hold, and what they may. */
    readonly heldBytes: number;
    readonly maxHeldBytes: number;
  };
  /**
   * Where only who shows a token is let in: how many tokens there are, how many sessions have not
   * shown one yet, and how many were turned away for a wrong one.
   */
  readonly access?: { readonly tokens: number; readonly waiting: number; readonly denied: number };
  /** Connections over TCP, where TCP_PORT is set. */
  readonly tcp?: { readonly sockets: number };
  /** What is forwarded between browsers, where TURN_RATE is set. */
  readonly turn?: TurnCounts & { readonly bytesPerSecond: number };
  /** Where MAX_BANDWIDTH is set; `waitingBytes` wait for their turn. */
  readonly bandwidth?: { readonly bytesPerSecond: number; readonly waitingBytes: number };
  /** Where MONTHLY_TRAFFIC is set. */
  readonly monthly?: MonthlyStats;
  readonly mesh?: MeshStats;
}

export interface EventLoopDelay {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** The whole of `/statsz`. */
export interface HealthStats extends RelayStats {
  readonly version: string;
  readonly commit: string;
  readonly runtime: string;
  /** Why the relay is not well; empty when it is. */
  readonly health: readonly string[];
  readonly eventLoop: EventLoopDelay;
}

/** Where there is no /proc, as in a bare chroot, the kernel does not tell what is resident: 0. */
export function readMemory(): Pick<RelayStats['memory'], 'rssBytes' | 'heapUsedBytes'> {
  try {
    const { rss, heapUsed } = process.memoryUsage();
    return { rssBytes: rss, heapUsedBytes: heapUsed };
  } catch {
    return { rssBytes: 0, heapUsedBytes: getHeapStatistics().used_heap_size };
  }
}
